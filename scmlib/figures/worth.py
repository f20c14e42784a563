"""Figures of what masks are worth: curves against the hidden share, by embedding, and beside how well masks locate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lazy_loader
import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scmlib.figures.masks import NAMES
from scmlib.figures.occlusion import EMBEDDINGS
from scmlib.figures.style import CONTROL, LINES, MARKERS, SCM, folded, in_points, new_figure, series

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

SHOWN = ("own", "mean", "uniform", "truth")  # of the rows of `worth`: the method, its controls, and the bound

LEAD = "lead of its own masks, in points of"

METRICS = {"mAP": ("mAP", "ahead"), "top1": ("rank-1", "top1_ahead")}  # name, and the column of the lead


def _looks(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour, marker and line of each set of masks: the method's own, and shades for what it is held against."""
    others = [name for name in names if name != "own"]
    colours = {"own": SCM} | dict(zip(others, series(len(others)), strict=True))
    marks = {name: {"marker": MARKERS[i % len(MARKERS)], "ls": LINES[i % len(LINES)]} for i, name in enumerate(names)}
    return {name: {"color": colours[name], **marks[name]} for name in names}


def _curve(axes: Axes, rows: pd.DataFrame, column: str, label: str, look: Mapping[str, str]) -> None:
    """A column with its band against the hidden share."""
    axes.plot(rows["ratio"], rows[column], label=label, ms=5, **look)  # type: ignore[arg-type]
    axes.fill_between(
        rows["ratio"], rows[f"{column}_low"], rows[f"{column}_high"], color=look["color"], alpha=0.15, lw=0
    )


