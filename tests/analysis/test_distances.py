"""Other distances of the same embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.analysis.comparison import METRICS
from scmlib.analysis.distances import compare_distances, part_similarities, rank_by_distances, visibility
from scmlib.evaluation import rank_records
from scmlib.runs import open_study

rng = torch.Generator().manual_seed(0)
QUERY, GALLERY = torch.randn(5, 4, 3, generator=rng), torch.randn(9, 4, 3, generator=rng)
SEEN = torch.rand(5, 4, generator=rng), torch.rand(9, 4, generator=rng)


def joined(seen: tuple[Tensor, Tensor] | None) -> Tensor:
    return torch.cat([block.clone() for _, block in part_similarities(QUERY, GALLERY, seen)])


def naive(seen: tuple[Tensor, Tensor]) -> Tensor:
    found = torch.zeros(5, 9)
    for q in range(5):
        for g in range(9):
            total = whole = 0.0
            for i in range(4):
                a, b = (x / x.norm() for x in (QUERY[q, i], GALLERY[g, i]))
                weight = float(seen[0][q, i] * seen[1][g, i])
                total += weight * float((a - b).norm())
                whole += weight
            found[q, g] = -total / whole
    return found


def test_equals_the_sum_over_parts() -> None:
    assert torch.allclose(joined(SEEN), naive(SEEN), atol=1e-5)
    assert torch.allclose(joined(None), naive((torch.ones(5, 4), torch.ones(9, 4))), atol=1e-5)


def test_a_hidden_part_counts_nothing() -> None:
    hidden = SEEN[0].clone()
    hidden[:, 2] = 0
    changed = GALLERY.clone()
    changed[:, 2] = 7
    (_, before), (_, after) = (next(part_similarities(QUERY, side, (hidden, SEEN[1]))) for side in (GALLERY, changed))
    assert torch.equal(before, after)
    nothing = joined((torch.zeros(5, 4), SEEN[1]))
    assert (nothing == -2).all()
    assert (joined(SEEN) >= -2).all()


def test_visibility_is_a_share_of_the_usual_mass() -> None:
    masks = torch.stack([torch.full((2, 4, 3), value) for value in (0.0, 0.25, 0.5, 1.0)])
    seen = visibility(masks, torch.tensor([6.0, 12.0]))
    assert torch.equal(seen[:, :3], torch.ones(4, 3))
    assert torch.allclose(seen[:, 3], torch.tensor([0.0, 0.5, 1.0, 1.0]))
    assert torch.allclose(seen[:, 4], torch.tensor([0.0, 0.25, 0.5, 1.0]))


def test_distances_of_a_run(run: Path, data_root: Path) -> None:
    study = open_study(run, dataset_root=data_root)
    rankings = rank_by_distances(study)
    table = compare_distances(study).set_index("distance")
    assert list(table.index) == ["paper", "re-ranked", "alike", "visible"]
    assert list(table["against"]) == ["paper", "paper", "paper", "alike"]
    assert table.loc["paper", "mAP"] == pytest.approx(study.evaluation.metrics["mAP"])
    for metric in METRICS:
        apart = table[metric] - table.loc[list(table["against"]), metric].to_numpy()
        assert table[f"{metric}_difference"].to_numpy() == pytest.approx(apart.to_numpy(), abs=1e-12)
        assert (table[f"{metric}_low"] <= table[f"{metric}_high"]).all()
    # The mean of distances of normalised embeddings, by hand.
    query, gallery = (
        F.normalize(torch.from_numpy(side).unflatten(1, (6, -1)), dim=2)
        for side in (study.evaluation.query, study.evaluation.gallery)
    )
    mean = torch.stack([torch.cdist(query[:, i], gallery[:, i]) for i in range(6)]).mean(0)
    by_hand = rank_records(
        (-mean).numpy(), np.eye(len(gallery), dtype=np.float32), study.data.query, study.data.gallery
    )
    assert rankings["alike"].mAP == pytest.approx(by_hand.mAP, abs=0.02)  # near-ties of an untrained network
