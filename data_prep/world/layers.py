"""Layers: drawn things, each pixel with its colour, its opacity and its region, laid over one another.

Everything is drawn at twice the resolution and then halved, which smooths its edges.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Layer(NamedTuple):
    """Something drawn that has yet to be laid over a background."""

    colour: Array  # (H, W, 3), 0 to 255, already multiplied by alpha
    alpha: Array  # (H, W), opacity from 0 to 1
    regions: Array  # (H, W) uint8: an index into scmlib's `REGIONS`, 0 where alpha is below a half

    def over(self, background: Array | float = 255.0) -> Array:
        """The layer over a background.

        Args:
            background: (H, W, 3) or one grey level, 0 to 255.

        Returns:
            (H, W, 3), 0 to 255.
        """
        return self.colour + background * (1 - self.alpha[..., None])


def halve(colour: Array, alpha: Array, regions: Array) -> Layer:
    """A layer at half the resolution: means of colour and alpha, the region that most of four pixels have.

    Args:
        colour: (2 H, 2 W, 3), 0 to 255, already multiplied by alpha.
        alpha: (2 H, 2 W), 0 to 1.
        regions: (2 H, 2 W).

    Returns:
        A layer of (H, W).
    """
    quarters = [(a, b) for a in (0, 1) for b in (0, 1)]
    colour = np.add.reduce([colour[a::2, b::2] for a, b in quarters]) / 4
    alpha = np.add.reduce([alpha[a::2, b::2] for a, b in quarters]) / 4
    four = np.stack([regions[a::2, b::2] for a, b in quarters])
    votes = (four[:, None] == four[None]).sum(1) * (four > 0)
    winner = np.take_along_axis(four, votes.argmax(0)[None], 0)[0]
    return Layer(colour, alpha, np.where(alpha >= 0.5, winner, 0).astype(np.uint8))


def paste(layer: Layer, x: int, y: int, height: int, width: int) -> Layer:
    """A layer moved into an empty one of (height, width); what sticks out is cut off.

    Args:
        layer: of any size.
        x: where its left edge goes, in pixels; may be negative.
        y: where its upper edge goes.
        height: of the new layer.
        width: of the new layer.
    """
    rows, columns = layer.alpha.shape
    to = slice(max(y, 0), max(min(y + rows, height), 0)), slice(max(x, 0), max(min(x + columns, width), 0))
    of = slice(to[0].start - y, to[0].stop - y), slice(to[1].start - x, to[1].stop - x)
    pasted = Layer(
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.uint8),
    )
    for target, source in zip(pasted, layer, strict=True):
        if to[0].stop > to[0].start and to[1].stop > to[1].start:
            target[to] = source[of]
    return pasted
