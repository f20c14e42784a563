"""From a person's parts to a layer: drawn as labels at twice the resolution, then coloured, patterned and shaded."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from data_prep.world.body import ARMS, LEGS, UPPER, Part
from data_prep.world.layers import Array, Layer, halve

# Red, green and blue, 0 to 255.
COLOURS: dict[str, tuple[int, int, int]] = {
    "none": (0, 0, 0),
    "black": (44, 44, 49),
    "grey": (134, 136, 140),
    "white": (226, 225, 220),
    "red": (184, 52, 48),
    "blue": (52, 92, 164),
    "green": (66, 126, 78),
    "yellow": (222, 182, 70),
    "navy": (44, 54, 92),
    "denim": (88, 112, 150),
    "beige": (192, 170, 134),
    "brown": (112, 76, 52),
    "blond": (206, 170, 104),
    "dark brown": (62, 42, 32),
    "fair": (240, 204, 178),
    "light": (224, 180, 146),
    "tan": (190, 140, 102),
    "deep": (136, 92, 64),
    "dark": (92, 62, 46),
}

PATTERNS = (
    "plain",
    "horizontal stripes",
    "vertical stripes",
    "checks",
    "dots",
    "two blocks",
    "chest print",
    "side stripe",
    "hairline",
)


def _patterned(code: Array, across: Array, along: Array, angle: Array, hairline: Array) -> Array:
    """Where the second colour of a surface shows.

    Args:
        code: (n,) each pixel's pattern, an index into `PATTERNS`.
        across: (n,) distance around the surface, in body heights.
        along: (n,) distance down the surface, in body heights.
        angle: (n,) in radians: on which side of the person the pixel lies; 0 is straight ahead.
        hairline: (n,) how far down the hair reaches, in body heights.

    Returns:
        (n,) bool.
    """
    rows, columns = (along * 18) % 1 < 0.5, (across * 22) % 1 < 0.5
    dots = ((along * 24) % 1 - 0.5) ** 2 + ((across * 24) % 1 - 0.5) ** 2 < 0.09
    blocks = along < 0.17
    chest = (np.abs(angle) < 0.6) & (np.abs(along - 0.13) < 0.045)
    stripe = np.abs(np.abs(angle) - math.pi / 2) < 0.3
    shows = [np.zeros_like(rows), rows, columns, rows ^ columns, dots, blocks, chest, stripe, along < hairline]
    return np.choose(code, shows)


def _surface(labels: Array, parts: list[Part], pixels: tuple[float, float, float], turn: float) -> tuple[Array, Array]:
    """The colours of a person's pixels, shaded as if lit from the left.

    Args:
        labels: (H, W), 0 for nothing, else 1 + the part's position in the list.
        parts: what the labels number.
        pixels: the person's height, the middle of the feet from the left, the ground from the top.
        turn: of the person, in radians.

    Returns:
        Colours (n, 3), 0 to 255 and above where it is bright, and flat indices (n,) of the n pixels with a label.
    """
    size, left, ground = pixels
    flat = labels.ravel()
    where = np.flatnonzero(flat)
    label = flat[where].astype(np.intp) - 1
    axis = np.array([part.axis for part in parts], np.float32)
    step = axis[:, 2:] - axis[:, :2]
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-3)
    step = step / length[:, None]
    radii = np.array([part.radii for part in parts], np.float32)
    table = np.column_stack([axis[:, :2], step, radii[:, 0], (radii[:, 1] - radii[:, 0]) / length, length])
    table = np.column_stack([table, [part.along for part in parts]]).astype(np.float32)
    x0, y0, dx, dy, first, grow, reach, offset = table.T[:, label]
    u = ((where % labels.shape[1]) - left) / size - x0
    v = (ground - (where // labels.shape[1])) / size - y0
    down = u * dx + v * dy
    radius = first + grow * np.clip(down, 0, reach)
    # Seen along the axis from its start, the screen's right is on the left of an axis that points down.
    side = np.clip((v * dx - u * dy) / radius, -0.999, 0.999)
    seen = np.arcsin(side)
    angle = (seen - turn + math.pi) % (2 * math.pi) - math.pi
    code = np.array([PATTERNS.index(part.cloth.pattern) for part in parts])[label]
    hairline = reach * (0.2 + 0.62 * np.sin(angle / 2) ** 2)
    second = _patterned(code, angle * radius, down + offset, angle, hairline)
    opening = np.array([part.cloth.open_front for part in parts])[label]
    second = np.where(opening, second ^ (np.abs(angle) < 0.34), second)
    palette = np.array([[COLOURS[p.cloth.colour], COLOURS[p.cloth.second]] for p in parts], np.float32)
    folded = np.array([part.region in (UPPER, ARMS, LEGS) for part in parts])[label]
    folds = folded * 0.05 * np.sin(34 * down + 5 * side + 7 * offset + label)
    light = 0.66 + 0.42 * np.sqrt(1 - side**2) - 0.17 * side + folds
    return palette[label, second.astype(np.intp)] * light[:, None], where


class Stance(NamedTuple):
    """How a person stands in a frame; lengths as shares of the frame's height."""

    size: float  # the person's height
    left: float  # the middle of the feet, from the left edge
    ground: float  # the soles, from the upper edge
    lean: float  # how far the head is beside the feet, in body heights


def paint(parts: list[Part], turn: float, height: int, width: int, stance: Stance, margin: int = 0) -> Layer:
    """A person as a layer.

    Args:
        parts: from the farthest to the nearest.
        turn: of the person, in radians.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        stance: how the person stands in the frame.
        margin: pixels by which the layer is larger than the frame on every side.

    Returns:
        A layer of (height + 2 margin, width + 2 margin).
    """
    size, left, ground = (2 * height * share for share in stance[:3])
    left, ground = left + 2 * margin, ground + 2 * margin
    canvas = Image.new("L", (2 * (width + 2 * margin), 2 * (height + 2 * margin)))
    pen = ImageDraw.Draw(canvas)
    for number, part in enumerate(parts, 1):
        u, v = part.outline[:, 0] + stance.lean * part.outline[:, 1], part.outline[:, 1]
        pen.polygon(np.stack([left + size * u, ground - size * v], 1).ravel().tolist(), fill=number)
    labels = np.asarray(canvas)
    leaned = [
        part._replace(axis=(a[0] + stance.lean * a[1], a[1], a[2] + stance.lean * a[3], a[3]))
        for part in parts
        for a in (part.axis,)
    ]
    colours, where = _surface(labels, leaned, (size, left, ground), turn)
    # A dark rim where one thing ends before another keeps an arm visible on a coat of the same colour; the pieces of
    # one limb share their depth and get none between them.
    things = list(dict.fromkeys((part.depth, part.cloth) for part in parts))
    thing = np.array([-1, *(things.index((part.depth, part.cloth)) for part in parts)])[labels]
    rim = (thing != np.roll(thing, 1, 0)) | (thing != np.roll(thing, 1, 1))
    colours *= np.where(rim.ravel()[where], 0.8, 1.0)[:, None]
    rgb = np.zeros((*labels.shape, 3), np.float32)
    rgb.reshape(-1, 3)[where] = np.minimum(colours, 255)
    regions = np.array([0, *(part.region for part in parts)], np.uint8)[labels]
    return halve(rgb, (labels > 0).astype(np.float32), regions)
