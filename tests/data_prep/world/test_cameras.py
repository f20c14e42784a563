from __future__ import annotations

import numpy as np
import pytest

from data_prep.world import VIEWS
from data_prep.world.cameras import Camera, camera_of, take

PLAIN = Camera(np.ones(3), 1.0, 0.0, 0.0, np.full(3, 1 / 3))


def test_cameras_differ_and_casts_go_as_far_as_they_may() -> None:
    cameras = [camera_of(0, number, 6, 192, 0.05) for number in range(1, 7)]
    for camera in cameras:
        assert camera.views.sum() == pytest.approx(1)
        assert len(camera.views) == len(VIEWS)
        assert np.abs(camera.gains - 1).max() <= 0.05
    assert np.abs(np.array([camera.gains for camera in cameras]) - 1).max() > 0.04
    assert len({camera.gamma for camera in cameras}) == 6
    assert (camera_of(0, 1, 6, 192, 0.0).gains == 1).all()
    assert camera_of(0, 1, 6, 96, 0.05).blur == pytest.approx(cameras[0].blur / 2)


def test_exposure_varies_and_order_of_levels_stays() -> None:
    ramp = np.repeat(np.linspace(0, 255, 32)[None, :, None], 3, 2)
    taken = [take(ramp, PLAIN, np.random.default_rng(seed)) for seed in range(8)]
    assert taken[0].dtype == np.uint8
    assert all((np.diff(image.astype(int), axis=1) >= 0).all() for image in taken)
    means = [image.mean() for image in taken]
    assert max(means) - min(means) > 5
    assert np.mean(means) == pytest.approx(ramp.mean(), rel=0.1)


def test_noise_is_as_strong_as_it_should_be_and_the_same_for_any_picture() -> None:
    noisy = PLAIN._replace(noise=4.0)
    grey, white = np.full((64, 64, 3), 128.0), np.full((64, 64, 3), 100.0)
    images = [take(picture, noisy, np.random.default_rng(0)).astype(float) for picture in (grey, white)]
    assert images[0].std(axis=(0, 1)) == pytest.approx([4.0] * 3, rel=0.1)
    difference = images[0] - images[1]
    assert np.ptp(difference, axis=(0, 1)).max() <= 1  # but for rounding, one number for each channel
