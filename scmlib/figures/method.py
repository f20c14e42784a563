"""Figures of the method: the mask module with its shapes, the walk at one cell, and where its read-out ends up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lazy_loader
import matplotlib as mpl
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor
from torch.nn import functional as F

from scmlib.figures.panels import Panel, blend, blocks, draw_panels
from scmlib.figures.style import PLAIN, new_figure, rows_height, series

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

STEPS = (0, 1, 2, 5, 20)  # of the walk that a filmstrip shows

PLACES = {  # of the drawing's boxes
    "features": (0.0, 0.0),
    "part vectors": (2.2, 0.0),
    "cosines": (2.2, 1.5),
    "walk": (4.1, 1.5),
    "after one step": (4.1, 0.0),
    "maps": (6.3, 0.0),
    "prior": (6.3, 1.5),
    "competitive masks": (8.3, 0.0),
    "cooperative mask": (10.3, 0.0),
}

LINKS = (  # from which box to which, and what happens on the way
    ("features", "part vectors", "1 × 1\nconvolution"),
    ("part vectors", "cosines", "each with\neach"),
    ("cosines", "walk", "× factor,\nsoftmax"),
    ("walk", "after one step", "weights"),
    ("part vectors", "after one step", "weighted\nmeans"),
    ("after one step", "maps", "read-out"),
    ("maps", "competitive masks", "product,\nclamp"),
    ("prior", "competitive masks", "same for\nall pictures"),
    ("competitive masks", "cooperative mask", "sum"),
)


def draw_mask_module(channels: int, grid: tuple[int, int], parts: int, reduced: int) -> Figure:
    """What the mask module does, step by step, with the shape of each result for one picture.

    Args:
        channels: C of the features.
        grid: (h, w) in cells.
        parts: P.
        reduced: R, length of a part's vector.
    """
    h, w = grid
    vectors, graph, maps = f"{parts} × {reduced}", f"{parts} × {parts}", f"{parts} × {h} × {w}"
    shapes = dict(zip(PLACES, (f"{channels} × {h} × {w}", vectors, graph, graph, vectors), strict=False))
    shapes |= {"maps": maps, "prior": maps, "competitive masks": maps, "cooperative mask": f"1 × {h} × {w}"}
    said = "; ".join(f"{name} {shape}" for name, shape in shapes.items())
    figure = new_figure(
        11.5,
        3.3,
        f"The mask module from left to right, with the shapes for one picture: {said}. A frame stands around the part "
        f"vectors, their cosines, the walk and the vectors after one step: each of the {h * w} cells has its own.",
    )
    axes = figure.subplots()
    frame: dict[str, Any] = {"boxstyle": "round,pad=0.1", "fc": "0.95", "ec": "0.6", "ls": "--", "zorder": 0}
    axes.add_patch(FancyBboxPatch((1.65, -0.5), 3.0, 2.5, **frame))
    axes.text(3.15, 2.25, f"at each of the {h} × {w} cells, by itself", ha="center", fontsize="small")
    boxes = {}
    for name, place in PLACES.items():
        style = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.4"}
        label = name.replace(" mask", "\nmask") + f"\n{shapes[name]}"
        boxes[name] = axes.text(*place, label, ha="center", va="center", fontsize="small", bbox=style)
    for source, target, label in LINKS:
        (x, y), (to_x, to_y) = PLACES[source], PLACES[target]
        ends = {"patchA": boxes[source].get_bbox_patch(), "patchB": boxes[target].get_bbox_patch()}
        axes.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", "color": "0.4", **ends})
        beside = y != to_y  # of an upright or slanting arrow
        side: dict[str, Any] = {"ha": "left", "va": "center"} if beside else {"ha": "center", "va": "bottom"}
        at = ((x + to_x) / 2 + (0.06 if x == to_x else 0.2) * beside, (y + to_y) / 2 + 0.08 * (not beside))
        axes.text(*at, label, fontsize="x-small", **side)
    axes.set(xlim=(-0.75, 11.1), ylim=(-0.7, 2.5))
    axes.axis("off")
    return figure


def draw_walk(
    picture: Tensor, vectors: Tensor, walk: Tensor, cells: Sequence[tuple[int, int]], steps: Sequence[int] = STEPS
) -> Figure:
    """The walk at some cells, a filmstrip each: cosines, transition matrix, and the part vectors after so many steps.

    A part's vector is drawn as a column; all frames of a strip share one scale.

    Args:
        picture: (3, H, W) uint8.
        vectors: (h, w, P, R), the part vectors of the picture's cells.
        walk: (h, w, P, P), transition matrices.
        cells: row and column of each cell, from 0.
        steps: numbers of steps.
    """
    (h, w, P, R), (height, width) = vectors.shape, picture.shape[1:]
    rows, told = [], []
    for row, column in cells:
        first, matrix = vectors[row, column], walk[row, column]
        frames = [torch.linalg.matrix_power(matrix, k) @ first for k in steps]
        alike = [_cosines(frame) for frame in frames]
        mark = (column / w, row / h, 1 / w, 1 / h)
        square = (height, height)
        strip = [Panel(picture, "picture", f"cell {row}, {column}", cell=mark)]
        strip.append(blocks(alike[0], 1.0, square, "cosines", "part with part", signed=True)._replace(numbers=alike[0]))
        strip.append(blocks(matrix, 1.0, square, "walk", "a row: what enters a part")._replace(numbers=matrix))
        top = float(max(frame.abs().max() for frame in frames))
        for k, frame, cosines in zip(steps, frames, alike, strict=True):
            name = f"after {k} step{'s' * (k != 1)}" if k else "part vectors"
            below = f"least cosine {float(cosines.min()):z.2f}"
            strip.append(blocks(frame.T, top, (height, max(width, 24 * P)), name, below, signed=True))
        rows.append(strip)
        least = ", ".join(f"{float(c.min()):z.2f} after {k}" for k, c in zip(steps, alike, strict=True))
        told.append(
            f"cell {row}, {column}: the walk keeps {', '.join(f'{x:.2f}' for x in matrix.diag())} of each part; "
            f"the smallest cosine between two parts is {least} steps"
        )
    alt = f"The walk over {P} part vectors of {R} numbers at {len(cells)} cells of a picture. {'; '.join(told)}."
    return draw_panels(rows, alt, height=1.9, text="vectors: a column is a part; purple above 0, orange below")


def _cosines(vectors: Tensor) -> Tensor:
    """(P, R) to (P, P)."""
    unit = F.normalize(vectors, dim=-1)
    return unit @ unit.mT


def draw_mask_steps(picture: Tensor, start: Tensor, prior: Tensor, maps: Tensor, masks: Tensor) -> Figure:
    """From a prior to masks, a row a part: the prior before and after training, the map read out, and the mask.

    Args:
        picture: (3, H, W) uint8.
        start: (P, h, w), the prior that the training starts with.
        prior: (P, h, w), the learned one.
        maps: (P, h, w), on any scale.
        masks: (P, h, w) in [0, 1].
    """
    shape, rows, told = (picture.shape[1], picture.shape[2]), [], []
    for part, (first, learned, seen, mask) in enumerate(zip(start, prior, maps, masks, strict=True), 1):
        spans = [f"{float(x.min()):z.2f} to {float(x.max()):z.2f}" for x in (first, learned, seen, mask)]
        row = [Panel(picture, f"part {part}")]
        row.append(blocks(first, 1.0, shape, "first prior", spans[0]))
        row.append(blocks(learned, float(prior.abs().max()), shape, "learned prior", spans[1], signed=True))
        row.append(blocks(seen, float(seen.abs().max()), shape, "map", spans[2], signed=True))
        row.append(Panel(blend(picture, mask, 1.0, 1.0), "mask", spans[3]))
        rows.append(row)
        told.append(f"part {part}: prior {spans[0]}, learned {spans[1]}, map {spans[2]}, mask {spans[3]}")
    text = "first prior and mask: dark is 0; learned prior and map: purple above 0, orange below"
    return draw_panels(rows, f"From prior to mask. {'; '.join(told)}.", height=1.9, text=text)


def draw_read_out(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Where each part's read-out lies with respect to the clamp's bounds, and what it varies with.

    Args:
        tables: what `read_out_table` gives, by the network's name.
    """
    table = pd.concat(tables, names=["network"]).reset_index("network")
    names = [f"{row.network}, part {row.part}" for row in table.itertuples()]
    said = "; ".join(
        f"{name}: {row.below:.0%} below 0, {row.above:.0%} above 1, {row.stuck:.0%} of the cells stuck, "
        f"deviation {row.position:.2f} between cells and {row.picture:.2f} between pictures"
        for name, row in zip(names, table.itertuples(), strict=True)
    )
    figure = new_figure(11, rows_height(names) + 1.5, f"Read-outs of {len(names)} parts. {said}.")
    left, middle, right = figure.subplots(1, 3, sharey=True, gridspec_kw={"width_ratios": (3, 1.5, 3), "wspace": 0.1})
    inside = 1 - table["below"] - table["above"]
    shares = {"below 0: mask 0, no gradient": table["below"], "between: the mask learns": inside}
    shares["above 1: mask 1, no gradient"] = table["above"]
    start, rows = 0 * inside, range(len(table))
    for (label, share), colour, hatch in zip(shares.items(), series(3), ("", "", "//"), strict=True):
        left.barh(rows, share, left=start, color=colour, hatch=hatch, edgecolor="white", label=label)
        start = start + share
    marks = {"position": ("s", "between cells"), "picture": ("o", "between pictures, at one cell")}
    right.hlines(rows, *table[list(marks)].to_numpy().T, color="0.7", zorder=0)
    for (column, (marker, label)), colour in zip(marks.items(), series(2), strict=True):
        right.scatter(table[column], rows, marker=marker, s=60, color=colour, label=label)
    left.set(yticks=rows, yticklabels=names, ylim=(len(table) - 0.5, -0.5), xlim=(0, 1))
    left.set_xlabel("share of map × prior")
    middle.barh(rows, table["stuck"], color=PLAIN, height=0.4)
    middle.set(xlabel="share of stuck cells", xlim=(0, max(0.3, float(table["stuck"].max()))))
    right.set(xlabel="standard deviation of the map", xlim=(0, None))
    for axes in (left, middle):
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    for axes in (left, right):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small")
    sns.despine(fig=figure)
    return figure
