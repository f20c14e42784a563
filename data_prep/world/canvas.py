"""Drawing tools: persons painted as layers, a canvas with lengths in frame heights, layers moved over one another.

Everything is drawn at twice the resolution and reduced, which smooths its edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from scmlib.data.truth import PERSON

Array = npt.NDArray[Any]

Point = tuple[float, float, float]

Row = tuple[float, float, float]  # height above the ground, half width, half depth

HEAD, UPPER, ARMS, LEGS, SHOES, CARRIED = PERSON

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


class Cloth(NamedTuple):
    """Colours of a part's surface; `second` shows where the pattern says so, and down an open front."""

    colour: str
    second: str = "none"
    pattern: str = "plain"
    open_front: bool = False


class Part(NamedTuple):
    """A polygon on the screen with the axis that its shading and pattern follow; lengths in body heights."""

    region: int
    depth: float
    outline: Array
    axis: tuple[float, float, float, float]
    radii: tuple[float, float]
    along: float
    cloth: Cloth


_ARC = np.linspace(math.pi / 2, 1.5 * math.pi, 8)


class Body:
    """Collects the parts of one person turned by `turn` radians: 0 faces the camera, a right angle the right."""

    def __init__(self, turn: float) -> None:
        self.cos, self.sin = math.cos(turn), math.sin(turn)
        self.parts: list[Part] = []

    def screen(self, point: Point) -> tuple[float, float, float]:
        """Return right, up and nearness of a point (left of the person, up, ahead); the camera looks down a little."""
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
        """Add a tapered capsule between two joints."""
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
        """Return how much nearer to the camera than the body's axis a place (left of the person, ahead) is."""
        return z * self.cos - x * self.sin


class Layer(NamedTuple):
    """Something drawn that has yet to be laid over a background.

    `colour` is (H, W, 3), 0 to 255, already multiplied by `alpha` (H, W), 0 to 1; `regions` is (H, W), 0 where alpha
    is below a half and an index into scmlib's `REGIONS` elsewhere.
    """

    colour: Array
    alpha: Array
    regions: Array

    def over(self, background: Array | float = 255.0) -> Array:
        """Return the layer over a background of (H, W, 3) or one grey value, both 0 to 255."""
        return self.colour + background * (1 - self.alpha[..., None])


def _patterned(code: Array, across: Array, along: Array, angle: Array, hairline: Array) -> Array:
    """Return where the second colour of a surface shows: bool, one value per pixel.

    `across` is the way around the surface and `along` the way down it in body heights, `angle` the direction from
    which the pixel is seen by the person (0 is straight ahead).
    """
    rows, columns = (along * 18) % 1 < 0.5, (across * 22) % 1 < 0.5
    dots = ((along * 24) % 1 - 0.5) ** 2 + ((across * 24) % 1 - 0.5) ** 2 < 0.09
    blocks = along < 0.17
    chest = (np.abs(angle) < 0.6) & (np.abs(along - 0.13) < 0.045)
    stripe = np.abs(np.abs(angle) - math.pi / 2) < 0.3
    shows = [np.zeros_like(rows), rows, columns, rows ^ columns, dots, blocks, chest, stripe, along < hairline]
    return np.choose(code, shows)


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


def _surface(labels: Array, parts: list[Part], frame: tuple[float, float, float], turn: float) -> tuple[Array, Array]:
    """Return the colours (n, 3) and the flat indices (n,) of a person's pixels in a label picture."""
    size, left, ground = frame
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


