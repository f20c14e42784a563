"""What starts and what runs beside: imports, the command line, and trainings at a time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from data_prep.world import PRESETS, write_world
from scmlib.analysis.ablation import Ablation
from scmlib.data.datasets import dataset_folder
from tests.benchmarks.harness import Growth, Job, Work


def python(*arguments: str) -> Job:
    """A fresh Python process, from its start to its end."""
    return partial(subprocess.run, [sys.executable, *arguments], check=True, capture_output=True)


def importing(code: str) -> tuple[Job, Job]:
    """A line of code, and the import of torch alone."""
    return python("-c", code), python("-c", "import torch")


def helping() -> tuple[Job, Job]:
    """`scm --help`, and Python that does nothing."""
    return python("-m", "scmlib", "--help"), python("-c", "pass")


def studying(trainings: int, jobs: int) -> tuple[Job, Job]:
    """The same trainings, so many at a time, and one after the other with all cores."""
    folder, numbers = TemporaryDirectory(), count()
    root = Path(folder.name)
    write_world(dataset_folder("synthetic", root), replace(PRESETS["quick"], seed=0))
    changes = {"epochs": (1, 6), "ema_extra": 0, "batch_size": 16}

    def study(at_a_time: int) -> None:
        ablation = Ablation({0: root}, Path(folder.name) / f"study{next(numbers)}", changes, jobs=at_a_time)
        list(ablation.run([ablation.trial("SCM", 0.1, 0, seed) for seed in range(trainings)], ""))

    return partial(study, jobs), partial(study, 1)


GROWTHS: list[Growth] = []

WORKS = [
    Work(
        "import", "from scmlib import build_model", partial(importing, "from scmlib import build_model"), "0.3 s more"
    ),
    Work(
        "import", "from scmlib import explore_masks", partial(importing, "from scmlib import explore_masks"), "1 s more"
    ),
    Work("scm --help", "a process", helping, "at most 1 s"),
    Work("study", "4 short trainings, 2 at a time", partial(studying, 4, 2), "at most 1 x", repeats=1, large=True),
]
