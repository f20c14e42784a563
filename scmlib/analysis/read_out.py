"""Where the read-out of the mask module ends up: between the clamp's bounds or beyond them, and what it varies with.

A part's map times its prior is clamped to [0, 1]. Beyond the bounds the clamp passes no gradient, so that such a cell
of such a picture teaches the read-out nothing through this mask; a cell that lies there in nearly all pictures is
stuck. The control is the network before training: its maps
leave a BatchNorm with a mean near 0 and a variance near 1, and of a normal distribution like that half lies below 0
and 16 % above 1 before anything is learned.

A map varies from cell to cell and, at one cell, from picture to picture. A mask that follows people would do the second
as much as the first; one that knows where people usually are does only the first.

Lesson: notebooks/02_the_method.ipynb.
"""

from __future__ import annotations

import pandas as pd
from torch import Tensor

from scmlib.errors import BadInput
from scmlib.inference import Pictures, apply
from scmlib.mask import SpectralClusteringMask
from scmlib.model import SCM

STUCK = 0.95  # a cell that lies beyond the bounds in so many of the pictures hardly ever learns

ALIVE = 0.1  # a prior nearer to 0 than this holds its mask near 0, whatever the read-out says


def read_out_maps(model: SCM, pictures: Pictures) -> Tensor:
    """What the mask module reads out of pictures before prior and clamp, (N, P, h, w) on any scale, on the CPU.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.

    Raises:
        BadInput: a model without the method's mask module.
    """
    if type(model.scm) is not SpectralClusteringMask:
        raise BadInput(
            f"The variant '{model.config.variant}' has no read-out that is clamped: take a run of the variant scm."
        )

    def maps(fast: SCM, images: Tensor) -> Tensor:
        return fast.scm.maps(fast.branches(images)[1])

    return apply(model, pictures, maps)


def read_out_table(model: SCM, pictures: Pictures) -> pd.DataFrame:
    """How each part's read-out is spread, over pictures and over the cells where its prior is alive (`ALIVE`).

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read; at least two, to vary.

    Returns:
        A row a part, with the columns part, from 1; alive, the share of cells; below and above, the shares of map times
        prior below 0 and above 1; stuck, the share of living cells that are below or above in at least `STUCK` of the
        pictures; position and picture, standard deviations of the map itself: over the cells of its
        mean over pictures, and over the pictures at one cell (root of the mean variance). NaN where no cell is alive.

    Raises:
        BadInput: a model without the mask module.
    """
    maps = read_out_maps(model, pictures).double()
    prior = model.scm.learnable_masks.detach().cpu().double()[0]
    rows = []
    for part, (seen, weight) in enumerate(zip(maps.unbind(1), prior, strict=True), 1):
        alive = weight.abs() > ALIVE
        cells = seen[:, alive]  # (N, cells)
        values, mean = cells * weight[alive], cells.mean(0)
        rows.append(
            {
                "part": part,
                "alive": alive.double().mean(),
                "below": (values < 0).double().mean(),
                "above": (values > 1).double().mean(),
                "stuck": (((values < 0) | (values > 1)).double().mean(0) >= STUCK).double().mean(),
                "position": (mean - mean.mean()).square().mean().sqrt(),
                "picture": (cells - mean).square().mean().sqrt(),
            }
        )
    return pd.DataFrame(rows).astype({"part": int} | dict.fromkeys(list(rows[0])[1:], float))
