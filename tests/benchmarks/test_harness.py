from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.benchmarks import __main__ as command
from tests.benchmarks import harness, ranking
from tests.benchmarks.harness import STATUS, Growth, Job, Work, measure_all, measure_growth, peak_memory


def memory(size: int) -> Job:
    """A job that holds so many MiB for a moment."""
    return lambda: len(bytearray(b"x") * (size * 2**20))


def both() -> tuple[Job, Job]:
    return memory(2), memory(1)


def test_a_row_is_the_medians_of_sides_that_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    clock = iter(
        # start and end of ours and of the baseline, three times; one slow moment each
        [0, 3, 0, 2, 0, 90, 0, 2, 0, 3, 0, 70]
    )
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    work = Work("w", "big", lambda: (partial(turns.append, "ours"), partial(turns.append, "base")), "2 x", repeats=3)
    row = measure_all([work]).iloc[0]
    assert turns == ["ours", "base"] * 4  # the first of each isn't counted
    assert (row["ours"], row["baseline"], row["ratio"], row["target"]) == (3, 2, 1.5, "2 x")


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells a process its peak memory")
def test_memory_is_what_a_job_takes_beyond_its_inputs() -> None:
    assert peak_memory(partial(memory, 300)) == pytest.approx(300, abs=40)


def test_growth_is_measured_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "peak_memory", lambda make: 7.0)
    table = measure_growth([Growth("g", [1, 2], memory)])
    assert table[["work", "size", "mebibytes"]].to_numpy().tolist() == [["g", 1, 7.0], ["g", 2, 7.0]]
    assert (table["seconds"] > 0).all()


def test_the_command_prints_one_table_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = [Work("small job", "s", both, "1 x", repeats=1), Work("large job", "l", both, "1 x", large=True)]
    monkeypatch.setattr(ranking, "WORKS", works)
    done = CliRunner().invoke(command.main, ["--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "small job" in done.stdout
    assert "large job" not in done.stdout
    (kept,) = tmp_path.glob("*_bench.json")
    content = json.loads(kept.read_text())
    assert [row["work"] for row in content["rows"]] == ["small job"]
    assert content["machine"]["cores"] >= 1
    assert content["machine"]["processor"]
    assert content["date"][:4] == kept.name[:4]
