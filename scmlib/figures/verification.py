"""Figures of verification and of open-set search: pairs, ROC curve, and how often nobody is found."""

from __future__ import annotations

import lazy_loader
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from scmlib.analysis.verification import BINS, Verification
from scmlib.figures.style import CONTROL, PLAIN, RIGHT, WRONG, new_figure

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

DRAWN = 80  # bins of the histograms


def draw_verification(pairs: Verification) -> Figure:
    """Histograms of genuine and impostor pairs by their similarity, and the ROC curve with the equal error rate.

    Args:
        pairs: what `verify` gives.
    """
    summary = pairs.summary()
    said = "; ".join(f"{row.Index} {row.value:.1%} ({row.low:.1%} to {row.high:.1%})" for row in summary.itertuples())
    eer, auc = summary["value"].loc[["EER", "AUC"]]
    threshold = pairs.threshold
    counts = {"genuine": pairs.genuine.sum(0), "impostor": pairs.impostor.sum(0)}
    figure = new_figure(
        10,
        3.8,
        f"{counts['genuine'].sum():,.0f} genuine and {counts['impostor'].sum():,.0f} impostor pairs: {said}. Both "
        f"errors are equal at a similarity of {threshold:.2f}.",
    )
    histograms, curve = figure.subplots(1, 2, width_ratios=(1.4, 1))
    edges = np.linspace(-1, 1, DRAWN + 1)
    for (name, count), colour, line in zip(counts.items(), (RIGHT, WRONG), ("-", "--"), strict=True):
        share = count.reshape(DRAWN, BINS // DRAWN).sum(1) / count.sum()
        label = f"{name} pairs: {count.sum():,.0f}"
        histograms.stairs(share, edges, color=colour, ls=line, lw=2, fill=False, label=label)
        histograms.stairs(share, edges, color=colour, alpha=0.25, fill=True)
    histograms.axvline(threshold, color="0.4", ls=":", label=f"equal errors: {threshold:.2f}")
    seen = np.flatnonzero(sum(counts.values()))
    middle = (seen[[0, -1]] + 0.5) * 2 / BINS - 1
    histograms.set(
        xlabel="similarity of a pair", ylabel="share of the pairs", xlim=(middle[0] - 0.05, middle[1] + 0.05)
    )
    histograms.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    false, true = pairs.roc
    floor = 1 / max(counts["impostor"].sum(), 10)
    curve.plot(np.maximum(false, floor), true, color=PLAIN, lw=2, label=f"AUC {auc:.3f}")
    curve.plot(eer, 1 - eer, "D", color="black", label=f"equal error rate {eer:.1%}")
    curve.set(xscale="log", xlim=(floor, 1), ylim=(0, 1.02), xlabel="false match rate", ylabel="true match rate")
    handles = [axes.get_legend_handles_labels() for axes in (histograms, curve)]
    figure.legend(*(a + b for a, b in zip(*handles, strict=True)), loc="outside upper center", ncols=3, frameon=False)
    for axes in (histograms, curve):
        sns.despine(ax=axes)
    return figure


# Of each side of an open-set search its outcomes: column, name, colour, marker, line.
OPEN_SET = {
    "the person isn't in the gallery": (("nobody_absent", "nobody, rightly", RIGHT, "o", "-"),),
    "the person is in the gallery": (
        ("right_first", "the right person first", RIGHT, "s", "-"),
        ("wrong_first", "somebody else first", WRONG, "X", "--"),
        ("nobody_present", "nobody, wrongly", CONTROL, "D", ":"),
    ),
}


def draw_open_set(table: pd.DataFrame) -> Figure:
    """How often an open-set search says nobody, rightly and wrongly, against the false-match rate of its threshold.

    Args:
        table: what `open_set_rates` gives.
    """
    rates = table["false_match_rate"]
    outcomes = [outcome for side in OPEN_SET.values() for outcome in side]
    said = "; ".join(f"{name} {', '.join(f'{share:.0%}' for share in table[column])}" for column, name, *_ in outcomes)
    alt = f"At false-match rates of {', '.join(f'{rate:g}' for rate in rates)}, of {table['queries'].iloc[0]} queries: "
    figure = new_figure(10, 3.8, f"{alt}{said}.")
    for axes, (title, side) in zip(figure.subplots(1, 2, sharey=True), OPEN_SET.items(), strict=True):
        for column, name, colour, marker, line in side:
            axes.plot(rates, table[column], color=colour, marker=marker, ls=line, label=name)
            axes.fill_between(rates, table[f"{column}_low"], table[f"{column}_high"], color=colour, alpha=0.15, lw=0)
        axes.set(title=title, xscale="log", ylim=(0, 1.02), xlabel="false-match rate")
        axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
        sns.despine(ax=axes)
    figure.axes[0].set_ylabel("share of the queries")
    handles = [axes.get_legend_handles_labels() for axes in figure.axes]
    figure.legend(*(a + b for a, b in zip(*handles, strict=True)), loc="outside right center", frameon=False)
    figure.supxlabel("Bands: 95 % of bootstrap resamples of the identities.", fontsize="small")
    return figure
