from __future__ import annotations

import math

import numpy as np
import pytest

from data_prep.world.body import LEGS, UPPER, Body, Cloth

PLAIN = Cloth("red")


def extent(turn: float, start: tuple[float, float, float], end: tuple[float, float, float]) -> list[float]:
    body = Body(turn)
    body.limb(LEGS, start, end, (0.1, 0.1), PLAIN, 0.0)
    width, height = np.ptp(body.parts[0].outline, 0).round(2)
    return [float(width), float(height)]  # on the screen


def test_limb_is_as_long_as_it_looks() -> None:
    upright = (0.0, 0.2, 0.0), (0.0, 0.8, 0.0)
    assert extent(0.0, *upright) == extent(1.0, *upright) == pytest.approx([0.2, 0.8], abs=0.02)
    aside = (-0.3, 0.5, 0.0), (0.3, 0.5, 0.0)
    assert extent(0.0, *aside) == pytest.approx([0.8, 0.2], abs=0.02)
    assert extent(math.pi / 2, *aside) == pytest.approx([0.2, 0.26], abs=0.02)  # seen along it, a little from above


def test_column_shows_its_width_from_the_front_and_its_depth_from_the_side() -> None:
    for turn, wanted in ((0.0, 0.6), (math.pi / 2, 0.2), (math.pi, 0.6)):
        body = Body(turn)
        body.column(UPPER, [(1.0, 0.3, 0.1), (0.0, 0.3, 0.1)], PLAIN, 0.0)
        assert np.ptp(body.parts[0].outline, 0) == pytest.approx([wanted, 1.0])


def test_what_is_ahead_is_near_from_the_front_and_far_from_behind() -> None:
    assert Body(0.0).near(0.0, 0.5) == 0.5
    assert Body(math.pi).near(0.0, 0.5) == pytest.approx(-0.5)
    assert Body(math.pi / 2).near(0.5, 0.0) == pytest.approx(-0.5)  # turned to the right: the left side is far
