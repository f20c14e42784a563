"""Rows of pictures with words around them, quick enough to follow a slider.

Everything is set into one picture by Pillow: as axes and texts of their own the panels would take matplotlib five times
as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from scmlib.explorers.views import Picture
from scmlib.figures.style import DPI, HEAT, MASKS, new_figure

Floats = NDArray[np.floating[Any]]

GAP, LINE, FONT = 16, 20, 12  # between panels; for a line of words; of the letters: all in pixels


class Panel(NamedTuple):
    """A picture with a line above it and one below."""

    picture: Picture
    above: str = ""
    below: str = ""
    frame: str = ""  # colour
    cell: tuple[float, float, float, float] | None = None  # a box to mark: x, y, width, height as shares
    smooth: Image.Resampling = Image.Resampling.BILINEAR
    numbers: Floats | None = None  # (rows, columns), written over as many blocks of the picture


def draw_panels(rows: Sequence[Sequence[Panel]], alt: str, *, height: float = 2.4, text: str = "") -> Figure:
    """Rows of pictures of one height.

    Args:
        rows: panels from left to right.
        alt: what the figure shows, in words.
        height: of a picture, in inches.
        text: lines below everything.
    """
    size = round(height * DPI)  # of a picture, in pixels
    wide = [[round(size * p.picture.shape[1] / p.picture.shape[0]) for p in row] for row in rows]
    width = max(sum(widths) + GAP * (len(widths) + 1) for widths in wide)
    width = max(width, 2 * GAP + int(max(_font().getlength(line) for line in text.split("\n"))))
    tall = len(rows) * (size + 2 * LINE) + (LINE * (text.count("\n") + 1) if text else 0)
    sheet = Image.new("RGB", (width, tall), "white")
    pen = ImageDraw.Draw(sheet)
    for row, panels in enumerate(rows):
        x, y = GAP, LINE + row * (size + 2 * LINE)
        for panel, w in zip(panels, wide[row], strict=True):
            sheet.paste(Image.fromarray(panel.picture).resize((w, size), panel.smooth), (x, y))
            _write(pen, panel, (x, y, x + w, y + size))
            x += w + GAP
    pen.text((GAP, tall - 3), text, "black", _font(), anchor="ld")
    figure = new_figure(width / DPI, tall / DPI, alt, layout="none")
    figure.figimage(np.asarray(sheet))
    return figure


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), FONT)


def _write(pen: ImageDraw.ImageDraw, panel: Panel, box: tuple[int, int, int, int]) -> None:
    """The words around a panel, and what is marked on it; the box is left, top, right and bottom in pixels."""
    left, top, right, bottom = box
    middle = (left + right) / 2
    pen.text((middle, top - 4), panel.above, "black", _font(), anchor="ms")
    pen.text((middle, bottom + 3), panel.below, "black", _font(), anchor="ma")
    if panel.frame:
        pen.rectangle(box, outline=panel.frame, width=5)
    if panel.numbers is not None:
        rows, columns = panel.numbers.shape
        for (row, column), value in np.ndenumerate(panel.numbers):
            at = (left + (column + 0.5) * (right - left) / columns, top + (row + 0.5) * (bottom - top) / rows)
            height, width = panel.picture.shape[:2]
            under = panel.picture[int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)]
            pen.text(at, f"{value:.2f}", "black" if under.mean() > 110 else "white", _font(), anchor="mm")
    if panel.cell:
        x, y, w, h = panel.cell
        corners = [left + x * (right - left), top + y * (bottom - top)]
        corners += [corners[0] + w * (right - left), corners[1] + h * (bottom - top)]
        for width, colour in ((4, "black"), (2, "white")):
            pen.rectangle(corners, outline=colour, width=width)


def blend(picture: Picture, mask: Floats, top: float, opacity: float = 0.7, threshold: float = 0.0) -> Picture:
    """A mask, cell by cell, over the grey picture.

    Args:
        picture: (H, W, 3).
        mask: (h, w); cells below the threshold show the picture alone.
        top: the value of the last colour.
        opacity: of the mask, in [0, 1].
        threshold: the least value that is drawn.
    """
    height, width = picture.shape[:2]
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), mask.shape, strict=True))
    spread = mask[rows[:, None], columns]
    colour = mpl.colormaps[MASKS](np.clip(spread / top, 0, 1), bytes=True)[..., :3].astype(float)
    share = opacity * (spread >= threshold)[..., None]
    mixed: Picture = ((1 - share) * picture.mean(-1, keepdims=True) + share * colour).round().astype(np.uint8)
    return mixed


def blocks(
    values: Floats, top: float, shape: tuple[int, int], above: str = "", below: str = "", *, signed: bool = False
) -> Panel:
    """A small map as a panel of blocks.

    Args:
        values: (h, w).
        top: the value of the last colour.
        shape: height and width of the panel; only their ratio counts.
        above: words.
        below: words.
        signed: whether white is 0 and the first colour -top; else the first colour is 0.
    """
    share = values / max(top, 1e-9)
    colours = mpl.colormaps[HEAT](share / 2 + 0.5, bytes=True) if signed else mpl.colormaps[MASKS](share, bytes=True)
    rows, columns = (np.arange(n) * m // n for n, m in zip(shape, values.shape, strict=True))
    return Panel(colours[rows[:, None], columns, :3], above, below, smooth=Image.Resampling.NEAREST)
