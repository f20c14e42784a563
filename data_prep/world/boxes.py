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


def draw_box(
    height: int,
    width: int,
    loose: float,
    rng: np.random.Generator,
    *,
    small: float = 0.0,
    partial: float = 0.0,
) -> Box:
    """A box as a detector might draw it.

    The upper and the lower edge each lie up to `loose` frame heights off: outside, where they leave room, or inside,
    where they cut the head (at most half as far, as detectors seldom lose it) or the legs. Sideways the box is off by
    up to a third of that. The limits of the cuts keep at least three fifths of a person in any box.

    In a partial box one of these edges cuts further, the lower one three times as often as the upper one; at least two
    fifths of the person's height stay. A small person stands anywhere in the box; its feet aren't cut by that.

    Args:
        height: of the box, in pixels.
        width: of the box, in pixels.
        loose: from 0, the close box that everyone fills from head to foot, to 0.5.
        rng: draws how far each edge is off.
        small: how much smaller than else a person may be drawn, from 0 to 0.5.
        partial: odds of a partial box.
    """
    above = rng.uniform(-min(loose / 2, 0.2), loose)
    below = rng.uniform(-min(loose, 0.35), loose)
    aside = rng.uniform(-loose / 3, loose / 3)
    if rng.random() < partial:
        if rng.random() < 0.75:
            above, below = max(above, 0.0), -rng.uniform(0.35, 0.5)
        else:
            above, below = -rng.uniform(0.3, 0.45), max(below, 0.0)
    if small:
        room = 1 / rng.uniform(1 - small, 1) - 1  # in heights of the frame, added above, below and to both sides
        up = rng.uniform(0, room)
        above, below = above + up, below + room - up
        aside += rng.uniform(-room, room) / (2 * (1 + above + below))
    zoom = 1 / (1 + above + below)
    tall, wide = round(zoom * height), round(zoom * width)
    return Box(height, width, tall, wide, round((width - wide) / 2 + aside * width), round(above * tall))
