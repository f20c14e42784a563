from __future__ import annotations

import numpy as np
import pytest

from data_prep.world.body import LEGS, UPPER, Body, Cloth
from data_prep.world.painting import COLOURS, PATTERNS, Stance, paint

STANCE = Stance(0.8, 0.25, 0.9, 0.0)


def pillar(cloth: Cloth, region: int = UPPER) -> Body:
    """A column as high as a person and 0.3 wide."""
    body = Body(0.0)
    body.column(region, [(1.0, 0.15, 0.15), (0.0, 0.15, 0.15)], cloth, 0.0)
    return body


def test_stance_says_where_the_person_is() -> None:
    layer = paint(pillar(Cloth("red")).parts, 0.0, 200, 100, STANCE)
    rows, columns = np.nonzero(layer.regions == UPPER)
    assert (rows.min(), rows.max()) == pytest.approx((20, 180), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((26, 74), abs=1)
    leaned = paint(pillar(Cloth("red")).parts, 0.0, 200, 100, STANCE._replace(lean=0.1))
    top = np.nonzero(leaned.regions[22])[0].mean() - np.nonzero(layer.regions[22])[0].mean()
    assert top == pytest.approx(0.1 * 0.8 * 200, abs=1.5)


def test_margin_adds_around_and_changes_nothing_inside() -> None:
    close, wide = (paint(pillar(Cloth("red")).parts, 0.0, 64, 32, STANCE, margin) for margin in (0, 5))
    for small, large in zip(close, wide, strict=True):
        assert large.shape[:2] == (74, 42)
        assert np.allclose(large[5:-5, 5:-5], small, atol=1e-3)


def test_nearest_part_covers_the_others() -> None:
    parts = [*pillar(Cloth("red")).parts, *pillar(Cloth("blue"), LEGS).parts]
    assert set(np.unique(paint(parts, 0.0, 64, 32, STANCE).regions)) == {0, LEGS}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_show_the_second_colour(pattern: str) -> None:
    layer = paint(pillar(Cloth("red", "green", pattern)).parts, 0.0, 200, 100, STANCE)
    red, green = (layer.colour[..., channel][layer.regions > 0] for channel in (0, 1))
    greenish = (green > red).mean()
    assert (greenish == 0) if pattern == "plain" else (0.005 < greenish < 0.95)


def test_open_front_shows_the_second_colour_down_the_middle() -> None:
    layer = paint(pillar(Cloth("red", "green", "plain", True)).parts, 0.0, 200, 100, STANCE)
    greenish = layer.colour[..., 1] > layer.colour[..., 0]
    assert greenish[30:170, 50].all()
    assert not greenish[:, [30, 70]].any()


def test_colours_are_levels() -> None:
    assert all(len(colour) == 3 and 0 <= min(colour) <= max(colour) <= 255 for colour in COLOURS.values())
