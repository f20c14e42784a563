from __future__ import annotations

import math

import numpy as np
import pytest

from data_prep.world import POSES, VIEWS
from data_prep.world.body import HEAD, LEGS, SHOES, UPPER
from data_prep.world.identities import sample_identities
from data_prep.world.pedestrian import draw_pedestrian, parts_of

PEOPLE = sample_identities(0, 12)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("pose", POSES)
def test_body_is_in_order_in_every_view_and_pose(view: str, pose: str) -> None:
    for person in PEOPLE[:4]:
        regions = draw_pedestrian(person, view, pose, height=96, width=48).regions
        rows = [np.nonzero(regions == region)[0].mean() for region in (HEAD, UPPER, LEGS, SHOES)]
        assert rows == sorted(rows)


def test_heights_are_those_of_the_stature() -> None:
    heights: dict[str, float] = {}
    for person in PEOPLE:
        if person.hat == "none":
            rows = np.nonzero(draw_pedestrian(person, "front", "standing", height=400, width=200, size=0.8).regions)[0]
            heights.setdefault(person.stature, float(np.ptp(rows)) / 400)
    assert 0.70 < heights["short"] < heights["medium"] < heights["tall"] < 0.88


def test_generator_varies_a_person_and_nothing_else_does() -> None:
    first, second = (draw_pedestrian(PEOPLE[0], "side", "phone").regions for _ in range(2))
    assert np.array_equal(first, second)
    varied = draw_pedestrian(PEOPLE[0], "side", "phone", np.random.default_rng(0)).regions
    assert not np.array_equal(first, varied)


def test_parts_are_sorted_by_depth_and_a_back_shows_no_face() -> None:
    front, back = (parts_of(PEOPLE[0], turn, "standing") for turn in (0.0, math.pi))
    for parts in (front, back):
        assert [part.depth for part in parts] == sorted(part.depth for part in parts)
    assert len(front) > len(back)
