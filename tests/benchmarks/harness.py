"""The harness of the benchmarks: what a row of the table is, how it is measured, and what is kept of it.

To add a row, append a `Work` to the list `WORKS` of a module here and name the module in `__main__`; to add a curve to
the growth study, a `Growth` to its list `GROWTHS`.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from scmlib.files import write_atomically

Job = Callable[[], object]

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Work:
    """One row: our way and a baseline to do the same work, measured in turn in one run."""

    name: str
    size: str  # in words
    sides: Callable[[], tuple[Job, Job]]  # makes the data and gives ours and the baseline; a module's own function
    target: str  # in words; nothing is asserted
    measure: Literal["s", "MiB"] = "s"  # seconds; or peak memory beyond what `sides` made
    repeats: int = 5
    large: bool = False  # minutes: only where asked for


@dataclass(frozen=True)
class Growth:
    """One curve: time and peak memory of a job against its size."""

    name: str
    sizes: Sequence[int]
    job: Callable[[int], Job]  # makes data of a size and gives the job; a module's own function


def seconds(job: Job) -> float:
    """How long a job takes."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def peak_memory(make: Callable[[], Job]) -> float:
    """Peak resident memory of a job beyond what `make` made, in MiB, in a fresh process; NaN where it can't be read."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, make).result()


def _peak(make: Callable[[], Job]) -> float:
    job = make()
    if not STATUS.exists():  # only Linux tells
        return float("nan")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is there now
    before = _resident("VmRSS")
    job()
    return _resident("VmHWM") - before


def _resident(entry: str) -> float:
    """Memory of this process in MiB: now (VmRSS) or at its peak (VmHWM)."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) / 1024


def _side(sides: Callable[[], tuple[Job, Job]], which: int) -> Job:
    return sides()[which]


def measure(work: Work) -> dict[str, object]:
    """A row of the table: medians of both sides, taken in turn so that a busy moment meets both."""
    if work.measure == "MiB":
        taken = [[peak_memory(partial(_side, work.sides, which))] for which in (0, 1)]
    else:
        jobs = work.sides()
        for job in jobs:
            job()  # the first call of anything is slower
        rounds = [[seconds(job) for job in jobs] for _ in range(work.repeats)]
        taken = [list(side) for side in zip(*rounds, strict=True)]
    ours, baseline = (float(np.median(side)) for side in taken)
    return {
        "work": work.name,
        "size": work.size,
        "unit": work.measure,
        "ours": ours,
        "baseline": baseline,
        "ratio": ours / baseline,
        "target": work.target,
        "repeats": len(taken[0]),
    }


def measure_all(works: Sequence[Work]) -> pd.DataFrame:
    """The table, a row a work."""
    return pd.DataFrame([measure(work) for work in tqdm(works, "benchmarks", leave=False)])


def measure_growth(growths: Sequence[Growth], repeats: int = 3) -> pd.DataFrame:
    """Columns work, size, seconds (median) and mebibytes (peak beyond the inputs), a row a size."""
    rows = []
    for growth, size in tqdm([(g, s) for g in growths for s in g.sizes], "growth", leave=False):
        job = growth.job(size)
        job()
        taken = float(np.median([seconds(job) for _ in range(repeats)]))
        rows.append((growth.name, size, taken, peak_memory(partial(growth.job, size))))
    return pd.DataFrame(rows, columns=["work", "size", "seconds", "mebibytes"])


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line for line in lines if line.startswith("model name")]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def store(folder: Path, name: str, table: pd.DataFrame) -> Path:
    """Write a table with date and machine as `<date>_<name>.json`."""
    now = datetime.now(UTC)
    content = {"date": now.isoformat(timespec="seconds"), "machine": machine(), "rows": table.to_dict("records")}
    path = folder / f"{now:%Y-%m-%d_%H%M%S}_{name}.json"
    write_atomically(path, json.dumps(content, indent=1).encode())
    return path
