"""The score table of the masks as a picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from scmlib.figures import new_figure

COLOURS = "PuOr"  # two ends that colour-blind readers tell apart
LIFTS = ("person", "occluder")
# Which way good masks go. No score stands alone: a uniform mask covers everything.
WANTED = {"person": "↑", "occluder": "↓", "coverage": "↑", "parts": "↑", "overlap": "↓", "shrink": "↑"}


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
    sns.heatmap(
        values, ax=axes, cmap=COLOURS, norm=norm, annot=values.map(_written), fmt="", linewidths=1, cbar_kws=bar
    )
    for row, column in np.argwhere(values.isna().to_numpy()):  # seaborn leaves these cells empty
        axes.text(column + 0.5, row + 0.5, "-", ha="center", va="center")
    names = [column.split(", ") for column in values.columns]
    axes.set_xticklabels([f"{score} {WANTED[score]}\n{masks}" for score, masks in names], rotation=0)
    axes.set_xlabel("")
    axes.tick_params(length=0)
