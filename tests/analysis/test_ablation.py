from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_info

from scmlib.analysis.ablation import TRIES, TUNING, VARIANTS, Ablation, Trial, ablate, best_rate
from scmlib.checkpoints import model_for
from scmlib.errors import BadInput
from scmlib.settings import QUICK, Settings
from scmlib.variants import VARIANTS as MODELS


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
    assert {s.variant for s in settings.values()} == set(MODELS)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """Trials that were asked for; each gives an mAP that peaks at the rate 0.8."""
    asked: list[Trial] = []

    def run(self: Trial) -> dict[str, object]:
        asked.append(self)
        own = {"variant": self.variant, "lr": self.lr, "world": self.world, "seed": self.seed}
        return own if self.lr > 3 else own | {"mAP": 0.5 - abs(np.log(self.lr / 0.8)) / 10 + self.seed / 100}

    monkeypatch.setattr(Trial, "run", run)
    return asked


@pytest.mark.parametrize("rates", [(0.1, 0.2, 0.4), (1.6, 3.2, 6.4), (0.4, 0.8, 1.6)])
def test_grid_grows_until_the_best_rate_is_inside(rates: tuple[float, ...], said: list[Trial], tmp_path: Path) -> None:
    worlds = {TUNING: tmp_path, 1: tmp_path, 2: tmp_path}
    table = ablate(Ablation(worlds, tmp_path), rates=rates, seeds=(0, 1), variants=("SCM", "no walk"))
    tuning, reported = (table[table["role"] == role] for role in ("tuning", "reported"))
    assert set(tuning["world"]) == {TUNING}
    for _, tried in tuning.groupby("variant"):
        assert tried["lr"].min() < best_rate(tried) < tried["lr"].max()
        assert (tried.groupby("lr")["seed"].nunique() == TRIES).all()
    assert reported["lr"].to_numpy() == pytest.approx(0.8)
    assert reported[["variant", "world", "seed"]].to_numpy().tolist() == [
        [variant, world, seed] for variant in ("SCM", "no walk") for world in (1, 2) for seed in (0, 1)
    ]
    assert [(t.world, t.seed, t.variant) for t in said[-4:]] == [
        (2, seed, variant) for seed in (0, 1) for variant in ("SCM", "no walk")
    ]


def test_one_rate_is_taken_and_two_are_refused(said: list[Trial], tmp_path: Path) -> None:
    seen: list[int] = []
    table = ablate(
        Ablation({1: tmp_path}, tmp_path),
        rates=(0.3,),
        variants=("SCM", "no walk"),
        on_result=lambda table: seen.append(len(table)),
    )
    assert set(table["role"]) == {"reported"}
    assert set(table["lr"]) == {0.3}
    assert seen == [1, 2]
    with pytest.raises(BadInput, match="give one to take it, or three to choose from"):
        ablate(Ablation({1: tmp_path}, tmp_path), rates=(0.1, 0.2))


@pytest.mark.slow
def test_second_call_goes_on_and_processes_change_nothing(data_root: Path, tmp_path: Path) -> None:
    two = ("SCM", "oracle masks")

    def ablated(jobs: int) -> pd.DataFrame:
        ablation = Ablation({1: data_root, 2: data_root}, tmp_path, QUICK, jobs)
        return ablate(ablation, seeds=(4,), rates=(0.3,), variants=two)

    table = ablated(jobs=1)
    assert list(table["variant"]) == [two[0]] * 2 + [two[1]] * 2
    assert (table["person_lift"][2:] > table["person_lift"][:2].max()).all()
    kept = sorted(tmp_path.glob("*/result.json"))
    before = [path.stat().st_mtime_ns for path in kept]
    kept[0].unlink()  # as if killed before its end
    again = ablated(jobs=2)
    assert [path.stat().st_mtime_ns for path in kept][1:] == before[1:]
    assert again.drop(columns="seconds").round(4).equals(table.drop(columns="seconds").round(4))


@pytest.mark.slow
def test_training_that_diverges_is_told_and_stops_nothing(data_root: Path, tmp_path: Path) -> None:
    ablation = Ablation({1: data_root}, tmp_path, {**QUICK, "freeze": "none"})
    table = ablate(ablation, rates=(1e30,), variants=("SCM", "fixed stripes"))
    assert len(table) == 2
    assert "mAP" not in table


class CountThreads(Trial):
    """A trial that tells how many threads it may use."""

    def run(self) -> dict[str, Any]:
        return {"torch": torch.get_num_threads(), "others": max(pool["num_threads"] for pool in threadpool_info())}


@pytest.mark.slow
def test_processes_share_the_cores(tmp_path: Path) -> None:
    trials = [CountThreads("SCM", 0.1, world, 0, tmp_path, tmp_path) for world in range(4)]
    counted = pd.DataFrame(Ablation({}, tmp_path, jobs=2).run(trials, ""))
    assert len(counted) == 4
    assert (counted <= max(1, joblib.cpu_count() // 2)).all(axis=None)
