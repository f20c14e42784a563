"""Grids of pictures with words around them, laid out in inches so that every word has its room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from scmlib.figures.style import bare, new_figure

HEAD, LABEL, CAPTION = 10.0, 8.5, 7.0  # sizes of letters in points: above columns, left of rows, below pictures

LEADING = 1.25 / 72  # inches a line for each point of its letters

BAR = 0.75  # inches that a colour bar with its label takes at the foot

LEGEND = 1.3  # inches that the legend of an index map takes at the right


def length(line: str, points: float) -> float:
    """Inches that a line of words takes."""
    return float(TextPath((0, 0), line, size=points).get_extents().width) / 72 if line.strip() else 0.0


def wrap(text: str, inches: float, points: float) -> str:
    """Words in lines of at most so many inches; lines break where the text does, else between words."""
    lines = []
    for given in text.split("\n"):
        line = ""
        for word in _pieces(given, inches, points):
            longer = f"{line} {word}".strip()
            if line and length(longer, points) > inches:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return "\n".join(lines)


def _pieces(text: str, inches: float, points: float) -> list[str]:
    """The words of a text; one longer than a line, e.g. a file's name, in pieces that fit."""
    pieces = []
    for word in text.split():
        start = 0
        for end in range(1, len(word) + 1):
            if end - start > 1 and length(word[start:end], points) > inches:
                pieces.append(word[start : end - 1])
                start = end - 1
        pieces.append(word[start:])
    return pieces


def _room(texts: Sequence[str], points: float) -> tuple[float, float]:
    """Inches that the widest and the tallest of some texts take."""
    lines = [line for text in texts for line in text.split("\n")]
    tallest = max((text.count("\n") + 1 for text in texts if text), default=0)
    return max((length(line, points) for line in lines), default=0.0), tallest * points * LEADING


def picture_grid(
    alt: str,
    shape: tuple[int, int],
    aspect: float,
    *,
    cell: float = 1.05,
    heads: Sequence[str] = (),
    labels: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    side: float = 0.0,
    foot: float = 0.0,
    group: int = 0,
) -> tuple[Figure, NDArray[Any]]:
    """A figure with an empty cell for each picture; its size follows from its words.

    Args:
        alt: what the figure shows, in words.
        shape: rows and columns.
        aspect: height of a picture over its width.
        cell: width of a picture, in inches; columns are wider where their words are.
        heads: a text above each column.
        labels: a text left of each row.
        captions: by row, a text below each picture.
        side: inches to leave at the right, for a legend.
        foot: inches to leave at the foot, for a colour bar.
        group: columns after which a gap stands; 0 for none.

    Returns:
        The figure, and its axes as an array of rows and columns.
    """
    rows, columns = shape
    heads = [wrap(head, 1.15 * cell, HEAD) for head in heads]
    labels = [wrap(label, 1.4, LABEL) for label in labels]
    below = [[wrap(caption, 1.1 * cell, CAPTION) for caption in line] for line in captions]
    words = max(_room(heads, HEAD)[0], *(_room(line, CAPTION)[0] for line in below), 0.0)
    step = max(cell + 0.06, words + 0.1)  # from one column to the next
    left, label_height = _room(labels, LABEL)
    left += 0.15 if labels else 0.05
    height = cell * aspect
    under = [_room(line, CAPTION)[1] + 0.05 for line in below] + [0.0] * (rows - len(below))
    steps = [max(height, label_height) + 0.06 + room for room in under]  # from one row to the next
    top = _room(heads, HEAD)[1] + (0.12 if heads else 0.05)
    gaps = [0.25 * (column // group) if group else 0.0 for column in range(columns)]
    width, tall = left + columns * step + gaps[-1] + side + 0.05, top + sum(steps) + foot + 0.05
    figure = new_figure(width, tall, alt, layout="none")
    grid = np.empty(shape, dtype=object)
    for row, column in np.ndindex(shape):
        x = left + column * step + gaps[column] + (step - cell) / 2
        y = top + sum(steps[:row]) + (steps[row] - under[row] - height) / 2  # from the top
        rect = (x / width, 1 - (y + height) / tall, cell / width, height / tall)
        grid[row, column] = figure.add_axes(rect)
    bare(grid.flat)
    for axes, head in zip(grid[0], heads, strict=False):
        axes.set_title(head, fontsize=HEAD)
    for axes, label in zip(grid[:, 0], labels, strict=False):
        axes.set_ylabel(label, fontsize=LABEL, rotation=0, ha="right", va="center", labelpad=4)
    for row_of_axes, line in zip(grid, below, strict=False):
        for axes, caption in zip(row_of_axes, line, strict=False):
            axes.set_xlabel(caption, fontsize=CAPTION, labelpad=2)
    return figure, grid


def colour_bar(figure: Figure, drawn: ScalarMappable, cells: NDArray[Any], label: str) -> None:
    """A colour bar at the foot of a grid, below some of its cells.

    Args:
        figure: see `picture_grid`; its foot has room for a `BAR`.
        drawn: what the bar explains.
        cells: their axes from left to right.
        label: the bar's.
    """
    width, height = figure.get_size_inches()
    left, right = (cells[0].get_position().x0, cells[-1].get_position().x1)
    wanted = max(0.7 * (right - left), 1.6 / width)
    middle = min(max((left + right) / 2, (wanted / 2) + 0.2 / width), 1 - wanted / 2 - 0.2 / width)
    axes = figure.add_axes((middle - wanted / 2, 0.45 / height, wanted, 0.09 / height))
    figure.colorbar(drawn, cax=axes, orientation="horizontal", label=label, ticks=MaxNLocator(4))
    axes.tick_params(labelsize=LABEL)
    axes.xaxis.label.set_fontsize(LABEL)
