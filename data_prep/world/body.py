"""A body's parts in three dimensions (unit: the person's height), turned to the camera and projected onto the screen.

A part is either a limb (a tapered capsule between two joints) or a column (an elliptical profile around a vertical
axis). Points of a body are (left of the person, up, ahead), points of the screen (right, up).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_prep.world.layers import Array
from scmlib.data.truth import PERSON

HEAD, UPPER, ARMS, LEGS, SHOES, CARRIED = PERSON  # regions of a person, indices into `REGIONS`

Point = tuple[float, float, float]

Row = tuple[float, float, float]  # height above the ground, half width, half depth

_ARC = np.linspace(math.pi / 2, 1.5 * math.pi, 8)  # radians: the half circle at a limb's end


class Cloth(NamedTuple):
    """How a part's surface looks: two of `COLOURS`, one of `PATTERNS`."""

    colour: str
    second: str = "none"  # shows where the pattern says so, and down an open front
    pattern: str = "plain"
    open_front: bool = False


class Part(NamedTuple):
    """A polygon on the screen with the axis that its shading and pattern follow; lengths in body heights."""

    region: int  # an index into scmlib's `REGIONS`
    depth: float  # how near to the camera: the nearest part is drawn last
    outline: Array  # (points, 2)
    axis: tuple[float, float, float, float]  # where it starts and where it ends: right, up, right, up
    radii: tuple[float, float]  # at the start and at the end
    along: float  # where the pattern begins: how far down the garment the axis starts
    cloth: Cloth


class Body:
    """Collects the parts of one person turned by `turn` radians: 0 faces the camera, a right angle the right."""

    def __init__(self, turn: float) -> None:
        self.cos, self.sin = math.cos(turn), math.sin(turn)
        self.parts: list[Part] = []

    def screen(self, point: Point) -> tuple[float, float, float]:
        """Right, up and nearness of a point, seen by a camera that looks down a little."""
        x, y, z = point
        near = z * self.cos - x * self.sin
        return x * self.cos + z * self.sin, y - 0.10 * near, near

    def limb(
        self,
        region: int,
        start: Point,
        end: Point,
        radii: tuple[float, float],
        cloth: Cloth,
        depth: float,
        along: float = 0.0,
    ) -> None:
        """Add a tapered capsule between two joints; the fields of `Part` say what the rest means."""
        (u0, v0, _), (u1, v1, _) = self.screen(start), self.screen(end)
        angle = math.atan2(v1 - v0, u1 - u0)
        first, last = _ARC + angle, _ARC + angle + math.pi
        us = np.concatenate([u0 + radii[0] * np.cos(first), u1 + radii[1] * np.cos(last)])
        vs = np.concatenate([v0 + radii[0] * np.sin(first), v1 + radii[1] * np.sin(last)])
        self.parts.append(Part(region, depth, np.stack([us, vs], 1), (u0, v0, u1, v1), radii, along, cloth))

    def column(
        self, region: int, rows: Sequence[Row], cloth: Cloth, depth: float, centre: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Add a profile around a vertical axis at `centre` (left of the person, ahead), its rows from top to bottom."""
        table = np.asarray(rows)
        half = np.hypot(table[:, 1] * self.cos, table[:, 2] * self.sin)
        u, lift, _ = self.screen((centre[0], 0.0, centre[1]))
        v = table[:, 0] + lift
        outline = np.stack([np.concatenate([u + half, (u - half)[::-1]]), np.concatenate([v, v[::-1]])], 1)
        middle = (len(half) + 1) // 2
        radii = (float(half[:middle].max()), float(half[middle - 1 :].max()))
        self.parts.append(Part(region, depth, outline, (u, float(v[0]), u, float(v[-1])), radii, 0.0, cloth))

    def near(self, x: float, z: float) -> float:
        """How much nearer to the camera than the body's axis a point (left of the person, ahead) is."""
        return z * self.cos - x * self.sin
