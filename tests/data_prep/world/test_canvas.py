from __future__ import annotations

import numpy as np

from data_prep.world.canvas import Canvas, bricks, shade, tint


def test_lengths_are_frame_heights() -> None:
    canvas = Canvas(0.5, 1.0, 40)
    canvas.box(0.1, 0.25, 0.39, 0.49, (200, 100, 50))
    picture = np.asarray(canvas.image)
    assert picture.shape == (40, 20, 4)
    inside = np.zeros((40, 20), bool)
    inside[10:20, 4:16] = True
    assert np.array_equal(picture[..., 3] > 0, inside)  # clear elsewhere
    assert (picture[inside] == (200, 100, 50, 255)).all()


def test_ovals_and_shapes_fill_their_area() -> None:
    canvas = Canvas(1.0, 1.0, 200)
    canvas.oval(0.5, 0.5, 0.4, 0.2, (1, 1, 1))
    assert abs(float((np.asarray(canvas.image)[..., 3] > 0).mean()) - np.pi * 0.4 * 0.2) < 0.01
    canvas = Canvas(1.0, 1.0, 200)
    canvas.shape([(0.1, 0.1), (0.9, 0.1), (0.1, 0.9)], (1, 1, 1))
    assert abs(float((np.asarray(canvas.image)[..., 3] > 0).mean()) - 0.32) < 0.01


def test_tints_keep_to_their_brightness() -> None:
    rng = np.random.default_rng(0)
    greys = [tint(rng, 80, 120, 0.0) for _ in range(50)]
    assert all(r == g == b and 79 <= r <= 120 for r, g, b in greys)
    assert all(40 <= channel <= 180 for _ in range(50) for channel in tint(rng, 80, 120, 1.0))


def test_shades_stay_colours() -> None:
    assert shade((100, 200, 10), 0.5) == (50, 100, 5)
    assert shade((100, 200, 10), 2.0) == (200, 255, 20)


def test_bricks_fill_a_band_with_joints_between() -> None:
    canvas = Canvas(1.0, 1.0, 500)
    bricks(canvas, np.random.default_rng(0), 0.2, 0.6, (0.2, 0.1), (100, 100, 100))
    picture = np.asarray(canvas.image)[..., 0]
    assert (picture[100:300] > 0).all()
    assert (picture[:100] == 0).all()
    assert (picture[302:] == 0).all()
    joints = picture[100:300] == 72
    assert 0.02 < joints.mean() < 0.2
    assert len(np.unique(picture[100:300][~joints])) > 5  # bricks of different shades
