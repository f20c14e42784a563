"""Figures of masks: over pictures, their priors, a graph and its cut, diffusion, and the table of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lazy_loader
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from scmlib.errors import BadInput
from scmlib.figures.comparisons import difference_panels
from scmlib.figures.grids import BAR, LEGEND, colour_bar, picture_grid
from scmlib.figures.panels import blocks, draw_panels
from scmlib.figures.style import (
    HEAT,
    LINES,
    MARKERS,
    MASKS,
    draw_regions,
    folded,
    new_figure,
    region_legend,
    rows_height,
    series,
    to_array,
)
from scmlib.mask import striped_prior

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

Floats = NDArray[np.floating[Any]]

GROUPS = tuple(zip(series(2), MARKERS, LINES, strict=False))  # colour, marker and line of a graph's two sides

LIFTS = ("person", "occluder")

# Sets of masks that stand in for a network's own, see `scmlib.analysis.swap`.
NAMES = {
    "own": "its own",
    "mean": "their mean, blind",
    "other": "another person's",
    "no walk": "without the walk",
    "no prior": "without the prior",
    "stripes": "fixed stripes",
    "uniform": "uniform",
    "truth": "the true person",
}

# Which way good masks go; nothing where neither is better. No score stands alone: a uniform mask covers everything.
WANTED = {
    "auc": "↑",
    "ap": "↑",
    "person": "↑",
    "occluder": "↓",
    "coverage": "↑",
    "parts": "↑",
    "overlap": "↓",
    "hidden": "↓",
    "visible": "0",
    "background": "0",
    "picture_dependent": "",
}


def draw_cut(points: Floats, affinity: Floats, values: Floats) -> Figure:
    """A graph, an edge the thicker the more alike its ends are, and the values whose signs cut it in two.

    The side of the first node is drawn as `draw_diffusion` draws the first group.

    Args:
        points: (N, 2), where the nodes lie.
        affinity: (N, N) in [0, 1].
        values: (N,), an eigenvector's.
    """
    figure = new_figure(
        8.5,
        3.2,
        f"A graph of {len(points)} nodes and the values that cut it, node by node: {_listed(values)}. "
        f"{int((values > 0).sum())} are above zero.",
    )
    left, right = figure.subplots(1, 2)
    for i, j in np.argwhere(np.triu(affinity, 1) > 0.02):
        left.plot(*points[[i, j]].T, color="0.6", linewidth=4 * affinity[i, j], zorder=0)
    first = (values > 0) == (values[0] > 0)
    for (colour, marker, _), side in zip(GROUPS, (first, ~first), strict=True):
        left.scatter(*points[side].T, marker=marker, s=130, color=colour)
        right.scatter(np.flatnonzero(side), values[side], marker=marker, s=60, color=colour)
    for node, point in enumerate(points):
        left.annotate(str(node), point, color="white", ha="center", va="center", fontsize="small")
    right.axhline(0, color="0.6")
    left.margins(0.15, 0.3)  # room for the nodes
    left.set(title="thick edge: large affinity", xlabel="x", ylabel="y", aspect="equal")
    right.set(title="the sign is the cut", xlabel="node", ylabel="value", xticks=range(len(points)))
    sns.despine(figure)
    return figure


def draw_diffusion(values: Floats, groups: NDArray[np.int64]) -> Figure:
    """Each node's value after 0, 1, 2, ... steps of diffusion.

    Args:
        values: (T + 1, N).
        groups: (N,) of zeros and ones, the side that each node is on.
    """
    ends = [f"{name} from {_listed(values[0, groups == i])} to {_listed(values[-1, groups == i])}" for i, name in
            enumerate(("first group", "second group"))]  # fmt: skip
    figure = new_figure(7.5, 3.2, f"Values over {len(values) - 1} steps of diffusion. {'; '.join(ends)}.")
    axes = figure.subplots()
    for i, (colour, marker, line) in enumerate(GROUPS):
        drawn = axes.plot(values[:, groups == i], color=colour, marker=marker, markersize=4, linestyle=line)
        drawn[0].set_label(f"{('first', 'second')[i]} group")
    axes.set(xlabel="steps of diffusion", ylabel="value")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    sns.despine(ax=axes)
    return figure


def _listed(values: Floats) -> str:
    return ", ".join(f"{value:z.2f}" for value in values)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One number for each method and score: the cooperative mask's, and the mean over the competitive masks.

    Args:
        table: what `score_methods` gives.

    Returns:
        A row for each method, in the table's order; columns named score and masks, e.g. `person, cooperative` and
        `person, competitive`. Means leave NaN out; NaN where nothing else is left.
    """
    masks = np.where(table["mask"] == "cooperative", ", cooperative", ", competitive")
    means = table.assign(column=table["score"] + masks).groupby(["method", "column"], sort=False)["value"].mean()
    return means.unstack("column", sort=False)


