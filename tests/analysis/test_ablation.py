from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_info

from scmlib.analysis.ablation import TUNING, VARIANTS, Trial, ablate, ablation_summary, run_all
from scmlib.checkpoints import model_for
from scmlib.settings import QUICK, Settings


def test_variants_change_what_they_say(quick: Settings) -> None:
    settings = {name: replace(quick, **changes) for name, changes in VARIANTS.items()}
    assert settings["SCM"] == quick
    zeros = {
        name: float((model_for(settings[name], 5).scm.learnable_masks == 0).float().mean())
        for name in ("SCM", "no stripes in the prior (mask-part 0)", "mask-part 2")
    }
    assert zeros["no stripes in the prior (mask-part 0)"] == 0
    assert zeros["mask-part 2"] > zeros["SCM"] > 0
    assert settings["no overlap loss"].mask_weight == 0
    assert {s.variant for s in settings.values()} == {"scm", "stripes", "global-only"}


@pytest.mark.slow
def test_rates_are_tuned_on_a_world_of_its_own_and_a_second_call_goes_on(data_root: Path, tmp_path: Path) -> None:
    def ablated(jobs: int) -> pd.DataFrame:
        worlds = dict.fromkeys((TUNING, 1, 2), data_root)
        two = ("SCM", "fixed stripes")
        return ablate(worlds, tmp_path, seeds=(1, 2), rates=(0.1, 0.3), variants=two, changes=QUICK, jobs=jobs)

    table = ablated(jobs=1)
    tuning, reported = (table[table["role"] == role] for role in ("tuning", "reported"))
    assert set(tuning["seed"]) == {TUNING}
    assert len(tuning) == len(reported) == 4
    for variant in ("SCM", "fixed stripes"):
        tried = tuning[tuning["variant"] == variant].set_index("lr")["mAP"]
        assert set(reported[reported["variant"] == variant]["lr"]) == {tried.idxmax()}
    assert set(table[table["variant"] == "fixed stripes"]["person_lift"].round(6)) == {1.0}

    kept = sorted(tmp_path.glob("*/result.json"))
    before = [path.stat().st_mtime_ns for path in kept]
    kept[0].unlink()  # as if killed before its end
    again = ablated(jobs=2)
    assert [path.stat().st_mtime_ns for path in kept][1:] == before[1:]
    assert again.drop(columns="seconds").round(4).equals(table.drop(columns="seconds").round(4))


class CountThreads(Trial):
    """A trial that tells how many threads it may use."""

    def run(self) -> dict[str, Any]:
        return {"torch": torch.get_num_threads(), "others": max(pool["num_threads"] for pool in threadpool_info())}


@pytest.mark.slow
def test_processes_share_the_cores(tmp_path: Path) -> None:
    trials = [CountThreads("SCM", 0.1, seed, tmp_path, tmp_path) for seed in range(4)]
    counted = run_all(trials, 2, "")
    assert counted["seed"].tolist() == [0, 1, 2, 3]
    assert (counted[["torch", "others"]] <= max(1, joblib.cpu_count() // 2)).all(axis=None)


def test_summary_is_paired() -> None:
    rows = [
        ("SCM", 0.1, 0.9, "tuning", 9, 0.5),
        ("SCM", 0.1, 0.8, "reported", 1, 2.0),
        ("SCM", 0.1, 0.6, "reported", 2, 2.2),
        ("stripes", 0.2, 0.7, "reported", 1, 1.0),
        ("stripes", 0.2, 0.5, "reported", 2, 1.0),
    ]
    table = pd.DataFrame(rows, columns=["variant", "lr", "mAP", "role", "seed", "person_lift"]).assign(top1=0.5)
    summary = ablation_summary(table)
    scm, stripes = (summary.T[name].to_dict() for name in ("SCM", "stripes"))
    assert [scm[name] for name in ("mAP", "trainings", "person_lift")] == pytest.approx([0.7, 2, 2.1])
    assert [stripes[name] for name in ("behind_SCM", "behind_SCM_sd")] == pytest.approx([0.1, 0])
