from __future__ import annotations

import numpy as np
import pytest

from data_prep.world.identities import sample_identities
from data_prep.world.pedestrian import draw_pedestrian
from data_prep.world.scenes import SCENES, background, panorama, shadow


@pytest.mark.parametrize("camera", range(1, len(SCENES) + 1))
def test_every_camera_has_a_scene_of_its_own(camera: int) -> None:
    first, again = (background(0, camera, 96, 48, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (96, 48, 3)
    assert 0 <= first.min() < first.max() <= 255
    assert np.array_equal(first, again)
    neighbour = background(0, camera % len(SCENES) + 1, 96, 48, np.random.default_rng(5))
    assert np.abs(first - neighbour).mean() > 5
    assert panorama(0, camera, 192).size == (576, 288)


def test_shadow_lies_around_the_feet() -> None:
    person = draw_pedestrian(sample_identities(0, 1)[0], "front", "standing")
    layer = shadow(person, 192, np.random.default_rng(0))
    feet = np.nonzero(person.regions)[0].max()
    rows = np.nonzero(layer.alpha > 0.1)[0]
    assert feet - 20 < rows.min() < feet < rows.max() < feet + 12
    assert not layer.regions.any()
    assert not layer.colour.any()
