"""Figures of the masks' lesson: a graph's cut and diffusion on it."""

from __future__ import annotations

import numpy as np
import pytest

from scmlib.figures.masks import draw_cut, draw_diffusion
from scmlib.figures.style import alt_text, png

POINTS = np.array([[0, 0], [0.5, 0.2], [3, 0], [3.2, 0.4]])
DISTANCE = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)


@pytest.mark.parametrize("sign", [1, -1])
def test_cut_draws_the_first_nodes_side_alike_whatever_the_sign(sign: int) -> None:
    figure = draw_cut(POINTS, np.exp(-(DISTANCE**2)), sign * np.array([-0.5, -0.4, 0.6, 0.7]))
    first, second = figure.axes[0].collections
    np.testing.assert_allclose(np.asarray(first.get_offsets()), POINTS[:2])
    np.testing.assert_allclose(np.asarray(second.get_offsets()), POINTS[2:])
    assert "2 are above zero" in alt_text(figure)
    assert png(figure)


def test_cut_leaves_out_edges_that_are_hardly_there() -> None:
    assert len(draw_cut(POINTS, np.exp(-(DISTANCE**2)), np.array([-1, -1, 1, 1])).axes[0].get_lines()) == 2


def test_diffusion_says_where_values_start_and_end() -> None:
    figure = draw_diffusion(np.array([[1.0, 0.0, -1.0], [0.5, 0.5, -1.0]]), np.array([0, 0, 1]))
    assert "first group from 1.00, 0.00 to 0.50, 0.50; second group from -1.00 to -1.00" in alt_text(figure)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["first group", "second group"]
    assert png(figure)
