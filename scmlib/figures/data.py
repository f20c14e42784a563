"""Figures of data: contact sheets, sizes of splits and identities, and what an inspection finds."""

from __future__ import annotations

from collections.abc import Sequence
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

from scmlib.figures.grids import LEGEND, picture_grid
from scmlib.figures.style import (
    LINES,
    RIGHT,
    SPLITS,
    draw_regions,
    folded,
    new_figure,
    region_legend,
    rows_height,
    to_array,
)

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch


def draw_inspection(images: pd.DataFrame, camera_rule: bool) -> Figure:
    """How many images each identity has, split by split, and how many each camera took.

    Args:
        images: a row an image with the columns split, identity, camera, see `Inspection`.
        camera_rule: whether camera numbers mean cameras; else the second panel is left out.
    """
    counts = images.groupby(["split", "identity"], sort=False).size()
    splits = list(dict.fromkeys(images["split"]))
    said = "; ".join(
        f"{split}: {counts[split].min()} to {counts[split].max()}, median {counts[split].median():.0f}"
        for split in splits
    )
    alt = f"Images per identity. {said}."
    if camera_rule:
        cameras = images.groupby(["camera", "split"]).size().unstack(fill_value=0)[splits]
        least, most = cameras.sum(axis=1).min(), cameras.sum(axis=1).max()
        alt += f" {len(cameras)} cameras took {least:,} to {most:,} images each."
    figure = new_figure(10 if camera_rule else 5.5, 3.4, alt)
    panels = figure.subplots(1, 2 if camera_rule else 1, squeeze=False)[0]
    data = counts.rename("images").reset_index()
    for split, style in zip(splits, LINES, strict=False):
        shown = data[data["split"] == split]
        sns.ecdfplot(shown, x="images", color=SPLITS[split], linestyle=style, linewidth=2, label=split, ax=panels[0])
    panels[0].set(title="Images per identity", xlabel="images of an identity, at most", ylabel="share of identities")
    if camera_rule:
        cameras.plot.bar(
            stacked=True, color=[SPLITS[split] for split in splits], ax=panels[1], rot=0, width=0.8, legend=False
        )
        panels[1].set(title="Images per camera", xlabel="camera", ylabel="images")
        for bars, hatch in zip(panels[1].containers, ("", "//", ".."), strict=False):
            for bar in bars:
                bar.set(hatch=hatch, edgecolor="white")
        some = range(0, len(cameras), -(-len(cameras) // 12))  # numbers that have room
        panels[1].set_xticks(some, [str(cameras.index[i]) for i in some])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    for axes in panels:
        sns.despine(ax=axes)
    return figure


def draw_sheet(pictures: Tensor, columns: int, alt: str = "") -> Figure:
    """A contact sheet, row by row.

    Args:
        pictures: (N, 3, H, W) uint8.
        columns: pictures in a row.
        alt: what the pictures show, in words; their number is added.
    """
    rows = -(-len(pictures) // columns)
    alt = f"{alt} {len(pictures)} images, {columns} in a row.".strip()
    figure, grid = picture_grid(alt, (rows, columns), pictures.shape[2] / pictures.shape[3])
    for axes, picture in zip(grid.flat, pictures, strict=False):
        axes.imshow(to_array(picture))
    return figure


def draw_grid(
    pictures: Sequence[Tensor | Sequence[Tensor | NDArray[np.uint8]]],
    labels: Sequence[str],
    captions: Sequence[Sequence[str]] = (),
    *,
    alt: str = "",
    width: float = 9.0,
) -> Figure:
    """Rows of pictures, each row with a label and each picture with a line below it.

    Args:
        pictures: a row each, of any lengths: (3, H, W) uint8 tensors, or index maps as (H, W) numpy arrays, which are
            drawn in their regions' colours.
        labels: a line for each row, at its left.
        captions: a line for each picture, by row; none if empty.
        alt: what there is to see, in words; the labels are added.
        width: of the figure, in inches; more where the words need it.
    """
    columns = max(len(row) for row in pictures)
    maps = any(isinstance(picture, np.ndarray) for row in pictures for picture in row)
    figure, grid = picture_grid(
        f"{alt} Rows: {'; '.join(labels)}.".strip(),
        (len(pictures), columns),
        float(np.mean([row[0].shape[-2] / row[0].shape[-1] for row in pictures])),
        cell=(width - 0.9 - LEGEND * maps) / columns - 0.06,
        labels=labels,
        captions=captions,
        side=LEGEND * maps,
    )
    for row_of_axes, row in zip(grid, pictures, strict=True):
        for axes, picture in zip(row_of_axes, row, strict=False):
            if isinstance(picture, np.ndarray):
                draw_regions(axes, picture)
            else:
                axes.imshow(to_array(picture))
    if maps:
        region_legend(figure)
    return figure


TELLS = "inspect_dataset"  # the one check that goes on after what it finds


def verdict(check: str, said: Any) -> str:
    """What a check did about a fault: stops, tells, silent, or not reached.

    Args:
        check: its name.
        said: the sentence that it gave, empty for none; no text at all where it didn't come to be asked.
    """
    if not isinstance(said, str):
        return "not reached"
    return ("tells" if check == TELLS else "stops") if said else "silent"


def draw_gates(table: pd.DataFrame, checks: Sequence[str]) -> Figure:
    """Which check notices which fault, and the rank-1 that comes out if nobody listens.

    Args:
        table: a row a data set, the sound one first; a column a check with what it said, see `verdict`; `rank1`, in
            [0, 1], and `queries`, how many of them counted, both NaN where nothing came out.
        checks: the columns to show, in the order in which they are asked.
    """
    verdicts = {(row, check): verdict(check, table.at[row, check]) for row in table.index for check in checks}
    told = []
    for row, value in zip(table.index, table["rank1"], strict=True):
        noticed = [check for check in checks if verdicts[row, check] in ("stops", "tells")]
        outcome = "no result" if np.isnan(value) else f"rank-1 {value:.1%}"
        told.append(f"{row}: noticed by {' and '.join(noticed) or 'no check'}, {outcome}")
    rows = folded([str(name) for name in table.index])
    figure = new_figure(10.5, rows_height(rows) + 1.3, f"Which check notices which fault. {'; '.join(told)}.")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.15 * len(checks), 3))
    for y, row in enumerate(table.index):
        for x, check in enumerate(checks):
            _cell(left, x, y, verdicts[row, check])
    left.set(xlim=(-0.5, len(checks) - 0.5), ylim=(len(table) - 0.5, -0.5))
    left.set(
        xticks=range(len(checks)),
        xticklabels=folded([name.replace("_", "_ ") for name in checks], 9),
        yticks=range(len(table)),
        yticklabels=rows,
    )
    left.xaxis.tick_top()
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    _rank_1(right, table)
    return figure


def _cell(axes: Axes, x: float, y: float, word: str) -> None:
    """One verdict, told by its word, and by colour too."""
    fills = {"stops": (RIGHT, "white"), "tells": ("#BFDCEC", "black"), "silent": ("white", "0.2")}
    fill, ink = fills.get(word, ("0.93", "0.5"))
    axes.add_patch(Rectangle((x - 0.46, y - 0.42), 0.92, 0.84, facecolor=fill, edgecolor="0.7", linewidth=0.8))
    axes.text(x, y, word, ha="center", va="center", color=ink, fontsize="small")


def _rank_1(axes: Axes, table: pd.DataFrame) -> None:
    """Rank-1 of each data set, with the sound one's as a line."""
    axes.axvline(table["rank1"].iloc[0], color="0.6", linestyle="--", linewidth=1, zorder=0)
    for y, (value, queries) in enumerate(zip(table["rank1"], table["queries"], strict=True)):
        if np.isnan(value):
            axes.text(0.5, y, "no result", va="center", ha="center", fontsize="small", color="0.4")
            continue
        axes.scatter(value, y, s=60, color=RIGHT)
        side = -1 if value > 0.5 else 1
        words = f"{value:.1%} of {queries:.0f} queries"
        align = "left" if side > 0 else "right"
        axes.annotate(words, (value, y), (9 * side, 0), textcoords="offset points", va="center", ha=align, fontsize=8)
    axes.set(xlim=(-0.03, 1.03), xlabel="rank-1 of the colour baseline\n(dashed: sound data)")
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
