"""Panels on numbers that are worked by hand."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import Tensor

from scmlib.figures.panels import Panel, blend, blocks, coloured, draw_panels, spread
from scmlib.figures.style import DPI, HEAT, MASKS, REGION_MAP, png

GREY = torch.full((3, 2, 2), 100, dtype=torch.uint8)
DARK, BRIGHT = (torch.tensor(mpl.colormaps[MASKS](end, bytes=True)[:3]) for end in (0.0, 1.0))


def at(picture: Tensor, row: int, column: int) -> list[int]:
    pixel: list[int] = picture[:, row, column].tolist()
    return pixel


def test_blending_by_hand() -> None:
    mask = torch.tensor([[0.0, 2.0], [1.0, 2.0]])
    mixed = blend(GREY, mask, 2.0, opacity=0.25)
    assert mixed.dtype == torch.uint8
    assert at(mixed, 0, 0) == [round(0.75 * 100 + 0.25 * int(c)) for c in DARK]
    assert at(mixed, 0, 1) == [round(0.75 * 100 + 0.25 * int(c)) for c in BRIGHT]


def test_blending_takes_the_colours_out_of_the_picture() -> None:
    picture = torch.tensor([30, 60, 90], dtype=torch.uint8)[:, None, None].expand(3, 2, 2)
    assert at(blend(picture, torch.ones(1, 1), 1.0, opacity=0), 0, 0) == [60, 60, 60]
    assert at(blend(picture, torch.ones(1, 1), 1.0, opacity=1), 1, 1) == BRIGHT.tolist()


def test_below_the_threshold_the_picture_shows() -> None:
    mixed = blend(GREY, torch.tensor([[0.4, 0.5], [0.6, 0.0]]), 1.0, opacity=1, threshold=0.5)
    assert at(mixed, 0, 0) == at(mixed, 1, 1) == [100, 100, 100]
    assert at(mixed, 0, 1) != [100, 100, 100]


def test_values_beyond_the_top_take_the_last_colour() -> None:
    assert at(blend(GREY, torch.full((2, 2), 7.0), 1.0, opacity=1), 0, 0) == BRIGHT.tolist()


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (2, 3)])
def test_each_pixel_has_its_cells_value(shape: tuple[int, int]) -> None:
    cells = torch.arange(6.0).reshape(2, 3)
    wide = spread(cells, shape)
    for row, column in np.ndindex(shape):
        assert wide[row, column] == cells[row * 2 // shape[0], column * 3 // shape[1]]


def test_index_maps_take_their_regions_colours() -> None:
    picture = coloured(np.array([[0, 1]], dtype=np.uint8), REGION_MAP)
    assert picture.shape == (3, 1, 2)
    assert at(picture, 0, 0) == [0, 0, 0]
    assert at(picture, 0, 1) == [120, 120, 120]


def test_signed_blocks_are_white_at_zero() -> None:
    panel = blocks(torch.tensor([[-1.0, 0.0, 1.0]]), 1.0, (2, 3), signed=True)
    assert at(panel.picture, 0, 1) == list(mpl.colormaps[HEAT](0.5, bytes=True)[:3])
    assert at(panel.picture, 0, 0) == list(mpl.colormaps[HEAT](0.0, bytes=True)[:3])


def test_a_panel_gets_the_room_that_its_words_need() -> None:
    narrow, wide = Panel(GREY, "a"), Panel(GREY, "a line that is much longer than its picture is wide")
    assert narrow.room(50) == narrow.width(50) == 50
    assert wide.room(50) > wide.width(50) == 50
    one, two = (draw_panels([[panel]], "").get_size_inches()[0] for panel in (narrow, wide))
    assert two > one
    assert draw_panels([[narrow]], "", height=1.0).get_size_inches()[1] == pytest.approx((DPI + 40) / DPI)


def test_numbers_are_left_out_where_they_have_no_room() -> None:
    many = torch.zeros(14, 14)
    bare, numbered = blocks(many, 1.0, (28, 28)), blocks(many, 1.0, (28, 28))._replace(numbers=many)
    for height, alike in ((1.0, True), (7.0, False)):
        assert (
            png(draw_panels([[bare]], "", height=height)) == png(draw_panels([[numbered]], "", height=height))
        ) is alike
