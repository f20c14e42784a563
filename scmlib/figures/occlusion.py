"""Figures of occlusion: curves against the hidden share, masks as it grows, and what a match rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lazy_loader
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from scmlib.analysis.mask_scores import mass_on
from scmlib.analysis.statistics import Map, spearman
from scmlib.figures.grids import BAR, colour_bar, picture_grid
from scmlib.figures.masks import overlay
from scmlib.figures.style import (
    COMPETITIVE,
    CONTROL,
    COOPERATIVE,
    GLOBAL,
    HEAT,
    LINES,
    MARKERS,
    SCM,
    folded,
    new_figure,
    rows_height,
    series,
    to_array,
)

# The colour of each group of embeddings.
EMBEDDINGS = {"all": SCM, "global": GLOBAL, "cooperative": COOPERATIVE, "parts": COMPETITIVE}

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

METRICS = {"mAP": "mAP", "top1": "rank-1"}

FALLS = f"{HEAT}_r"  # orange where hiding harms, purple where it helps


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
        f"Metrics of {whole['queries']} queries as a share of {whole['hidden']} is hidden. Nothing hidden: "
        f"mAP {whole['mAP']:.1%}, rank-1 {whole['top1']:.1%}. At {table['ratio'].max():.0%} hidden, {said}.",
    )
    grid = figure.subplots(len(positions), 2, squeeze=False, sharex=True, sharey=True)
    for row, position in zip(grid, positions, strict=True):
        for axes, (name, title) in zip(row, METRICS.items(), strict=True):
            for kind, colour, marker, line in zip(kinds, series(len(kinds)), MARKERS, LINES, strict=False):
                drawn = table[(table["kind"] == kind) & (table["position"] == position)]
                ratio, low, high = drawn["ratio"], drawn[f"{name}_low"], drawn[f"{name}_high"]
                axes.plot(ratio, drawn[name], color=colour, marker=marker, ls=line, markersize=5, label=kind)
                axes.fill_between(ratio, low, high, color=colour, alpha=0.15, lw=0)
            axes.set(title=f"{title}, position: {position}", ylabel=title, ylim=(0, 1.02))
            axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
            axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
            axes.tick_params(labelleft=True)
            axes.grid(axis="y", alpha=0.3)
            sns.despine(ax=axes)
    for axes in grid[-1]:
        axes.set_xlabel(f"share of {whole['hidden']} that is hidden")
    grid[0, 0].legend(title="hidden by", frameon=False, loc="lower left")
    figure.supxlabel("Bands: 95 % of bootstrap resamples of the identities.", fontsize="small")
    return figure


def draw_embedding_sweep(table: pd.DataFrame) -> Figure:
    """Do the masked embeddings suffer less? mAP against the hidden share by group of embeddings, a panel a kind.

    Args:
        table: what `sweep` gives for several groups and one position.
    """
    groups, kinds = table["embeddings"].unique(), table["kind"].unique()
    whole, last = table[table["ratio"] == 0], table[table["ratio"] == table["ratio"].max()]
    kept = last.groupby("embeddings", sort=False)["mAP"].mean() / whole.groupby("embeddings", sort=False)["mAP"].mean()
    said = ", ".join(f"{group} {share:.0%}" for group, share in kept.items())
    figure = new_figure(
        1.5 + 3.2 * len(kinds),
        3.6,
        f"mAP by group of embeddings as a share of {table['hidden'].iloc[0]} is hidden. At {table['ratio'].max():.0%}, "
        f"the groups keep, mean over {', '.join(kinds)}: {said} of their own mAP.",
    )
    styles = list(zip(groups, (EMBEDDINGS[group] for group in groups), MARKERS, LINES, strict=False))
    for axes, kind in zip(figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0], kinds, strict=True):
        for group, colour, marker, line in styles:
            drawn = table[(table["embeddings"] == group) & (table["kind"] == kind)]
            axes.plot(drawn["ratio"], drawn["mAP"], color=colour, marker=marker, ls=line, markersize=5, label=group)
            axes.fill_between(drawn["ratio"], drawn["mAP_low"], drawn["mAP_high"], color=colour, alpha=0.12, lw=0)
        axes.set(title=kind, ylim=(0, 1.02))
        axes.set_xlabel(f"share of {table['hidden'].iloc[0]}\nthat is hidden")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(mpl.ticker.PercentFormatter(1))
        sns.despine(ax=axes)
    figure.axes[0].set_ylabel("mAP")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", title="embeddings")
    figure.supxlabel("Bands: 95 % of bootstrap resamples of the identities.", fontsize="small")
    return figure


def draw_growing_occluder(pictures: Tensor, occluders: Tensor, cooperative: Tensor, ratios: Sequence[float]) -> Figure:
    """One query with a growing occluder: the pictures above, the cooperative mask over each below, on one scale.

    A white line in the lower row surrounds what is hidden. Below each column stands the share of the mask's mass on
    it: less than the hidden share if the mask turns away from the occluder.

    Args:
        pictures: (N, 3, H, W) uint8, the query at each ratio.
        occluders: (N, H, W) bool, what is hidden in each.
        cooperative: (N, h, w), the cooperative mask of each.
        ratios: the N hidden shares.
    """
    N, height, width = occluders.shape
    shares = mass_on(cooperative, occluders)
    said = ", ".join(f"{share:.0%} at {ratio:.0%}" for share, ratio in zip(shares, ratios, strict=True))
    figure, grid = picture_grid(
        f"A query behind a growing occluder. The share of the cooperative mask's mass on it is {said} hidden.",
        (2, N),
        height / width,
        cell=1.15,
        heads=[f"{ratio:.0%} hidden" for ratio in ratios],
        labels=["picture", "cooperative mask"],
        captions=[[""] * N, [f"{share:.0%} of the mask on it" for share in shares]],
        foot=BAR,
    )
    top = float(cooperative.max()) or 1.0
    for i, (picture, occluder, mask) in enumerate(zip(pictures, occluders, cooperative, strict=True)):
        grid[0, i].imshow(to_array(picture))
        drawn = overlay(grid[1, i], picture, mask, top)
        if occluder.any():
            # A rim of zeros closes the line where the occluder reaches the picture's edge.
            rim = np.pad(occluder.numpy(), 1).astype(float)
            grid[1, i].contour(rim, [0.5], colors="white", linewidths=1.4, extent=(-1, width, -1, height))
            grid[1, i].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    colour_bar(figure, drawn, grid[1], "mask value")
    return figure


def draw_sensitivity(pictures: Tensor, falls: Map, cooperative: Tensor, titles: Sequence[str] = ()) -> Figure:
    """Side by side for each query: the picture, where hiding it harms the match, and where the mask looks.

    Below each stands the rank correlation of the two maps. All sensitivity maps share one scale, and so do all masks.

    Args:
        pictures: (N, 3, H, W) uint8.
        falls: (N, h, w), from `sensitivity`.
        cooperative: (N, h, w), the cooperative mask of each.
        titles: a line for each query.
    """
    N = len(pictures)
    found = [spearman(fall, mask) for fall, mask in zip(falls, cooperative.numpy(), strict=True)]
    told = [f"Spearman {value:.2f}" for value in found]
    figure, grid = picture_grid(
        f"What the match of {N} queries rests on, beside the cooperative mask. Spearman correlation of the two: "
        f"{', '.join(f'{value:.2f}' for value in found)}. Hiding the most sensitive place takes "
        f"{float(falls.max()):.3f} off the similarity.",
        (1, 3 * N),
        pictures.shape[2] / pictures.shape[3],
        cell=1.05 if N > 1 else 1.6,
        heads=["picture", "sensitivity", "mask"] * N,
        captions=[[words for i in range(N) for words in (titles[i] if titles else "", told[i], "")]],
        foot=BAR,
        group=3,
    )
    reach, top = float(np.abs(falls).max()) or 1.0, float(cooperative.max()) or 1.0
    for i, (picture, fall, mask) in enumerate(grid.reshape(N, 3)):
        picture.imshow(to_array(pictures[i]))
        fallen = overlay(fall, pictures[i], falls[i], reach)
        fallen.set(cmap=FALLS, clim=(-reach, reach))
        drawn = overlay(mask, pictures[i], cooperative[i], top)
    half = (3 * N + 1) // 2
    colour_bar(figure, fallen, grid[0, :half], "fall of the similarity when hidden")
    colour_bar(figure, drawn, grid[0, half:], "mask value")
    return figure


def draw_mass(table: pd.DataFrame) -> Figure:
    """How much of a mask lies on an occluder, against how much of the picture it hides.

    Args:
        table: a row for each mask of each picture, the model's own mask first, then controls; columns mask (its
            name), hidden (share of the picture) and on_it (share of the mask's mass).
    """
    means = table.groupby(["mask", "hidden"], sort=False)["on_it"].mean()
    last = table["hidden"].max()
    said = "; ".join(f"{name} {means[name, last]:.0%}" for name in table["mask"].unique())
    alt = f"Share of a mask's mass on an occluder that hides {last:.0%} of the picture: {said}."
    figure = new_figure(8.5, 3.8, alt)
    axes = figure.subplots()
    axes.plot([0, last], [0, last], color="0.6", lw=1, label="a uniform mask")
    names = table["mask"].unique()
    for i, (name, colour) in enumerate(zip(names, (SCM, CONTROL, *series(len(names))), strict=False)):
        curve = means[name]
        style: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "ls": LINES[i % len(LINES)]}
        axes.plot(curve.index, curve, color=colour, label=folded([name], 28)[0], **style)
    axes.set(xlabel="hidden share of the picture", ylabel="share of the mask on what hides it")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_agreement(table: pd.DataFrame) -> Figure:
    """Rank correlation of sensitivity maps with other maps: a dot a query, a stroke their mean.

    Args:
        table: what `agreement` gives.
    """
    means = table.groupby("map", sort=False)["spearman"].mean().sort_values(ascending=False)
    said = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
    names = folded(map(str, means.index))
    figure = new_figure(
        8,
        rows_height(names, 0.45) + 1.1,
        f"Mean Spearman correlation of {table['image'].nunique()} queries' sensitivity maps with other maps: {said}.",
    )
    axes = figure.subplots()
    sns.stripplot(table, x="spearman", y="map", order=list(means.index), color=SCM, alpha=0.5, jitter=False, ax=axes)
    axes.scatter(means, range(len(means)), marker="|", s=400, color="black", linewidth=2)
    axes.axvline(0, color="0.7", lw=1, zorder=0)
    axes.set(xlabel="Spearman correlation with the sensitivity map\n(a dot: a query; a stroke: the mean)", ylabel="")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(means) - 0.4, -0.6)
    sns.despine(ax=axes)
    return figure