def draw_scores(table: pd.DataFrame) -> Figure:
    """Heat maps of the cooperative mask's scores, and of what only the competitive ones have: lifts left, others right.

    White is a lift of 1 and any other score of 0; purple lies above, orange below. The colour scales are fixed, so
    that figures of two runs can be laid side by side; values beyond them take the last colour, and every cell says
    its number. A score that isn't defined is a dash.

    Args:
        table: what `score_methods` gives.
    """
    every = summarise(table)
    scores = list(table["score"].unique())
    columns = [next(c for c in (f"{s}, cooperative", f"{s}, competitive") if c in every) for s in scores]
    values = every[columns].set_axis(scores, axis=1)
    said = "; ".join(
        f"{method}: " + ", ".join(f"{str(name).replace('_', ' ')} {_written(x)}" for name, x in row.items())
        for method, row in values.iterrows()
    )
    values.index = pd.Index(folded(map(str, values.index), 24))
    figure = new_figure(
        12.5, rows_height(list(values.index)) + 2.5, f"Scores of the masks of {len(values)} methods. {said}."
    )
    lifts, others = (
        values[[name for name in scores if name in LIFTS]],
        values.drop(columns=list(LIFTS), errors="ignore"),
    )
    left, right = figure.subplots(1, 2, width_ratios=[lifts.shape[1], others.shape[1]])
    _heat_map(left, lifts, TwoSlopeNorm(1, 0, 4), "lift")
    _heat_map(right, others, Normalize(-1, 1), "score")
    left.set(title="Lift", ylabel="method")
    right.set(title="All other scores", ylabel="", yticks=[])
    figure.supxlabel(
        "Of the cooperative mask; parts and overlap of the competitive ones. The arrow points the way good masks go.",
        fontsize="small",
    )
    return figure


def _written(value: float) -> str:
    """Two decimals, a dash for NaN, and no minus before a zero."""
    return "-" if np.isnan(value) else f"{value:z.2f}"


def _heat_map(axes: Axes, values: pd.DataFrame, norm: Normalize, label: str) -> None:
    """One annotated heat map with its colour bar below."""
    bar = {"label": label, "location": "bottom", "aspect": 40, "pad": 0.02}
    sns.heatmap(values, ax=axes, cmap=HEAT, norm=norm, annot=values.map(_written), fmt="", linewidths=1, cbar_kws=bar)
    for row, column in np.argwhere(values.isna().to_numpy()):  # seaborn leaves these cells empty
        axes.text(column + 0.5, row + 0.5, "-", ha="center", va="center")
    names = [f"{score} {WANTED[score]}".replace("_", "\n").strip() for score in map(str, values)]
    axes.set_xticklabels(names, rotation=0)
    axes.set_xlabel("")
    axes.tick_params(length=0)


def draw_swap(table: pd.DataFrame) -> Figure:
    """What mAP, rank-1 and mINP lose or gain when the masks are exchanged, with bands over identities.

    Args:
        table: what `swap_masks` gives.
    """
    metrics = {"mAP": "mAP", "top1": "rank-1", "mINP": "mINP"}
    own, others = table.iloc[0], table.iloc[1:]
    said = "; ".join(
        f"{NAMES[row['masks']]} {row['mAP_difference']:+z.1%} ({row['mAP_low']:+z.1%} to {row['mAP_high']:+z.1%})"
        for _, row in others.iterrows()
    )
    names = [NAMES[name] for name in others["masks"]]
    figure = new_figure(
        10,
        rows_height(names) + 1.4,
        f"With its own masks the network has an mAP of {own['mAP']:.1%} on {own['queries']} queries. "
        f"With others, the difference and its 95 % band: {said}.",
    )
    panels = {name: f"{title}, own masks {own[name]:.1%}" for name, title in metrics.items()}
    difference_panels(figure, others, names, panels)
    figure.supxlabel("difference to the own masks, in points; bands: 95 %, over identities", fontsize="small")
    return figure


def draw_masks(
    pictures: Tensor,
    competitive: Tensor,
    truth: NDArray[np.uint8] | None = None,
    titles: Sequence[str] = (),
    names: tuple[str, str] = ("competitive", "cooperative"),
) -> Figure:
    """A row an image: the picture, each competitive mask and the cooperative mask over it, and the truth if known.

    Args:
        pictures: (N, 3, H, W) uint8.
        competitive: (N, P, h, w) in [0, 1]; drawn cell by cell, on one scale with their sum.
        truth: (N, H, W) index maps, see `REGIONS`.
        titles: a line for each image.
        names: what one mask is called, and the sum of all.
    """
    N, P = competitive.shape[:2]
    cooperative = competitive.sum(1)
    top = max(1.0, float(cooperative.max()))
    one, together = names
    heads = ["picture", *(f"{one} {i + 1}" for i in range(P)), together, *(["truth"] * (truth is not None))]
    share = ", ".join(f"{x:.0%}" for x in competitive.mean((0, 2, 3)) / cooperative.mean().clamp(min=1e-9))
    figure, grid = picture_grid(
        f"Masks of {N} images: {one} 1 to {P} hold {share} of the mass of {together}, which reaches "
        f"{float(cooperative.max()):.2f} in its strongest cell.",
        (N, len(heads)),
        pictures.shape[2] / pictures.shape[3],
        heads=heads,
        labels=titles,
        side=LEGEND * (truth is not None),
        foot=BAR,
    )
    for row in range(N):
        grid[row, 0].imshow(to_array(pictures[row]))
        for axes, mask in zip(grid[row, 1 : P + 2], [*competitive[row], cooperative[row]], strict=True):
            drawn = overlay(axes, pictures[row], mask, top)
        if truth is not None:
            draw_regions(grid[row, -1], truth[row])
    colour_bar(figure, drawn, grid[0, : P + 2], "mask value")
    if truth is not None:
        region_legend(figure)
    return figure


