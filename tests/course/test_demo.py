from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from data_prep.world import read_pair
from scmlib.data.datasets import open_dataset
from scmlib.data.truth import OCCLUDER, read_truth
from scmlib.demo import counterfactual_pairs, run_demo, shown_queries
from scmlib.errors import BadInput
from scmlib.ranking import rank


def readme_example() -> str:
    """The README's Python."""
    readme = Path(__file__).parents[2] / "README.md"
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.S)
    return str(code)


@pytest.mark.slow
def test_quick_demo_ends_with_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run_demo(tmp_path, quick=True)
    page, results = report.read_text(), json.loads((tmp_path / "results.json").read_text())
    for name in ("world", "training", "cmc", "ranked_lists", "masks"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    assert page.count('<img src="data:image/webp;base64,') == 5
    assert not re.search(r'(?:src|href)="(?!data:)', page)  # nothing is fetched
    assert results["queries"] == 24
    assert f"{results['metrics']['top1']:.1%}" in page
    said = capsys.readouterr().out
    assert "colour histograms, true person" in said
    assert f"{results['metrics']['mAP']:.1%}" in said

    exec(readme_example().replace("runs/demo", str(tmp_path)), {})
    assert str(results["metrics"]) in capsys.readouterr().out

    again = run_demo(tmp_path, quick=True)  # finds its own world and run
    assert json.loads((tmp_path / "results.json").read_text())["metrics"] == results["metrics"]
    assert again == report


def test_shown_queries_run_from_best_to_worst() -> None:
    ranking = rank([[1.0], [1.0], [-1.0]], [[1.0], [0.5], [-1.0]], [1, 2, 1], [1, 2, 3])  # type: ignore[arg-type]
    shown = shown_queries(ranking)
    precision = [ranking.ap[i] for i in shown]
    assert precision == sorted(precision, reverse=True)
    assert {0, 2} <= set(shown)


def test_pairs_are_the_queries_with_and_without_their_occluders(data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    pairs = counterfactual_pairs(data.query[:3], (48, 24))
    assert pairs.occluded.shape == pairs.free.shape == (3, 3, 48, 24)
    assert np.array_equal(pairs.truth, read_truth([query.path for query in data.query[:3]]))
    assert np.array_equal(pairs.truth_free[1], read_pair(data.query[1].path).regions_without)
    assert not (pairs.truth_free == OCCLUDER).any()
    assert pairs.identities.tolist() == [query.identity for query in data.query[:3]]
    changed = (pairs.occluded != pairs.free).any(1).float().mean((1, 2))
    assert ((changed > 0.05) & (changed < 0.9)).all()
    whole = [record for record in data.gallery if not (read_truth([record.path]) == OCCLUDER).any()][:1]
    assert len(counterfactual_pairs([*whole, data.query[0]], (48, 24)).occluded) == 1
    with pytest.raises(BadInput, match="Nothing is hidden"):
        counterfactual_pairs(whole, (48, 24))
