"""Figures that compare: variants of the method, means with their intervals, guesses beside outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import lazy_loader
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from scmlib.analysis.verdicts import MARGIN, ablation_summary
from scmlib.figures.style import CONTROL, MARKERS, PLAIN, RIGHT, SCM, folded, in_points, new_figure, rows_height, series

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch


def draw_ablation(table: pd.DataFrame) -> Figure:
    """SCM's lead in mAP over each variant: every world's, their mean, its interval, and the margin of equivalence.

    Args:
        table: what `ablate` gives; the method first.
    """
    summary = ablation_summary(table).drop("SCM")
    mAP = table[table["role"] == "reported"].set_index(["variant", "world", "seed"])["mAP"]
    leads = [(mAP["SCM"] - mAP[variant]).dropna().groupby("world").mean() for variant in summary.index]
    spans = [
        "one world, no interval" if np.isnan(low) else f"{low:+z.1%} to {high:+z.1%}"
        for low, high in summary[["low", "high"]].to_numpy()
    ]
    said = "; ".join(
        f"{row.Index} {row.behind_SCM:+z.1%} ({span}), {row.verdict}"
        for row, span in zip(summary.itertuples(), spans, strict=True)
    )
    alt = f"SCM's lead in mAP, mean and 95 % interval over worlds, margin of equivalence {MARGIN:.1%}: {said}."
    names = folded(f"{row.Index}: {row.verdict}" for row in summary.itertuples())
    figure = new_figure(7.5, rows_height(names, 0.45) + 1.3, alt)
    axes = figure.subplots()
    axes.axvspan(-MARGIN, MARGIN, color="0.9", lw=0, zorder=0, label="equivalent")
    axes.axvline(0, color="0.6", lw=1, zorder=0)
    for row, lead in enumerate(leads):
        axes.scatter(lead, [row + 0.2] * len(lead), s=18, color="0.5", label="a world" if row == 0 else None)
    at, mean = np.arange(len(summary)), summary["behind_SCM"]
    reach = np.stack([mean - summary["low"], summary["high"] - mean])
    axes.errorbar(mean, at, xerr=reach, fmt="D", color=CONTROL, capsize=4, lw=2, label="mean, 95 % interval")
    axes.set(yticks=at, yticklabels=names, ylim=(len(summary) - 0.5, -0.6))
    axes.set(xlabel="SCM's mAP on occluded queries less the variant's, in points")
    in_points(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_guesses(guesses: Mapping[str, float | None], outcomes: Mapping[str, float], unit: str = "") -> Figure:
    """What was guessed beside what came out, a row a question.

    Args:
        guesses: by name; None where nothing was guessed.
        outcomes: by the same names.
        unit: of both, for the axis.
    """
    pairs, form = [(name, guesses.get(name), value) for name, value in outcomes.items()], _form(outcomes.values())
    said = "; ".join(
        f"{name}: {'no guess' if g is None else f'guessed {g:.3g}'}, found {v:{form}}" for name, g, v in pairs
    )
    names = folded(outcomes)
    figure = new_figure(7.5, rows_height(names) + 1.2, f"Guesses and outcomes. {said}.")
    axes = figure.subplots()
    for row, (_, guess, value) in enumerate(pairs):
        if guess is not None:
            axes.plot([guess, value], [row, row], color="0.7", zorder=0)
            axes.scatter(guess, row, marker="D", s=60, facecolor="white", edgecolor=CONTROL, linewidth=2)
        axes.scatter(value, row, marker="o", s=70, color=RIGHT)
        axes.annotate(
            f"{value:{form}}", (value, row), (0, 7), textcoords="offset points", ha="center", fontsize="small"
        )
    low, high = (f([x for _, g, v in pairs for x in (g, v) if x is not None] + [0]) for f in (min, max))
    axes.set(yticks=range(len(pairs)), yticklabels=names, xlabel=folded([unit], 50)[0])
    axes.set(ylim=(len(pairs) - 0.5, -0.7), xlim=(low - 0.12 * (high - low), high + 0.12 * (high - low)))
    handles = [
        Line2D([], [], ls="", marker="D", markerfacecolor="white", markeredgecolor=CONTROL, label="guess"),
        Line2D([], [], ls="", marker="o", color=RIGHT, label="outcome"),
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def _form(values: Iterable[float]) -> str:
    """How numbers that stand together are written: with equally many decimals, three digits for the largest."""
    numbers = list(values)
    largest = max(map(abs, numbers), default=0.0)
    if all(float(value).is_integer() for value in numbers) or not 0.01 <= largest < 1000:
        return ".3g"
    return f"z.{max(1, 2 - int(np.floor(np.log10(largest))))}f"


def draw_sketch(
    shares: Sequence[float],
    sketch: Mapping[str, Sequence[float | None]],
    found: Mapping[str, Sequence[float]] | None = None,
) -> Figure:
    """A learner's sketch of a metric against the hidden share, broken and hollow, and what was found, if given.

    Args:
        shares: of the visible person, hidden on purpose.
        sketch: a metric in [0, 1] at each share, by the curve's name, the method first; None where nothing was guessed.
        found: the same, measured; none if not given.
    """
    told = []
    figure = new_figure(9, 4)
    axes = figure.subplots()
    for kind, curves, dash, fill in (("sketched", sketch, "--", "white"), ("found", found or {}, "-", None)):
        for (name, values), colour, marker in zip(curves.items(), (SCM, CONTROL), MARKERS, strict=False):
            known = [(x, y) for x, y in zip(shares, values, strict=True) if y is not None]
            told += [f"{name}, {kind}: {', '.join(f'{y:.0%} at {x:.0%}' for x, y in known) or 'nothing yet'}"]
            (line,) = axes.plot([x for x, _ in known], [y for _, y in known], dash, label=f"{name}, {kind}")
            line.set(color=colour, marker=marker, markerfacecolor=fill or colour)
    figure.set_label(f"mAP against the share of the visible person that is hidden. {'; '.join(told)}.")
    axes.set(xlim=(min(shares) - 0.02, max(shares) + 0.02), ylim=(0, 1), xticks=list(shares))
    axes.set(xlabel="hidden share of the visible person", ylabel="mAP")
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_intervals(table: pd.DataFrame, label: str, *, form: str = ".1%") -> Figure:
    """Means with their confidence intervals, a row each.

    Args:
        table: names as its index; columns mean, low and high, in [0, 1].
        label: what is measured, for the axis.
        form: how numbers are written: as shares, or e.g. ".3f" for an AUC.
    """
    said = "; ".join(
        f"{row.Index}: {row.mean:{form}} ({row.low:{form}} to {row.high:{form}})" for row in table.itertuples()
    )
    names = folded(map(str, table.index))
    figure = new_figure(8, rows_height(names) + 1.1, f"{label}, with 95 % confidence intervals: {said}.")
    axes = figure.subplots()
    at = np.arange(len(table))
    reach = np.stack([table["mean"] - table["low"], table["high"] - table["mean"]])
    axes.errorbar(table["mean"], at, xerr=reach, fmt="o", color=PLAIN, capsize=4, lw=2, ms=7)
    for y, mean in zip(at, table["mean"], strict=True):
        axes.annotate(f"{mean:{form}}", (mean, y), (0, 6), textcoords="offset points", ha="center", fontsize="small")
    axes.set(
        yticks=at, yticklabels=names, ylim=(len(table) - 0.5, -0.7), xlim=(-0.03, 1), xlabel=folded([label], 60)[0]
    )
    if form.endswith("%"):
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    sns.despine(ax=axes)
    return figure


def draw_resamples(draws: Mapping[str, NDArray[np.float64]], value: float, what: str) -> Figure:
    """How a metric varies over resamples that were drawn in several ways, each with its middle 95 %.

    Args:
        draws: the metric of every resample, in [0, 1], by what was drawn.
        value: the metric of the data themselves.
        what: the metric's name.
    """
    ends = {name: np.percentile(drawn, (2.5, 97.5)) for name, drawn in draws.items()}
    said = "; ".join(f"{name}: 95 % from {low:.1%} to {high:.1%}" for name, (low, high) in ends.items())
    figure = new_figure(9, 1.3 * len(draws) + 1.2, f"{what} {value:.1%}, and over resamples. {said}.")
    grid = figure.subplots(len(draws), 1, sharex=True, squeeze=False)[:, 0]
    reach = np.concatenate(list(draws.values()))
    edges = np.linspace(reach.min() - 1e-3, reach.max() + 1e-3, 41)
    for axes, (name, drawn), colour in zip(grid, draws.items(), series(len(draws)), strict=True):
        axes.hist(drawn, edges, color=colour)
        for end in ends[name]:
            axes.axvline(end, color="0.3", ls="--")
        axes.axvline(value, color="0.3")
        axes.set(yticks=[], title=f"{name}: {ends[name][0]:.1%} to {ends[name][1]:.1%}")
        sns.despine(ax=axes, left=True)
    label = f"{what} of a resample; whole line: of the data; broken lines: the middle 95 % of the resamples"
    grid[-1].set_xlabel(folded([label], 90)[0])
    grid[-1].xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    return figure


def draw_spread(values: Sequence[float], here: float, what: str) -> Figure:
    """One number beside the same number of other trainings, with their mean and standard deviation.

    Args:
        values: of at least two other trainings, in [0, 1].
        here: this one's.
        what: the axis label.
    """
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    alt = f"{what}: this run {here:.1%}; {len(values)} other trainings {mean:.1%} ± {deviation:.1%}."
    figure = new_figure(7.5, 2.0, alt)
    axes = figure.subplots()
    axes.axvspan(mean - deviation, mean + deviation, color=CONTROL, alpha=0.2, lw=0, label="mean ± standard deviation")
    axes.axvline(mean, color=CONTROL)
    axes.scatter(values, [0] * len(values), color=CONTROL, label="other trainings", zorder=2)
    axes.scatter(here, 1, color=SCM, marker="D", s=60, label="this run", zorder=2)
    axes.set(yticks=[0, 1], yticklabels=["other trainings", "this run"], ylim=(-0.6, 1.6), xlabel=folded([what], 60)[0])
    axes.set(xlim=(min(*values, here) - 0.02, max(*values, here) + 0.02))
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_growth(table: pd.DataFrame) -> Figure:
    """Time and memory against size, both axes logarithmic, each curve with its fitted exponent.

    Args:
        table: a row a measurement; columns work (a curve each), size, seconds and mebibytes, all above 0.
    """
    names = list(table["work"].unique())
    panels = {"seconds": "time in seconds", "mebibytes": "peak memory beyond the inputs in MiB"}
    figure = new_figure(9, 3.6)
    said = []
    for axes, (column, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for i, (name, colour) in enumerate(zip(names, series(len(names)), strict=True)):
            rows = table[table["work"] == name].sort_values("size")
            exponent = round(growth_exponent(rows["size"], rows[column]), 2) + 0.0  # no -0.00
            first, last = rows.iloc[0], rows.iloc[-1]
            said.append(
                f"{name}: {label} from {first[column]:.3g} at size {first['size']:,} to {last[column]:.3g} at "
                f"{last['size']:,}, exponent {exponent:.2f}"
            )
            style = {"marker": "os^Dv"[i % 5], "color": colour}
            axes.loglog(rows["size"], rows[column], label=f"{name}: exponent {exponent:.2f}", **style)
        ticks = sorted(table["size"].unique())
        axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
        axes.minorticks_off()
        axes.set(xlabel="size", ylabel=label)
        axes.legend(frameon=False, fontsize="small")
    figure.set_label(f"Growth. {'; '.join(said)}.")
    sns.despine(fig=figure)
    return figure


def growth_exponent(sizes: Sequence[float] | pd.Series, values: Sequence[float] | pd.Series) -> float:
    """The exponent p of values = c * size^p, fitted by least squares to the logarithms; 1 is linear growth."""
    return float(np.polyfit(np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float)), 1)[0])


def draw_comparison(metrics: pd.DataFrame, queries: pd.DataFrame, names: tuple[str, str] = ("A", "B")) -> Figure:
    """Two runs on the same queries: the differences of their metrics with bands, and every query's own difference.

    Args:
        metrics: `Comparison.metrics`.
        queries: `Comparison.queries`.
        names: how the two are called.
    """
    a, b = names
    apart = np.sort(queries["difference"].to_numpy())[::-1]
    counts = [int((apart > 0).sum()), int((apart < 0).sum()), int((apart == 0).sum())]
    said = "; ".join(
        f"{row.Index} {row.a:.1%} and {row.b:.1%}, difference {row.difference:+z.1%} "
        f"({row.low:+z.1%} to {row.high:+z.1%})"
        for row in metrics.itertuples()
    )
    figure = new_figure(
        10,
        3.8,
        f"{a} and {b} on {len(apart)} queries of {queries['identity'].nunique()} identities: {said}. {a} is ahead on "
        f"{counts[0]} queries, {b} on {counts[1]}, {counts[2]} are equal.",
    )
    bands, curve = figure.subplots(1, 2, width_ratios=(1, 1.3))
    at = np.arange(len(metrics))
    reach = np.stack([metrics["difference"] - metrics["low"], metrics["high"] - metrics["difference"]])
    bands.errorbar(metrics["difference"], at, xerr=reach, fmt="o", color=PLAIN, capsize=4, lw=2, ms=6)
    labels = [str(name).replace("top", "rank-") for name in metrics.index]
    bands.set(ylim=(len(metrics) - 0.5, -0.5), xlabel="difference in points, 95 % band over identities")
    bands.set_yticks(at, labels)
    bands.axvline(0, color="0.6", lw=1, zorder=0)
    in_points(bands.xaxis)
    bands.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    bands.set_title(folded([f"{a} less {b}"], 40)[0], fontsize="medium")
    x = np.arange(len(apart))
    for mask, colour, hatch, name, count in (
        (apart > 0, series(2)[0], "", a, counts[0]),
        (apart < 0, series(2)[1], "//", b, counts[1]),
    ):
        label = folded([f"{name} ahead: {count} queries"], 30)[0]
        curve.fill_between(x, np.where(mask, apart, 0), step="mid", color=colour, hatch=hatch, ec="white", label=label)
    curve.axhline(0, color="0.6", lw=1, zorder=3, label=f"equal: {counts[2]} queries")
    curve.set(xlabel="queries, in order of the difference", ylabel="difference of average precision")
    figure.legend(*curve.get_legend_handles_labels(), loc="outside right center", frameon=False)
    for axes in (bands, curve):
        sns.despine(ax=axes)
    return figure


def difference_panels(figure: Figure, table: pd.DataFrame, names: Sequence[str], panels: Mapping[str, str]) -> None:
    """Differences of some metrics with their bands, a panel a metric and a row a name.

    Args:
        figure: to be filled.
        table: a row a name, with the columns METRIC_difference, METRIC_low and METRIC_high.
        names: of the rows.
        panels: titles by metric.
    """
    at = np.arange(len(table))
    for axes, (metric, title) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        apart = table[f"{metric}_difference"]
        reach = np.stack([apart - table[f"{metric}_low"], table[f"{metric}_high"] - apart])
        axes.errorbar(apart, at, xerr=reach, fmt="o", color=CONTROL, capsize=4, lw=2, ms=6)
        axes.axvline(0, color=SCM, lw=1.5, zorder=0)
        axes.set(title=title, ylim=(len(table) - 0.5, -0.5))
        axes.set_yticks(at, names)
        in_points(axes.xaxis)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        sns.despine(ax=axes)


def draw_distances(table: pd.DataFrame) -> Figure:
    """What mAP, rank-1 and mINP gain or lose by another distance of the same embeddings, with bands over identities.

    Args:
        table: what `compare_distances` gives.
    """
    metrics = {"mAP": "mAP", "top1": "rank-1", "mINP": "mINP"}
    own, others = table.iloc[0], table.iloc[1:]
    said = "; ".join(
        f"{row['distance']} {row['mAP']:.1%}, {row['mAP_difference']:+z.1%} ({row['mAP_low']:+z.1%} to "
        f"{row['mAP_high']:+z.1%}) to {row['against']}"
        for _, row in others.iterrows()
    )
    names = folded((f"{row['distance']}, less {row['against']}" for _, row in others.iterrows()), 22)
    alt = f"By the paper's distance the mAP is {own['mAP']:.1%}. By others, with 95 % bands of the difference: {said}."
    figure = new_figure(10, rows_height(names) + 1.4, alt)
    panels = {name: f"{title}, paper {own[name]:.1%}" for name, title in metrics.items()}
    difference_panels(figure, others, names, panels)
    figure.supxlabel("difference in points; bands: 95 %, over identities", fontsize="small")
    return figure
