"""The spectral clustering mask: which cells of the feature grid belong to which part of the body.

The method is that of *Occluded Person Re-identification with Spectral Clustering Mask* (title as its released code
gives it). Spectral clustering cuts a graph by the leading eigenvectors of a random walk on it (Shi and Malik, 2000,
Normalized Cuts and Image Segmentation; Meila and Shi, 2001, A Random Walks View of Spectral Segmentation; Ng, Jordan
and Weiss, 2002, On Spectral Clustering). Here the graph has P nodes, one vector per part, and every cell of the grid
has a graph of its own. No part labels and no second network are needed.

What one step of this walk is: each part vector becomes a weighted mean of all P, with the larger weights on the vectors
that are like it. What it isn't:

- No eigenvector is computed. The walk's first eigenvector is constant, and so is its limit: after many steps all part
  vectors of a cell are the same. What a cut could use lives in the transient, in which like vectors meet first.
- No cell is compared with another cell, so the picture isn't clustered. Cells share the learned projections alone.
- The argument of normalised cuts doesn't carry over. It needs a symmetric affinity, whose walk is reversible. Here each
  row has a temperature of its own, learned, so the weights from i to j and from j to i differ, and the walk need not be
  reversible.
- The cosines themselves are no weights, for they may be negative. The walk's weights are their exponentials, after the
  temperature: `PartAffinity.affinity` gives their logarithms.

Lesson: notebooks/02_the_method.ipynb.
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
        """Logarithms of the walk's weights before they are normalised: cosines, each row times a learned factor.

        Args:
            parts: part vectors (..., P, R).

        Returns:
            (..., P, P); of any sign, and symmetric only where the factors are equal.
        """
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

    def read_out(self, vectors: Tensor) -> Tensor:
        """Part vectors (B, h, w, P, R), one number from each: maps (B, P, h, w), on any scale."""
        maps: Tensor = self.proj_out(vectors.flatten(3).permute(0, 3, 1, 2))
        return maps

    def maps(self, x: Tensor) -> Tensor:
        """The read-out of features (B, C, h, w) after the walk, (B, P, h, w)."""
        return self.read_out(self.att(self.part_vectors(x)))

    def masks(self, maps: Tensor, prior: Tensor) -> Tensor:
        """Competitive masks in [0, 1] of maps (B, P, h, w) and a prior that they are multiplied with."""
        return clamp_unit(maps * prior)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Competitive masks (B, P, h, w) in [0, 1] and the cooperative mask (B, 1, h, w) in [0, P]."""
        competitive = self.masks(self.maps(x), self.learnable_masks)
        return competitive, competitive.sum(1, keepdim=True)
