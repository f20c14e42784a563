from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from scmlib.losses import scm_loss
from scmlib.variants import build_model
from tests.benchmarks import __main__ as command
from tests.benchmarks import gpu, harness, network, ranking
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


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gpu_script_trains_alike_in_every_way(precision: str) -> None:
    run = partial(gpu.measure, net="regnet_y_tiny", size=(64, 32), steps=2, warm_up=1, device="cpu")
    plain, other = (run(way) for way in (gpu.Way(8), gpu.Way(8, precision, channels_last=True)))
    assert other["loss"] == pytest.approx(plain["loss"], rel=0.05)
    assert other["images_per_second"] > 0


def test_both_sides_of_a_training_step_are_the_same_step() -> None:
    model, loss = build_model("regnet_y_tiny", 4, image_size=(64, 32)).eval(), network.plain_loss
    output, labels = model(torch.rand(8, 3, 64, 32)), torch.arange(8) // 2
    ours = scm_loss(output, labels, triplet_weight=2.0, mask_weight=0.1, kernel_size=1).total
    torch.testing.assert_close(loss(output, labels, 2.0, 0.1, 1), ours)


def test_the_command_prints_one_table_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = [Work("small job", "s", both, "1 x", repeats=1), Work("large job", "l", both, "1 x", large=True)]
    for module in command.MODULES:
        monkeypatch.setattr(module, "WORKS", [])
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
