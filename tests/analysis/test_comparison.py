"""Two runs on the same queries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scmlib.analysis.comparison import compare_rankings, compare_runs, disagreements, open_pair
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.ranking import Ranking, metrics_from_positions
from scmlib.runs import Study
from scmlib.variants import build_model

NOBODY = [-1, -1]


def ranked(*positions: list[int]) -> Ranking:
    return metrics_from_positions(np.array(positions))


def queries(*identities: int) -> list[Record]:
    return [Record(Path(f"{i}.jpg"), identity, 1) for i, identity in enumerate(identities)]


def test_a_case_by_hand() -> None:
    a, b = ranked([0, 1], [3, -1], NOBODY, [5, -1]), ranked([0, 1], [0, -1], NOBODY, [6, -1])
    found = compare_rankings(a, b, queries(7, 7, 8, 9))
    assert (found.wins, found.losses, found.ties, found.identities) == (1, 1, 1, 2)
    assert list(found.queries.index) == [0, 1, 3]
    assert list(found.queries["rank_a"]) == [1, 4, 6]
    assert list(found.queries["rank_b"]) == [1, 1, 7]
    assert list(found.metrics.loc["top1", ["a", "b", "difference"]]) == pytest.approx([1 / 3, 2 / 3, -1 / 3])
    assert found.metrics.loc["top5", "difference"] == 0
    assert found.metrics.loc["top10", "verdict"] == "not resolved"
    # A single match at position r: precision after it is 1 / (r + 1), before it 0 (1 at the top).
    assert found.queries["ap_a"].to_list() == pytest.approx([1, 1 / 8, 1 / 12])
    assert found.metrics.loc["mINP", "b"] == pytest.approx((1 + 1 + 1 / 7) / 3)
    assert found.most_apart(9) == [3, 1]  # the only lead of the first, then the only one of the second


def test_differences_and_bands_are_paired_by_query() -> None:
    rng = np.random.default_rng(0)
    a, b = (metrics_from_positions(np.sort(rng.permuted(np.tile(np.arange(40), (60, 1)), axis=1)[:, :3])) for _ in "ab")
    who = np.repeat(np.arange(12), 5)
    found = compare_rankings(a, b, queries(*who), seed=3)
    assert found.metrics.loc["mAP", "difference"] == pytest.approx(a.mAP - b.mAP)
    assert found.metrics.loc["mINP", "a"] == pytest.approx(a.mINP)
    for k in (1, 5, 10):
        assert found.metrics.loc[f"top{k}", "b"] == pytest.approx(b.cmc[k - 1])
    band = bootstrap_bands(a.inp - b.inp, who, seed=3)
    assert list(found.metrics.loc["mINP", ["low", "high"]]) == pytest.approx(band)
    swapped = compare_rankings(b, a, queries(*who), seed=3)
    assert (swapped.wins, swapped.losses, swapped.ties) == (found.losses, found.wins, found.ties)
    assert np.allclose(swapped.metrics["low"], -found.metrics["high"])
    naive = sorted(range(60), key=lambda i: (b.ap - a.ap)[i])[0]
    assert found.most_apart(1) == [naive]


def test_a_clear_lead_is_a_verdict() -> None:
    good, poor = ranked(*[[0, 1]] * 8), ranked(*[[20 + i, 30] for i in range(8)])
    assert set(compare_rankings(good, poor, queries(*range(8))).metrics["verdict"]) == {"a better"}
    assert set(compare_rankings(poor, good, queries(*range(8))).metrics["verdict"]) == {"b better"}


def test_runs_are_compared_on_the_data_of_the_first(run: Path, data_root: Path) -> None:
    first, same = open_pair(run, run, dataset_root=data_root)
    equal = compare_runs(first, same)
    assert (equal.wins, equal.losses) == (0, 0)
    assert (equal.metrics[["difference", "low", "high"]] == 0).all(axis=None)
    with pytest.raises(BadInput, match="rank every query alike"):
        disagreements(first, same, equal)
    settings = first.settings
    other = build_model(settings.net, 8, image_size=settings.image_size, num_parts=settings.num_part)
    second = replace(first, model=other)
    found = compare_runs(first, second)
    shown, heads, right, titles = disagreements(first, second, found, number=2, length=3)
    assert len(shown) == len(heads) == len(right) == len(titles) == 4
    assert [title[0] for title in titles] == list("ABAB")
    row = found.queries.loc[found.most_apart(1)[0]]
    assert titles[1] == f"B: average precision {row['ap_b']:.0%}, rank {row['rank_b']}"
    assert (right[0].index(True) + 1 if any(right[0]) else 4) == min(row["rank_a"], 4)


def test_other_test_images_are_refused(run: Path, data_root: Path) -> None:
    first, second = open_pair(run, run, dataset_root=data_root)
    fewer: Study = replace(second, data=replace(second.data, query=second.data.query[1:]))
    with pytest.raises(BadInput, match="other test images"):
        compare_runs(first, fewer)
