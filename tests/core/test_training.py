from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from scmlib.checkpoints import load_model
from scmlib.cli.main import cli
from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.losses import SCMLoss
from scmlib.schedule import learning_rate
from scmlib.settings import Settings
from scmlib.training import Trainer, git_state, train
from tests.conftest import error, oracle


def test_released_schedules() -> None:
    for name, rates in oracle("schedules").items():
        match = re.fullmatch(r"lr(\S+?)_(\d+)_(\d+)_r(\S+?)_x(\d+)", name)
        assert match
        lr, e0, last, ratio, extra = match.groups()
        epochs = range(1, int(last) + int(extra) + 1)
        ours = [learning_rate(e, lr=float(lr), epochs=(int(e0), int(last)), ema_ratio=float(ratio)) for e in epochs]
        assert error(ours, rates) < 1e-6


def test_run_folder_holds_what_it_promises(run: Path, quick: Settings) -> None:
    facts = json.loads((run / "settings.json").read_text())
    assert Settings.from_dict(facts["settings"]) == quick
    assert facts["classes"] == 12
    assert {"scmlib", "torch", "python"} <= facts["versions"].keys()
    assert facts["data"]["root"] == quick.dataset_root
    assert facts["data"]["counts"]["query"] == 24
    log = pd.read_csv(run / "log.csv")
    assert log["epoch"].tolist() == [1, 2, 3]
    terms = [f"cross_entropy_{i}" for i in range(6)] + ["triplet_0", "triplet_1", "overlap"]
    masks = ["picture_dependent", *(f"{name}_{part}" for name in ("mass", "zero") for part in (1, 2, 3))]
    assert [*log] == ["epoch", "loss", *terms, *masks, "learning_rate", "seconds"]
    weights = [1.0] * 6 + [quick.triplet_weight] * 2 + [quick.mask_weight]
    assert log["loss"].to_numpy() == pytest.approx(log[terms].to_numpy() @ np.array(weights) / sum(weights))
    assert (run / "state.pt").exists()
    model, settings = load_model(run)
    assert settings == quick
    assert model.image_size == (96, 48)


class Killed(Exception):
    pass


def test_resumed_run_ends_with_the_same_weights(run: Path, quick: Settings, tmp_path: Path) -> None:
    def kill_after_two(log: pd.DataFrame) -> None:
        if len(log) == 2:
            raise Killed

    out = tmp_path / "run"
    with pytest.raises(Killed):
        train(quick, out, on_epoch=kill_after_two)
    assert not (out / "model.safetensors").exists()
    train(quick, out, resume=True)
    unbroken, resumed = load_file(run / "model.safetensors"), load_file(out / "model.safetensors")
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    ours, theirs = pd.read_csv(out / "log.csv"), pd.read_csv(run / "log.csv")
    pd.testing.assert_frame_equal(ours.drop(columns="seconds"), theirs.drop(columns="seconds"))


