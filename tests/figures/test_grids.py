from __future__ import annotations

from itertools import pairwise

import pytest

from scmlib.figures.grids import HEAD, LABEL, length, picture_grid, wrap


def test_lines_are_as_long_as_they_may_be() -> None:
    text = "one two three"
    assert wrap(text, 99, HEAD) == text
    assert wrap(text, length("one two", HEAD), HEAD) == "one two\nthree"
    assert wrap("one\ntwo three", 99, HEAD) == "one\ntwo three"


def test_a_word_longer_than_a_line_is_cut() -> None:
    lines = wrap("a_file_with_a_long_name.jpg", 0.6, LABEL).split("\n")
    assert "".join(lines) == "a_file_with_a_long_name.jpg"
    assert len(lines) > 1
    assert max(length(line, LABEL) for line in lines) <= 0.6


@pytest.mark.parametrize(("aspect", "words"), [(2.0, "a"), (3.0, "a label of several words"), (1 / 3, "two words")])
def test_every_picture_has_the_size_asked_for(aspect: float, words: str) -> None:
    figure, grid = picture_grid("", (2, 3), aspect, cell=1.2, heads=[words] * 3, labels=[words] * 2, foot=0.5)
    width, height = figure.get_size_inches()
    for axes in grid.flat:
        box = axes.get_position()
        assert (box.width * width, box.height * height) == pytest.approx((1.2, 1.2 * aspect))
    boxes = [axes.get_position() for axes in grid[0]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert grid[1, 0].get_position().y0 * height >= 0.5
