"""What stands in front of a person: things and passers-by, drawn and then moved until they hide the wanted share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from data_prep.world.canvas import Canvas, bricks, shade, tint
from data_prep.world.identities import sample_identity
from data_prep.world.layers import Array, Layer, halve, paste
from data_prep.world.pedestrian import POSES, VIEWS, draw_pedestrian
from scmlib.errors import BadInput

Axis = Literal["up", "down", "across"]  # from below, from above, from a side


class Obstacle(NamedTuple):
    """Something that can stand in front, and the line on which it slides into the picture."""

    layer: Layer  # of its own size
    axis: Axis
    fixed: int  # the coordinate that stays, in pixels: of the left edge, or for "across" of the upper edge


Drawn = tuple[Canvas, Axis, float]  # as an obstacle, but with `fixed` in frame heights


def _vehicle(ratio: float, rng: np.random.Generator, unit: int) -> Drawn:
    paint_colour, tall = tint(rng, 60, 215, 1.1), rng.uniform(0.62, 0.95)
    glass, dark = (62, 74, 88), (34, 34, 38)
    if rng.random() < 0.6:
        c = Canvas(2.0, tall, unit)
        c.shape([(0.3, 0.42 * tall), (0.55, 0), (1.3, 0), (1.62, 0.42 * tall)], paint_colour)
        c.shape([(0.4, 0.42 * tall), (0.6, 0.06), (0.9, 0.06), (0.9, 0.42 * tall)], glass)
        c.shape([(0.95, 0.42 * tall), (0.95, 0.06), (1.26, 0.06), (1.5, 0.42 * tall)], shade(glass, 1.25))
        c.box(0.05, 0.4 * tall, 1.95, 0.9 * tall, paint_colour, 0.1)
        c.box(0.05, 0.7 * tall, 1.95, 0.74 * tall, shade(paint_colour, 0.72))
        c.box(0.92, 0.42 * tall, 0.93, 0.85 * tall, shade(paint_colour, 0.6))
        c.box(1.0, 0.5 * tall, 1.1, 0.53 * tall, shade(paint_colour, 1.4))
        for x in (0.42, 1.5):
            c.oval(x, 0.83 * tall, 0.19, 0.17 * tall, dark)
            c.oval(x, 0.83 * tall, 0.1, 0.09 * tall, (176, 178, 182))
        return c, "up", rng.uniform(-1.3, -0.25)
    wide = 1.25 * ratio
    c = Canvas(wide, tall, unit)
    c.shape([(0.06, 0.4 * tall), (0.13, 0), (wide - 0.13, 0), (wide - 0.06, 0.4 * tall)], paint_colour)
    c.shape([(0.1, 0.37 * tall), (0.155, 0.04), (wide - 0.155, 0.04), (wide - 0.1, 0.37 * tall)], glass)
    c.box(0, 0.38 * tall, wide, 0.92 * tall, paint_colour, 0.06)
    c.box(0.14, 0.55 * tall, wide - 0.14, 0.7 * tall, dark, 0.02)
    c.box(wide / 2 - 0.09, 0.78 * tall, wide / 2 + 0.09, 0.85 * tall, (228, 226, 214))
    for x in (0.07, wide - 0.07):
        c.oval(x, 0.55 * tall, 0.055, 0.05, (240, 236, 214))
        c.box(x - 0.06, 0.88 * tall, x + 0.06, tall, dark, 0.03)
    return c, "up", rng.uniform(-0.15, 0.03)


def _pole(ratio: float, rng: np.random.Generator, unit: int) -> Drawn:
    wide = rng.uniform(0.075, 0.19)
    c = Canvas(wide, 1.0, unit)
    if rng.random() < 0.5:
        bark = shade((108, 84, 64), rng.uniform(0.7, 1.3))
        c.box(0, 0, wide, 1, bark)
        for _ in range(90):
            x, y = rng.uniform(0, wide), rng.uniform(-0.1, 1)
            c.shape(
                [(x, y), (x + 0.006, y + 0.05), (x - 0.002, y + rng.uniform(0.08, 0.2))],
                shade(bark, rng.uniform(0.6, 1.25)),
            )
    else:
        metal = tint(rng, 80, 190, 0.5)
        c.box(0, 0, wide, 1, metal)
        for y in np.arange(rng.uniform(0, 0.2), 1, 0.28):
            c.box(0, y, wide, y + 0.09, tint(rng, 60, 230, 1.2))
            c.box(0.1 * wide, y + 0.02, 0.8 * wide, y + 0.03, (235, 235, 230))
    return c, "across", 0.0


def _plant(ratio: float, rng: np.random.Generator, unit: int) -> Drawn:
    upward = rng.random() < 0.6
    c = Canvas(1.3 * ratio if upward else 0.9 * ratio, 0.95, unit)
    green = shade((72, 118, 58), rng.uniform(0.75, 1.3))
    middle = c.wide / 2
    for x in np.linspace(0.12, c.wide - 0.12, 5):
        c.oval(x, 0.68, 0.17, 0.52 if not upward else 0.42 + rng.uniform(-0.05, 0.07), shade(green, 0.62))
    for _ in range(260):
        x, y = rng.uniform(0.04, c.wide - 0.04), rng.uniform(0.1, 1) ** 0.8
        edge = abs(x - middle) / middle
        leaf, turn = shade(green, rng.uniform(0.6, 1.3) * (1.25 - 0.4 * y)), rng.uniform(0, math.pi)
        y = max(y, 0.08 + (0.24 if upward else 0.12) * edge**2)
        a, b = 0.05 * math.cos(turn), 0.05 * math.sin(turn)
        c.shape([(x - a, y - b), (x + b / 2.5, y - a / 2.5), (x + a, y + b), (x - b / 2.5, y + a / 2.5)], leaf)
    if rng.random() < 0.35:
        bloom = tint(rng, 150, 225, 1.2)
        for _ in range(25):
            c.oval(rng.uniform(0.05, c.wide - 0.05), rng.uniform(0.2, 0.95), 0.014, 0.014, bloom)
    return c, ("up" if upward else "across"), (rng.uniform(-0.15, 0.0) if upward else 0.05)


def _sign(ratio: float, rng: np.random.Generator, unit: int) -> Drawn:
    style, colour = rng.integers(3), tint(rng, 70, 210, 1.1)
    if style == 0:
        c = Canvas(1.2 * ratio, 0.9, unit)
        bricks(c, rng, 0.05, 0.9, (0.15, 0.065), tint(rng, 100, 180, 0.5))
        c.box(0, 0, c.wide, 0.05, (190, 186, 178))
        return c, "up", rng.uniform(-0.1, 0.0)
    axis: Axis = "up" if style == 1 else "across" if rng.choice(2) == 0 else "down"
    c = Canvas(1.1 * ratio if axis != "across" else 0.75 * ratio, 0.9, unit)
    c.box(0, 0, c.wide, c.tall, shade(colour, 0.6), 0.02)
    c.box(0.015, 0.015, c.wide - 0.015, c.tall - 0.015, colour, 0.02)
    ink = (240, 238, 230) if sum(colour) < 400 else (40, 42, 52)
    if rng.random() < 0.4:
        for y in np.arange(-0.6, 0.9, 0.16):
            c.shape([(0.02, y + 0.4), (c.wide - 0.02, y), (c.wide - 0.02, y + 0.08), (0.02, y + 0.48)], ink)
    else:
        for y in np.arange(0.08, 0.8, 0.13):
            x = 0.05
            while x < c.wide - 0.12:
                word = rng.uniform(0.04, 0.14)
                c.box(x, y, min(x + word, c.wide - 0.05), y + 0.055, ink, 0.01)
                x += word + 0.03
    return c, axis, (rng.uniform(-0.05, 0.0) if axis != "across" else rng.uniform(0.0, 0.15))


_THINGS = {"vehicle": _vehicle, "pole": _pole, "plant": _plant, "sign": _sign}

# What can stand in front of a person.
KINDS = (*_THINGS, "pedestrian")

# Those that can hide any share of a person, where a pole may be too thin; the first ones are the surest.
WIDE = ("sign", "vehicle", "plant", "pedestrian")


def draw_obstacle(kind: str, height: int, width: int, rng: np.random.Generator) -> Obstacle:
    """A random obstacle.

    Args:
        kind: one of `KINDS`.
        height: of the picture that it is for, in pixels.
        width: of that picture.
        rng: draws what it looks like and from where it comes.
    """
    if kind == "pedestrian":
        view, pose = str(rng.choice(VIEWS)), str(rng.choice(list(POSES)))
        who, size = sample_identity(rng), rng.uniform(0.9, 1.1)
        passer_by = draw_pedestrian(who, view, pose, rng, height=height, width=width, size=size)
        return Obstacle(passer_by, "across", round(rng.uniform(0.0, 0.06) * height))
    canvas, axis, fixed = _THINGS[kind](width / height, rng, 2 * height)
    picture = np.asarray(canvas.image, np.float32)
    rows, columns = picture.shape[:2]
    light = 1.06 - 0.2 * np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    if kind == "pole":
        light = light * (0.55 + 0.55 * np.sin(np.linspace(0.5, 2.9, columns, dtype=np.float32)))
    light = light + rng.normal(0, 0.03, (rows, columns)).astype(np.float32)
    alpha = picture[..., 3] / 255
    colour = np.clip(picture[..., :3] * light[..., None], 0, 255) * alpha[..., None]
    return Obstacle(halve(colour, alpha, (alpha > 0).astype(np.uint8)), axis, round(fixed * height))


def _share(mask: Array, person: Array, x: int, y: int) -> float:
    """The share of the person's pixels (H, W) under a mask whose corner lies at (x, y)."""
    part = person[max(y, 0) : max(y + mask.shape[0], 0), max(x, 0) : max(x + mask.shape[1], 0)]
    over = mask[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    return float((part & over).sum() / person.sum())


def slide(obstacle: Obstacle, person: Array, target: float, backward: bool) -> tuple[float, int, int]:
    """Where an obstacle hides closest to the wanted share of a person: tried in steps of 5 pixels, then of 1.

    Args:
        obstacle: to slide along its axis.
        person: (H, W) bool, the person's pixels.
        target: the wanted share, 0 to 1.
        backward: whether an obstacle that goes across comes from the right.

    Returns:
        The share that it hides there, and x and y of its upper left corner in pixels.
    """
    mask, axis, fixed = obstacle.layer.regions > 0, obstacle.axis, obstacle.fixed
    (rows, columns), (height, width) = mask.shape, person.shape
    if axis == "across":
        corners = [(x, fixed) for x in range(-columns, width)]
    elif axis == "up":
        corners = [(fixed, y) for y in range(height, max(height - rows, 0), -1)]
    else:
        corners = [(fixed, y) for y in range(-rows, 1)]
    if backward and axis == "across":
        corners.reverse()
    best = (9.0, 0.0, 0, 0)
    for stride, nearby in ((5, corners), (1, corners)):
        if stride == 1:
            middle = corners.index((best[2], best[3]))
            nearby = corners[max(middle - 4, 0) : middle + 5]
        for x, y in nearby[::stride]:
            share = _share(mask, person, x, y)
            # Strictly closer: of equally good corners the first on the way in is taken.
            best = min(best, (abs(share - target), share, x, y), key=lambda found: found[0])
    return best[1:]


def stand_in_front(
    kind: str,
    person: Array,
    hidden: tuple[float, float],
    rng: np.random.Generator,
    kinds: Sequence[str] = KINDS,
) -> tuple[Layer, str]:
    """An occluder in front of a person.

    Args:
        kind: one of `KINDS`.
        person: (H, W) bool, the person's pixels.
        hidden: the least and the most of them that it may hide, as shares.
        rng: draws the occluder and the share that it hides.
        kinds: those that there are; one of `WIDE` among them.

    Returns:
        A layer of (H, W) and the occluder's kind: a wide one where the wanted kind fails.

    Raises:
        BadInput: nothing hides that much.
    """
    height, width = person.shape
    for attempt in range(40):
        target = rng.uniform(*hidden)
        if attempt == 20:
            kind = next(wide for wide in WIDE if wide in kinds)
        obstacle = draw_obstacle(kind, height, width, rng)
        share, x, y = slide(obstacle, person, target, bool(rng.random() < 0.5))
        if hidden[0] <= share <= hidden[1]:
            return paste(obstacle.layer, x, y, height, width), kind
    raise BadInput(f"World.hidden is {hidden}, and no {kind} hides that much of a person: choose other limits.")