def draw_growing_masks(
    pictures: Tensor, masks: Tensor, epochs: Sequence[int], truth: NDArray[np.uint8] | None = None
) -> Figure:
    """The cooperative mask of some pictures, epoch by epoch: a row a picture, at most eight epochs evenly chosen.

    Args:
        pictures: (N, 3, H, W) uint8.
        masks: (E, N, P, h, w) in [0, 1], the competitive masks after each epoch; drawn cell by cell, on one scale.
        epochs: E numbers; 0 is before training.
        truth: (N, H, W) index maps, see `REGIONS`.
    """
    shown = np.unique(np.linspace(0, len(epochs) - 1, 8).round().astype(int)).tolist()
    cooperative = masks[shown].sum(2)  # (columns, N, h, w)
    top = max(1.0, float(cooperative.max()))
    means = ", ".join(f"{float(masks[i].sum(1).mean()):.2f} in epoch {epochs[i]}" for i in shown)
    heads = ["picture", *(f"epoch {epochs[i]}" for i in shown), *(["truth"] * (truth is not None))]
    figure, grid = picture_grid(
        f"Cooperative masks of {len(pictures)} pictures while a network trains; mean mask value {means}.",
        (len(pictures), len(heads)),
        pictures.shape[2] / pictures.shape[3],
        heads=heads,
        side=LEGEND * (truth is not None),
        foot=BAR,
    )
    for row, picture in enumerate(pictures):
        grid[row, 0].imshow(to_array(picture))
        for axes, mask in zip(grid[row, 1:], cooperative[:, row], strict=False):
            drawn = overlay(axes, picture, mask, top)
        if truth is not None:
            draw_regions(grid[row, -1], truth[row])
    colour_bar(figure, drawn, grid[0, : len(shown) + 1], "cooperative mask")
    if truth is not None:
        region_legend(figure)
    return figure


def overlay(axes: Axes, picture: Tensor, mask: Tensor, top: float) -> AxesImage:
    """A mask, cell by cell, over the grey picture.

    Args:
        axes: to draw on.
        picture: (3, H, W) uint8.
        mask: (h, w).
        top: the value of the last colour; the first is 0.

    Returns:
        The mask as drawn, for a colour bar.
    """
    height, width = picture.shape[1:]
    axes.imshow(picture.float().mean(0).numpy(), cmap="gray", vmin=0, vmax=255)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    return axes.imshow(np.asarray(mask), cmap=MASKS, vmin=0, vmax=top, alpha=0.7, extent=extent)


def draw_prior(parts: int, mask_part: int, rows: int, columns: int = 6, learned: Tensor | None = None) -> Figure:
    """What each part's prior starts as, and, if given, what it became.

    Args:
        parts: P.
        mask_part: chunks of rows that a part starts blind to; 0 for none.
        rows: h of the grid.
        columns: w of the grid.
        learned: (P, h, w), a trained model's.

    Raises:
        BadInput: fewer rows than chunks.
    """
    chunks = parts + mask_part - 1
    if chunks > rows:
        raise BadInput(
            f"{parts} parts with mask-part {mask_part} need {chunks} rows, but the grid has {rows}: take fewer parts."
        )
    start = striped_prior(parts, rows, columns, mask_part)[0]
    blind = [int((part == 0).all(1).sum()) for part in start]
    shape = (16 * rows, 16 * columns)
    lines = [
        [blocks(prior, 1.0, shape, f"part {i}", f"blind to {blind[i - 1]} rows") for i, prior in enumerate(start, 1)]
    ]
    alt = f"Priors of {parts} parts on {rows} x {columns} cells, mask-part {mask_part}: blind to {blind} rows each."
    if learned is not None:
        top = float(learned.max())
        lines.append(
            [
                blocks(prior, top, shape, f"learned {i}", f"{prior.min():.2f} to {prior.max():.2f}")
                for i, prior in enumerate(learned, 1)
            ]
        )
        alt += f" Learned priors reach from {float(learned.min()):.2f} to {top:.2f}."
    return draw_panels(lines, alt, height=2.0, text="bright: 1, the part sees the cell; dark: 0, it starts blind there")
