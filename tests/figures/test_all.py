"""What holds for every figure: words that say its numbers, equal bytes for equal input, no word cut off or covered."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from scmlib import figures
from tests.figures.canvas import drawn_words, outside, overlapping, pillow_words, size
from tests.figures.examples import EXAMPLES

CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases]


def test_every_figure_has_examples() -> None:
    assert {name for name in dir(figures) if name.startswith("draw_")} == set(EXAMPLES)
    assert all(len(cases) > 1 for cases in EXAMPLES.values())


@pytest.mark.parametrize(("name", "case"), CASES)
def test_figure_says_its_numbers_and_is_the_same_every_time(name: str, case: str) -> None:
    draw, said = EXAMPLES[name][case]
    figure = draw()
    assert said in figures.alt_text(figure)
    data = figures.png(figure)
    with Image.open(io.BytesIO(data)) as image:
        assert image.text["Description"] == figures.alt_text(figure)  # type: ignore[attr-defined]
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert figures.png(draw()) == data


@pytest.mark.parametrize(("name", "case"), CASES)
def test_every_word_can_be_read(name: str, case: str) -> None:
    with pillow_words() as written:
        figure = EXAMPLES[name][case][0]()
    words, canvas = drawn_words(figure), size(figure)
    assert words or written or name == "draw_sheet"
    assert outside(words, canvas) == []
    assert overlapping(words) == []
    assert outside(written, canvas) == []
    assert overlapping(written) == []
