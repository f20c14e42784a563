from __future__ import annotations

import numpy as np
import pytest

from data_prep.world.layers import Array, Layer, halve, paste


def some_layer(height: int, width: int) -> Layer:
    rng = np.random.default_rng(0)
    alpha = rng.random((height, width), np.float32)
    return Layer(rng.random((height, width, 3), np.float32), alpha, rng.integers(1, 8, (height, width), np.uint8))


def test_over_mixes_by_alpha() -> None:
    colour, alpha = np.array([[[50.0, 50, 50]]]), np.array([[0.25]])
    layer = Layer(colour, alpha, np.zeros((1, 1), np.uint8))
    assert layer.over(100.0).tolist() == [[[125, 125, 125]]]
    assert layer.over(np.array([[[0.0, 40, 200]]])).tolist() == [[[50, 80, 200]]]


@pytest.mark.parametrize(
    ("regions", "alpha", "wanted"),
    [
        ([[3, 3], [3, 4]], [[1, 1], [1, 1]], 3),
        ([[4, 0], [0, 4]], [[1, 0], [0, 1]], 4),  # half covered: nothing has no vote
        ([[4, 0], [0, 0]], [[1, 0], [0, 0]], 0),  # a quarter
        ([[5, 0], [0, 0]], [[1, 0.5], [0.5, 0]], 5),
    ],
)
def test_halve_takes_means_and_votes(regions: list[list[int]], alpha: list[list[float]], wanted: int) -> None:
    colour = np.arange(12.0).reshape(2, 2, 3)
    layer = halve(colour, np.array(alpha, np.float32), np.array(regions, np.uint8))
    assert layer.regions.tolist() == [[wanted]]
    assert layer.alpha[0, 0] == np.mean(alpha)
    assert layer.colour[0, 0].tolist() == colour.mean((0, 1)).tolist()


def pasted_naively(source: Array, x: int, y: int, height: int, width: int) -> Array:
    target = np.zeros((height, width, *source.shape[2:]), source.dtype)
    for row in range(source.shape[0]):
        for column in range(source.shape[1]):
            if 0 <= row + y < height and 0 <= column + x < width:
                target[row + y, column + x] = source[row, column]
    return target


@pytest.mark.parametrize("x", [-9, -3, 0, 2, 6, 9])
@pytest.mark.parametrize("y", [-9, -4, 0, 5, 7])
def test_paste_is_the_naive_loop(x: int, y: int) -> None:
    layer = some_layer(4, 3)
    for ours, source in zip(paste(layer, x, y, 7, 6), layer, strict=True):
        assert np.array_equal(ours, pasted_naively(source, x, y, 7, 6))
