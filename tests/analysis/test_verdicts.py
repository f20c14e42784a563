from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scmlib.analysis.verdicts import MARGIN, ablation_summary, interval, spreads, verdict, worlds_needed


def trainings(rows: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["variant", "world", "seed", "mAP"])
    return table.assign(role="reported", lr=0.1, top1=0.5, person_lift=2.0)


def test_summary_is_paired_by_world_and_seed() -> None:
    table = trainings(
        [
            *(("SCM", 1, 0, 0.80), ("SCM", 1, 1, 0.82), ("SCM", 2, 0, 0.60), ("SCM", 2, 1, 0.62), ("SCM", 3, 0, 0.9)),
            *(("stripes", 1, 0, 0.70), ("stripes", 1, 1, 0.74), ("stripes", 2, 0, 0.50), ("stripes", 2, 1, 0.52)),
        ]
    )
    other = pd.concat([table, table.tail(1).assign(role="tuning", world=100, mAP=0.0)])
    summary = ablation_summary(other)
    stripes = summary.T["stripes"].to_dict()
    assert stripes["behind_SCM"] == pytest.approx((0.09 + 0.10) / 2)  # the third world has no pair
    assert stripes["behind_SCM_sd"] == pytest.approx(0.01 / np.sqrt(2))
    assert (stripes["worlds"], stripes["trainings"]) == (2, 4)
    reach = 12.706 * 0.005
    assert (stripes["low"], stripes["high"]) == pytest.approx((0.095 - reach, 0.095 + reach), abs=1e-5)
    assert stripes["verdict"] == "SCM better"
    assert summary.T["SCM"]["behind_SCM"] == 0


def test_one_world_resolves_nothing() -> None:
    summary = ablation_summary(trainings([("SCM", 1, 0, 0.9), ("stripes", 1, 0, 0.1)]))
    assert summary.T["stripes"]["verdict"] == "not resolved"
    assert np.isnan(summary.T["stripes"]["worlds_needed"])


def test_verdicts_by_hand() -> None:
    assert verdict(-0.014, 0.014) == "equivalent"
    assert verdict(0.001, 0.014) == "equivalent"  # a difference, but one that doesn't matter
    assert verdict(0.001, 0.02) == "SCM better"
    assert verdict(-0.02, -0.001) == "SCM worse"
    assert verdict(-0.016, 0.014) == verdict(*interval(np.array([0.3]))) == "not resolved"


def test_spreads_tell_worlds_from_seeds() -> None:
    rng = np.random.default_rng(0)
    worlds = rng.normal(0, 0.05, 400)
    rows = [("SCM", w, s, worlds[w] + rng.normal(0, 0.02)) for w in range(400) for s in range(3)]
    found = spreads(trainings(rows))
    assert found["sd_worlds"] == pytest.approx(0.05, rel=0.1)
    assert found["sd_seeds"] == pytest.approx(0.02, rel=0.1)
    assert np.isnan(spreads(trainings(rows[::3]))["sd_seeds"])


@pytest.mark.parametrize(("deviation", "difference"), [(0.01, 0.0), (0.02, 0.03), (0.03, -0.03)])
def test_planned_worlds_give_the_verdict_as_often_as_planned(deviation: float, difference: float) -> None:
    n, rng = worlds_needed(deviation, difference), np.random.default_rng(1)
    wanted = "equivalent" if difference == 0 else "SCM better" if difference > 0 else "SCM worse"

    def odds(worlds: int) -> float:
        drawn = rng.normal(difference, deviation, (1500, worlds))
        return float(np.mean([verdict(*interval(row)) == wanted for row in drawn]))

    assert odds(int(n)) >= 0.77
    assert odds(int(n) - 1) <= 0.83


def test_planned_worlds_at_the_ends() -> None:
    assert worlds_needed(0.0) == 2
    assert np.isnan(worlds_needed(float("nan")))
    assert worlds_needed(2 * MARGIN) > worlds_needed(MARGIN) > worlds_needed(MARGIN, difference=2 * MARGIN)
