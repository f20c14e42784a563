"""The spectral clustering mask: which cells of the feature grid belong to which part of the body.

Spectral clustering cuts a graph with the help of the random walk on it: affinities, normalised by row, then diffusion.
Here the graph has P nodes, one vector per part, at every cell of the grid; its affinities are learned end to end, and
one step of the walk stands for the eigenvectors. No part labels and no second network are needed.

Lesson: notebooks/03_spectral_masks.ipynb.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.backbone import Unit

MAX_LOGIT_SCALE = 4.6052  # ln 100


def striped_prior(parts: int, height: int, width: int, mask_part: int) -> Tensor:
    """What the learned prior starts as: ones, with a stripe of rows at zero for each part.

    The rows are cut into `parts + mask_part - 1` chunks; part i starts blind to the `mask_part` chunks from i on, so
    that the parts begin by looking at different heights. With `mask_part` 0 nothing is zeroed.

    Returns:
        (1, parts, height, width), zeros and ones.
    """
    prior = torch.ones(1, parts, height, width)
    if mask_part == 0:
        return prior
    chunks = parts + mask_part - 1
    rows = torch.arange(height)
    stripes = rows.chunk(chunks)
    if len(stripes) < chunks:  # 16 rows into 5: torch.chunk gives 4, and the released code crashes
        stripes = rows.tensor_split(chunks)
    for part in range(parts):
        prior[:, part, torch.cat(stripes[part : part + mask_part])] = 0
    return prior


def clamp_unit(x: Tensor) -> Tensor:
    """Clamp to [0, 1] with gradient 1 inside and at both bounds.

    The prior's stripe puts its maps at exactly 0. `torch.clamp` passes the gradient there up to torch 2.13 and stops
    it from 2.14 on: the stripe would then never learn, silently.
    """
    return torch.where((x >= 0) & (x <= 1), x, x.detach().clamp(0, 1))


def overlap(competitive: Tensor, kernel_size: int = 4) -> Tensor:
    """How much the parts claim the same places: sum over pairs of parts of the products of their pooled masks.

    Args:
        competitive: (B, P, h, w) in [0, 1].
        kernel_size: window and stride, in cells, of the max-pooling that goes first.

    Returns:
        A scalar, divided by P and *summed* over batch and cells: it grows with the batch.
    """
    pooled = F.max_pool2d(competitive, kernel_size)
    products = torch.einsum("bihw,bjhw->ij", pooled, pooled)  # (P, P)
    return products.triu(1).sum() / competitive.shape[1]


class PartAffinity(nn.Module):
    """One step of a random walk over the P part vectors of a cell."""

    def __init__(self, parts: int):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.full((parts, 1), math.log(10)))

    def affinity(self, parts: Tensor) -> Tensor:
        """Cosines (..., P, P) of part vectors (..., P, R) with one another, each row times a learned factor."""
        unit = F.normalize(parts, dim=-1)
        return unit @ unit.mT * self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()

    def walk(self, parts: Tensor) -> Tensor:
        """Transition matrices (..., P, P), rows summing to 1."""
        return self.affinity(parts).softmax(-1)

    def forward(self, parts: Tensor) -> Tensor:
        """Part vectors after one step of diffusion, (..., P, R)."""
        return self.walk(parts) @ parts


class SpectralClusteringMask(nn.Module):
    """Features (B, C, h, w) to P competitive masks and their sum, the cooperative mask.

    Args:
        channels: C.
        grid: (h, w), the size that the learned prior is made for.
        parts: P.
        reduced: R, the length of a part's vector.
        mask_part: chunks of rows that a part starts blind to, see `striped_prior`.
    """

    def __init__(self, channels: int, grid: tuple[int, int], parts: int, reduced: int, mask_part: int):
        super().__init__()
        self.parts = parts
        self.learnable_masks = nn.Parameter(striped_prior(parts, *grid, mask_part))
        self.proj_in = Unit(channels, parts * reduced, relu=False)
        self.att = PartAffinity(parts)
        self.proj_out = Unit(parts * reduced, parts, groups=parts, relu=False)

    def part_vectors(self, x: Tensor) -> Tensor:
        """(B, h, w, P, R): each cell's vector for each part."""
        B, _, h, w = x.shape
        projected: Tensor = self.proj_in(x)
        return projected.view(B, self.parts, -1, h, w).permute(0, 3, 4, 1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Competitive masks (B, P, h, w) in [0, 1] and the cooperative mask (B, 1, h, w) in [0, P]."""
        diffused = self.att(self.part_vectors(x))  # (B, h, w, P, R)
        maps = self.proj_out(diffused.flatten(3).permute(0, 3, 1, 2))  # (B, P, h, w)
        competitive = clamp_unit(maps * self.learnable_masks)
        return competitive, competitive.sum(1, keepdim=True)
