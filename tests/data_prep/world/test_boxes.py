from __future__ import annotations

import numpy as np
import pytest

from data_prep.world import POSES, VIEWS, identities
from data_prep.world.boxes import Box, draw_box
from data_prep.world.pedestrian import draw_pedestrian
from tests.data_prep.world.conftest import QUICK


def test_close_box_is_the_frame() -> None:
    assert draw_box(192, 96, 0.0, np.random.default_rng(0)) == Box(192, 96, 192, 96, 0, 0)


@pytest.mark.parametrize("loose", [0.1, 0.3, 0.5])
def test_edges_are_off_by_no_more_than_allowed(loose: float) -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_box(192, 96, loose, rng) for _ in range(200)]
    above = np.array([box.y / box.frame_height for box in boxes])
    below = np.array([(box.height - box.y - box.frame_height) / box.frame_height for box in boxes])
    assert -min(loose / 2, 0.2) - 0.01 < above.min() < 0 < above.max() < loose + 0.01
    assert -min(loose, 0.35) - 0.01 < below.min() < 0 < below.max() < loose + 0.01


@pytest.mark.parametrize("loose", [0.1, 0.3, 0.5])
def test_any_box_keeps_three_fifths_of_the_person(loose: float) -> None:
    rng = np.random.default_rng(0)
    for person in identities(QUICK):
        box = draw_box(96, 48, loose, rng)
        box_and_more = box._replace(height=288, width=240, x=box.x + 96, y=box.y + 96)
        whole = draw_pedestrian(
            person,
            str(rng.choice(VIEWS)),
            str(rng.choice(list(POSES))),
            rng,
            height=box.frame_height,
            width=box.frame_width,
            margin=box_and_more.margin,
        )
        regions = box_and_more.cut(whole).regions
        assert (regions[96:192, 96:144] > 0).sum() >= 0.6 * (regions > 0).sum()


def visible_rows(box: Box) -> float:
    """The share of the frame's height that lies in the box."""
    return (min(box.height, box.y + box.frame_height) - max(0, box.y)) / box.frame_height


def test_partial_boxes_miss_much_of_one_end() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_box(192, 96, 0.15, rng, partial=1.0) for _ in range(200)]
    shares = np.array([visible_rows(box) for box in boxes])
    assert 0.48 < shares.min() < shares.max() < 0.72
    assert 0.6 < np.mean([box.y >= 0 for box in boxes]) < 0.9  # the lower end is missed more often
    some = [draw_box(192, 96, 0.0, rng, partial=0.3) for _ in range(200)]
    assert 0.2 < np.mean([visible_rows(box) < 0.9 for box in some]) < 0.4


def test_small_people_stand_anywhere_in_the_box() -> None:
    rng = np.random.default_rng(0)
    boxes = [draw_box(192, 96, 0.0, rng, small=0.4) for _ in range(300)]
    assert min(box.frame_height for box in boxes) == pytest.approx(0.6 * 192, abs=4)
    assert max(box.frame_height for box in boxes) == pytest.approx(192, abs=4)
    for box in boxes:
        assert -1 <= box.y <= box.height - box.frame_height + 1  # head and feet stay
        assert -2 <= box.x <= box.width - box.frame_width + 2
    spare = [box for box in boxes if box.frame_height < 150]
    assert np.ptp([box.y / (box.height - box.frame_height) for box in spare]) > 0.9
    assert np.ptp([box.x / (box.width - box.frame_width) for box in spare]) > 0.9
