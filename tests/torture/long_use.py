"""Long use: many redraws of the explorers and many training steps in one process, with its memory and open files.

python -m tests.torture.long_use TIMES
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from ipywidgets import Checkbox, IntSlider
from torch.optim.optimizer import register_optimizer_step_post_hook
from tqdm import tqdm

from data_prep.world import PRESETS, write_world
from scmlib.data.datasets import dataset_folder
from scmlib.explorers import (
    explore_masks,
    explore_prior,
    explore_ranking,
    explore_schedule,
    explore_search,
    occlusion_lab,
)
from scmlib.explorers.widgets import Explorer
from scmlib.runs import open_study
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import train

EXPLORERS: list[Callable[..., Explorer]] = [explore_masks, occlusion_lab, explore_ranking, explore_search]


class Reading(NamedTuple):
    """What the process holds after some use."""

    times: int
    memory: float  # MiB
    files: int


def look(times: int) -> Reading:
    """Take a reading."""
    process = psutil.Process()
    return Reading(times, process.memory_info().rss / 2**20, process.num_fds())


def growth(readings: list[Reading]) -> tuple[float, int]:
    """What the second half added: highest memory (MiB) and open files, less those of the quarter before it.

    The first quarter is left out: caches fill, libraries load.
    """
    quarter = len(readings) // 4
    before, after = readings[quarter : 2 * quarter], readings[2 * quarter :]
    return (
        max(reading.memory for reading in after) - max(reading.memory for reading in before),
        max(reading.files for reading in after) - max(reading.files for reading in before),
    )


def moved(control: Any, draw: random.Random) -> object:
    """Another value of a control: its other state, a neighbour on a slider of steps, or any option."""
    if isinstance(control, Checkbox):
        return not control.value
    if hasattr(control, "options"):
        values = [value[1] if isinstance(value, tuple) else value for value in control.options]
        return draw.choice([value for value in values if value != control.value])
    low, high = control.min, control.max
    if isinstance(control, IntSlider):
        return draw.choice([value for value in range(low, high + 1) if value != control.value])
    return low + (high - low) * draw.random()


def redraw(run: Path, times: int, seed: int = 0) -> list[Reading]:
    """Move a control of one explorer after the other; what can't be drawn for a fault of ours is an error."""
    study, draw = open_study(run), random.Random(seed)
    explorers = [*(make(study) for make in EXPLORERS), explore_prior(), explore_schedule()]
    readings = [look(0)]
    for number in tqdm(range(times), "redraws", leave=False, disable=None):
        explorer = explorers[number % len(explorers)]
        control = draw.choice(list(explorer.controls.values()))
        control.value = moved(control, draw)
        assert "can't be drawn" not in explorer.message.value, (explorer.values, explorer.message.value)
        readings.append(look(number + 1))
    return readings


def steps(settings: Settings, out: Path, times: int) -> list[Reading]:
    """Train for at least so many steps."""
    readings = [look(0)]
    handle = register_optimizer_step_post_hook(lambda *_: readings.append(look(len(readings))))
    epochs = times // 2  # an epoch of the quick world has two steps at least
    try:
        train(replace(settings, epochs=(1, epochs)), out, progress=False)
    finally:
        handle.remove()
    return readings


def main(times: int) -> None:
    """Both, on a quick world and its run."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_world(dataset_folder("synthetic", folder), PRESETS["quick"], progress=False)
        settings = replace(recipe("synthetic", "regnet_y_tiny"), dataset_root=folder, **QUICK)
        trained = steps(settings, Path(folder) / "run", times)
        drawn = redraw(Path(folder) / "run", times)
    for name, readings in {"training steps": trained, "redraws": drawn}.items():
        memory, files = growth(readings)
        first, last = readings[len(readings) // 4], readings[-1]
        print(f"{last.times} {name}: {first.memory:.0f} MiB after {first.times}, {last.memory:.0f} at the end,")
        print(f"    in the second half {memory:+.1f} MiB and {files:+} open files on the quarter before it")


if __name__ == "__main__":
    main(int(sys.argv[1]))
