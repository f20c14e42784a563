from __future__ import annotations

import numpy as np
import pytest

from scmlib import figures
from scmlib.figures.masks import draw_cut, draw_diffusion
from scmlib.figures.style import MASKS, alt_text
from tests.figures.examples import masks, pictures, truth

POINTS = np.array([[0, 0], [0.5, 0.2], [3, 0], [3.2, 0.4]])
DISTANCE = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)


@pytest.mark.parametrize("sign", [1, -1])
def test_cut_draws_the_first_nodes_side_alike_whatever_the_sign(sign: int) -> None:
    figure = draw_cut(POINTS, np.exp(-(DISTANCE**2)), sign * np.array([-0.5, -0.4, 0.6, 0.7]))
    first, second = figure.axes[0].collections
    np.testing.assert_allclose(np.asarray(first.get_offsets()), POINTS[:2])
    np.testing.assert_allclose(np.asarray(second.get_offsets()), POINTS[2:])
    assert "2 are above zero" in alt_text(figure)


def test_cut_leaves_out_edges_that_are_hardly_there() -> None:
    assert len(draw_cut(POINTS, np.exp(-(DISTANCE**2)), np.array([-1, -1, 1, 1])).axes[0].get_lines()) == 2


def test_diffusion_says_where_values_start_and_end() -> None:
    figure = draw_diffusion(np.array([[1.0, 0.0, -1.0], [0.5, 0.5, -1.0]]), np.array([0, 0, 1]))
    assert "first group from 1.00, 0.00 to 0.50, 0.50; second group from -1.00 to -1.00" in alt_text(figure)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["first group", "second group"]


def test_masks_share_one_scale() -> None:
    shown = masks(4, 3)
    figure = figures.draw_masks(pictures(4), shown)
    drawn = [axes.images[1] for axes in figure.axes if len(axes.images) == 2]  # each over its grey picture
    assert len(drawn) == 4 * (3 + 1)
    assert {image.get_cmap().name for image in drawn} == {MASKS}
    assert {image.get_clim() for image in drawn} == {(0.0, float(shown.sum(1).max()))}


def test_the_truth_is_drawn_where_it_is_known() -> None:
    known = figures.draw_masks(pictures(1), masks(1, 2), truth(1), ["a"])
    assert [axes.get_title() for axes in known.axes][:5] == [
        "picture",
        "competitive 1",
        "competitive 2",
        "cooperative",
        "truth",
    ]
    assert known.legends
    assert not figures.draw_masks(pictures(1), masks(1, 2)).legends
