"""Occluders put in front of a picture on purpose: a known share of it hidden, by a block, an object or a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.data.images import resize
from scmlib.errors import BadInput

Seed = int | Sequence[int]  # what numpy.random.default_rng takes

Position = str | tuple[float, float]  # one of `POSITIONS`, or a point: shares of height and width, each in [0, 1]

KINDS = ("block", "object", "person")

# Where an occluder grows from, as shares of height and width; "random" draws a point of its own.
ANCHORS = {"top": (0.0, 0.5), "middle": (0.5, 0.5), "bottom": (1.0, 0.5), "left": (0.5, 0.0), "right": (0.5, 1.0)}

POSITIONS = (*ANCHORS, "random")

LARGEST = 0.6  # share of an image that may be hidden

# A pasted person stands nearer to the camera and is this much larger; its picture then fills all that is hidden.
NEARER = 1.5


class Occluder(NamedTuple):
    """Something to stand in front of an image, not yet cut to a size."""

    pixels: Tensor  # (3, H, W) uint8
    order: Tensor  # (H, W): each pixel's place, from 0, in the order in which pixels are hidden

    def cover(self, image: Tensor, ratio: float, region: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The image with a share of a region hidden, (3, H, W), and where, (H, W) bool.

        Args:
            image: (3, H, W) uint8.
            ratio: hidden share of the region's pixels.
            region: (H, W) bool, at least one pixel; the whole image if not given.
        """
        reached = (self.order if region is None else self.order[region]).flatten().sort().values
        hidden = round(ratio * len(reached))
        mask = self.order <= reached[hidden - 1] if hidden else torch.zeros_like(self.order, dtype=torch.bool)
        return torch.where(mask, self.pixels, image), mask


