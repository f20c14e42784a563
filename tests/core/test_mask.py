from __future__ import annotations

import numpy as np
import pytest
import torch

from scmlib.mask import PartAffinity, SpectralClusteringMask, clamp_unit, overlap, striped_prior
from tests.conftest import error, oracle, rule_weights

CASES = {  # name: image seed, channels, grid, parts, reduced, mask_part
    "p3": (21, 64, (24, 8), 3, 32, 1),
    "p2_square": (22, 48, (16, 16), 2, 16, 1),
    "p3_full": (23, 48, (16, 16), 3, 32, 0),
}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("case", CASES)
def test_released_mask_module(case: str, mode: str) -> None:
    seed, channels, grid, parts, reduced, mask_part = CASES[case]
    theirs = oracle(f"mask_module_{case}")
    module = SpectralClusteringMask(channels, grid, parts, reduced, mask_part).train(mode == "train")
    assert np.array_equal(module.learnable_masks.detach(), theirs["initial_part_masks"])
    module.load_state_dict(rule_weights(module.state_dict(), salt=b"mod."))
    x = np.random.default_rng(seed).normal(size=(3, channels, *grid)).astype(np.float32)
    with torch.no_grad():
        competitive, cooperative = module(torch.from_numpy(x))
    assert error(competitive, theirs[f"{mode}_competitive"]) < 1e-4
    assert error(cooperative, theirs[f"{mode}_cooperative"]) < 1e-4
    assert error(overlap(competitive, 4), theirs[f"{mode}_overlap_sum"]) < 1e-4


def test_clamp_passes_the_gradient_inside_and_at_both_bounds() -> None:
    x = torch.tensor([-0.5, 0.0, 0.3, 1.0, 1.5], requires_grad=True)
    y = clamp_unit(x)
    y.sum().backward()
    assert y.tolist() == pytest.approx([0, 0, 0.3, 1, 1])
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_stripe_of_a_fresh_prior_moves() -> None:
    torch.manual_seed(0)
    module = SpectralClusteringMask(8, (6, 3), 3, 4, 1)
    stripe = module.learnable_masks.detach() == 0
    module(torch.randn(4, 8, 6, 3))[1].sum().backward()
    assert module.learnable_masks.grad is not None
    assert (module.learnable_masks.grad[stripe] != 0).any(dim=0)


@pytest.mark.parametrize(
    ("parts", "height", "mask_part", "stripes"),
    [
        (3, 24, 1, [(0, 8), (8, 16), (16, 24)]),
        (3, 24, 2, [(0, 12), (6, 18), (12, 24)]),
        (2, 5, 1, [(0, 3), (3, 5)]),  # torch.chunk's rule: the first chunk is the larger
        (5, 16, 1, [(0, 4), (4, 7), (7, 10), (10, 13), (13, 16)]),  # chunk gives 4 here, tensor_split 5
        (3, 24, 0, [(0, 0)] * 3),
    ],
)
def test_prior_stripes(parts: int, height: int, mask_part: int, stripes: list[tuple[int, int]]) -> None:
    prior = striped_prior(parts, height, 4, mask_part)
    expected = torch.ones(1, parts, height, 4)
    for part, (top, bottom) in enumerate(stripes):
        expected[:, part, top:bottom] = 0
    assert torch.equal(prior, expected)


def test_affinity_is_a_random_walk_that_favours_alike_parts() -> None:
    parts = torch.tensor([[1.0, 0], [2.0, 0], [0, 1.0]])
    walk = PartAffinity(3).walk(parts).detach()
    assert torch.allclose(walk.sum(-1), torch.ones(3))
    assert walk[0, 0] == pytest.approx(walk[0, 1])  # cosine: length doesn't count
    assert walk[0, 2] == pytest.approx(1 / (2 * np.exp(10) + 1), rel=1e-4)


def test_scale_of_the_affinity_is_capped() -> None:
    affinity = PartAffinity(2)
    affinity.logit_scale.data.fill_(50.0)
    walk = affinity.walk(torch.eye(2)).detach()
    assert walk[0, 1] == pytest.approx(np.exp(-100), rel=0.01)


def test_overlap_is_the_sum_over_pairs_of_pooled_products() -> None:
    masks = torch.rand(2, 3, 4, 4)
    expected = 0.0
    for b in range(2):
        for y in (0, 2):
            for x in (0, 2):
                cells = [float(masks[b, p, y : y + 2, x : x + 2].max()) for p in range(3)]
                expected += cells[0] * cells[1] + cells[0] * cells[2] + cells[1] * cells[2]
    assert float(overlap(masks, 2)) == pytest.approx(expected / 3, rel=1e-5)
