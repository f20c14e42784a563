"""What masks do over many pictures: how strong each part is, and how much of their pattern depends on the picture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class MaskStatistics(NamedTuple):
    """Sums over pictures, from which the statistics follow; `add` takes a batch in, `MaskStatistics()` holds none."""

    pictures: int = 0
    total: Tensor = torch.zeros(())  # (1 + P, h, w): the cooperative mask, then each competitive one
    squares: Tensor = torch.zeros(())  # (1 + P, h, w)
    zeros: Tensor = torch.zeros(())  # (1 + P, h, w), pictures in which the cell is zero

    @torch.no_grad()
    def add(self, competitive: Tensor) -> MaskStatistics:
        """These sums and those of further masks, (B, P, h, w)."""
        masks = torch.cat([competitive.sum(1, keepdim=True), competitive], 1).double()
        sums = masks.sum(0), masks.square().sum(0), (masks == 0).sum(0)
        old = (x.to(masks.device) for x in (self.total, self.squares, self.zeros))
        return MaskStatistics(self.pictures + len(masks), *(a + b for a, b in zip(old, sums, strict=True)))

    @property
    def mass(self) -> list[float]:
        """Each part's mean mask value over pictures and cells, in [0, 1]."""
        return (self.total[1:] / self.pictures).mean((1, 2)).tolist()

    @property
    def zero_share(self) -> list[float]:
        """Each part's share of cells, over all pictures, where its mask is zero."""
        return (self.zeros[1:] / self.pictures).mean((1, 2)).tolist()

    @property
    def picture_dependent(self) -> list[float]:
        """Share of a mask's variance that depends on the picture, in [0, 1]: the cooperative mask's, then each part's.

        The variance over all pictures and cells is the sum of two: the variance over the pictures at one cell, mean
        over the cells, and the variance over the cells of the mean mask, which is the same pattern in every picture.
        The share is that of the first. A mask that never varies has 0.
        """
        mean = self.total / self.pictures
        by_picture = (self.squares / self.pictures - mean.square()).mean((1, 2)).clamp(min=0)
        whole = by_picture + mean.flatten(1).var(1, unbiased=False)
        return torch.where(whole > 1e-12, by_picture / whole, 0).tolist()

    def log_row(self) -> dict[str, float]:
        """The statistics under the names that a run's log gives them."""
        parts = range(1, len(self.mass) + 1)
        return (
            {"picture_dependent": self.picture_dependent[0]}
            | {f"mass_{i}": mass for i, mass in zip(parts, self.mass, strict=True)}
            | {f"zero_{i}": share for i, share in zip(parts, self.zero_share, strict=True)}
        )
