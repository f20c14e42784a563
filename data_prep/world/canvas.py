"""A canvas with lengths in frame heights, and what scenes and occluders are drawn with: shapes, bricks, colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]  # red, green and blue, 0 to 255


class Canvas:
    """A picture to draw on, x to the right and y down, all lengths as shares of a frame's height."""

    def __init__(self, wide: float, tall: float, unit: int, colour: RGB | None = None) -> None:
        """Make a canvas of one colour, or a clear one.

        Args:
            wide: in frame heights.
            tall: in frame heights.
            unit: pixels of one frame height.
            colour: of the whole canvas; fully transparent without one.
        """
        size = max(2, round(wide * unit)) // 2 * 2, max(2, round(tall * unit)) // 2 * 2
        self.wide, self.tall, self.unit = wide, tall, unit
        self.image = Image.new("RGBA", size, (*colour, 255) if colour else (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB, round_by: float = 0.0) -> None:
        """Fill a rectangle; `round_by` is the radius of its corners."""
        corners = [x0 * self.unit, y0 * self.unit, max(x1, x0) * self.unit, max(y1, y0) * self.unit]
        if round_by:
            self.pen.rounded_rectangle(corners, round_by * self.unit, fill=colour)
        else:
            self.pen.rectangle(corners, fill=colour)

    def oval(self, x: float, y: float, a: float, b: float, colour: RGB) -> None:
        """Fill an ellipse with its middle at (x, y); `a` is half its width and `b` half its height."""
        self.pen.ellipse(
            [(x - a) * self.unit, (y - b) * self.unit, (x + a) * self.unit, (y + b) * self.unit], fill=colour
        )

    def shape(self, points: list[tuple[float, float]], colour: RGB) -> None:
        """Fill a polygon."""
        self.pen.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=colour)


def tint(rng: np.random.Generator, low: int = 60, high: int = 200, colourful: float = 0.6) -> RGB:
    """A random colour.

    Args:
        rng: draws it.
        low: the least brightness, 0 to 255.
        high: the greatest brightness.
        colourful: how far the three channels differ; 0 is grey.
    """
    level = rng.uniform(low, high)
    r, g, b = np.clip(level * (1 + colourful * rng.uniform(-0.5, 0.5, 3)), 0, 255).astype(int).tolist()
    return r, g, b


def shade(colour: RGB, factor: float) -> RGB:
    """A colour made darker (factor below 1) or lighter (above 1)."""
    r, g, b = (int(min(255, max(0, c * factor))) for c in colour)
    return r, g, b


def bricks(c: Canvas, rng: np.random.Generator, y0: float, y1: float, brick: tuple[float, float], colour: RGB) -> None:
    """Fill the canvas between two heights with bricks or tiles.

    Args:
        c: the canvas.
        rng: varies the brightness of each brick.
        y0: the upper edge of the wall, in frame heights.
        y1: its lower edge.
        brick: width and height of a brick, in frame heights.
        colour: of an average brick; the joints are darker.
    """
    c.box(0, y0, c.wide, y1, shade(colour, 0.72))
    for row, y in enumerate(np.arange(y0, y1, brick[1])):
        for x in np.arange(-brick[0] * (row % 2) / 2, c.wide, brick[0]):
            face = shade(colour, rng.uniform(0.85, 1.12))
            c.box(x + 0.006, y + 0.006, x + brick[0] - 0.006, min(y + brick[1] - 0.006, y1), face)
