from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from scmlib import figures
from scmlib.analysis.verdicts import MARGIN, ablation_summary
from scmlib.figures.style import in_points


def test_spread_says_mean_and_standard_deviation() -> None:
    figure = figures.draw_spread([0.7, 0.8], 0.75, "mAP")
    assert figures.alt_text(figure) == "mAP: this run 75.0%; 2 other trainings 75.0% ± 7.1%."


def test_intervals_reach_from_low_to_high() -> None:
    table = pd.DataFrame({"mean": [0.7, 0.2], "low": [0.6, 0.1], "high": [0.8, 0.4]}, index=["ours", "colour"])
    figure = figures.draw_intervals(table, "mAP")
    assert "ours: 70.0% (60.0% to 80.0%); colour: 20.0% (10.0% to 40.0%)" in figures.alt_text(figure)
    (bars,) = (lines for lines in figure.axes[0].collections if isinstance(lines, LineCollection))
    np.testing.assert_allclose([ends[:, 0] for ends in np.array(bars.get_segments())], [[0.6, 0.8], [0.1, 0.4]])


def test_intervals_of_an_auc_are_no_per_cents() -> None:
    table = pd.DataFrame({"mean": [0.7], "low": [0.6], "high": [0.8]}, index=["ours"])
    figure = figures.draw_intervals(table, "AUC", form=".3f")
    assert "ours: 0.700 (0.600 to 0.800)" in figures.alt_text(figure)
    assert not any("%" in label.get_text() for label in figure.axes[0].get_xticklabels())


def test_differences_of_shares_are_told_in_points() -> None:
    axes = figures.new_figure(3, 3).subplots()
    in_points(axes.xaxis)
    told = axes.xaxis.get_major_formatter()
    assert [told(x, 0) for x in (0.03, 0.0, -0.025, -1e-9)] == ["+3", "0", "\N{MINUS SIGN}2.5", "0"]


def test_outcomes_that_stand_together_have_equally_many_decimals() -> None:
    def said(*values: float) -> str:
        names = dict(zip("abc", values, strict=False))
        return figures.alt_text(figures.draw_guesses(dict.fromkeys(names), names))

    assert said(57.61, 7.9) == "Guesses and outcomes. a: no guess, found 57.6; b: no guess, found 7.9."
    assert "found 0.867; b: no guess, found 0.900" in said(0.8671, 0.9)
    assert "found -9.51; b: no guess, found 0.00" in said(-9.51, -0.0001)
    assert "found 128; b: no guess, found 4;" in said(128, 4, 2)
    assert "found 2.5e-07" in said(2.5e-7)


def test_ablation_shows_leads_intervals_and_verdicts() -> None:
    table = pd.DataFrame(
        [
            *(("SCM", 1, 0.80), ("SCM", 2, 0.60), ("SCM", 3, 0.70)),
            *(("stripes", 1, 0.70), ("stripes", 2, 0.51), ("stripes", 3, 0.60)),
            *(("no walk", 1, 0.801), ("no walk", 2, 0.60), ("no walk", 3, 0.70)),
            ("oracle", 1, 0.9),  # the rest is still to come
        ],
        columns=["variant", "world", "mAP"],
    ).assign(seed=0, role="reported", lr=0.3, top1=0.5, person_lift=1.0)
    figure = figures.draw_ablation(table)
    summary, alt = ablation_summary(table), figures.alt_text(figure)
    stripes = summary.T["stripes"]
    assert f"stripes {stripes.behind_SCM:+.1%} ({stripes.low:+.1%} to {stripes.high:+.1%}), SCM better" in alt
    assert "oracle -10.0% (one world, no interval), not resolved" in alt
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "stripes: SCM better",
        "no walk: equivalent",
        "oracle: not resolved",
    ]
    margin = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (margin.x0, margin.x1) == pytest.approx((-MARGIN, MARGIN))


def test_a_question_without_a_guess_shows_its_outcome_alone() -> None:
    figure = figures.draw_guesses({"a": None}, {"a": 0.5})
    assert "a: no guess, found 0.5" in figures.alt_text(figure)
    assert len(figure.axes[0].collections) == 1


def test_growth_names_the_exponent_of_each_curve() -> None:
    sizes = [100, 200, 400, 800]
    table = pd.concat(
        pd.DataFrame({"work": name, "size": sizes, "seconds": [(s / 100) ** power for s in sizes], "mebibytes": 5.0})
        for name, power in (("even", 1), ("steep", 2))
    )
    figure = figures.draw_growth(table)
    said = figures.alt_text(figure)
    assert "even: time in seconds from 1 at size 100 to 8 at 800, exponent 1.00" in said
    assert "steep: time in seconds from 1 at size 100 to 64 at 800, exponent 2.00" in said
    assert "even: peak memory beyond the inputs in MiB from 5 at size 100 to 5 at 800, exponent 0.00" in said
    assert [axes.get_xscale() + axes.get_yscale() for axes in figure.axes] == ["loglog"] * 2
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["even: exponent 1.00", "steep: exponent 2.00"]
    assert figures.png(figure)


def test_growth_exponent_of_a_power_law() -> None:
    assert figures.growth_exponent([1, 2, 4, 8], [3 * x**1.5 for x in (1, 2, 4, 8)]) == pytest.approx(1.5)
