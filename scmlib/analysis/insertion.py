"""Does a map show what a match rests on? Insertion and deletion curves.

Petsiuk, Das and Saenko, 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (BMVC), section 4:

- deletion: the picture loses its places, those of the map's largest values first. The score should fall at once, so a
  small area below its curve is good.
- insertion: a blurred picture gets its places back in the same order. The score should rise at once, so a large area is
  good.

A map made by hiding places with the same grey, as `sensitivity` is, is at home in the deletion curve; insertion, which
blurs, favours it less.

Two things differ from the paper. The score is a query's similarity to its true matches and no class probability, and
places are the cells of a grid and no pixels. Cells of equal value go in an order drawn by chance.

Lesson: notebooks/05_do_the_masks_see.ipynb.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scmlib.analysis.sensitivity import GREY
from scmlib.analysis.statistics import Map
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.inference import embed
from scmlib.model import SCM

CURVES = ("insertion", "deletion")

STEPS = 9  # in which all cells are changed

BLUR = 8.0  # standard deviation in pixels of the Gaussian that takes the detail off a picture: half a cell of the masks


def insertion_deletion(
    model: SCM, image: Tensor, match: Map, maps: Map, *, steps: int = STEPS, seed: int = 0, batch_size: int = 64
) -> Map:
    """The insertion and the deletion curve of some maps of one picture.

    Args:
        model: stays where it is.
        image: (3, H, W) uint8, the query at the model's image size.
        match: (E,), what to hold its similarity against, see `targets`.
        maps: (K, h, w), on a grid whose cells are whole pixels.
        steps: in which all cells are changed, 1 or more.
        seed: of the order of equal cells.
        batch_size: images at once; each is embedded with its mirror image.

    Returns:
        (K, 2, steps + 1): for each map the similarity in [-1, 1] along each of `CURVES`, after 0, 1/steps ... 1 of the
        cells.

    Raises:
        BadInput: no step, or a grid that doesn't fit the picture.
    """
    (K, h, w), (_, H, W) = maps.shape, image.shape
    if steps < 1 or H % h or W % w:
        raise BadInput(f"{steps} steps over {h} x {w} cells don't fit a picture of {H} x {W} pixels.")
    changed = _changed(maps.reshape(K, h * w), steps, seed).reshape(K, steps - 1, 1, h, w)
    pixels = changed.repeat_interleave(H // h, -2).repeat_interleave(W // w, -1)  # (K, steps - 1, 1, H, W)
    grey, faint = torch.full_like(image, GREY), blurred(image)
    between = torch.stack([torch.where(pixels, image, faint), torch.where(pixels, grey, image)], 1)
    ends = torch.stack([faint, image, grey])
    images = torch.cat([ends, between.flatten(0, 2)])
    similarity: Map = embed(model, to_float(images), batch_size=batch_size) @ match
    first, last = (similarity[list(at)][None, :, None].repeat(K, 0) for at in ((0, 1), (1, 2)))  # (K, 2, 1)
    curves: Map = np.concatenate([first, similarity[3:].reshape(K, 2, steps - 1), last], 2)
    return curves


def _changed(maps: Map, steps: int, seed: int) -> Tensor:
    """Which cells have been changed after 1 ... steps - 1 steps: (K, cells) to (K, steps - 1, cells)."""
    chance = np.random.default_rng(seed).random(maps.shape[1])
    order = np.stack([np.lexsort((chance, -row)) for row in maps])
    place = np.argsort(order, 1)  # of each cell in the order
    counts = np.rint(np.arange(1, steps) * maps.shape[1] / steps)
    return torch.from_numpy(place[:, None] < counts[:, None])


def blurred(image: Tensor) -> Tensor:
    """A picture (3, H, W) uint8 without its detail."""
    from scipy.ndimage import gaussian_filter  # here, since it takes long to import

    return torch.from_numpy(gaussian_filter(image.numpy().astype(np.float32), (0, BLUR, BLUR))).round().to(torch.uint8)


def areas(curves: Map) -> Map:
    """The area below each curve by the trapezoid rule, (..., steps + 1) to (...): a mean similarity."""
    found: Map = (curves[..., 1:] + curves[..., :-1]).mean(-1) / 2
    return found
