from __future__ import annotations

import numpy as np
import pytest

from data_prep.world import KINDS
from data_prep.world.identities import sample_identities
from data_prep.world.layers import Array, Layer, paste
from data_prep.world.occluders import Axis, Obstacle, draw_obstacle, slide, stand_in_front
from data_prep.world.pedestrian import draw_pedestrian
from scmlib.errors import BadInput

PERSON = draw_pedestrian(sample_identities(0, 1)[0], "front", "standing", height=96, width=48).regions > 0


def block(height: int, width: int, axis: Axis, fixed: int) -> Obstacle:
    layer = Layer(np.zeros((height, width, 3)), np.ones((height, width)), np.ones((height, width), np.uint8))
    return Obstacle(layer, axis, fixed)


def hides(layer: Layer, person: Array) -> float:
    return float(((layer.regions > 0) & person).sum() / person.sum())


@pytest.mark.parametrize(
    "obstacle",
    [block(96, 12, "across", 0), block(50, 60, "up", -5), block(70, 48, "down", 0), block(60, 20, "across", -20)],
)
@pytest.mark.parametrize("target", [0.15, 0.3, 0.45])
def test_slide_comes_as_close_as_trying_every_corner(obstacle: Obstacle, target: float) -> None:
    (rows, columns), fixed = obstacle.layer.alpha.shape, obstacle.fixed
    corners = {
        "across": [(x, fixed) for x in range(-columns, 48)],
        "up": [(fixed, y) for y in range(max(96 - rows, 0), 97)],
        "down": [(fixed, y) for y in range(-rows, 1)],
    }[obstacle.axis]
    shares = [hides(paste(obstacle.layer, x, y, 96, 48), PERSON) for x, y in corners]
    closest = min(abs(share - target) for share in shares)
    for backward in (False, True):
        share, x, y = slide(obstacle, PERSON, target, backward)
        assert share == pytest.approx(hides(paste(obstacle.layer, x, y, 96, 48), PERSON))
        assert abs(share - target) <= closest + 0.02  # steps of 5 pixels, refined


def test_block_that_goes_across_may_come_from_either_side() -> None:
    person = np.zeros((96, 48), bool)
    person[:, 14:34] = True
    found = [slide(block(96, 10, "across", 0), person, 0.25, backward) for backward in (False, True)]
    assert found == [(0.25, 9, 0), (0.25, 29, 0)]


@pytest.mark.parametrize("kind", KINDS)
def test_obstacles_are_something_to_stand_behind(kind: str) -> None:
    for seed in range(5):
        obstacle = draw_obstacle(kind, 96, 48, np.random.default_rng(seed))
        assert (obstacle.layer.regions > 0).mean() > 0.1
        assert 0 <= obstacle.layer.alpha.min() <= obstacle.layer.alpha.max() <= 1
        assert obstacle.axis in ("up", "down", "across")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_hides_within_the_limits(kind: str) -> None:
    for seed in range(5):
        layer, drawn = stand_in_front(kind, PERSON, (0.2, 0.4), np.random.default_rng(seed))
        assert 0.2 <= hides(layer, PERSON) <= 0.4
        assert drawn in (kind, "sign")  # where a pole is too thin, a sign stands in


def test_wide_kind_stands_in_from_those_that_there_are() -> None:
    whole = np.ones((96, 48), bool)  # no pole hides half of this
    assert stand_in_front("pole", whole, (0.5, 0.55), np.random.default_rng(0), ("pole", "plant"))[1] == "plant"
    assert stand_in_front("pole", whole, (0.5, 0.55), np.random.default_rng(0))[1] == "sign"


def test_limits_that_nothing_keeps_are_refused() -> None:
    with pytest.raises(BadInput, match=r"World\.hidden is \(0\.2, 0\.2\), and no sign hides that much of a person"):
        stand_in_front("pole", PERSON, (0.2, 0.2), np.random.default_rng(0))
