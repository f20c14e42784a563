"""Figures of the masks' lesson: a graph and its cut, diffusion on it, and the score table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from scmlib.figures import COLOURS, new_figure

Floats = NDArray[np.float64]

GROUPS = ((COLOURS[0], "o", "-"), (COLOURS[1], "s", "--"))  # colour, marker and line of a graph's two sides
HEAT = "PuOr"  # two ends that colour-blind readers tell apart
LIFTS = ("person", "occluder")
# Which way good masks go. No score stands alone: a uniform mask covers everything.
WANTED = {"person": "↑", "occluder": "↓", "coverage": "↑", "parts": "↑", "overlap": "↓", "shrink": "↑"}


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
    """Heat maps of `summarise`: lifts on the left, all other scores on the right.

    White is a lift of 1 and any other score of 0; purple lies above, orange below. The colour scales are fixed, so
    that figures of two runs can be laid side by side; values beyond them take the last colour, and every cell says
    its number. A score that isn't defined is a dash.

    Args:
        table: what `score_methods` gives.
    """
    values = summarise(table)
    names = [column.replace(",", "") for column in values.columns]
    said = "; ".join(
        f"{method}: " + ", ".join(f"{name} {_written(x)}" for name, x in zip(names, row, strict=True))
        for method, row in zip(values.index, values.to_numpy(), strict=True)
    )
    figure = new_figure(10.5, 0.42 * len(values) + 2.1, f"Scores of the masks of {len(values)} methods. {said}.")
    is_lift = values.columns.str.startswith(LIFTS)
    lifts, others = values.loc[:, is_lift], values.loc[:, ~is_lift]
    left, right = figure.subplots(1, 2, width_ratios=[lifts.shape[1], others.shape[1]])
    _heat_map(left, lifts, TwoSlopeNorm(1, 0, 4), "lift")
    _heat_map(right, others, Normalize(-1, 1), "score")
    left.set(title="Lift on the visible person and on the occluder", ylabel="method")
    right.set(title="All other scores", ylabel="", yticks=[])
    figure.supxlabel("Competitive: mean over masks or pairs. The arrow points the way good masks go.", fontsize="small")
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
    names = [column.split(", ") for column in values.columns]
    axes.set_xticklabels([f"{score} {WANTED[score]}\n{masks}" for score, masks in names], rotation=0)
    axes.set_xlabel("")
    axes.tick_params(length=0)
