"""Do the masks see the person? Scores against index maps whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from scmlib.datasets import OCCLUDER, PERSON, truth_path
from scmlib.errors import BadInput


def read_truth(images: Sequence[Path]) -> NDArray[np.uint8]:
    """Index maps (N, H, W) of images that have one, all of one size.

    Raises:
        BadInput: an image without an index map.
    """
    maps = []
    for image in images:
        path = truth_path(image)
        if not path.is_file():
            raise BadInput(f"{image} has no index map ({path}): only the synthetic world comes with known answers.")
        maps.append(np.asarray(Image.open(path)))
    return np.stack(maps)


def region_share(truth: NDArray[np.uint8], regions: Sequence[int], grid: tuple[int, int]) -> Tensor:
    """How much of each grid cell some regions cover: (N, H, W) index maps to (N, h, w) in [0, 1]."""
    inside = torch.from_numpy(np.isin(truth, regions)).float()
    return F.adaptive_avg_pool2d(inside[:, None], grid)[:, 0]


def lift(mask: Tensor, region: Tensor) -> float:
    """Share of a mask's mass inside a region over the region's share of the area; 1 for a mask that doesn't see it.

    Both shares are means over the images, so that an image with a sliver of a person weighs no more than its sliver.

    Args:
        mask: (N, h, w), not negative; images where it is zero everywhere count as uniform.
        region: (N, h, w), covered share of each cell.

    Returns:
        The lift; NaN if no image shows the region.
    """
    mask = torch.where(mask.sum((1, 2), keepdim=True) > 0, mask, torch.ones_like(mask))
    mass = (mask * region).sum((1, 2)) / mask.sum((1, 2))
    area = region.mean((1, 2))
    shown = area > 0
    return float(mass[shown].mean() / area[shown].mean()) if shown.any() else float("nan")


def score_masks(competitive: Tensor, truth: NDArray[np.uint8]) -> pd.DataFrame:
    """Scores of the cooperative and of each competitive mask.

    Scores: `person` and `occluder`, the lift on the visible person and on what hides it.

    Args:
        competitive: (N, P, h, w) in [0, 1].
        truth: (N, H, W) index maps, see `REGIONS`.

    Returns:
        A tidy table with the columns mask, score, value.
    """
    grid = (competitive.shape[2], competitive.shape[3])
    masks = {"cooperative": competitive.sum(1)}
    masks |= {f"competitive {i + 1}": mask for i, mask in enumerate(competitive.unbind(1))}
    rows = [
        (name, score, lift(mask, region_share(truth, regions, grid)))
        for score, regions in (("person", PERSON), ("occluder", (OCCLUDER,)))
        for name, mask in masks.items()
    ]
    return pd.DataFrame(rows, columns=["mask", "score", "value"])
