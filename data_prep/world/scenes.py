"""What is behind a person: a scene for each camera, a piece of it for each picture, and the shadow at the feet."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_prep.world.canvas import Canvas, bricks, shade, tint
from data_prep.world.layers import Array, Layer

# Walls and trees end, and the ground begins, at this share of a scene's height.
GROUND = 0.7


def _street(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    x = 0.0
    while x < c.wide:
        wide, top = rng.uniform(0.5, 0.9), rng.uniform(-0.1, 0.15)
        colour = tint(rng, 110, 200)
        c.box(x, top, x + wide, ground, colour)
        pane = shade(tint(rng, 50, 90, 0.3), 1.0)
        for y in np.arange(top + 0.12, ground - 0.25, 0.3):
            for left in np.arange(x + 0.08, x + wide - 0.15, 0.22):
                c.box(left, y, left + 0.12, y + 0.18, shade(colour, 1.2))
                c.box(left + 0.012, y + 0.012, left + 0.108, y + 0.168, shade(pane, rng.uniform(0.8, 1.6)))
        c.box(x + 0.12, ground - 0.3, x + 0.3, ground, tint(rng, 50, 120))
        x += wide
    c.box(0, ground, c.wide, ground + 0.16, (168, 164, 158))
    c.box(0, ground + 0.16, c.wide, ground + 0.19, (205, 202, 196))


def _wall(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    bricks(c, rng, 0, ground, (0.17, 0.07), tint(rng, 120, 160, 0.3) if rng.random() < 0.3 else (164, 92, 70))
    for x in np.arange(rng.uniform(0, 0.4), c.wide, 0.9):
        colour = tint(rng, 90, 220, 1.2)
        c.box(x, ground - 0.75, x + 0.26, ground - 0.38, (235, 232, 225))
        c.box(x + 0.015, ground - 0.735, x + 0.245, ground - 0.395, colour)
        c.oval(x + 0.13, ground - 0.6, 0.07, 0.07, shade(colour, 1.5))
        for line in range(3):
            c.box(
                x + 0.04,
                ground - 0.49 + line * 0.03,
                x + rng.uniform(0.12, 0.22),
                ground - 0.475 + line * 0.03,
                (30, 30, 34),
            )


def _park(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    c.box(0, 0, c.wide, ground, (186, 208, 224))
    for _ in range(60):
        c.oval(
            rng.uniform(0, c.wide),
            ground - rng.uniform(0.1, 0.5),
            0.2,
            0.15,
            shade((92, 128, 76), rng.uniform(0.7, 1.15)),
        )
    for x in np.arange(rng.uniform(0, 0.3), c.wide, 0.55):
        bark = shade((98, 76, 58), rng.uniform(0.7, 1.2))
        c.shape([(x - 0.03, 0.1), (x + 0.03, 0.1), (x + 0.05, ground + 0.02), (x - 0.05, ground + 0.02)], bark)
        for _ in range(40):
            leaf = shade((74, 122, 60), rng.uniform(0.7, 1.35))
            c.oval(x + rng.normal(0, 0.16), rng.normal(0.2, 0.16), 0.07, 0.05, leaf)
    c.box(0, ground, c.wide, c.tall, (112, 148, 80))
    c.shape([(0, ground + 0.14), (c.wide, ground + 0.08), (c.wide, c.tall), (0, c.tall)], (196, 178, 146))


def _shop(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    c.box(0, 0, c.wide, ground, tint(rng, 60, 100))
    for x in np.arange(0.05, c.wide, 0.85):
        glow, sign = tint(rng, 170, 225, 0.25), tint(rng, 90, 190, 1.2)
        c.box(x, 0.3, x + 0.76, ground - 0.12, glow)
        for item in range(4):
            left, tall = x + 0.05 + 0.18 * item, rng.uniform(0.15, 0.42)
            c.box(left, ground - 0.14 - tall, left + 0.12, ground - 0.14, tint(rng, 60, 220, 1.2), 0.03)
            c.oval(left + 0.06, ground - 0.17 - tall, 0.03, 0.035, tint(rng, 120, 210, 0.3))
        c.shape(
            [(x + 0.1, 0.3), (x + 0.25, 0.3), (x + 0.05, ground - 0.12), (x, ground - 0.12), (x, 0.75)],
            shade(glow, 1.1),
        )
        for stripe in range(8):
            edge = x - 0.02 + 0.1 * stripe
            c.box(edge, 0.12, edge + 0.1, 0.34, sign if stripe % 2 else (238, 234, 228))
    c.box(0, ground - 0.12, c.wide, ground, tint(rng, 60, 110, 0.3))
    bricks(c, rng, ground, c.tall, (0.3, 0.16), (178, 172, 164))


def _station(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    bricks(c, rng, 0, ground, (0.12, 0.12), tint(rng, 190, 220, 0.25))
    band = tint(rng, 70, 150, 1.4)
    c.box(0, ground - 0.62, c.wide, ground - 0.5, band)
    for x in np.arange(rng.uniform(0.1, 0.5), c.wide, 0.8):
        c.box(x, ground - 0.6, x + 0.34, ground - 0.52, (240, 240, 236))
        c.box(x + 0.05, ground - 0.575, x + 0.29, ground - 0.545, (36, 38, 60))
        c.box(x + 0.5, 0, x + 0.62, ground + 0.05, shade(band, 0.6))
        c.box(x + 0.52, 0, x + 0.55, ground + 0.05, shade(band, 0.9))
    bricks(c, rng, ground, c.tall, (0.22, 0.1), (150, 150, 154))
    c.box(0, ground + 0.1, c.wide, ground + 0.16, (226, 190, 60))


def _crossing(c: Canvas, rng: np.random.Generator, ground: float) -> None:
    c.box(0, 0, c.wide, ground, (200, 212, 222))
    for x in np.arange(0, c.wide, 0.4):
        c.box(x, rng.uniform(0.1, 0.5), x + 0.42, ground, tint(rng, 120, 190, 0.3))
    for x in np.arange(rng.uniform(0, 0.5), c.wide, 1.1):
        car = tint(rng, 70, 210, 1.3)
        c.box(x, ground - 0.17, x + 0.62, ground - 0.03, car, 0.04)
        c.shape(
            [(x + 0.12, ground - 0.16), (x + 0.2, ground - 0.27), (x + 0.42, ground - 0.27), (x + 0.52, ground - 0.16)],
            (70, 80, 92),
        )
        for wheel in (0.13, 0.48):
            c.oval(x + wheel, ground - 0.03, 0.055, 0.055, (36, 36, 38))
        c.box(x + 0.85, 0, x + 0.88, ground, (70, 74, 78))
        c.box(x + 0.82, 0.32, x + 0.91, 0.56, (40, 42, 46), 0.02)
        for lamp, colour in enumerate(((214, 64, 50), (90, 80, 40), (60, 90, 70))):
            c.oval(x + 0.865, 0.365 + 0.075 * lamp, 0.027, 0.027, colour)
    c.box(0, ground, c.wide, c.tall, (104, 106, 110))
    for x in np.arange(-0.5, c.wide, 0.42):
        c.shape([(x + 0.3, ground + 0.07), (x + 0.5, ground + 0.07), (x + 0.3, c.tall), (x, c.tall)], (222, 222, 218))


# What the cameras look at, in turn; each draws on a canvas down to a height at which the ground begins.
SCENES = {"street": _street, "wall": _wall, "park": _park, "shop": _shop, "station": _station, "crossing": _crossing}


@lru_cache(maxsize=64)
def panorama(seed: int, camera: int, unit: int) -> Image.Image:
    """All that a camera can see.

    Args:
        seed: of the world.
        camera: from 1.
        unit: pixels of one frame height.

    Returns:
        An RGB picture, 3 frame heights wide and 1.5 high.
    """
    rng = np.random.default_rng([seed, 4, camera])
    canvas = Canvas(3.0, 1.5, unit, (128, 126, 122))
    list(SCENES.values())[(camera - 1) % len(SCENES)](canvas, rng, 1.5 * GROUND)
    picture = np.asarray(canvas.image.convert("RGB"), np.float32)
    for cell, strength in ((unit // 6, 0.10), (max(unit // 64, 1), 0.05)):
        shape = picture.shape[1] // cell + 2, picture.shape[0] // cell + 2
        grain = Image.fromarray(rng.normal(1, strength, shape[::-1]).astype(np.float32))
        picture = picture * np.asarray(grain.resize(picture.shape[1::-1], Image.Resampling.BICUBIC))[..., None]
    # Duller than the people in front, as distant things are.
    picture = 30 + 0.8 * (0.65 * picture + 0.35 * picture.mean(2, keepdims=True))
    depth = np.linspace(-1, 1, picture.shape[0])[:, None, None]
    return Image.fromarray(np.clip(picture * (1 - 0.12 * depth), 0, 255).astype(np.uint8))


def background(seed: int, camera: int, height: int, width: int, rng: np.random.Generator) -> Array:
    """What is behind a person: a piece of the camera's scene, some things on the ground, the light of the hour.

    Args:
        seed: of the world.
        camera: from 1.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        rng: chooses the piece, the things and the light.

    Returns:
        (height, width, 3), 0 to 255.
    """
    unit = 2 * height
    scene = panorama(seed, camera, unit)
    tall = rng.uniform(0.92, 1.12)
    wide = tall * width / height
    top = min(1.5 * GROUND - rng.uniform(0.62, 0.76) * tall, 1.5 - tall)
    left = rng.uniform(0, 3.0 - wide)
    box = (left * unit, top * unit, (left + wide) * unit, (top + tall) * unit)
    crop = scene.resize((2 * width, 2 * height), Image.Resampling.BILINEAR, box)
    pen = ImageDraw.Draw(crop)
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, crop.width), rng.uniform(0.7, 0.98) * unit
        colour, kind, size = tint(rng, 60, 190, 0.7), rng.integers(4), rng.uniform(0.7, 1.2) * unit
        if kind == 0:
            pen.polygon([(x - 0.05 * size, y), (x, y - 0.16 * size), (x + 0.05 * size, y)], fill=(214, 104, 44))
            pen.line([(x - 0.026 * size, y - 0.08 * size), (x + 0.026 * size, y - 0.08 * size)], (240, 240, 236), 6)
        elif kind == 1:
            pen.rounded_rectangle([x - 0.07 * size, y - 0.24 * size, x + 0.07 * size, y], 0.02 * size, fill=colour)
            pen.rectangle(
                [x - 0.075 * size, y - 0.24 * size, x + 0.075 * size, y - 0.2 * size], fill=shade(colour, 0.6)
            )
        elif kind == 2:
            pen.ellipse([x - 0.16 * size, y - 0.03 * size, x + 0.16 * size, y + 0.03 * size], fill=(112, 112, 116))
        else:
            pen.rounded_rectangle([x - 0.03 * size, y - 0.36 * size, x + 0.03 * size, y], 0.03 * size, fill=colour)
            pen.ellipse([x - 0.03 * size, y - 0.44 * size, x + 0.03 * size, y - 0.35 * size], fill=shade(colour, 1.3))
    daylight = rng.normal(1, 0.1) * rng.normal(1, 0.04, 3)
    return np.clip(np.asarray(crop.reduce(2), np.float32) * daylight, 0, 255)


def shadow(person: Layer, height: int, rng: np.random.Generator) -> Layer:
    """The soft shadow around a person's feet.

    Args:
        person: the layer that the person is drawn on.
        height: of the frame, in pixels; the shadow grows with it.
        rng: moves the shadow a little to the right.

    Returns:
        A layer of the person's size, its regions all background.
    """
    rows, columns = np.nonzero(person.regions)
    foot, middle = rows.max() - 0.012 * height, columns[rows > rows.max() - 0.08 * height].mean()
    canvas = Image.new("L", person.regions.shape[::-1])
    a, b = 0.17 * height, 0.022 * height
    middle += rng.uniform(0.0, 0.05) * height
    ImageDraw.Draw(canvas).ellipse([middle - a, foot - b, middle + a, foot + b], fill=130)
    soft = canvas.filter(ImageFilter.GaussianBlur(0.014 * height))
    return Layer(np.zeros_like(person.colour), np.asarray(soft, np.float32) / 255, np.zeros_like(person.regions))