def test_final_weights_are_the_mean_over_the_last_epochs(quick: Settings, tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    def keep(_: pd.DataFrame) -> None:
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        seen.append(state["model"]["feat_list.0.weight"])

    train(quick, tmp_path, on_epoch=keep)  # ratio 0.5 of 2 epochs and one extra: epochs 1 to 3
    final = load_file(tmp_path / "model.safetensors")["feat_list.0.weight"]
    assert torch.allclose(final, torch.stack(seen).mean(0), atol=1e-6)


def test_without_averaging_the_last_weights_are_kept(quick: Settings, tmp_path: Path) -> None:
    train(replace(quick, ema_ratio=1.0, ema_extra=0, epochs=(1, 2)), tmp_path)
    final = load_file(tmp_path / "model.safetensors")
    last = torch.load(tmp_path / "state.pt", weights_only=True)["model"]
    assert all(torch.equal(final[name], last[name]) for name in final)


def test_frozen_stem_keeps_its_weights_and_moves_its_statistics(quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, freeze="stem")
    before = Trainer(settings, open_dataset("synthetic", quick.dataset_root), tmp_path).model.state_dict()
    before = {name: value.clone() for name, value in before.items() if name.startswith("stem.")}
    train(settings, tmp_path)
    after = torch.load(tmp_path / "state.pt", weights_only=True)["model"]
    assert torch.equal(before["stem.conv.weight"], after["stem.conv.weight"])
    assert not torch.equal(before["stem.norm.running_mean"], after["stem.norm.running_mean"])


def test_bf16_computes_otherwise_and_begins_alike(run: Path, quick: Settings, tmp_path: Path) -> None:
    train(replace(quick, precision="bf16"), tmp_path)
    assert not same_weights(run, tmp_path)
    ours, exact = (pd.read_csv(folder / "log.csv")["loss"][0] for folder in (tmp_path, run))
    assert ours == pytest.approx(exact, rel=0.02)  # later epochs of so small a run go their own ways


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes it")
def test_fp16_wants_a_gpu(quick: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--precision fp16 needs a GPU: take bf16 or fp32"):
        train(replace(quick, precision="fp16"), tmp_path)


@pytest.mark.parametrize("broken", ["loss", "weights"])
def test_run_that_diverges_stops_and_keeps_the_last_good_state(
    broken: str, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def diverge(self: Trainer, images: torch.Tensor, labels: torch.Tensor) -> SCMLoss:
        loss = step(self, images, labels)
        if self.epoch < 2:
            return loss
        if broken == "weights":  # by the update, which no loss has seen yet
            next(self.model.parameters()).data.fill_(torch.nan)
        return loss._replace(total=torch.tensor(torch.nan if broken == "loss" else 1.0))

    monkeypatch.setattr(Trainer, "step", diverge)
    with pytest.raises(BadInput, match=r"became nan in epoch 2: lower --lr .*state of epoch 1 is kept"):
        train(quick, tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["epoch"] == 1
    assert all(value.isfinite().all() for value in state["model"].values())


def test_run_is_not_overwritten_and_resumed_with_its_own_settings_alone(run: Path, quick: Settings) -> None:
    with pytest.raises(BadInput, match="holds a run already: add --resume"):
        train(quick, run)
    with pytest.raises(BadInput) as caught:
        train(replace(quick, lr=0.5, epochs=(1, 9)), run, resume=True)
    assert f"was trained with --lr {quick.lr} --epochs 1,2, not --lr 0.5 --epochs 1,9" in str(caught.value)


def test_longer_training_is_offered_as_a_new_run_from_the_old_weights(
    run: Path, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The offer is a command that works as it is printed."""
    folder = tmp_path / "a run"
    shutil.copytree(run, folder)
    with pytest.raises(BadInput) as caught:
        train(replace(quick, epochs=(1, 3)), folder, resume=True)
    offered = re.search("start a new run from its weights: `(.*)`", str(caught.value))
    assert offered
    program, *words = shlex.split(offered[1])
    assert program == "scm"
    assert words[words.index("--weights") + 1] == str(folder)
    started: list[Settings] = []
    monkeypatch.setattr("scmlib.training.Trainer.run", lambda self, *_, **__: started.append(self.settings))
    CliRunner().invoke(cli, words)
    assert started == [replace(quick, epochs=(1, 3), weights=str(folder))]
    with pytest.raises(BadInput) as caught:
        train(replace(quick, num_part=2), folder, resume=True)
    assert "was trained with --num-part 3, not --num-part 2" in str(caught.value)
    assert "start a new run" not in str(caught.value)  # other parts: the weights wouldn't fit


def test_new_run_starts_from_a_trained_one(run: Path, quick: Settings, tmp_path: Path) -> None:
    """With other identities, and resumed although the first run is gone."""
    root, first, out = tmp_path / "data", tmp_path / "first", tmp_path / "run"
    shutil.copytree(quick.dataset_root, root)
    shutil.copytree(run, first)
    left_out = open_dataset("synthetic", root).train[0].identity
    for record in open_dataset("synthetic", root).train:
        if record.identity == left_out:
            record.path.unlink()
    settings = replace(quick, dataset_root=str(root), weights=str(first), lr=1e-6)

    def kill(_: pd.DataFrame) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(settings, out, on_epoch=kill)
    begun = torch.load(out / "state.pt", weights_only=True)["model"]
    trained = load_file(run / "model.safetensors")
    assert torch.allclose(begun["feat_list.0.weight"], trained["feat_list.0.weight"], atol=1e-4)
    assert begun["class_list.0.weight"].shape == (11, 256)
    shutil.rmtree(first)
    train(settings, out, resume=True)
    assert len(pd.read_csv(out / "log.csv")) == 3


def test_workers_may_change_on_resuming(run: Path, quick: Settings, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    train(replace(quick, workers=1), tmp_path / "run", resume=True)
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]["workers"] == 1


CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"
CPU = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."
WINDOWS = (
    "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."
)
KILLED = "DataLoader worker (pid 4711) is killed by signal: Killed. "
GONE = "DataLoader worker (pid(s) 4711) exited unexpectedly"


@pytest.mark.parametrize(
    ("shortage", "flag", "epoch"),
    [
        (torch.OutOfMemoryError(CUDA), "--batch-size", 1),
        (RuntimeError(CPU), "--batch-size", 2),
        (RuntimeError(WINDOWS), "--batch-size", 1),
        (MemoryError(), "--batch-size", 1),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "--batch-size", 1),
        (RuntimeError(KILLED), "--workers", 2),
        (RuntimeError(GONE), "--workers", 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_ran_out_is_one_sentence_with_the_flag_that_helps(
    shortage: Exception,
    flag: str,
    epoch: int,
    quick: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, step = tmp_path / "a run", Trainer.step

    def run_out(self: Trainer, images: torch.Tensor, labels: torch.Tensor) -> SCMLoss:
        if self.epoch == epoch:
            raise shortage
        return step(self, images, labels)

    monkeypatch.setattr(Trainer, "step", run_out)
    with pytest.raises(BadInput) as caught:
        train(quick, out)
    said = str(caught.value)
    assert f"a smaller {flag} (now {0 if flag == '--workers' else 8})" in said
    assert str(shortage)[:30] not in said or not str(shortage)
    if epoch == 1:
        assert "no epoch was finished" in said
    else:
        assert f"go on with `scm train --resume --out '{out}'`" in said
        assert torch.load(out / "state.pt", weights_only=True)["epoch"] == 1


def test_other_failures_stay_what_they_are(quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> SCMLoss:
        raise RuntimeError("a fault of the program")

    monkeypatch.setattr(Trainer, "step", fail)
    with pytest.raises(RuntimeError, match="a fault of the program"):
        train(quick, tmp_path)


def test_resume_with_other_files_is_refused(quick: Settings, run: Path, tmp_path: Path) -> None:
    copy, root = tmp_path / "run", tmp_path / "data"
    shutil.copytree(run, copy)
    shutil.copytree(quick.dataset_root, root)
    moved = replace(quick, dataset_root=str(root))
    assert train(moved, copy, resume=True) == copy  # the same files elsewhere
    open_dataset("synthetic", root).train[0].path.unlink()
    with pytest.raises(BadInput, match="was trained on other files"):
        train(moved, copy, resume=True)


def states(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "state" in path.name)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "missing"])
def test_damaged_state_falls_back_to_the_one_before(damage: str, run: Path, quick: Settings, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    (out / "model.safetensors").unlink()
    content = bytearray((out / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    new = {"cut": bytes(content[:-1000]), "flipped": bytes(content), "empty": b""}
    if damage == "missing":  # a kill between two renamings
        (out / "state.pt").unlink()
    else:
        (out / "state.pt").write_bytes(new[damage])
    with pytest.warns(UserWarning, match=r"goes on from the state before it, state\.previous\.pt, with 2 epochs done"):
        train(quick, out, resume=True, progress=False)
    assert same_weights(run, out)
    kept = [] if damage == "missing" else ["state.damaged.pt"]
    assert states(out) == sorted([*kept, "state.previous.pt", "state.pt"])


def test_no_whole_state_is_named(run: Path, quick: Settings, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes((run / "settings.json").read_bytes())
    for name in ("state.pt", "state.previous.pt"):
        (tmp_path / name).write_bytes((run / "state.pt").read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"state\.pt can't be resumed, for it is cut short or damaged"):
        train(quick, tmp_path, resume=True)


def same_weights(one: Path, other: Path) -> bool:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_keeps_the_step_and_the_run_ends_as_if_unbroken(
    workers: int, run: Path, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, step, steps = tmp_path / "a run", Trainer.step, 0
    settings = replace(quick, workers=workers)

    def interrupted(self: Trainer, images: torch.Tensor, labels: torch.Tensor) -> SCMLoss:
        nonlocal steps
        steps += 1
        if steps in (3, 20):
            signal.raise_signal(signal.SIGINT if steps == 3 else signal.SIGTERM)
        return step(self, images, labels)

    monkeypatch.setattr(Trainer, "step", interrupted)
    handlers = [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match=f"go on with `scm train --resume --out '{out}'`"):
            train(settings, out, resume=True, progress=False)
        assert [signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert steps == 20
    train(settings, out, resume=True, progress=False)
    unbroken = run
    if workers:  # other random numbers than without
        monkeypatch.undo()
        unbroken = train(settings, tmp_path / "unbroken", progress=False)
    assert same_weights(unbroken, out)
    ours, theirs = pd.read_csv(out / "log.csv"), pd.read_csv(unbroken / "log.csv")
    pd.testing.assert_frame_equal(ours.drop(columns="seconds"), theirs.drop(columns="seconds"))


def test_second_ctrl_c_stops_at_once(quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(*_: object) -> SCMLoss:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr(Trainer, "step", twice)
    with pytest.raises(KeyboardInterrupt):
        train(quick, tmp_path, progress=False)
    assert states(tmp_path) == []


def broken_world(quick: Settings, root: Path) -> tuple[Settings, Path]:
    """A copy of the world with a training image cut short."""
    shutil.copytree(quick.dataset_root, root)
    path = open_dataset("synthetic", root).train[3].path
    path.write_bytes(path.read_bytes()[:300])
    return replace(quick, dataset_root=str(root)), path


def test_broken_image_is_named_and_left_out_where_asked(quick: Settings, tmp_path: Path) -> None:
    settings, path = broken_world(quick, tmp_path / "data")
    with pytest.raises(BadInput, match=f"{path.name} can't be read as an image .* Or train with --skip-broken"):
        train(settings, tmp_path / "stopped", progress=False)
    out = tmp_path / "run"

    def kill(_: pd.DataFrame) -> None:
        raise Killed

    with pytest.raises(Killed), pytest.warns(UserWarning, match="1 of 96 training images can't be read and are left"):
        train(settings, out, on_epoch=kill, skip_broken=True, progress=False)
    name = f"bounding_box_train/{path.name}"
    assert json.loads((out / "settings.json").read_text())["left_out"] == [name]
    train(settings, out, resume=True, progress=False)  # without the flag: what was left out stays so
    assert json.loads((out / "settings.json").read_text())["left_out"] == [name]


def test_image_that_goes_in_mid_run_leaves_the_state(quick: Settings, tmp_path: Path) -> None:
    shutil.copytree(quick.dataset_root, tmp_path / "data")
    settings, out = replace(quick, dataset_root=str(tmp_path / "data"), workers=1), tmp_path / "run"
    path = open_dataset("synthetic", tmp_path / "data").train[3].path
    content = path.read_bytes()
    with pytest.raises(BadInput, match=r"is missing: check the path\. With the file in place, go on with `scm train "):
        train(settings, out, on_epoch=lambda _: path.unlink(), progress=False)
    path.write_bytes(content)
    train(settings, out, resume=True, progress=False)
    assert (out / "model.safetensors").exists()


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "The disk is full"), (errno.EROFS, "Read-only file")])
def test_run_folder_that_cannot_be_written_keeps_its_state(
    number: int, said: str, quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(log: pd.DataFrame) -> None:
        def write(self: Path, data: bytes) -> int:
            raise OSError(number, os.strerror(number), str(self))

        monkeypatch.setattr(Path, "write_bytes", write)

    with pytest.raises(BadInput, match=rf"{said}.*state\.pt was not written; the state before is kept: .*--resume"):
        train(quick, tmp_path, on_epoch=fails, progress=False)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["epoch"] == 1
    assert not list(tmp_path.glob(".state*"))


def test_full_disk_keeps_the_state_before(run: Path, quick: Settings, tmp_path: Path) -> None:
    """A real one: the system refuses to write any file as long as a state."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(BadInput, match=r"The disk is full: \S*state\.pt was not written; the state before is kept"):
            train(
                quick,
                tmp_path,
                on_epoch=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1])),
                progress=False,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob(".state*"))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["epoch"] == 1
    train(quick, tmp_path, resume=True, progress=False)
    assert same_weights(run, tmp_path)


def test_folder_that_nobody_can_write_to_is_named(quick: Settings, tmp_path: Path) -> None:
    """A folder below a file, which refuses the system's administrator too, whom no permission stops."""
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"settings\.json was not written; mend this and train again"):
        train(quick, tmp_path / "file" / "run", progress=False)


def test_what_a_killed_process_was_writing_is_removed(quick: Settings, tmp_path: Path) -> None:
    for name in (".state.pt.4711", ".hidden", "state.pt.12"):
        (tmp_path / name).touch()
    train(replace(quick, epochs=(1, 2), ema_extra=0), tmp_path, progress=False)
    assert not (tmp_path / ".state.pt.4711").exists()
    assert (tmp_path / ".hidden").exists()


def test_resume_with_other_content_is_warned_of(quick: Settings, run: Path, tmp_path: Path) -> None:
    copy, root = tmp_path / "run", tmp_path / "data"
    shutil.copytree(run, copy)
    shutil.copytree(quick.dataset_root, root)
    first, second = open_dataset("synthetic", root).train[:2]
    second.path.write_bytes(first.path.read_bytes())
    with pytest.warns(UserWarning, match="have other content than when"):
        train(replace(quick, dataset_root=str(root)), copy, resume=True, progress=False)


def test_git_state_is_the_code_s_own(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        flags = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", "-C", tmp_path, *flags, *words], capture_output=True, text=True).stdout.strip()

    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text("1")
    assert git_state(code) == ""
    git("init", "-q")
    (tmp_path / "b").touch()
    git("add", "b")
    git("commit", "-qm", "b")
    assert git_state(code) == ""  # lies in a repository that doesn't track it
    git("add", ".")
    git("commit", "-qm", "a")
    assert git_state(code) == git("rev-parse", "HEAD")
    (code / "a.py").write_text("2")
    assert git_state(code) == git("rev-parse", "HEAD") + "-dirty"
