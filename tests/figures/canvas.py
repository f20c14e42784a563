"""Where the words of a figure stand when it is drawn, whether matplotlib or Pillow writes them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from typing import Any, NamedTuple
from unittest.mock import patch

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import ImageDraw

from scmlib.figures.style import DPI


class Word(NamedTuple):
    """A text as it was drawn, and its box in pixels."""

    text: str
    box: Bbox


def drawn_words(figure: Figure) -> list[Word]:
    """Every text that matplotlib draws in a figure: titles, labels, legends, and the ticks that are in view."""
    found: dict[int, Word] = {}  # the layout draws once more before: the last time counts
    draw = Text.draw

    def recording(self: Text, renderer: Any, *args: Any, **kwargs: Any) -> None:
        draw(self, renderer, *args, **kwargs)
        if self.get_visible() and self.get_text().strip():
            # Without its arrow: an annotation's own extent spans to what it points at.
            found[id(self)] = Word(self.get_text(), Text.get_window_extent(self, renderer))

    with patch.object(Text, "draw", recording):
        figure.savefig(io.BytesIO(), format="raw", dpi=DPI)
    return list(found.values())


def size(figure: Figure) -> Bbox:
    """The figure's box in pixels."""
    width, height = figure.get_size_inches()
    return Bbox([[0, 0], [width * DPI, height * DPI]])


@contextmanager
def pillow_words() -> Iterator[list[Word]]:
    """Texts that Pillow writes meanwhile, of one picture."""
    found: list[Word] = []
    write = ImageDraw.ImageDraw.text

    def recording(self: Any, xy: Any, text: str, fill: Any, font: Any, *args: Any, **kwargs: Any) -> None:
        write(self, xy, text, fill, font, *args, **kwargs)
        if text.strip():
            left, top, right, bottom = self.textbbox(xy, text, font, *args, **kwargs)
            found.append(Word(text, Bbox([[left, top], [right, bottom]])))

    with patch.object(ImageDraw.ImageDraw, "text", recording):
        yield found


def outside(words: list[Word], canvas: Bbox, *, allowed: float = 1.0) -> list[str]:
    """Texts that leave the canvas by more than some pixels."""
    return [
        word.text
        for word in words
        if word.box.x0 < canvas.x0 - allowed
        or word.box.y0 < canvas.y0 - allowed
        or word.box.x1 > canvas.x1 + allowed
        or word.box.y1 > canvas.y1 + allowed
    ]


def overlapping(words: list[Word], *, allowed: float = 1.0) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other by more than some pixels in both directions."""
    return [
        (a.text, b.text)
        for a, b in combinations(words, 2)
        if min(a.box.x1, b.box.x1) - max(a.box.x0, b.box.x0) > allowed
        and min(a.box.y1, b.box.y1) - max(a.box.y0, b.box.y0) > allowed
    ]
