"""Two processes, which share CPUs and speak through gloo, do together what one does alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor

from scmlib.cli.main import cli
from scmlib.data.loading import PKSampler
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.settings import Settings, as_flags
from scmlib.training import train
from tests.processes.work import longer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(*words: str | Path, processes: int = 2) -> subprocess.Popen[str]:
    """A Python module in so many processes, or a script in one."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*TORCHRUN, "-m"] if processes > 1 else [sys.executable]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, *map(str, words)], env=environment, **pipes)


def ended(job: subprocess.Popen[str]) -> str:
    """What a job said that ended well."""
    said, _ = job.communicate(timeout=400)
    assert job.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def out(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `work` left: a run of two processes, and what one process found and each of two."""
    out = tmp_path_factory.mktemp("work")
    together = start("tests.processes.work", data_root, out)
    ended(start("-m", "tests.processes.work", data_root, out, processes=1))
    ended(together)
    return out


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, dict[str, Any]]:
    """What the processes found, by their number and place."""
    return {name: torch.load(out / f"{name}.pt", weights_only=False) for name in ("1_0", "2_0", "2_1")}


def error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


def test_steps_equal_those_with_the_whole_batch(found: dict[str, dict[str, Any]]) -> None:
    alone = found["1_0"]
    for process in ("2_0", "2_1"):
        together = found[process]
        for ours, theirs in zip(together["terms"], alone["terms"], strict=True):
            assert ours.keys() == theirs.keys()
            assert all(error(ours[name], theirs[name]) < 1e-10 for name in theirs)
        assert together["weights"].keys() == alone["weights"].keys()
        floats = [name for name, value in alone["weights"].items() if value.is_floating_point()]
        assert max(error(together["weights"][name], alone["weights"][name]) for name in floats) < 1e-10
        (pictures, *sums), (ours, *our_sums) = alone["statistics"], together["statistics"]
        assert ours == pictures == 24
        assert all(error(a, b) < 1e-10 for a, b in zip(our_sums, sums, strict=True))


def test_evaluation_equals_that_of_one_process(found: dict[str, dict[str, Any]]) -> None:
    alone = found["1_0"]
    for process in ("2_0", "2_1"):
        together = found[process]
        assert together["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
        assert together["query"].shape == alone["query"].shape
        assert (together["query"] - alone["query"]).abs().max() < 1e-6
        for n, embedded in alone["embeddings"].items():
            assert together["embeddings"][n].shape == embedded.shape == (n, 6 * 256)
            assert (together["embeddings"][n] - embedded).abs().max() < 1e-6
        assert (together["masks"] - alone["masks"]).abs().max() < 1e-6
        assert len(together["alone"]) == 3 + int(process == "2_1")


def test_processes_tell_each_other(found: dict[str, dict[str, Any]]) -> None:
    assert found["1_0"]["each"] == [0]
    assert found["1_0"]["any"] == [False, False]
    for process in ("2_0", "2_1"):
        assert found[process]["each"] == [0, 1]
        assert found[process]["any"] == [True, False]


def same_run(ours: Path, theirs: Path) -> bool:
    weights, others = (load_file(run / "model.safetensors") for run in (ours, theirs))
    logs = [pd.read_csv(run / "log.csv").drop(columns="seconds") for run in (ours, theirs)]
    return all(torch.equal(weights[name], others[name]) for name in others) and logs[0].equals(logs[1])


def stopped(words: list[str], out: Path, act: Callable[[psutil.Process], None]) -> str:
    """Start a training, and act on the launcher once the first new epoch is done; what they said."""
    log, job = out / "log.csv", start("scmlib", *words, "--out", out)
    try:
        before = len(log.read_text().splitlines()) if log.exists() else 1
        while not log.exists() or len(log.read_text().splitlines()) <= before:
            assert job.poll() is None, job.communicate()[0]
            time.sleep(0.02)
        act(psutil.Process(job.pid))
        began = time.monotonic()
        said, _ = job.communicate(timeout=60)
        assert time.monotonic() - began < 60
        assert job.returncode != 0
        return said
    finally:
        job.kill()


def second(launcher: psutil.Process) -> psutil.Process:
    """The second of the processes that a launcher started."""
    (found,) = [child for child in launcher.children() if child.environ().get("RANK") == "1"]
    return found


def test_stopped_and_killed_run_ends_like_an_unbroken_one(out: Path, data_root: Path, tmp_path: Path) -> None:
    folder, flags = tmp_path / "a run", ["train", *as_flags(longer(data_root))]
    resume = f"torchrun --standalone --nproc-per-node 2 -m scmlib train --resume --out '{folder}'"

    said = stopped(flags, folder, lambda launcher: launcher.send_signal(signal.SIGINT))
    assert f"To go on: {resume}" in said
    assert said.count("Stopped; what was written is kept") == 1
    assert len(torch.load(folder / "state.pt", weights_only=True)["random"]) == 2

    said = stopped(["train", "--resume"], folder, lambda launcher: second(launcher).kill())
    assert "scm, process 1 of 2: Another process of this training is gone" in said
    assert f"go on with `{resume}`" in said

    with pytest.raises(BadInput, match=r"was trained by 2 process\(es\), not 1: go on with `torchrun"):
        train(Settings.from_dict(json.loads((folder / "settings.json").read_text())["settings"]), folder, resume=True)

    said = ended(start("scmlib", "train", "--resume", "--out", folder))
    assert said.count("Trained weights, log and curves lie in") == 1
    assert same_run(folder, out / "run")


NOTEBOOK = """
import sys
from pathlib import Path
from accelerate import notebook_launcher
from scmlib.training import train
from tests.processes.work import longer

notebook_launcher(train, (longer(sys.argv[1]), Path(sys.argv[2])), num_processes=2)
"""


def test_notebook_launcher_gives_the_run_that_torchrun_gives(out: Path, data_root: Path, tmp_path: Path) -> None:
    ended(start("-c", NOTEBOOK, data_root, tmp_path / "run", processes=1))
    assert same_run(tmp_path / "run", out / "run")


def test_command_for_one_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    said = CliRunner().invoke(cli, ["recipes"]).exception
    assert "scm recipes works in one process: start it without torchrun" in str(said)


@pytest.mark.parametrize(("processes", "offered"), [(3, "6 or 12"), (8, "16")])
def test_batch_that_cannot_be_shared_is_refused(processes: int, offered: str) -> None:
    records = [Record(Path(str(i)), i // 2, 0, label=i // 2) for i in range(24)]
    with pytest.raises(BadInput, match=f"can't be shared evenly by {processes} processes: give --batch-size {offered}"):
        PKSampler(records, 8, 2, 0, processes=processes)


def test_batches_are_shared_out_by_identities() -> None:
    records = [Record(Path(str(i)), i // 4, 0, label=i // 4) for i in range(96)]
    alone = [*PKSampler(records, 8, 2, 0)]
    parts = [[*PKSampler(records, 8, 2, 0, process=i, processes=2)] for i in (0, 1)]
    assert [one + other for one, other in zip(*parts, strict=True)] == alone
    for batches in parts:
        assert all(len({records[i].identity for i in batch}) == 2 for batch in batches)
