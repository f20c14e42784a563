"""Figures of where a run fails: groups of queries, pairs of cameras, and what hardest negatives share."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import lazy_loader
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scmlib.figures.style import CONTROL, HEAT, PLAIN, in_points, new_figure

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

# How each finding is drawn: marker, colour, filling, sign.
FINDINGS = {
    "lower": ("v", PLAIN, PLAIN, "\N{BLACK DOWN-POINTING TRIANGLE}"),
    "higher": ("^", PLAIN, PLAIN, "\N{BLACK UP-POINTING TRIANGLE}"),
    "not resolved": ("o", CONTROL, "white", ""),
}

Block = tuple[str, pd.DataFrame]  # a question, and a row for each of its groups

COLUMNS, ROW = 3, 0.19  # panels side by side; inches that a row takes


def draw_failures(groups: pd.DataFrame, metric: str = "mAP") -> Figure:
    """Every group's difference to all others, a block a question; findings are filled triangles.

    Args:
        groups: `Failures.groups`.
        metric: that the groups are judged by.
    """
    questions = [(str(name), rows) for name, rows in groups.groupby("question", sort=False)]
    label = f"{metric.replace('top', 'rank-')}, difference to the other groups in points"
    alt = f"{len(groups)} groups in {len(questions)} questions, {label}, with simultaneous 95 % bands. {_said(groups)}"
    figure, columns = _columns(questions, alt)
    for axes, blocks in columns:
        _blocks(axes, blocks, "group")
    figure.supxlabel(f"{label}; 95 % bands that hold together in each block; n: queries", fontsize="small")
    return figure


def draw_likeness(likeness: pd.DataFrame) -> Figure:
    """What hardest negatives share with their queries more or less often than other strangers.

    Args:
        likeness: `Failures.likeness`.
    """
    label = "share of hardest negatives with the query's own value,\nless that of all strangers, in points"
    told = likeness.assign(question="")
    alt = f"{label}, for {len(likeness)} facts, with simultaneous 95 % bands. {_said(told, 'fact')}".replace("\n", " ")
    figure = new_figure(7, ROW * len(likeness) + 1.4, alt)
    axes = figure.subplots()
    _blocks(axes, [("", told)], "fact")
    axes.set_xlabel(label, fontsize="small")
    _legend(figure)
    return figure


def draw_camera_pairs(pairs: pd.DataFrame, metric: str = "mAP") -> Figure:
    """A matrix of cameras: the metric and the number of queries of each pair, coloured by its difference to the others.

    Triangles are findings. A pair of too few identities has no colour.

    Args:
        pairs: `Failures.pairs`, one row or more.
        metric: that the pairs are judged by.
    """
    name = metric.replace("top", "rank-")
    rows = sorted(pairs["query_camera"].unique(), key=_natural)
    columns = sorted(pairs["gallery_camera"].unique(), key=_natural)
    size = pairs.drop_duplicates("gallery_camera").set_index("gallery_camera")["pictures"]
    cells, words = np.full((len(rows), len(columns)), np.nan), {}
    for row in pairs.to_dict("records"):
        at = rows.index(row["query_camera"]), columns.index(row["gallery_camera"])
        cells[at] = row["difference"]
        sign = FINDINGS[row["finding"]][3] if row["finding"] in FINDINGS else ""
        words[at] = f"{row[metric]:.0%}{sign}\nn {row['queries']}"
    alt = f"{name} by camera of the query (rows) and of the gallery (columns), {len(pairs)} pairs, from "
    alt += f"{pairs[metric].min():.1%} to {pairs[metric].max():.1%}. "
    told = pairs.assign(question="", group=pairs["query_camera"] + " to " + pairs["gallery_camera"])
    figure = new_figure(1.9 + 0.75 * len(columns), 1.8 + 0.5 * len(rows), alt + _said(told))
    axes = figure.subplots()
    reach = float(np.nanmax(np.abs(cells), initial=0)) or 1.0
    drawn = axes.imshow(cells, cmap=HEAT, vmin=-reach, vmax=reach, aspect="auto")
    for (y, x), said in words.items():
        dark = abs(cells[y, x]) > 0.6 * reach
        axes.text(x, y, said, ha="center", va="center", fontsize="small", color="white" if dark else "black")
    axes.set_xticks(range(len(columns)), [f"{camera}\nn {size[camera]}" for camera in columns], fontsize="small")
    axes.set_yticks(range(len(rows)), rows, fontsize="small")
    axes.set(xlabel="camera of the gallery", ylabel="camera of the query")
    figure.supxlabel("triangle: a finding; none: not resolved; n: how many", fontsize="small")
    bar = figure.colorbar(drawn, ax=axes)
    in_points(bar.ax.yaxis)
    bar.set_label(f"{name}, difference to the other pairs in points", fontsize="small")
    return figure


def _natural(name: str) -> tuple[int, str]:
    return len(name) if name.isdecimal() else 0, name


def _said(table: pd.DataFrame, name: str = "group") -> str:
    """The findings of a table in words."""
    found = table[table["finding"].isin(["lower", "higher"])]
    told = "; ".join(
        f"{row['question']} {row[name]} {row['difference']:+z.1%} ({row['low']:+z.1%} to {row['high']:+z.1%})".strip()
        for row in found.to_dict("records")
    )
    return f"Findings: {told}." if told else "No finding."


def _columns(questions: Sequence[Block], alt: str) -> tuple[Figure, list[tuple[Axes, list[Block]]]]:
    """A figure with questions spread over `COLUMNS` axes of about equal length, in their order."""
    lengths = np.cumsum([len(rows) + 1.5 for _, rows in questions])
    place = np.minimum((lengths - 0.1) * COLUMNS // lengths[-1], COLUMNS - 1).astype(int)
    parts = [[q for q, at in zip(questions, place, strict=True) if at == column] for column in range(COLUMNS)]
    parts = [part for part in parts if part]
    tallest = max(sum(len(rows) + 1.5 for _, rows in part) for part in parts)
    figure = new_figure(4.2 * len(parts), ROW * tallest + 1.2, alt)
    grid = figure.subplots(1, len(parts), squeeze=False, sharex=True)[0]
    for axes in grid:
        axes.set_ylim(tallest, -1)
    _legend(figure)
    return figure, list(zip(grid, parts, strict=True))


def _blocks(axes: Axes, blocks: Sequence[Block], name: str) -> None:
    """Blocks of rows below one another, each row a difference with its band."""
    y, ticks, labels = 0.0, [], []
    for title, rows in blocks:
        if title:
            ticks.append(y)
            labels.append(title)
            y += 1
        for row in rows.to_dict("records"):
            ticks.append(y)
            labels.append(f"{textwrap.shorten(str(row[name]), 28, placeholder=' ...')}, n {row['queries']}")
            if row["finding"] in FINDINGS:
                marker, colour, fill, _ = FINDINGS[row["finding"]]
                axes.plot([row["low"], row["high"]], [y, y], color=colour, lw=1.5, zorder=1)
                axes.plot(row["difference"], y, marker, color=colour, markerfacecolor=fill, ms=6)
            else:
                axes.text(0, y, "too few identities", fontsize="x-small", color=CONTROL, va="center", ha="center")
            y += 1
        y += 0.5
    axes.axvline(0, color="0.7", lw=1, zorder=0)
    axes.set_yticks(ticks, labels, fontsize="small")
    for label, text in zip(axes.get_yticklabels(), labels, strict=True):
        label.set_fontweight("bold" if text in {title for title, _ in blocks} else "normal")
    if not blocks[0][0]:
        axes.set_ylim(y - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    in_points(axes.xaxis)
    sns.despine(ax=axes, left=True)


def _legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, markerfacecolor=fill, label=name)
        for name, (marker, colour, fill, _) in FINDINGS.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
