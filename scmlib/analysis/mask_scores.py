"""Do the masks see the person? Scores against index maps whose answers are known.

Lesson: notebooks/05_do_the_masks_see.ipynb.
"""

from __future__ import annotations

from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.truth import BACKGROUND, OCCLUDER, PERSON, REGIONS, region_share
from scmlib.errors import BadInput
from scmlib.mask_statistics import MaskStatistics
from scmlib.ranking import Labels

NAN = float("nan")

COLUMNS = ["mask", "score", "value", "low", "high"]

# Parts that everyone has: a bag may be absent without being hidden.
BODY = tuple(region for region in PERSON if REGIONS[region] != "carried")


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

    Lift isn't quality: it rewards a peaked mask. Squaring a mask that lies on the person raises its lift and changes
    nothing about what it tells apart; the best lift of all has one cell inside the person, see `lift_ceiling`.
    `detection` doesn't mind how peaked a mask is.

    Args:
        mask: (N, h, w), not negative; images where it is zero everywhere count as uniform.
        region: (N, h, w), covered share of each cell.

    Returns:
        The lift; NaN if no image shows the region.
    """
    mass, area = mass_on(mask, region), region.mean((1, 2))
    shown = area > 0
    return float(mass[shown].mean() / area[shown].mean()) if shown.any() else NAN


def lift_ceiling(region: Tensor) -> float:
    """The greatest lift that any mask can have: all mass in the one cell that shows most of the region.

    Args:
        region: (N, h, w), covered share of each cell.
    """
    return lift((region == region.amax((1, 2), keepdim=True)).float(), region)


def detection(mask: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """How well each picture's mask tells the pixels of a region from the others, whatever its scale and its peaks.

    Pixels are ranked by the value of the mask's cell in which they lie, so a cell counts by how many pixels of either
    kind it holds (its area's share), and all pixels of a cell are ties. The area under the ROC curve is the
    probability that a pixel of the region has a higher value than one outside, a tie counting half; average precision
    is the sum over the distinct values of precision times the recall gained. Both as scikit-learn's `roc_auc_score` and
    `average_precision_score` give them over the picture's pixels, with the mask enlarged to the nearest.

    Args:
        mask: (N, h, w), any order-preserving scale.
        region: (N, h, w), covered share of each cell.

    Returns:
        AUC (N,), 0.5 for a mask that tells nothing, and average precision (N,), the region's share of the area for such
        a mask; NaN for a picture that shows none of the region or nothing else.
    """
    found = [_detection(m, r) for m, r in zip(*(torch.split(x.flatten(1), 64) for x in (mask, region)), strict=True)]
    auc, ap = (torch.cat(values) for values in zip(*found, strict=True))
    return auc, ap


def _detection(mask: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """`detection` of cells in a row, (N, n) each."""
    inside = region.double()
    outside = 1 - inside
    weights = torch.stack([inside, outside], 2)  # (N, n, 2)
    above = (mask[:, :, None] <= mask[:, None]).double() @ weights  # (N, n, 2): pixels of values at least as high
    equal = (mask[:, :, None] == mask[:, None]).double() @ weights
    below = outside.sum(1, keepdim=True) - above[..., 1]
    auc = (inside * (below + equal[..., 1] / 2)).sum(1) / (inside.sum(1) * outside.sum(1))
    ap = (inside * above[..., 0] / above.sum(2).clamp(min=1e-12)).sum(1) / inside.sum(1)
    return auc, torch.where(auc.isnan(), auc, ap)


def coverage(mask: Tensor, region: Tensor) -> float:
    """Share of a region that a mask covers, in [0, 1]: to the lift what recall is to precision.

    Values above 1, which a sum of masks can have, count as 1: open is open. Each image's mask is then divided by its
    strongest cell, so that its overall strength doesn't matter: a uniform mask covers everything, a mask of zeros and
    ones what lies under its ones, a mask with one strong cell little. Covered and whole area are summed over the
    images before they are divided.

    Args:
        mask: (N, h, w), not negative; images where it is zero everywhere count as not covered.
        region: (N, h, w), covered share of each cell.

    Returns:
        The coverage; NaN if no image shows the region.
    """
    mask = mask.clamp(max=1)
    strongest = mask.amax((1, 2), keepdim=True)
    scaled = mask / torch.where(strongest > 0, strongest, 1)
    return float((scaled * region).sum() / region.sum())


def equal_mass(competitive: Tensor) -> Tensor:
    """Masks (N, P, h, w), each part's divided by its mean over all images and cells; one of zeros stays as it is.

    A part's scale says nothing: the embedding's BatchNorm undoes it. Without this the strongest part would count as
    strongest everywhere.
    """
    mass = competitive.mean((0, 2, 3), keepdim=True)
    return competitive / torch.where(mass > 0, mass, 1)


def part_agreement(competitive: Tensor, parts: Tensor) -> float:
    """Do the masks divide the person as the body is divided? Adjusted mutual information of two labels of a cell.

    One label is the strongest competitive mask after `equal_mass` (the first one of a tie; cells that no mask claims
    are a group of their own), the other the body part with the largest share. Only cells that body parts cover by more
    than half count, all images together. 1: either label tells the other; about 0: chance. The measure (Vinh, Epps
    and Bailey, 2010) doesn't ask which mask goes with which part, nor whether the masks stay off the background.

    Args:
        competitive: (N, P, h, w), not negative.
        parts: (N, K, h, w), each part's share of each cell.

    Returns:
        The agreement, at most `agreement_ceiling` and slightly negative at worst; NaN if those cells show fewer than
        two parts.
    """
    shown = parts.sum(1) > 0.5
    claimed = competitive.amax(1) > 0
    strongest = torch.where(claimed, equal_mass(competitive).argmax(1), competitive.shape[1])[shown].numpy()
    return _agreement(parts.argmax(1)[shown].numpy(), strongest)


def _agreement(part: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Adjusted mutual information; NaN where there is only one part."""
    from sklearn.metrics import adjusted_mutual_info_score  # here, since it takes a second to import

    return float(adjusted_mutual_info_score(part, label)) if len(np.unique(part)) > 1 else NAN


def agreement_ceiling(parts: Tensor, masks: int) -> float:
    """The best `part_agreement` of so many masks that know the truth: fewer masks than body parts can't reach 1.

    Every way of putting the body parts into groups is tried, one group for each mask and one that no mask claims.

    Args:
        parts: (N, K, h, w), each part's share of each cell; K is small.
        masks: P.
    """
    part = parts.argmax(1)[parts.sum(1) > 0.5].numpy()
    every = product(range(masks + 1), repeat=parts.shape[1])
    groupings = {tuple(list(dict.fromkeys(labels)).index(label) for label in labels) for labels in every}
    return max(_agreement(part, np.array(grouping)[part]) for grouping in groupings)


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


def match_parts(a: Tensor, b: Tensor) -> tuple[list[int], list[float]]:
    """Which mask of a second set goes with which of the first: the pairs with the largest overlap in all.

    Two runs number their parts by chance and scale them as they like, so masks are compared after `equal_mass`, and
    paired by the Hungarian method (Kuhn, 1955). The mean of the overlaps says how stable the masks are.

    Args:
        a: (N, P, h, w), of the same pictures as b.
        b: (N, P, h, w).

    Returns:
        For each mask of a the number of its partner in b, and the `soft_iou` of the two.
    """
    first, second = equal_mass(a).unbind(1), equal_mass(b).unbind(1)
    overlaps = np.nan_to_num([[soft_iou(one, other) for other in second] for one in first])
    from scipy.optimize import linear_sum_assignment  # here, since it takes half a second to import

    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return columns.tolist(), overlaps[rows, columns].tolist()


def picture_dependent(competitive: Tensor) -> list[float]:
    """Share of each mask's variance that depends on the picture, see `MaskStatistics`: the cooperative mask's first.

    Args:
        competitive: (N, P, h, w).
    """
    return MaskStatistics().add(competitive).picture_dependent


class Shares(NamedTuple):
    """What index maps show on the masks' grid, as covered shares of each cell."""

    person: Tensor  # (N, h, w), the visible person
    occluder: Tensor  # (N, h, w)
    parts: Tensor  # (N, K, h, w), each of BODY

    @classmethod
    def of(cls, truth: NDArray[np.uint8], grid: tuple[int, int]) -> Shares:
        """The shares of index maps (N, H, W) on a grid (h, w)."""
        parts = torch.stack([region_share(truth, (region,), grid) for region in BODY], 1)
        return cls(region_share(truth, PERSON, grid), region_share(truth, (OCCLUDER,), grid), parts)

    def some(self, rows: NDArray[np.intp]) -> Shares:
        """Those of some images."""
        return Shares(self.person[rows], self.occluder[rows], self.parts[rows])


class Pairs(NamedTuple):
    """Counterfactual pairs: the same pictures with and without what stands in front, all else equal."""

    occluded: Tensor  # (N, 3, H, W) uint8
    free: Tensor  # (N, 3, H, W) uint8
    truth: NDArray[np.uint8]  # (N, H', W') index maps of the occluded pictures
    truth_free: NDArray[np.uint8]  # (N, H', W') index maps of the free ones
    identities: NDArray[np.int64]  # (N,)

    def some(self, rows: NDArray[np.intp]) -> Pairs:
        """Some of the pairs."""
        pictures = self.occluded[rows], self.free[rows]
        return Pairs(*pictures, self.truth[rows], self.truth_free[rows], self.identities[rows])


def score_changes(occluded: Tensor, free: Tensor, pairs: Pairs) -> pd.DataFrame:
    """How much an occluder changes each mask: relative change from the free to the occluded picture of each pair.

    Scores: `hidden`, on cells where the person became hidden; `visible`, on cells where the person still shows;
    `background`, on cells that show background in both. A cell belongs to a kind if more than half of it does. The
    change is the mask's sum over all such cells of all pairs with the occluder, over the same sum without it, less 1:
    -1 for a mask that leaves, 0 for one that doesn't mind. A mask that sees occluders falls on the first kind and stays
    on the second. A fall on background tells of a mask that gets weaker everywhere.

    Args:
        occluded: (N, P, h, w) masks of `pairs.occluded`.
        free: (N, P, h, w) masks of `pairs.free`.
        pairs: their index maps and identities.

    Returns:
        A tidy table with the columns mask, score, value, low, high: the 95 % band over identities. NaN where the free
        pictures have no mask on such cells.
    """
    person = np.isin(pairs.truth_free, PERSON)
    kinds = {
        "hidden": person & (pairs.truth == OCCLUDER),
        "visible": person & np.isin(pairs.truth, PERSON),
        "background": (pairs.truth_free == BACKGROUND) & (pairs.truth == BACKGROUND),
    }
    rows, grid = [], (occluded.shape[2], occluded.shape[3])
    for kind, pixels in kinds.items():
        cells = F.adaptive_avg_pool2d(torch.from_numpy(pixels).float(), grid) > 0.5  # (N, h, w)
        masks = zip(_named(occluded).items(), _named(free).values(), strict=True)
        for (name, after), before in masks:
            sums = [(mask * cells).sum((1, 2)).double().numpy() for mask in (after, before)]
            if sums[1].sum() > 0:
                low, high = bootstrap_bands(sums[0], pairs.identities, weights=sums[1]) - 1
                rows.append((name, kind, sums[0].sum() / sums[1].sum() - 1, low, high))
            else:
                rows.append((name, kind, NAN, NAN, NAN))
    return pd.DataFrame(rows, columns=COLUMNS)


def _named(competitive: Tensor) -> dict[str, Tensor]:
    """The cooperative mask and each competitive one, (N, h, w), by name."""
    return {"cooperative": competitive.sum(1)} | {
        f"competitive {i + 1}": mask for i, mask in enumerate(competitive.unbind(1))
    }


def score_masks(competitive: Tensor, truth: NDArray[np.uint8], identities: Labels | None = None) -> pd.DataFrame:
    """Scores of the cooperative mask, of each competitive mask, of each pair of them, and of all of them together.

    | score | masks | what it says |
    |---|---|---|
    | `auc`, `ap` | each | `detection` of the visible person, mean over the pictures |
    | `person`, `occluder` | each | `lift` on the visible person and on what hides it |
    | `coverage` | each | `coverage` of the visible person |
    | `parts` | `competitive, strongest` | `part_agreement` with the body parts |
    | `overlap` | `competitive 1 and 2`, ... | `soft_iou` of the pair |
    | `picture_dependent` | each | share of the variance that depends on the picture |

    Args:
        competitive: (N, P, h, w) in [0, 1].
        truth: (N, H, W) index maps, see `REGIONS`.
        identities: (N,); for the bands of `auc` and `ap`.

    Returns:
        A tidy table with the columns mask, score, value, low, high: the 95 % band over identities, NaN for a score that
        isn't a mean over pictures.

    Raises:
        BadInput: another number of masks than of index maps.
    """
    if len(competitive) != len(truth):
        raise BadInput(
            f"Masks of {len(competitive)} images came with {len(truth)} index maps: give the same images' in one order."
        )
    shares = Shares.of(truth, (competitive.shape[2], competitive.shape[3]))
    return score_shares(competitive, shares, np.arange(len(truth)) if identities is None else identities)


def score_shares(competitive: Tensor, shares: Shares, identities: Labels) -> pd.DataFrame:
    """`score_masks` of masks whose index maps were brought to the grid before."""
    person, occluder, parts = shares
    masks, groups = _named(competitive), np.asarray(identities)
    detected = {name: detection(mask, person) for name, mask in masks.items()}
    rows = [
        *((name, "auc", *_mean_and_band(auc, groups)) for name, (auc, _) in detected.items()),
        *((name, "ap", *_mean_and_band(ap, groups)) for name, (_, ap) in detected.items()),
        *((name, "person", lift(mask, person)) for name, mask in masks.items()),
        *((name, "occluder", lift(mask, occluder)) for name, mask in masks.items()),
        *((name, "coverage", coverage(mask, person)) for name, mask in masks.items()),
        ("competitive, strongest", "parts", part_agreement(competitive, parts)),
        *(
            (f"competitive {i + 1} and {j + 1}", "overlap", soft_iou(competitive[:, i], competitive[:, j]))
            for i, j in combinations(range(competitive.shape[1]), 2)
        ),
        *(
            (name, "picture_dependent", share)
            for name, share in zip(masks, picture_dependent(competitive), strict=True)
        ),
    ]
    return pd.DataFrame([(*row, NAN, NAN)[:5] for row in rows], columns=COLUMNS)


def _mean_and_band(values: Tensor, groups: NDArray[np.integer[Any]]) -> tuple[float, float, float]:
    """Mean over the pictures that have a value, and its 95 % band over groups."""
    known = values.isfinite().numpy()
    if not known.any():
        return NAN, NAN, NAN
    scores = values.numpy()[known]
    low, high = bootstrap_bands(scores, groups[known])
    return float(scores.mean()), float(low), float(high)


def ceilings(shares: Shares, masks: int) -> dict[str, float]:
    """What no mask on a grid can exceed: in `person`, lift on the visible person, and in `parts`.

    Args:
        shares: what the images show.
        masks: P.
    """
    return {"person": lift_ceiling(shares.person), "parts": agreement_ceiling(shares.parts, masks)}
