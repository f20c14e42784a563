"""The box that a detector draws around a person: loose or tight, so that head, trunk and legs move to other rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_prep.world.layers import Layer, paste


class Box(NamedTuple):
    """The size of a box and where the frame that a person is drawn for lies in it, all in pixels.

    A close box is the frame itself; in a loose one the frame is smaller, in a tight one larger than the box.
    """

    height: int
    width: int
    frame_height: int
    frame_width: int
    x: int  # of the frame's left edge in the box
    y: int  # of the frame's top edge in the box

    @property
    def margin(self) -> int:
        """Pixels to draw on every side of the frame so that nothing is missing in the box."""
        beside = max(self.x, self.width - self.x - self.frame_width)
        return max(0, beside, self.y, self.height - self.y - self.frame_height)

    def cut(self, layer: Layer) -> Layer:
        """What the box shows of a layer that was drawn for its frame and margin."""
        return paste(layer, self.x - self.margin, self.y - self.margin, self.height, self.width)


def draw_box(height: int, width: int, loose: float, rng: np.random.Generator) -> Box:
    """A box as a detector might draw it.

    The upper and the lower edge each lie up to `loose` frame heights off: outside, where they leave room, or inside,
    where they cut the head (at most half as far, as detectors seldom lose it) or the legs. Sideways the box is off by
    up to a third of that. The limits of the cuts keep at least three fifths of a person in any box.

    Args:
        height: of the box, in pixels.
        width: of the box, in pixels.
        loose: from 0, the close box that everyone fills from head to foot, to 0.5.
        rng: draws how far each edge is off.
    """
    above = rng.uniform(-min(loose / 2, 0.2), loose)
    below = rng.uniform(-min(loose, 0.35), loose)
    aside = rng.uniform(-loose / 3, loose / 3)
    zoom = 1 / (1 + above + below)
    tall, wide = round(zoom * height), round(zoom * width)
    return Box(height, width, tall, wide, round((width - wide) / 2 + aside * width), round(above * tall))
