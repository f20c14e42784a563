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
import torch
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from scmlib.figures.style import DPI, HEAT, MASKS, new_figure, to_array

GAP, LINE, FONT = 16, 20, 12  # between panels; for a line of words; of the letters: all in pixels


class Panel(NamedTuple):
    """A picture with a line above it and one below."""

    picture: Tensor  # (3, H, W) uint8
    above: str = ""
    below: str = ""
    frame: str = ""  # colour
    cell: tuple[float, float, float, float] | None = None  # a box to mark: x, y, width, height as shares
    smooth: Image.Resampling = Image.Resampling.BILINEAR
    numbers: Tensor | None = None  # (rows, columns), written over as many blocks of the picture

    def width(self, height: int) -> int:
        """Pixels that the picture takes at a height in pixels."""
        return max(1, round(height * self.picture.shape[2] / self.picture.shape[1]))

    def room(self, height: int) -> int:
        """Pixels that the picture or the wider of its two lines takes."""
        return max(self.width(height), _length(self.above), _length(self.below))


def draw_panels(rows: Sequence[Sequence[Panel]], alt: str, *, height: float = 2.4, text: str = "") -> Figure:
    """Rows of pictures of one height.

    Args:
        rows: panels from left to right; a panel gets the room that its words need.
        alt: what the figure shows, in words.
        height: of a picture, in inches.
        text: lines below everything.
    """
    size = round(height * DPI)  # of a picture, in pixels
    width = max(sum(panel.room(size) + GAP for panel in row) + GAP for row in rows)
    width = max(width, 2 * GAP + max(_length(line) for line in text.split("\n")))
    tall = len(rows) * (size + 2 * LINE) + (LINE * (text.count("\n") + 1) if text else 0)
    sheet = Image.new("RGB", (width, tall), "white")
    pen = ImageDraw.Draw(sheet)
    for row, panels in enumerate(rows):
        x, y = GAP, LINE + row * (size + 2 * LINE)
        for panel in panels:
            w, room = panel.width(size), panel.room(size)
            left = x + (room - w) // 2
            sheet.paste(Image.fromarray(to_array(panel.picture)).resize((w, size), panel.smooth), (left, y))
            _write(pen, panel, (left, y, left + w, y + size))
            x += room + GAP
    if text:
        pen.text((GAP, tall - 3), text, "black", _font(), anchor="ld")
    figure = new_figure(width / DPI, tall / DPI, alt, layout="none")
    figure.figimage(np.asarray(sheet))
    return figure


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), FONT)


def _length(line: str) -> int:
    """Pixels that a line of words takes."""
    return int(np.ceil(_font().getlength(line)))


def _write(pen: ImageDraw.ImageDraw, panel: Panel, box: tuple[int, int, int, int]) -> None:
    """The words around a panel, and what is marked on it; the box is left, top, right and bottom in pixels."""
    left, top, right, bottom = box
    middle = (left + right) / 2
    pen.text((middle, top - 4), panel.above, "black", _font(), anchor="ms")
    pen.text((middle, bottom + 3), panel.below, "black", _font(), anchor="ma")
    if panel.frame:
        pen.rectangle(box, outline=panel.frame, width=5)
    if panel.numbers is not None:
        _number(pen, panel.picture, panel.numbers, box)
    if panel.cell:
        x, y, w, h = panel.cell
        corners = [left + x * (right - left), top + y * (bottom - top)]
        corners += [corners[0] + w * (right - left), corners[1] + h * (bottom - top)]
        for width, colour in ((4, "black"), (2, "white")):
            pen.rectangle(corners, outline=colour, width=width)


def _number(pen: ImageDraw.ImageDraw, picture: Tensor, numbers: Tensor, box: tuple[int, int, int, int]) -> None:
    """Numbers over the blocks that show them, left out where a block is narrower than a number."""
    left, top, right, bottom = box
    (rows, columns), (_, height, width) = numbers.shape, picture.shape
    if (right - left) / columns < _length("-0.00") or (bottom - top) / rows < FONT:
        return
    for (row, column), value in np.ndenumerate(numbers.numpy()):
        at = (left + (column + 0.5) * (right - left) / columns, top + (row + 0.5) * (bottom - top) / rows)
        under = picture[:, int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)]
        pen.text(at, f"{value:z.2f}", "black" if under.float().mean() > 110 else "white", _font(), anchor="mm")


def coloured(values: NDArray[Any] | Tensor, colours: str | Colormap) -> Tensor:
    """Values through a colour map, as a picture.

    Args:
        values: (H, W): shares in [0, 1], or whole numbers that count the map's colours.
        colours: a colour map or matplotlib's name of one.

    Returns:
        (3, H, W) uint8.
    """
    chosen = mpl.colormaps[colours] if isinstance(colours, str) else colours
    return torch.from_numpy(chosen(np.asarray(values), bytes=True)[..., :3]).movedim(-1, 0)


def spread(values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Cells as blocks of pixels: (h, w) to (H, W), each pixel with its cell's value."""
    rows, columns = (torch.arange(n) * m // n for n, m in zip(shape, values.shape, strict=True))
    return values[rows[:, None], columns]


def blend(picture: Tensor, mask: Tensor, top: float, opacity: float = 0.7, threshold: float = 0.0) -> Tensor:
    """A mask, cell by cell, over the grey picture.

    Args:
        picture: (3, H, W) uint8.
        mask: (h, w); cells below the threshold show the picture alone.
        top: the value of the last colour.
        opacity: of the mask, in [0, 1].
        threshold: the least value that is drawn.

    Returns:
        (3, H, W) uint8.
    """
    cells = spread(mask, (picture.shape[1], picture.shape[2]))
    colour = coloured((cells / top).clamp(0, 1), MASKS)
    share = opacity * (cells >= threshold)
    return ((1 - share) * picture.float().mean(0) + share * colour).round().to(torch.uint8)


def blocks(
    values: Tensor, top: float, shape: tuple[int, int], above: str = "", below: str = "", *, signed: bool = False
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
    share = spread(values, shape) / max(top, 1e-9)
    picture = coloured(share / 2 + 0.5, HEAT) if signed else coloured(share, MASKS)
    return Panel(picture, above, below, smooth=Image.Resampling.NEAREST)
