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
