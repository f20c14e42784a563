from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from scmlib.analysis.ablation import TUNING, VARIANTS, GlobalOnly, ablate, ablation_summary
from scmlib.cli.analysis import QUICK
from scmlib.losses import scm_loss
from scmlib.settings import Settings


def test_stripes_stay_whatever_the_image(quick: Settings) -> None:
    model = VARIANTS["fixed stripes"].build(quick, 5).eval()
    images = torch.rand(2, 3, *quick.image_size)
    output = model(images)
    assert torch.equal(output.competitive[0], output.competitive[1])
    assert torch.equal(output.competitive.sum(1, keepdim=True), output.cooperative)
    assert (output.cooperative == 1).all()
    rows = output.competitive[0, :, :, 0]  # (P, h)
    assert rows[0, 0] == 1  # the first part lies on top
    assert rows[-1, -1] == 1
    assert output.embeddings.shape[1] == 3 + quick.num_part


def test_global_embeddings_know_nothing_of_the_second_branch(quick: Settings) -> None:
    model = VARIANTS["global embeddings only"].build(quick, 5)
    assert isinstance(model, GlobalOnly)
    output = model(torch.rand(4, 3, *quick.image_size))
    assert output.embeddings.shape[1] == output.logits.shape[1] == 2
    assert output.competitive.sum() == 0
    scm_loss(output, torch.tensor([0, 0, 1, 1]), kernel_size=2).total.backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "branch_1" in moved
    assert not moved & {"branch_2", "scm"}


def test_every_variant_changes_what_it_says(quick: Settings) -> None:
    priors = {
        name: variant.build(replace(quick, **variant.settings), 5).scm.learnable_masks
        for name, variant in VARIANTS.items()
    }
    zeros = {name: float((prior == 0).float().mean()) for name, prior in priors.items()}
    assert zeros["no stripes in the prior (mask-part 0)"] == 0
    assert zeros["mask-part 2"] > zeros["SCM"] > 0
    assert VARIANTS["no overlap loss"].settings == {"mask_weight": 0.0}


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
