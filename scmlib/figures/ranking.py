"""Figures of the evaluation: ranked lists, CMC curves, average precision by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lazy_loader
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from scmlib.figures.grids import picture_grid
from scmlib.figures.style import (
    CONTROL,
    LINES,
    MARKERS,
    PLAIN,
    RIGHT,
    SCM,
    WRONG,
    bare,
    folded,
    new_figure,
    series,
    to_array,
)
from scmlib.ranking import Ranking

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch


def draw_cmc(rankings: Mapping[str, Ranking], ranks: int = 20) -> Figure:
    """Cumulative match characteristic (CMC) curves of several methods on the same queries.

    Args:
        rankings: by name; the method first, then what it is held against.
        ranks: length of the curves, at most that of a ranking's own.
    """
    said = "; ".join(f"{name} {r.cmc[0]:.1%} at rank 1, mAP {r.mAP:.1%}" for name, r in rankings.items())
    figure = new_figure(8, 3.8, f"Share of queries with a true match among the first k: {said}.")
    axes = figure.subplots()
    x = np.arange(1, ranks + 1)
    colours = [SCM, CONTROL] if len(rankings) <= 2 else [SCM, *series(len(rankings) - 1)]
    for i, ((name, ranking), colour) in enumerate(zip(rankings.items(), colours, strict=False)):
        label = f"{name} (mAP {ranking.mAP:.1%})"
        axes.plot(x, ranking.cmc[:ranks], marker=MARKERS[i % len(MARKERS)], markersize=4, color=colour, label=label)
    ticks = [k for k in (1, 5, 10, 15, 20, 30, 40, 50) if k <= ranks]
    axes.set(xlabel="rank k", ylabel="queries matched within k", ylim=(0, 1.02), xticks=ticks)
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_ranked_lists(
    queries: Tensor,
    found: Sequence[Tensor],
    right: Sequence[Sequence[bool | None]],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    accepted: Sequence[Sequence[bool]] = (),
) -> Figure:
    """A row a query: the query, then the head of its ranked list, right and wrong told by colour, sign and line.

    Args:
        queries: (N, 3, H, W) uint8.
        found: for each query (k, 3, H, W), best first, junk left out.
        right: for each query, whether each of them shows the query's identity; None where nobody knows.
        titles: a line for each query.
        captions: for each query, a line below each image found; none if empty.
        accepted: for each query, whether each of them reaches the threshold of an open-set search; the others are
            drawn pale. No threshold if empty.
    """
    N, k = len(queries), max(len(pictures) for pictures in found)
    figure, grid = picture_grid(
        f"Ranked lists of {N} queries, {k} images each{_known(right)}{_reached(accepted)}.",
        (N, k + 1),
        queries.shape[2] / queries.shape[3],
        cell=0.95,
        heads=["query", *map(str, range(1, k + 1))],
        labels=titles,
        captions=[["", *line] for line in captions],
    )
    reach = accepted or [[True] * len(line) for line in right]
    for row_of_axes, query, pictures, line, reaches in zip(grid, queries, found, right, reach, strict=True):
        row_of_axes[0].imshow(to_array(query))
        for axes, picture, hit, counts in zip(row_of_axes[1:], pictures, line, reaches, strict=False):
            axes.imshow(to_array(picture), alpha=1 if counts else 0.35)
            _mark(axes, picture.shape[1], picture.shape[2], hit)
    return figure


def _known(right: Sequence[Sequence[bool | None]]) -> str:
    """What is known of the images of ranked lists, in words."""
    known = [[hit for hit in line if hit is not None] for line in right]
    judged = [line for line in known if line]
    if not judged:
        return "; nobody says whom they show"
    hits, shown = sum(line[0] for line in judged), np.mean([np.mean(line) for line in judged])
    return (
        f": {hits} of the {len(judged)} have a true match in first place; {shown:.0%} of the images shown are true "
        "matches"
    )


def _reached(accepted: Sequence[Sequence[bool]]) -> str:
    """How many images reach a threshold, in words."""
    if not accepted:
        return ""
    told = ", ".join(str(sum(line)) if any(line) else "none" for line in accepted)
    return f"; so many of each reach the threshold, the others are drawn pale: {told}"


def _mark(axes: Axes, height: int, width: int, hit: bool | None) -> None:
    """Frame a picture found and sign it, as right or as wrong; plain where nobody knows."""
    colour, line, sign = {
        True: (RIGHT, "-", "\N{CHECK MARK}"),
        False: (WRONG, (0, (2, 1)), "\N{BALLOT X}"),
        None: (CONTROL, "-", ""),
    }[hit]
    frame = Rectangle((0, 0), width - 1, height - 1, fill=False, linewidth=3.5, edgecolor=colour, linestyle=line)
    axes.add_patch(frame)
    at: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "center"}
    if sign:
        axes.annotate(sign, (0, 1), (9, -9), color="white", fontsize=8, backgroundcolor=colour, **at)


def draw_false_matches(impostors: NDArray[np.float32], threshold: float, found: pd.DataFrame) -> Figure:
    """How alike pictures of different people are, and how alike those are that a search found.

    Args:
        impostors: (n,) similarities of pairs of different people, ascending.
        threshold: the similarity from which on a picture counts.
        found: a row a picture found, with the columns similarity and right (None where nobody knows).
    """
    n = len(impostors)
    reaching = n - int(np.searchsorted(impostors, np.float32(threshold)))
    counts = int((found["similarity"] >= threshold).sum())
    figure = new_figure(
        7.5,
        3.2,
        f"False-match rate against the threshold, from {n} pairs of pictures of different people, similarities from "
        f"{impostors[0]:.2f} to {impostors[-1]:.2f}: {reaching} of them ({reaching / n:.2g}) reach the threshold "
        f"{threshold:.2f}; so do {counts} of the {len(found)} pictures found.",
    )
    axes = figure.subplots()
    some = np.unique(np.linspace(0, n - 1, min(n, 2000)).round().astype(int))
    tail = np.arange(max(0, n - 2000), n)  # the most similar pairs, one by one
    at = np.union1d(some, tail)
    axes.step(impostors[at], (n - at) / n, where="pre", color=CONTROL, label="pairs of different people")
    axes.axvline(threshold, color=PLAIN, linestyle=LINES[1], label=f"threshold {threshold:.2f}")
    kinds = {
        "found, right": (found["right"].eq(True), RIGHT, "o", 0.30),
        "found, wrong": (found["right"].eq(False), WRONG, "X", 0.18),
        "found, nobody knows": (found["right"].isna(), CONTROL, "s", 0.06),
    }
    for name, (rows, colour, marker, height) in kinds.items():
        if rows.any():
            values = found["similarity"][rows]
            across = axes.get_xaxis_transform()
            axes.plot(
                values, [height] * len(values), marker, color=colour, alpha=0.7, ls="", transform=across, label=name
            )
    axes.set(yscale="log", xlabel="similarity", ylabel="share at least so similar", ylim=(0.5 / n, 1.5))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


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
    names = folded((f"image {name}" for name in table["image"]), 12)
    tallest = 5 + max(name.count("\n") for name in names)
    figure = new_figure(
        1.0 * len(table), max(2.3, 0.3 * tallest + 0.5), f"A gallery of {len(table)} in order of similarity: {said}."
    )
    axes = figure.subplots()
    for x, (rank, row) in enumerate(zip(ranks, table.itertuples(), strict=True)):
        colour, hatch, sign = ROLES[str(row.role)]
        low = -0.45 if row.role == "junk" else 0.0
        axes.add_patch(Rectangle((x + 0.06, low), 0.88, 1, fill=False, ec=colour, lw=3, hatch=hatch, alpha=0.6))
        told = f"{names[x]}\nidentity {row.identity}\ncamera {row.camera}\n{row.similarity:.2f}\n{sign}"
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
    every = -(-n // 6)  # there is room for so many ranks and shares
    for axes, title, left in zip(
        panels, (f"rectangles: {rectangular:.3f}", f"trapezoids: {trapezoid:.3f}"), (after, before), strict=True
    ):
        for k in range(n):
            x, y = [k / n, (k + 1) / n], [left[k], after[k]]
            axes.fill_between(x, y, color=RIGHT, alpha=0.25, lw=0)
            axes.plot([x[0], *x, x[1]], [0, *y, 0], color=RIGHT, lw=1)
            if (k + 1) % every == 0:
                axes.annotate(f"rank {hits[k] + 1}", (x[1], after[k]), (0, 5), textcoords="offset points", ha="right")
        axes.plot((np.arange(n) + 1) / n, after, "o", color=RIGHT)
        axes.set(title=title, xlabel="recall: share of the true matches found", xlim=(0, 1.03), ylim=(0, 1.12))
        some = np.arange(0, n + 1, every)
        axes.set_xticks(some / n, [f"{k}/{n}" for k in some])
        sns.despine(ax=axes)
    panels[0].set_ylabel("precision: share that is right")
    return figure
