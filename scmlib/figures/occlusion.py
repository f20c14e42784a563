"""Figures of occlusion: curves against the hidden share, masks as it grows, and what a match rests on."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.nn import functional as F

from scmlib.analysis.statistics import Map, spearman
from scmlib.figures.masks import overlay
from scmlib.figures.style import COLOURS, Pictures, bare, new_figure

FIGURES = {"mAP": "mAP", "top1": "rank-1"}

FALLS = "PuOr_r"  # orange where hiding harms, purple where it helps: apart for colour-blind readers


def draw_sweep(table: pd.DataFrame) -> Figure:
    """Curves of mAP and rank-1 against the hidden share, a line for each kind of occluder and a row for each position.

    Args:
        table: what `sweep` gives.
    """
    kinds, positions = table["kind"].unique(), table["position"].unique()
    whole, last = table.iloc[0], table[table["ratio"] == table["ratio"].max()]
    said = "; ".join(
        f"{row.kind}, {row.position}: mAP {row.mAP:.1%}, rank-1 {row.top1:.1%}" for row in last.itertuples()
    )
    figure = new_figure(
        9,
        0.5 + 3.1 * len(positions),
        f"Figures of {whole['queries']} queries as a share of each is hidden. Nothing hidden: mAP {whole['mAP']:.1%}, "
        f"rank-1 {whole['top1']:.1%}. At {table['ratio'].max():.0%} hidden, {said}.",
    )
    grid = figure.subplots(len(positions), 2, squeeze=False, sharex=True, sharey=True)
    for row, position in zip(grid, positions, strict=True):
        for axes, (name, title) in zip(row, FIGURES.items(), strict=True):
            for i, kind in enumerate(kinds):
                drawn = table[(table["kind"] == kind) & (table["position"] == position)]
                style = {"color": COLOURS[i], "marker": "os^"[i], "linestyle": ("-", "--", ":")[i]}
                axes.plot(drawn["ratio"], drawn[name], label=kind, markersize=5, **style)
                axes.fill_between(
                    drawn["ratio"], drawn[f"{name}_low"], drawn[f"{name}_high"], color=COLOURS[i], alpha=0.15, lw=0
                )
            axes.set(title=f"{title}, position: {position}", ylabel=title, ylim=(0, 1.02))
            axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
            axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
            axes.tick_params(labelleft=True)
            axes.grid(axis="y", alpha=0.3)
            sns.despine(ax=axes)
    for axes in grid[-1]:
        axes.set_xlabel("hidden share of the query's area")
    grid[0, 0].legend(title="hidden by", frameon=False, loc="lower left")
    figure.supxlabel("Bands: 95 % of bootstrap resamples of the queries.", fontsize="small")
    return figure


def draw_filmstrip(
    pictures: Pictures, occluders: NDArray[np.bool_], cooperative: Map, ratios: Sequence[float]
) -> Figure:
    """One query with a growing occluder: the pictures above, the cooperative mask over each below, on one scale.

    A white line in the lower row rounds off what is hidden. Below each column stands the share of the mask's mass on
    it: less than the hidden share if the mask turns away from the occluder.

    Args:
        pictures: (N, H, W, 3) uint8, the query at each ratio.
        occluders: (N, H, W), what is hidden in each.
        cooperative: (N, h, w), the cooperative mask of each.
        ratios: the N hidden shares.
    """
    N, height, width = occluders.shape
    grid = (cooperative.shape[1], cooperative.shape[2])
    hidden = F.adaptive_avg_pool2d(torch.from_numpy(occluders).float()[:, None], grid)[:, 0].numpy()
    shares = (cooperative * hidden).sum((1, 2)) / np.maximum(cooperative.sum((1, 2)), 1e-9)
    said = ", ".join(f"{share:.0%} at {ratio:.0%}" for share, ratio in zip(shares, ratios, strict=True))
    figure = new_figure(
        1.25 * N + 0.3,
        2 * 1.25 * height / width + 1.6,
        f"A query behind a growing occluder. The share of the cooperative mask's mass on it is {said} hidden.",
    )
    axes = figure.subplots(2, N, squeeze=False)
    top = max(1e-9, float(cooperative.max()))
    for i in range(N):
        axes[0, i].imshow(pictures[i])
        axes[0, i].set_title(f"{ratios[i]:.0%} hidden", fontsize="medium")
        drawn = overlay(axes[1, i], pictures[i], cooperative[i], top)
        if occluders[i].any():
            # A rim of zeros closes the line where the occluder reaches the picture's edge.
            rim = np.pad(occluders[i], 1).astype(float)
            axes[1, i].contour(rim, [0.5], colors="white", linewidths=1.4, extent=(-1, width, -1, height))
            axes[1, i].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axes[1, i].set_xlabel(f"{shares[i]:.0%} of the\nmask on it", fontsize="small")
    bare(axes.flat)
    for row, label in zip(axes, ("picture", "cooperative mask"), strict=True):
        row[0].set_ylabel(label)
    figure.colorbar(drawn, ax=axes, label="mask value", location="bottom", shrink=0.5, aspect=40, pad=0.02)
    return figure


def draw_sensitivity(pictures: Pictures, falls: Map, cooperative: Map, titles: Sequence[str] = ()) -> Figure:
    """Side by side for each query: the picture, where hiding it harms the match, and where the mask looks.

    Above each stands the rank correlation of the two maps. All sensitivity maps share one scale, and so do all masks.

    Args:
        pictures: (N, H, W, 3) uint8.
        falls: (N, h, w), from `sensitivity`.
        cooperative: (N, h, w), the cooperative mask of each.
        titles: a line for each query.
    """
    N = len(pictures)
    found = [spearman(fall, mask) for fall, mask in zip(falls, cooperative, strict=True)]
    figure = new_figure(
        3.2 * 1.1 * N + 0.4,
        1.1 * pictures.shape[1] / pictures.shape[2] + 1.0 + 0.2 * bool(titles),
        f"What the match of {N} queries rests on, beside the cooperative mask. Spearman correlation of the two: "
        f"{', '.join(f'{value:.2f}' for value in found)}. Hiding the most sensitive place takes "
        f"{float(falls.max()):.3f} off the similarity.",
    )
    reach, top = max(1e-9, float(np.abs(falls).max())), max(1e-9, float(cooperative.max()))
    cells = figure.subplots(1, 4 * N, width_ratios=[1, 1, 1, 0.2] * N).reshape(N, 4)
    for gap in cells[:, 3]:
        gap.remove()
    grid = cells[:, :3]
    for i, (picture, fall, mask) in enumerate(grid):
        picture.imshow(pictures[i])
        fallen = overlay(fall, pictures[i], falls[i], reach)
        fallen.set(cmap=FALLS, clim=(-reach, reach))
        drawn = overlay(mask, pictures[i], cooperative[i], top)
        for axes, name in zip((picture, fall, mask), ("picture", "sensitivity", "mask"), strict=True):
            axes.set_xlabel(name, fontsize="small")
        title = f"Spearman {found[i]:.2f}"
        fall.set_title(f"{titles[i]}\n{title}" if titles else title, fontsize="medium")
    bare(grid.flat)
    half = (3 * N + 1) // 2
    for image, below, label in (
        (fallen, grid.flat[:half], "fall of the similarity when hidden"),
        (drawn, grid.flat[half:], "mask value"),
    ):
        figure.colorbar(image, ax=below, label=label, location="bottom", shrink=0.7, aspect=40, pad=0.02)
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
