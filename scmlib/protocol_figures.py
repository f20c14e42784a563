"""Figures of the evaluation's lesson: one ranked list by hand, means with bands, masks on occluders, maps compared."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from scmlib.figures import COLOURS, RIGHT, WRONG, bare, new_figure

# How each kind of gallery image is drawn: fill, hatching, sign; no meaning hangs on colour alone.
ROLES = {
    "match": (RIGHT, "", "\N{CHECK MARK}"),
    "stranger": (WRONG, "..", "\N{BALLOT X}"),
    "junk": ("0.8", "//", "left out"),
}


def draw_strip(table: pd.DataFrame) -> Figure:
    """One query's gallery as a strip of cards, from the most similar on; junk hangs lower and has no rank.

    Args:
        table: a row an image, best first, with the columns image (its name), identity, camera, similarity and role, a
            key of `ROLES`.
    """
    ranks = (table["role"] != "junk").cumsum()
    said = "; ".join(
        f"image {row.image}, similarity {row.similarity:.2f}, {row.role}"
        + ("" if row.role == "junk" else f" at rank {rank}")
        for rank, row in zip(ranks, table.itertuples(), strict=True)
    )
    figure = new_figure(1.0 * len(table), 2.3, f"A gallery of {len(table)} in order of similarity: {said}.")
    axes = figure.subplots()
    for x, (rank, row) in enumerate(zip(ranks, table.itertuples(), strict=True)):
        colour, hatch, sign = ROLES[str(row.role)]
        low = -0.45 if row.role == "junk" else 0.0
        axes.add_patch(Rectangle((x + 0.06, low), 0.88, 1, fill=False, ec=colour, lw=3, hatch=hatch, alpha=0.6))
        told = f"image {row.image}\nidentity {row.identity}\ncamera {row.camera}\n{row.similarity:.2f}\n{sign}"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axes.text(x + 0.5, low + 0.5, told, ha="center", va="center", fontsize="small", bbox=box)
        if row.role != "junk":
            axes.text(x + 0.5, 1.05, f"rank {rank}", ha="center", va="bottom", fontsize="small")
    axes.set(xlim=(0, len(table)), ylim=(-0.5, 1.25))
    bare([axes])
    return figure


def draw_precision(right: Sequence[bool]) -> Figure:
    """Both forms of average precision as areas below precision against recall, for one ranked list without junk.

    Args:
        right: whether each image of the list is a true match, best first; one is at least.
    """
    hits = np.flatnonzero(right)
    n, i = len(hits), np.arange(1, len(hits) + 1)
    after = i / (hits + 1)
    before = np.where(hits > 0, (i - 1) / np.maximum(hits, 1), 1.0)
    rectangular, trapezoid = after.mean(), ((after + before) / 2).mean()
    figure = new_figure(
        8,
        3.1,
        f"Precision against recall for true matches at ranks {', '.join(map(str, hits + 1))}: the rectangles cover "
        f"{rectangular:.3f}, the trapezoids {trapezoid:.3f}.",
    )
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, left in zip(
        panels, (f"rectangles: {rectangular:.3f}", f"trapezoids: {trapezoid:.3f}"), (after, before), strict=True
    ):
        for k in range(n):
            x, y = [k / n, (k + 1) / n], [left[k], after[k]]
            axes.fill_between(x, y, color=RIGHT, alpha=0.25, lw=0)
            axes.plot([x[0], *x, x[1]], [0, *y, 0], color=RIGHT, lw=1)
            axes.annotate(f"rank {hits[k] + 1}", (x[1], after[k]), (0, 5), textcoords="offset points", ha="right")
        axes.plot((np.arange(n) + 1) / n, after, "o", color=RIGHT)
        axes.set(title=title, xlabel="recall: share of the true matches found", xlim=(0, 1.03), ylim=(0, 1.12))
        axes.set_xticks(np.arange(n + 1) / n, [f"{k}/{n}" for k in range(n + 1)])
        sns.despine(ax=axes)
    panels[0].set_ylabel("precision: share that is right")
    return figure


def draw_bands(table: pd.DataFrame, label: str) -> Figure:
    """Means with their bands, a row each.

    Args:
        table: names as its index; columns mean, low and high, shares in [0, 1].
        label: what is measured, for the axis.
    """
    said = "; ".join(f"{row.Index}: {row.mean:.1%} ({row.low:.1%} to {row.high:.1%})" for row in table.itertuples())
    figure = new_figure(8, 0.42 * len(table) + 0.9, f"{label}, with 95 % bands: {said}.")
    axes = figure.subplots()
    at = np.arange(len(table))
    reach = np.stack([table["mean"] - table["low"], table["high"] - table["mean"]])
    axes.errorbar(table["mean"], at, xerr=reach, fmt="o", color=RIGHT, capsize=4, lw=2, ms=7)
    for y, mean in zip(at, table["mean"], strict=True):
        axes.annotate(f"{mean:.1%}", (mean, y), (0, 6), textcoords="offset points", ha="center", fontsize="small")
    axes.set(yticks=at, yticklabels=table.index, ylim=(len(table) - 0.5, -0.7), xlim=(-0.03, 1), xlabel=label)
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    sns.despine(ax=axes)
    return figure


def draw_mass(table: pd.DataFrame) -> Figure:
    """How much of a mask lies on an occluder, against how much of the picture it hides.

    Args:
        table: columns mask (its name), hidden (share of the picture) and on_it (share of the mask's mass); a row for
            each mask of each picture.
    """
    means = table.groupby(["mask", "hidden"], sort=False)["on_it"].mean()
    last = table["hidden"].max()
    said = "; ".join(f"{name} {means[name, last]:.0%}" for name in table["mask"].unique())
    figure = new_figure(7, 3.8, f"Share of a mask's mass on an occluder that hides {last:.0%} of the picture: {said}.")
    axes = figure.subplots()
    axes.plot([0, last], [0, last], color="0.6", lw=1, label="a uniform mask")
    for i, name in enumerate(table["mask"].unique()):
        curve = means[name]
        axes.plot(curve.index, curve, color=COLOURS[i], marker="os^D"[i % 4], ls=("-", "--", ":")[i % 3], label=name)
    axes.set(xlabel="hidden share of the picture", ylabel="share of the mask on what hides it")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    axes.legend(frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_agreement(table: pd.DataFrame) -> Figure:
    """Rank correlation of sensitivity maps with other maps: a dot a query, a stroke their mean.

    Args:
        table: what `agreement` gives.
    """
    means = table.groupby("map", sort=False)["spearman"].mean().sort_values(ascending=False)
    said = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    figure = new_figure(
        7.5,
        0.45 * len(means) + 0.9,
        f"Mean Spearman correlation of {table['image'].nunique()} queries' sensitivity maps with other maps: {said}.",
    )
    axes = figure.subplots()
    sns.stripplot(
        table, x="spearman", y="map", order=list(means.index), color=COLOURS[0], alpha=0.5, jitter=False, ax=axes
    )
    axes.scatter(means, range(len(means)), marker="|", s=400, color="black", linewidth=2)
    axes.axvline(0, color="0.7", lw=1, zorder=0)
    axes.set(xlabel="Spearman correlation with the sensitivity map; a dot is a query, a stroke the mean", ylabel="")
    axes.set_ylim(len(means) - 0.4, -0.6)
    sns.despine(ax=axes)
    return figure
