"""How a camera takes a picture: colour cast, exposure, sharpness, noise, and the sides it mostly sees people from."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from data_prep.world.layers import Array


class Camera(NamedTuple):
    """What a camera does to a picture."""

    gains: Array  # (3,) of red, green and blue
    gamma: float  # exponent of levels scaled to 0 to 1: above 1 darkens
    blur: float  # standard deviation, in pixels
    noise: float  # standard deviation, in levels of 0 to 255
    views: Array  # odds of each of `VIEWS`


@lru_cache(maxsize=64)
def camera_of(seed: int, number: int, cameras: int, height: int, cast: float) -> Camera:
    """One of a world's cameras.

    Args:
        seed: of the world.
        number: of the camera, from 1.
        cameras: how many there are; their casts lie evenly on the colour circle.
        height: of a picture, in pixels; the blur grows with it.
        cast: how far the gains go from 1.
    """
    rng = np.random.default_rng([seed, 2])
    start, order = rng.uniform(0, 2 * np.pi), rng.permutation(cameras)
    hue = start + 2 * np.pi * order[number - 1] / cameras
    rng = np.random.default_rng([seed, 3, number])
    gains = 1.0 + cast * np.cos(hue + 2 * np.pi / 3 * np.arange(3))
    views = np.full(3, 0.2)
    views[(number - 1) % 3] = 0.6
    sharp = height / 192
    return Camera(gains, rng.uniform(0.87, 1.16), rng.uniform(0.2, 0.9) * sharp, rng.uniform(1.5, 5.0), views)


def take(picture: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """A picture as a camera takes it: cast, exposure, blur and noise, a little different each time.

    Args:
        picture: (H, W, 3), 0 to 255.
        camera: that takes it.
        rng: varies cast and exposure, and makes the noise. It draws the same for any picture of one size.

    Returns:
        (H, W, 3) uint8.
    """
    gains = camera.gains * rng.uniform(0.92, 1.08) * rng.normal(1, 0.03, 3)
    picture = np.clip(picture * gains / 255, 0, 1) ** (camera.gamma * rng.uniform(0.92, 1.08)) * 255
    image = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.GaussianBlur(camera.blur))
    noisy = np.asarray(image, np.float32) + camera.noise * rng.standard_normal(picture.shape, np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)
