"""What a drawn world knows: which body part, occluder or background every pixel shows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
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


def part_maps(truth: NDArray[np.uint8]) -> Tensor:
    """Where each of `PARTS` is visible: an index map (H, W) to (3, H, W) uint8, 255 there and 0 elsewhere."""
    return torch.from_numpy(np.stack([np.isin(truth, part) for part in PARTS])).to(torch.uint8) * 255


# How a body parser errs, see `misread`.
SHIFT = 0.015  # standard deviation of how far it puts a place off, as a share of the height
MISSED = 0.1  # odds that it doesn't find a part at all
MISTAKEN = 0.2  # odds that it takes what stands in front for the person's trunk


def misread(truth: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """An index map as a body parser might give it: outlines off, a part missed, an occluder taken for the person.

    With the constants above, the mean intersection over union with the true `PARTS` of the occluded
    queries is about 0.6. A strong parser
    (Li et al., 2020, Self-Correction for Human Parsing) has 0.59 on the 20 classes of its benchmark; three parts are
    easier than 20 classes, small and occluded pictures harder.

    Args:
        truth: (H, W) index map.
        seed: of the errors; one picture is always misread alike.

    Returns:
        Another (H, W) index map.
    """
    rng = np.random.default_rng(seed)
    H, W = truth.shape
    coarse = torch.from_numpy(rng.normal(0, SHIFT * H, (1, 2, 5, 4)).astype(np.float32))
    shift = F.interpolate(coarse, (H, W), mode="bicubic", align_corners=True)[0].numpy()
    rows, columns = np.mgrid[:H, :W] + np.rint(shift).astype(int)
    read: NDArray[np.uint8] = truth[rows.clip(0, H - 1), columns.clip(0, W - 1)]
    for part in PARTS:
        if rng.random() < MISSED:
            read[np.isin(read, part)] = 0
    if rng.random() < MISTAKEN:
        read[read == OCCLUDER] = PARTS[1][0]
    return read


def read_parts(image: Path) -> Tensor:
    """`part_maps` of a synthetic world's image.

    Raises:
        BadInput: an image without an index map.
    """
    return part_maps(read_truth([image])[0])


def misread_parts(image: Path) -> Tensor:
    """`part_maps` of a synthetic world's image, misread; the errors follow from its folder's and its own name.

    Raises:
        BadInput: an image without an index map.
    """
    return part_maps(misread(read_truth([image])[0], zlib.crc32(f"{image.parent.name}/{image.stem}".encode())))


# What a model can ask to have beside the pictures of records, as further channels.
READERS: dict[str, Callable[[Path], Tensor]] = {"parts": read_parts, "misread parts": misread_parts}
