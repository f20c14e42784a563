"""How a camera takes a picture: colour cast, exposure, sharpness, noise, and the views that it mostly sees."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from data_prep.world.canvas import Array


def take(picture: Array, camera: Camera, rng: np.random.Generator) -> Array:
    """Return a picture (0 to 255) as a camera takes it: cast, exposure, blur and noise, a little other each time."""
    gains = camera.gains * rng.uniform(0.92, 1.08) * rng.normal(1, 0.03, 3)
    picture = np.clip(picture * gains / 255, 0, 1) ** (camera.gamma * rng.uniform(0.92, 1.08)) * 255
    image = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.GaussianBlur(camera.blur))
    noisy = np.asarray(image, np.float32) + camera.noise * rng.standard_normal(picture.shape, np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


class Camera(NamedTuple):
    """What a camera does to a picture; gains are of red, green and blue."""

    gains: Array
    gamma: float
    blur: float
    noise: float
    views: Array


@lru_cache(maxsize=64)
def camera_of(seed: int, number: int, cameras: int, height: int, cast: float) -> Camera:
    """Return one of a world's cameras (from 1): colour cast, exposure, sharpness and the views it mostly sees."""
    rng = np.random.default_rng([seed, 2])
    start, order = rng.uniform(0, 2 * np.pi), rng.permutation(cameras)
    hue = start + 2 * np.pi * order[number - 1] / cameras
    rng = np.random.default_rng([seed, 3, number])
    gains = 1.0 + cast * np.cos(hue + 2 * np.pi / 3 * np.arange(3))
    views = np.full(3, 0.2)
    views[(number - 1) % 3] = 0.6
    sharp = height / 192
    return Camera(gains, rng.uniform(0.87, 1.16), rng.uniform(0.2, 0.9) * sharp, rng.uniform(1.5, 5.0), views)
