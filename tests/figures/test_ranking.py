from __future__ import annotations

import numpy as np
import pytest

from scmlib import figures
from scmlib.ranking import rank
from tests.figures.examples import RANKING, pictures


@pytest.mark.parametrize("right", [[True], [False, True, True, False], [False] * 5 + [True], [True, False, True]])
def test_areas_are_those_of_the_ranking(right: list[bool]) -> None:
    similarity = np.linspace(1, 0, len(right))[:, None]
    wanted = rank(np.ones((1, 1)), similarity, [1], np.array(right, dtype=int))
    said = figures.alt_text(figures.draw_precision(right))
    assert f"rectangles cover {wanted.mAP_rectangular:.3f}, the trapezoids {wanted.mAP:.3f}" in said


def test_right_and_wrong_differ_by_more_than_colour() -> None:
    figure = figures.draw_ranked_lists(pictures(1), [pictures(2)], [[True, False]])
    right, wrong = figure.axes[1], figure.axes[2]
    assert right.texts[0].get_text() != wrong.texts[0].get_text()
    assert right.patches[0].get_linestyle() != wrong.patches[0].get_linestyle()


def test_captions_stand_below_what_was_found() -> None:
    figure = figures.draw_ranked_lists(pictures(1), [pictures(2)], [[True, False]], ["who"], [["one", "two"]])
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "one", "two"]
    assert figure.axes[0].get_ylabel() == "who"


def test_curves_start_at_rank_1() -> None:
    (line,) = figures.draw_cmc({"ours": RANKING}, 10).axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 11))
    np.testing.assert_array_equal(line.get_ydata(), RANKING.cmc[:10])