def occlude(
    image: Tensor, *, kind: str, ratio: float, position: Position, seed: Seed, people: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """Hide a share of an image.

    Exactly round(ratio * H * W) pixels are hidden. One seed gives one occluder, which grows in place with the ratio:
    what a smaller ratio hides, a larger one hides too, by the same pixels. Ratio 0 leaves the image as it is.

    Args:
        image: (3, H, W) uint8.
        kind: "block" (a rectangle of one colour), "object" (a textured thing with an uneven outline) or "person" (a
            rectangle cut from another person's image, enlarged as if nearer to the camera).
        ratio: hidden share of the image's area, in [0, 0.6].
        position: the edge that it grows from ("top", "bottom", "left", "right"), "middle" (half-way up) or "random"
            (a point in the middle half of height and width). Blocks and persons at an edge or in the middle are bands
            from side to side; objects needn't reach the sides. A pair of shares of height and width, (0.5, 0.5) for
            the centre, is a point that it grows from to all sides.
        seed: of everything that is drawn by chance.
        people: for "person": (3, H', W') uint8 images to choose from.

    Returns:
        The occluded image, (3, H, W) uint8, and the occluder's mask, (H, W) bool.

    Raises:
        BadInput: an unknown kind or position, a ratio out of range, an image of another form, or nobody to paste.
    """
    _check([kind], [position] if isinstance(position, str) else [], [ratio])
    if not isinstance(position, str) and not all(0 <= share <= 1 for share in position):
        raise BadInput(f"The point {position} lies outside the image: give shares of height and width from 0 to 1.")
    if image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
        raise BadInput(f"The image is {list(image.shape)} {image.dtype}, but must be (3, H, W) uint8: see read_image.")
    height, width = image.shape[1:]
    return draw_occluder(kind, position, (height, width), seed, people).cover(image, ratio)


def _check(kinds: Sequence[str], positions: Sequence[str], ratios: Sequence[float]) -> None:
    for name, given, known in (("kind of occluder", kinds, KINDS), ("position", positions, POSITIONS)):
        for value in given:
            if value not in known:
                raise BadInput(f"Unknown {name} '{value}': choose one of {', '.join(known)}.")
    for ratio in ratios:
        if not 0 <= ratio <= LARGEST:
            raise BadInput(f"The hidden share {ratio} is out of range: give a number from 0 to {LARGEST}.")


def draw_occluder(
    kind: str, position: Position, size: tuple[int, int], seed: Seed, people: Sequence[Tensor] = ()
) -> Occluder:
    """The occluder that `occlude` cuts to size; its arguments, with `size` (height, width) in pixels.

    Raises:
        BadInput: nobody to paste.
    """
    rng = np.random.default_rng(seed)
    if not isinstance(position, str):
        (down, across), slopes = position, (1.0, 1.0)
    elif position == "random":
        (down, across), aspect = rng.uniform(0.25, 0.75, 2), rng.uniform(2 / 3, 3 / 2)
        slopes = (aspect**0.5, aspect**-0.5)
    else:
        down, across = ANCHORS[position]
        flat = 0.5 if kind == "object" else 0.0  # 0: it grows in one direction only, as a band
        slopes = (flat, 1.0) if position in ("left", "right") else (1.0, flat)
    # A pixel is reached when the occluder has grown to its distance from the anchor, so cutting at any distance gives
    # a shape that contains all smaller ones.
    y = slopes[0] * ((torch.arange(size[0])[:, None] + 0.5) / size[0] - down)  # (H, 1)
    x = slopes[1] * ((torch.arange(size[1])[None] + 0.5) / size[1] - across)  # (1, W)
    if kind == "object":
        pixels, distance = _texture(size, rng), torch.hypot(y, x) / _outline(torch.atan2(y, x), rng)
    else:
        distance = torch.maximum(y.abs(), x.abs())
        if kind == "person":
            if not people:
                raise BadInput("There is nobody to paste: give images of other persons as people.")
            pixels = _in_front(people[int(rng.integers(len(people)))], size, (down, across))
        else:
            pixels = torch.from_numpy(rng.integers(256, size=(3, 1, 1), dtype=np.uint8)).expand(3, *size)
    ranked = distance.flatten().argsort(stable=True)
    order = torch.empty_like(ranked).scatter_(0, ranked, torch.arange(len(ranked)))
    return Occluder(pixels, order.view(size))


def _outline(angle: Tensor, rng: np.random.Generator) -> Tensor:
    """How far an object reaches in each direction, around 1: a few waves and finer ragged ones."""
    reach = torch.ones_like(angle)
    for wave, height in ((2, 0.15), (3, 0.15), (5, 0.08), (9, 0.06), (14, 0.05)):
        reach += height * rng.uniform(0.3, 1) * torch.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return reach


def _texture(size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """(3, H, W) uint8: patches of two colours, unevenly lit and grainy, as leaves, stone or cloth are."""
    drawn = torch.from_numpy(rng.uniform(20, 220, (2, 3, 1, 1))).float()
    colours = (drawn + drawn.mean(1, keepdim=True)) / 2  # half as vivid as drawn: most things are dull
    patches, light, grain = (_noise(size, cell, rng) for cell in (size[0] / 14, size[0] / 5, size[0] / 90))
    picture: Tensor = torch.where(patches > 0.2, colours[0], colours[1]) * (1 + 0.15 * light + 0.12 * grain)
    return picture.clamp(0, 255).byte()


def _noise(size: tuple[int, int], cell: float, rng: np.random.Generator) -> Tensor:
    """Smooth noise (H, W) of mean 0 and about unit deviation, with one independent value for each cell of pixels."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *(int(n / cell) + 2 for n in size)))).float()
    return F.interpolate(coarse, size, mode="bicubic")[0, 0]


def _in_front(person: Tensor, size: tuple[int, int], anchor: tuple[float, float]) -> Tensor:
    """Another person's image, enlarged, with its centre at the anchor: (3, H, W) uint8."""
    large = resize(person, (round(NEARER * size[0]), round(NEARER * size[1])))
    for axis, share in enumerate(anchor):
        n, whole = size[axis], large.shape[axis + 1]
        # Only places that no ratio reaches lie beyond the enlarged image.
        start = whole // 2 - round(share * n)
        large = large.index_select(axis + 1, torch.arange(start, start + n).clamp(0, whole - 1))
    return large