def _finish(axes: Axes, hidden: str, ylabel: str, title: str, *, lead: bool) -> None:
    axes.set(ylabel=ylabel, title=title)
    axes.set_xlabel(f"further hidden share of\n{hidden}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    if lead:
        in_points(axes.yaxis)
    sns.despine(ax=axes)


def _said(row: pd.Series, column: str) -> str:
    return f"{row[column]:+z.1%} ({row[f'{column}_low']:+z.1%} to {row[f'{column}_high']:+z.1%})"


def draw_worth(
    table: pd.DataFrame,
    masks: Sequence[str] = SHOWN,
    sketch: Mapping[str, Sequence[float | None]] | None = None,
    *,
    metric: str = "mAP",
) -> Figure:
    """A metric against the hidden share for some sets of masks, and the lead of the network's own over each of them.

    Args:
        table: what `worth` gives; of several groups of embeddings, the first is drawn.
        masks: sets to draw; those that the table lacks are left out.
        sketch: a learner's, the metric at each of the table's shares: two curves, the network's own masks first; None
            where nothing was guessed.
        metric: mAP or top1.
    """
    told_as, lead = METRICS[metric]
    table = table[table["embeddings"] == table["embeddings"].iloc[0]]
    rows = {name: table[table["masks"] == name] for name in masks if (table["masks"] == name).any()}
    looks, hidden, last = _looks(list(rows)), table["hidden"].iloc[0], table["ratio"].max()
    figure = new_figure(10.5, 4.2)
    left, right = figure.subplots(1, 2)
    for name, found in rows.items():
        _curve(left, found, metric, NAMES[name], looks[name])
        if name != "own":
            _curve(right, found, lead, NAMES[name], looks[name])
    for (name, values), colour in zip((sketch or {}).items(), (SCM, CONTROL), strict=False):
        known = [(x, y) for x, y in zip(sorted(table["ratio"].unique()), values, strict=True) if y is not None]
        style = {"color": colour, "marker": "D", "markerfacecolor": "white"}
        left.plot([x for x, _ in known], [y for _, y in known], ls=(0, (1, 2)), label=f"your sketch: {name}", **style)
    right.axhline(0, color=SCM, lw=1.5, zorder=0)
    left.set_ylim(0, 1)
    _finish(left, hidden, told_as, f"{told_as} with different masks", lead=False)
    _finish(right, hidden, f"{LEAD} {told_as}", "how far its own are ahead", lead=True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", title="masks", frameon=False)
    ends = {name: found[found["ratio"].isin([0, last])] for name, found in rows.items()}
    told = [f"{NAMES[name]} {two[metric].iloc[0]:.1%}, then {two[metric].iloc[-1]:.1%}" for name, two in ends.items()]
    leads = [
        f"{NAMES[name]} {_said(two.iloc[0], lead)}, then {_said(two.iloc[-1], lead)}"
        for name, two in ends.items()
        if name != "own"
    ]
    figure.set_label(
        f"{told_as} with nothing further hidden and with {last:.0%} of {hidden} hidden, by masks: {'; '.join(told)}. "
        f"Lead of the network's own masks, 95 % bands over identities: {'; '.join(leads)}."
    )
    return figure


def draw_worth_by_embedding(table: pd.DataFrame, masks: Sequence[str] = ("mean", "uniform")) -> Figure:
    """The lead of the network's own masks over others by group of embeddings, a panel a set of masks.

    Args:
        table: what `worth` gives for several groups.
        masks: what they are held against.
    """
    hidden, last = table["hidden"].iloc[0], table["ratio"].max()
    figure = new_figure(9.5, 4)
    told = []
    for axes, name in zip(figure.subplots(1, len(masks), sharey=True, squeeze=False)[0], masks, strict=True):
        for i, group in enumerate(table["embeddings"].unique()):
            rows = table[(table["masks"] == name) & (table["embeddings"] == group)]
            look = {"color": EMBEDDINGS[group], "marker": MARKERS[i % len(MARKERS)], "ls": LINES[i % len(LINES)]}
            _curve(axes, rows, "ahead", group, look)
            told.append(f"{NAMES[name]}, {group} {_said(rows.iloc[0], 'ahead')}, then {_said(rows.iloc[-1], 'ahead')}")
        axes.axhline(0, color="0.6", lw=1, zorder=0)
        _finish(axes, hidden, f"{LEAD} mAP" if name == masks[0] else "", f"held against: {NAMES[name]}", lead=True)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside right center", title="embeddings", frameon=False
    )
    figure.set_label(
        f"Lead of the network's own masks in mAP by group of embeddings, with nothing further hidden and with "
        f"{last:.0%} of {hidden} hidden: {'; '.join(told)}."
    )
    return figure


def draw_worth_against_location(table: pd.DataFrame) -> Figure:
    """Beside how well masks locate the visible person, the mAP with them: nothing further hidden, and the most hidden.

    Args:
        table: what `worth` gives of a drawn world; of several groups of embeddings, the first is drawn.
    """
    table = table[table["embeddings"] == table["embeddings"].iloc[0]]
    names, hidden, last = list(table["masks"].unique()), table["hidden"].iloc[0], table["ratio"].max()
    looks = _looks(names)
    titles = {0.0: "nothing further hidden", last: f"{last:.0%} of {hidden} hidden"}
    figure = new_figure(10.5, 4.4)
    told = []
    for axes, (ratio, title) in zip(figure.subplots(1, 2, sharex=True), titles.items(), strict=True):
        for name in reversed(names):  # the own masks on top, and small, so that one which coincides is seen
            row = table[(table["masks"] == name) & (table["ratio"] == ratio)].iloc[0]
            across, up = ([[row[c] - row[f"{c}_low"]], [row[f"{c}_high"] - row[c]]] for c in ("auc", "mAP"))
            label, look = folded([NAMES[name]], 22)[0], looks[name]
            style = {"fmt": look["marker"], "color": look["color"], "lw": 1}
            style |= {"ms": 6} if name == "own" else {"ms": 10, "mfc": "white", "mew": 2}
            axes.errorbar(row["auc"], row["mAP"], up, across, label=label, **style)
            told.append(f"{NAMES[name]} at {ratio:.0%}: AUC {row['auc']:.3f}, mAP {row['mAP']:.1%}")
        axes.axvline(0.5, color="0.7", lw=1, ls=":", zorder=0)
        axes.set(title=title, xlabel="location: AUC of the cooperative mask", ylabel="worth: mAP")
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))  # no tick between two per cents
        axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        sns.despine(ax=axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", title="masks", frameon=False)
    figure.supxlabel("AUC as a detector of the visible person; bars: 95 % bands over identities", fontsize="small")
    figure.set_label(f"mAP against AUC by masks and hidden share: {'; '.join(told)}.")
    return figure
