"""Trainings killed with SIGKILL at random moments, in the middle of writing their files too, and gone on with.

python -m tests.torture.kills KILLS
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file

from data_prep.world import PRESETS, write_world
from scmlib.data.datasets import dataset_folder
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import train

SECONDS = 4.0  # a kill by the clock comes within so many; an unbroken training takes about as long
FILES = 8  # a kill at a file comes at one of so many files, or of so many renamings


def at_a_moment(draw: random.Random) -> None:
    """Be killed by the clock."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, draw.uniform(0.05, SECONDS))


def while_writing(draw: random.Random) -> None:
    """Be killed in the middle of a file."""
    left, write = draw.randint(1, FILES), Path.write_bytes

    def some(self: Path, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left:
            return write(self, data)
        write(self, data[: draw.randint(0, len(data))])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    Path.write_bytes = some  # type: ignore[assignment,method-assign]


def before_renaming(draw: random.Random) -> None:
    """Be killed just before a file gets its name."""
    left = draw.randint(1, FILES)

    def hear(event: str, _: object) -> None:
        nonlocal left
        if event == "os.rename":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


KINDS: list[Callable[[random.Random], None]] = [at_a_moment, while_writing, before_renaming]


def attempt(settings: Settings, out: Path, arm: Callable[[], None] | None = None) -> bool:
    """Begin a training or go on with it, in a process of its own.

    Returns:
        Whether it ended; else it was killed, for anything else is an error.
    """
    if (process := os.fork()) == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            if arm:
                arm()
            train(settings, out, resume=True, progress=False)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    ended, killed = status == 0, os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not (ended or (arm and killed)):
        raise AssertionError(f"{out}: status {status}")
    return ended


def same(ours: Path, theirs: Path) -> bool:
    """Whether two runs have the same weights and the same log."""
    weights, others = (load_file(run / "model.safetensors") for run in (ours, theirs))
    logs = [pd.read_csv(run / "log.csv").drop(columns="seconds") for run in (ours, theirs)]
    return all(torch.equal(weights[name], others[name]) for name in others) and logs[0].equals(logs[1])


def torture(settings: Settings, folder: Path, kills: int, seed: int) -> list[str]:
    """Kill trainings so often, and look whether each ends like the unbroken one.

    Returns:
        What killed them, in order.
    """
    draw, found = random.Random(seed), list[str]()
    attempt(settings, folder / "unbroken")
    runs = 0
    while len(found) < kills:
        out = folder / f"killed {runs}"
        runs += 1
        ended = False
        while not ended:
            kind, moment = KINDS[len(found) % len(KINDS)], random.Random(draw.random())
            ended = attempt(settings, out, partial(kind, moment) if len(found) < kills else None)
            found += [] if ended else [kind.__name__]
        assert same(out, folder / "unbroken"), out
        assert not [path for path in out.glob(".*") if path.is_file()], out
    return found


def main(kills: int) -> None:
    """A world, and as many kills as asked for."""
    with tempfile.TemporaryDirectory() as folder:
        write_world(dataset_folder("synthetic", folder), PRESETS["quick"], progress=False)
        settings = replace(recipe("synthetic", "regnet_y_tiny"), dataset_root=folder, **QUICK)
        seed = int(time.time())
        print(f"{kills} kills, seed {seed}", flush=True)
        found = torture(settings, Path(folder), kills, seed)
        print("Every run ended like the unbroken one, after these kills:")
        for kind in KINDS:
            print(f"{found.count(kind.__name__):4} {kind.__name__.replace('_', ' ')}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
