"""Long use in small; `make torture` has a thousand of each."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ipywidgets import Checkbox, FloatSlider, IntSlider, SelectionSlider

from scmlib.settings import Settings
from tests.torture.long_use import Reading, growth, moved, redraw, steps

MEMORY = 40  # MiB; a picture kept each time, or a graph kept each step, would be more


def test_growth_is_of_the_second_half() -> None:
    readings = [
        Reading(i, float(memory), files) for i, (memory, files) in enumerate([(1, 9), (50, 5), (52, 6), (53, 6)])
    ]
    assert growth(readings) == (3.0, 1)


def test_a_move_goes_elsewhere() -> None:
    for control in (
        IntSlider(3, 0, 9),
        FloatSlider(0.5, min=0, max=1),
        Checkbox(True),
        SelectionSlider(options=[("a", 1), ("b", 2)]),
    ):
        assert all(moved(control, random.Random(seed)) != control.value for seed in range(20))


@pytest.mark.slow
def test_redraws_hold_memory_and_files(run: Path) -> None:
    readings = redraw(run, 96)
    memory, files = growth(readings)
    assert readings[-1].times == 96
    assert memory < MEMORY
    assert files <= 0


@pytest.mark.slow
def test_steps_hold_memory_and_files(quick: Settings, tmp_path: Path) -> None:
    readings = steps(quick, tmp_path / "run", 60)
    memory, files = growth(readings)
    assert readings[-1].times >= 60
    assert memory < MEMORY
    assert files <= 0
