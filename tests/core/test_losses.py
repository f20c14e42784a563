from __future__ import annotations

import math

import pytest
import torch

from scmlib.losses import batch_hard_triplet, scm_loss
from scmlib.mask import overlap
from scmlib.model import SCMOutput
from tests.conftest import error, oracle


def test_released_triplet_loss_and_gradient() -> None:
    theirs = oracle("triplet_normalised")
    features = torch.from_numpy(theirs["features"]).requires_grad_()
    loss = batch_hard_triplet(features, torch.from_numpy(theirs["labels"]))
    loss.backward()
    assert error(loss.detach(), theirs["loss"]) < 1e-4
    assert error(features.grad, theirs["grad"]) < 1e-4


def test_triplet_equals_a_double_loop() -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(10, 5, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
    unit, total = x / x.norm(dim=1, keepdim=True), 0.0
    for a in range(10):
        distance = [max(float((unit[a] - unit[b]).square().sum()), 1e-12) ** 0.5 for b in range(10)]
        positive = max(d for b, d in enumerate(distance) if labels[b] == labels[a])
        negative = min(d for b, d in enumerate(distance) if labels[b] != labels[a])
        total += math.log1p(math.exp(positive - negative))
    assert float(batch_hard_triplet(x, labels)) == pytest.approx(total / 10, abs=1e-6)


def some_output(dtype: torch.dtype) -> SCMOutput:
    torch.manual_seed(0)
    masks = torch.rand(8, 2, 4, 4)
    return SCMOutput(torch.randn(8, 5, 6).to(dtype), torch.randn(8, 5, 3).to(dtype), masks, masks.sum(1, keepdim=True))


def test_total_is_the_weighted_mean_of_its_terms() -> None:
    output, labels = some_output(torch.float32), torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    loss = scm_loss(output, labels, triplet_weight=0.5, mask_weight=0.01, kernel_size=2)
    terms = loss.cross_entropy.sum() + 0.5 * loss.triplet.sum() + 0.01 * loss.overlap
    assert torch.isclose(loss.total, terms / (5 + 2 * 0.5 + 0.01))
    assert torch.isclose(loss.overlap, overlap(output.competitive, 2))
    assert loss.cross_entropy.shape == (5,)
    assert loss.triplet.shape == (2,)


def test_distances_are_computed_in_float32_under_half_precision() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    assert scm_loss(some_output(torch.bfloat16), labels).triplet.dtype == torch.float32
    assert scm_loss(some_output(torch.float64), labels).triplet.dtype == torch.float64
