"""Do the masks see the person? Scores against index maps whose answers are known.

Lesson: notebooks/03_spectral_masks.ipynb.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scmlib.data.truth import OCCLUDER, PERSON, REGIONS, region_share
from scmlib.errors import BadInput

# Parts that everyone has: a bag may be absent without being hidden.
BODY = tuple(region for region in PERSON if REGIONS[region] != "carried")

HIDDEN = 0.1  # an image hides a part that shows less than this share of its typical area


def mass_on(mask: Tensor, region: Tensor) -> Tensor:
    """Share of each mask's mass that lies on a region, e.g. of the cooperative mask on an occluder.

    Args:
        mask: (N, h, w), not negative; where it is zero everywhere it counts as uniform.
        region: (N, H, W), in [0, 1] or bool: the covered share of each cell, or of each pixel of a finer grid, which
            is averaged over the mask's cells.

    Returns:
        (N,), in [0, 1].
    """
    covered = F.adaptive_avg_pool2d(region.to(mask)[:, None], (mask.shape[1], mask.shape[2]))[:, 0]  # (N, h, w)
    mask = torch.where(mask.sum((1, 2), keepdim=True) > 0, mask, torch.ones_like(mask))
    return (mask * covered).sum((1, 2)) / mask.sum((1, 2))


def lift(mask: Tensor, region: Tensor) -> float:
    """Share of a mask's mass inside a region over the region's share of the area; 1 for a mask spread evenly.

    Both shares are means over the images, so that an image with a sliver of a person weighs no more than its sliver.

    Args:
        mask: (N, h, w), not negative; images where it is zero everywhere count as uniform.
        region: (N, h, w), covered share of each cell.

    Returns:
        The lift; NaN if no image shows the region.
    """
    mass, area = mass_on(mask, region), region.mean((1, 2))
    shown = area > 0
    return float(mass[shown].mean() / area[shown].mean()) if shown.any() else float("nan")


def coverage(mask: Tensor, region: Tensor) -> float:
    """Share of a region that a mask covers, in [0, 1]: to the lift what recall is to precision.

    Each image's mask is first divided by its strongest cell, so that its overall strength doesn't matter: a uniform
    mask covers everything, a mask of zeros and ones what lies under its ones, a mask with one strong cell little.
    Covered and whole area are summed over the images before they are divided.

    Args:
        mask: (N, h, w), not negative; images where it is zero everywhere count as not covered.
        region: (N, h, w), covered share of each cell.

    Returns:
        The coverage; NaN if no image shows the region.
    """
    strongest = mask.amax((1, 2), keepdim=True)
    scaled = mask / torch.where(strongest > 0, strongest, 1)
    return float((scaled * region).sum() / region.sum())


def part_agreement(competitive: Tensor, parts: Tensor) -> float:
    """Do the masks divide the person as the body is divided? Adjusted mutual information of two labels of a cell.

    One label is the strongest competitive mask (the first one of a tie; cells that no mask claims are a group of their
    own), the other the body part with the largest share. Only cells that body parts cover by more than half
    count, all images together. 1: either label tells the other; about 0: chance. The measure doesn't ask which mask
    goes with which part, nor whether the masks stay off the background.

    Args:
        competitive: (N, P, h, w), not negative.
        parts: (N, K, h, w), each part's share of each cell.

    Returns:
        The agreement, at most 1 and slightly negative at worst; NaN if those cells show fewer than two parts.
    """
    from sklearn.metrics import adjusted_mutual_info_score  # here, since it takes a second to import

    shown = parts.sum(1) > 0.5
    claimed = competitive.amax(1) > 0
    strongest = torch.where(claimed, competitive.argmax(1), competitive.shape[1])[shown].numpy()
    part = parts.argmax(1)[shown].numpy()
    return float(adjusted_mutual_info_score(part, strongest)) if len(np.unique(part)) > 1 else float("nan")


def soft_iou(a: Tensor, b: Tensor) -> float:
    """Soft intersection over union of two masks, in [0, 1]: sum of the minima over sum of the maxima.

    Unlike coverage it takes the values as they are: of two masks alike in shape, one half as strong, it is 0.5.

    Args:
        a: of any shape, not negative.
        b: of the same shape, not negative.

    Returns:
        The overlap; NaN if both are zero everywhere.
    """
    return float(torch.minimum(a, b).sum() / torch.maximum(a, b).sum())


def shrink(mask: Tensor, parts: Tensor) -> float:
    """How much a mask shrinks where its part is hidden: 1 - (its mean value there) / (its mean value elsewhere).

    The mask's part is the one that it has the greatest lift on. An image hides the part where less of it shows than a
    tenth of its typical area, the median over the images that show any of it. 1: the mask vanishes with its part;
    0: it doesn't mind; negative: it grows.

    This compares different images, not one image with and without its occluder, so more than the hidden part may
    move the score: other parts are hidden too, the occluder brings a look of its own, and what is seen from
    another side or stands outside the picture counts as hidden. A mask that follows the whole person shrinks just as
    one that follows its part. And choosing the part by the same images' lift helps each mask to its best story;
    two masks may choose the same part. A part that is seldom hidden whole, as the upper body is, gives a score that
    rests on very few images.

    Args:
        mask: (N, h, w), not negative.
        parts: (N, K, h, w), each part's share of each cell.

    Returns:
        The score, at most 1; NaN if no image or every image hides the part, or the mask is zero in all that show it.
    """
    lifts = [lift(mask, part) for part in parts.unbind(1)]
    area = parts[:, int(np.argmax(np.nan_to_num(lifts)))].mean((1, 2))
    hidden = area < HIDDEN * area[area > 0].median()
    mass = mask.mean((1, 2))
    elsewhere = mass[~hidden].mean()
    return float(1 - mass[hidden].mean() / elsewhere) if elsewhere > 0 else float("nan")


def score_masks(competitive: Tensor, truth: NDArray[np.uint8]) -> pd.DataFrame:
    """Scores of the cooperative mask, of each competitive mask, of each pair of them, and of all of them together.

    | score | masks | what it says |
    |---|---|---|
    | `person`, `occluder` | each | `lift` on the visible person and on what hides it |
    | `coverage` | each | `coverage` of the visible person |
    | `parts` | `competitive, strongest` | `part_agreement` with the body parts |
    | `overlap` | `competitive 1 and 2`, ... | `soft_iou` of the pair |
    | `shrink` | each competitive | `shrink` where the mask's body part is hidden |

    Args:
        competitive: (N, P, h, w) in [0, 1].
        truth: (N, H, W) index maps, see `REGIONS`.

    Returns:
        A tidy table with the columns mask, score, value.

    Raises:
        BadInput: another number of masks than of index maps.
    """
    if len(competitive) != len(truth):
        raise BadInput(
            f"Masks of {len(competitive)} images came with {len(truth)} index maps: give the same images' in one order."
        )
    grid = (competitive.shape[2], competitive.shape[3])
    person, occluder = (region_share(truth, regions, grid) for regions in (PERSON, (OCCLUDER,)))
    parts = torch.stack([region_share(truth, (region,), grid) for region in BODY], 1)  # (N, K, h, w)
    each = {f"competitive {i + 1}": mask for i, mask in enumerate(competitive.unbind(1))}
    masks = {"cooperative": competitive.sum(1)} | each
    rows = [
        *((name, "person", lift(mask, person)) for name, mask in masks.items()),
        *((name, "occluder", lift(mask, occluder)) for name, mask in masks.items()),
        *((name, "coverage", coverage(mask, person)) for name, mask in masks.items()),
        ("competitive, strongest", "parts", part_agreement(competitive, parts)),
        *(
            (f"competitive {i + 1} and {j + 1}", "overlap", soft_iou(competitive[:, i], competitive[:, j]))
            for i, j in combinations(range(competitive.shape[1]), 2)
        ),
        *((name, "shrink", shrink(mask, parts)) for name, mask in each.items()),
    ]
    return pd.DataFrame(rows, columns=["mask", "score", "value"])
