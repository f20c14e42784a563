from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scmlib.demo import run_demo, shown_queries
from scmlib.ranking import rank


@pytest.mark.slow
def test_quick_demo_ends_with_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run_demo(tmp_path, quick=True)
    page, results = report.read_text(), json.loads((tmp_path / "results.json").read_text())
    for name in ("world", "training", "cmc", "ranked_lists", "masks"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    assert page.count('<img src="data:image/webp;base64,') == 5
    assert not re.search(r'(?:src|href)="(?!data:)', page)  # nothing is fetched
    assert results["queries"] == 24
    assert f"{results['figures']['top1']:.1%}" in page
    said = capsys.readouterr().out
    assert "colour histograms" in said
    assert f"{results['figures']['mAP']:.1%}" in said

    again = run_demo(tmp_path, quick=True)  # finds its own world and run
    assert json.loads((tmp_path / "results.json").read_text())["figures"] == results["figures"]
    assert again == report


def test_shown_queries_run_from_best_to_worst() -> None:
    ranking = rank([[1.0], [1.0], [-1.0]], [[1.0], [0.5], [-1.0]], [1, 2, 1], [1, 2, 3])  # type: ignore[arg-type]
    shown = shown_queries(ranking)
    precision = [ranking.ap[i] for i in shown]
    assert precision == sorted(precision, reverse=True)
    assert {0, 2} <= set(shown)