def paint(
    parts: list[Part],
    turn: float,
    height: int,
    width: int,
    frame: tuple[float, float, float, float],
    margin: int = 0,
) -> Layer:
    """Paint a person into a picture of a size.

    `frame` holds the person's height, the middle of the feet from the left, the ground from the top (all in shares of
    the picture's height) and the lean (how far the head is beside the feet, in body heights). `margin` is the number of
    pixels by which the layer is larger than the picture on every side.
    """
    size, left, ground = (2 * height * share for share in frame[:3])
    left, ground = left + 2 * margin, ground + 2 * margin
    canvas = Image.new("L", (2 * (width + 2 * margin), 2 * (height + 2 * margin)))
    pen = ImageDraw.Draw(canvas)
    for number, part in enumerate(parts, 1):
        u, v = part.outline[:, 0] + frame[3] * part.outline[:, 1], part.outline[:, 1]
        pen.polygon(np.stack([left + size * u, ground - size * v], 1).ravel().tolist(), fill=number)
    labels = np.asarray(canvas)
    leaned = [
        part._replace(axis=(a[0] + frame[3] * a[1], a[1], a[2] + frame[3] * a[3], a[3]))
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
    return reduce_layer(rgb, (labels > 0).astype(np.float32), regions)


def reduce_layer(colour: Array, alpha: Array, regions: Array) -> Layer:
    """Halve a layer's resolution: means of colour and alpha, the region that most of four pixels have."""
    quarters = [(a, b) for a in (0, 1) for b in (0, 1)]
    colour = np.add.reduce([colour[a::2, b::2] for a, b in quarters]) / 4
    alpha = np.add.reduce([alpha[a::2, b::2] for a, b in quarters]) / 4
    four = np.stack([regions[a::2, b::2] for a, b in quarters])
    votes = (four[:, None] == four[None]).sum(1) * (four > 0)
    winner = np.take_along_axis(four, votes.argmax(0)[None], 0)[0]
    return Layer(colour, alpha, np.where(alpha >= 0.5, winner, 0).astype(np.uint8))


def paste(layer: Layer, x: int, y: int, height: int, width: int) -> Layer:
    """Return a layer moved to a place in a frame of a size; what sticks out is cut."""
    rows, columns = layer.alpha.shape
    to = slice(max(y, 0), max(min(y + rows, height), 0)), slice(max(x, 0), max(min(x + columns, width), 0))
    of = slice(to[0].start - y, to[0].stop - y), slice(to[1].start - x, to[1].stop - x)
    placed = Layer(
        np.zeros((height, width, 3), np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.uint8),
    )
    for target, source in zip(placed, layer, strict=True):
        if to[0].stop > to[0].start and to[1].stop > to[1].start:
            target[to] = source[of]
    return placed


def _share(mask: Array, person: Array, x: int, y: int) -> float:
    """Return the share of the person's pixels (H, W) under a mask put with its corner at (x, y)."""
    part = person[max(y, 0) : max(y + mask.shape[0], 0), max(x, 0) : max(x + mask.shape[1], 0)]
    over = mask[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    return float((part & over).sum() / person.sum())


def slide(mask: Array, person: Array, axis: str, fixed: int, target: float, backward: bool) -> tuple[float, int, int]:
    """Return how much of a person a mask hides where it slides to come closest to a target, and that place."""
    (rows, columns), (height, width) = mask.shape, person.shape
    if axis == "across":
        places = [(x, fixed) for x in range(-columns, width)]
    elif axis == "up":
        places = [(fixed, y) for y in range(height, max(height - rows, 0), -1)]
    else:
        places = [(fixed, y) for y in range(-rows, 1)]
    if backward and axis == "across":
        places.reverse()
    best = (9.0, 0.0, 0, 0)
    for stride, nearby in ((5, places), (1, places)):
        if stride == 1:
            middle = places.index((best[2], best[3]))
            nearby = places[max(middle - 4, 0) : middle + 5]
        for x, y in nearby[::stride]:
            share = _share(mask, person, x, y)
            # Strictly closer: of equally good places the first on the way in is taken.
            best = min(best, (abs(share - target), share, x, y), key=lambda found: found[0])
    return best[1:]


RGB = tuple[int, int, int]


class Canvas:
    """A picture to draw on whose lengths are shares of a frame's height."""

    def __init__(self, wide: float, tall: float, unit: int, colour: RGB | None = None) -> None:
        """Take the size in frame heights and the pixels of one frame height; without a colour it starts clear."""
        size = max(2, round(wide * unit)) // 2 * 2, max(2, round(tall * unit)) // 2 * 2
        self.wide, self.tall, self.unit = wide, tall, unit
        self.image = Image.new("RGBA", size, (*colour, 255) if colour else (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: RGB, round_by: float = 0.0) -> None:
        """Fill a rectangle, its corners rounded by a radius."""
        corners = [x0 * self.unit, y0 * self.unit, max(x1, x0) * self.unit, max(y1, y0) * self.unit]
        if round_by:
            self.pen.rounded_rectangle(corners, round_by * self.unit, fill=colour)
        else:
            self.pen.rectangle(corners, fill=colour)

    def oval(self, x: float, y: float, a: float, b: float, colour: RGB) -> None:
        """Fill an ellipse around a middle."""
        self.pen.ellipse(
            [(x - a) * self.unit, (y - b) * self.unit, (x + a) * self.unit, (y + b) * self.unit], fill=colour
        )

    def shape(self, points: list[tuple[float, float]], colour: RGB) -> None:
        """Fill a polygon."""
        self.pen.polygon([(x * self.unit, y * self.unit) for x, y in points], fill=colour)


def tint(rng: np.random.Generator, low: int = 60, high: int = 200, colourful: float = 0.6) -> RGB:
    """Draw a colour of about a brightness between two values; `colourful` 0 is grey."""
    level = rng.uniform(low, high)
    r, g, b = np.clip(level * (1 + colourful * rng.uniform(-0.5, 0.5, 3)), 0, 255).astype(int).tolist()
    return r, g, b


def shade(colour: RGB, factor: float) -> RGB:
    """Return a colour made lighter or darker."""
    r, g, b = (int(min(255, max(0, c * factor))) for c in colour)
    return r, g, b
