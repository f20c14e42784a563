"""What a drawn world knows: which body part, occluder or background every pixel shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from scmlib.errors import BadInput

# What the index maps of the synthetic world tell apart: a pixel's value is its region's position here.
REGIONS = ("background", "occluder", "head", "upper body", "arms", "legs", "shoes", "carried")

# Red, green and blue of each, from Okabe and Ito's palette, which people who are colour blind can tell apart.
REGION_COLOURS = (
    (0, 0, 0),
    (120, 120, 120),
    (240, 228, 66),
    (0, 114, 178),
    (86, 180, 233),
    (230, 159, 0),
    (213, 94, 0),
    (204, 121, 167),
)

BACKGROUND = REGIONS.index("background")

OCCLUDER = REGIONS.index("occluder")

PERSON = tuple(range(OCCLUDER + 1, len(REGIONS)))

# The person in three parts that leave nothing out: head, trunk with arms and what is carried, legs with shoes. About a
# third of an identity's attributes belongs to each.
PARTS = tuple(
    tuple(REGIONS.index(name) for name in names)
    for names in (("head",), ("upper body", "arms", "carried"), ("legs", "shoes"))
)


def truth_path(image: Path) -> Path:
    """Where the index map of a synthetic world's image lies, whether it exists or not."""
    folder = image.resolve().parent
    return folder.parent / "ground_truth" / folder.name / f"{image.stem}.png"


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
