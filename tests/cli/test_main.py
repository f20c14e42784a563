from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from scmlib import training
from scmlib.cli import main as cli
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.model import SCM
from scmlib.settings import Settings


def scm(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "scmlib", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """The one sentence that a command refuses bad input with."""
    monkeypatch.setattr(sys, "argv", ["scm", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("scm: ")
    assert "Traceback" not in said
    return said


QUICK = ["--img-height", "96", "--img-width", "48", "--batch-size", "16", "--epochs", "1,2", "--ema-extra", "0"]


def test_help_names_every_command_and_does_not_wait_for_torch() -> None:
    listed = CliRunner().invoke(cli.cli, ["--help"])
    assert set(re.findall(r"^  ([a-z]+)  ", listed.stdout, re.MULTILINE)) == set(cli.cli.commands)
    for command in cli.cli.commands:
        assert CliRunner().invoke(cli.cli, [command, "--help"]).exit_code == 0
    code = "import sys; from scmlib.cli.main import cli; cli(['--help'], standalone_mode=False); "
    code += "sys.exit(' '.join({'torch', 'torchvision', 'pandas', 'matplotlib'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dry_run_prints_the_resolved_settings() -> None:
    done = scm("train", "--dataset", "market1501", "--net", "regnet_y_800mf", "--lr", "0.01", "--dry-run")
    values = json.loads(done.stdout)
    assert done.returncode == 0
    assert (values["lr"], values["epochs"], values["mask_weight"]) == (0.01, [5, 75], 3e-3)
    assert Settings.from_dict(values).net == "regnet_y_800mf"


def test_train_evaluate_and_masks_on_a_folder_in_market_layout(data_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "data with spaces"
    shutil.copytree(dataset_folder("synthetic", data_root), dataset_folder("market1501", root))
    shutil.rmtree(dataset_folder("market1501", root) / "ground_truth")
    where, out = ["--dataset", "market1501", "--dataset-root", root], tmp_path / "run"
    done = scm("train", *where, "--net", "regnet_y_tiny", *QUICK, "--out", out)
    assert done.returncode == 0, done.stderr
    *_, following = done.stdout.splitlines()
    assert shlex.split(following) == ["scm", "evaluate", str(out), *map(str, where)]
    assert {"settings.json", "log.csv", "state.pt", "model.safetensors", "training.png"} <= {
        path.name for path in out.iterdir()
    }
    again = scm("train", *where, "--net", "regnet_y_tiny", *QUICK, "--out", out)
    assert again.returncode == 2
    assert "--resume" in again.stderr

    done = scm("evaluate", out, *where, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    told = {"queries", "queries_without_match", "data", "trained_on"}
    assert figures.keys() == {"dataset", "net", "top1", "top5", "top10", "mAP"} | told
    assert figures["queries"] == 24
    (stored,) = out.glob("evaluation_market1501_*.json")
    assert json.loads(stored.read_text()) == figures
    said = scm("evaluate", out, *where).stdout
    assert "24 queries counted, 0 without a match" in said
    assert scm("evaluate", out.name, "--json", cwd=tmp_path).stdout == json.dumps(figures) + "\n"  # on its own data
    assert f"{figures['mAP']:.2%}" in said

    pictures = [record.path for record in open_dataset("market1501", root).query[:2]]
    done = scm("masks", out, *pictures, pictures[0], "--out", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert written == sorted([f"{p.stem}_masks.png" for p in pictures] + [f"{pictures[0].stem}__masks.png"])


def test_masks_of_a_picture_beside_its_answers(run: Path, data_root: Path, tmp_path: Path) -> None:
    picture = open_dataset("synthetic", data_root).query[0].path
    before = picture.read_bytes()
    done = scm("masks", run, picture.name, "--out", tmp_path, cwd=picture.parent)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{picture.stem}_masks.png").exists()
    assert picture.read_bytes() == before


def test_prepare_makes_the_world(tmp_path: Path) -> None:
    done = scm("prepare", "synthetic", "--dataset-root", tmp_path, "--preset", "quick", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert open_dataset("synthetic", tmp_path).num_classes == 12


def test_bad_usage_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(capsys, monkeypatch, "train", "--dataset", "synthetic", "--net", "regnet_y_tiny", "--epochs", "many")
    assert "'many' isn't two whole numbers" in said
    said = refusal(capsys, monkeypatch, "train", "--dataset", "synthetic", "--nett", "regnet_y_tiny")
    assert "No such option" in said
    assert "--net" in said
    said = refusal(capsys, monkeypatch, "prepare", "synthetic", "--preset", "huge")
    assert "Unknown preset 'huge': choose one of quick, default, unaligned, large" in said


def test_bad_data_is_one_sentence(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*flags: object, dataset: str = "synthetic", net: str = "regnet_y_tiny", root: Path = data_root) -> str:
        start = ("train", "--dataset", dataset, "--net", net, "--dataset-root", root)
        said = refusal(capsys, monkeypatch, *start, *QUICK, "--out", tmp_path / "run", *flags)
        assert not (tmp_path / "run" / "state.pt").exists()
        return said

    assert "Synthetic-Pedestrians is missing" in train(root=tmp_path)
    assert "Unknown data set 'nowhere': choose one of synthetic, market1501" in train(dataset="nowhere")
    assert "partial_reid has no training images: train on another data set" in train(dataset="partial_reid")
    assert "Unknown backbone 'resnet'" in train(net="resnet")
    assert "must be multiples of 16" in train("--img-height", 100)
    assert "needs 25 identities, but the training set has 12" in train("--batch-size", 100)
    assert "--batch-size 4 doesn't go with --instance-num 4" in train("--batch-size", 4)
    assert "so give --batch-size 8." in train("--batch-size", 4)
    assert "so give --batch-size 6 or 9." in train("--batch-size", 8, "--instance-num", 3)
    assert "--ema-ratio 3.0 is out of range" in train("--ema-ratio", 3)
    assert "--seed -1 is out of range" in train("--seed", -1)
    assert "--kernel-size 7 is out of range" in train("--kernel-size", 7)
    assert "holds no run to go on with" in train("--resume")
    assert "nofile.pth is missing" in train("--weights", "nofile.pth")

    broken = tmp_path / "broken"
    shutil.copytree(data_root, broken)
    picture = open_dataset("synthetic", broken).train[0].path
    picture.write_bytes(picture.read_bytes()[:300])
    assert f"{picture} can't be read as an image" in train(root=broken)
    picture.write_text("no image")
    assert f"{picture} can't be read as an image" in train("--workers", 1, root=broken)


def test_checkpoint_that_does_not_fit_is_one_sentence(
    run: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    foreign = tmp_path / "foreign.safetensors"
    save_file(load_file(run / "model.safetensors"), foreign)  # the same tensors without our header
    where = ("--dataset", "synthetic", "--dataset-root", data_root)
    assert "name its recipe with --dataset and --net" in refusal(capsys, monkeypatch, "evaluate", foreign, *where)
    said = refusal(capsys, monkeypatch, "evaluate", foreign, *where, "--net", "torchvision:resnet18")
    assert "foreign.safetensors: The weights don't fit this model" in said
    assert "missing" in said
    assert "is missing" in refusal(capsys, monkeypatch, "evaluate", tmp_path / "gone", *where)
    assert "no.jpg is missing" in refusal(capsys, monkeypatch, "masks", run, "no.jpg", "--out", tmp_path / "masks")


def test_full_disk_is_one_sentence_and_keeps_what_was_written(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, states = Path.write_bytes, 0

    def full_in_the_second_epoch(self: Path, data: bytes) -> int:
        nonlocal states
        states += "state.pt" in self.name
        if states < 2:
            return write(self, data)
        write(self, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full_in_the_second_epoch)
    out = tmp_path / "run"
    start = ("train", "--dataset", "synthetic", "--net", "regnet_y_tiny", "--dataset-root", data_root)
    said = refusal(capsys, monkeypatch, *start, *QUICK, "--out", out)
    assert "The disk is full" in said
    assert len(pd.read_csv(out / "log.csv")) == 1
    monkeypatch.undo()
    done = scm(*start, *QUICK, "--out", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(out / "log.csv")) == 2


def test_any_failure_of_the_system_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    said = refusal(
        capsys, monkeypatch, "prepare", "synthetic", "--preset", "quick", "--dataset-root", tmp_path / "file"
    )
    assert "Not a directory" in said


def test_masks_of_all_pictures_in_a_folder(run: Path, data_root: Path, tmp_path: Path) -> None:
    pictures = [record.path for record in open_dataset("synthetic", data_root).query[:3]]
    (tmp_path / "mine").mkdir()
    for picture in pictures:
        shutil.copy(picture, tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").touch()
    for size in (1, 2):
        out = tmp_path / str(size)
        command = ["masks", str(run), str(tmp_path / "mine"), "--out", str(out), "--batch-size", str(size)]
        result = CliRunner().invoke(cli.cli, command, catch_exceptions=False)
        assert result.stdout.splitlines() == [str(out / f"{picture.stem}_masks.png") for picture in sorted(pictures)]


def test_folders_that_hold_nothing_of_use_are_named(
    run: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(capsys, monkeypatch, "masks", run, tmp_path, "--out", tmp_path / "masks")
    assert f"{tmp_path} has no images" in said
    said = refusal(capsys, monkeypatch, "evaluate", tmp_path, "--dataset", "synthetic", "--dataset-root", data_root)
    assert f"{tmp_path} is no run folder of `scm train`" in said
    said = refusal(capsys, monkeypatch, "evaluate", run, "--dataset", "synthetic", "--dataset-root", tmp_path)
    assert f"Synthetic-Pedestrians is missing in {tmp_path}: say which folder holds it" in said


def test_resume_takes_all_flags_from_the_run_and_names_those_that_differ(
    run: Path, quick: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a run"
    shutil.copytree(run, folder)
    asked = CliRunner().invoke(cli.cli, ["train", "--resume", "--out", str(folder), "--workers", "2", "--dry-run"])
    assert Settings.from_dict(json.loads(asked.stdout)) == replace(quick, workers=2)
    done = CliRunner().invoke(cli.cli, ["train", "--resume", "--out", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    said = refusal(capsys, monkeypatch, "train", "--resume", "--out", folder, "--lr", 0.5, "--dataset", "market1501")
    assert f"was trained with --dataset synthetic --lr {quick.lr}, not --dataset market1501 --lr 0.5" in said
    assert f"--weights '{folder}'" in said
    assert "Missing option '--dataset'; or give --out RUN" in refusal(capsys, monkeypatch, "train", "--resume")
    assert "Missing option '--net'" in refusal(capsys, monkeypatch, "train", "--dataset", "synthetic")


def test_stopped_training_names_the_command_that_goes_on(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch = training.Trainer.train_epoch
    out = tmp_path / "a run"
    flags = ["--dataset", "synthetic", "--net", "regnet_y_tiny", "--dataset-root", str(data_root), *QUICK]
    started = ["scm", "train", *flags, "--out", str(out)]

    def stopped_in(epoch: int, command: list[str]) -> list[str]:
        """The command that is printed when Ctrl-C comes in an epoch."""

        def stop(self: training.Trainer, *arguments: Any) -> None:
            if self.epoch + 1 == epoch:
                raise KeyboardInterrupt
            train_epoch(self, *arguments)

        monkeypatch.setattr(training.Trainer, "train_epoch", stop)
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 130
        *_, said = capsys.readouterr().err.strip().splitlines()
        assert said.startswith("Stopped; what was written is kept. To go on: ")
        return shlex.split(said.partition("To go on: ")[2])

    assert stopped_in(1, started) == started  # nothing to go on with yet
    goes_on = stopped_in(2, started)
    assert goes_on == ["scm", "train", "--resume", "--out", str(out)]
    monkeypatch.undo()
    assert CliRunner().invoke(cli.cli, goes_on[1:]).exit_code == 0
    assert len(pd.read_csv(out / "log.csv")) == 2


@pytest.mark.parametrize("command", ["evaluate", "masks", "occlusion", "sensitivity", "scores", "clinic"])
def test_commands_that_apply_a_model_say_what_helps_when_memory_runs_out(
    command: str,
    run: Path,
    data_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def too_much(self: SCM, images: Tensor) -> None:
        sizes.append(len(images))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(SCM, "branches", too_much)
    picture = open_dataset("synthetic", data_root).query[0].path
    more = [picture, picture] if command == "masks" else []
    where = [] if command == "evaluate" else ["--out", tmp_path]
    said = refusal(capsys, monkeypatch, command, run, *more, *where, "--batch-size", 2)
    assert said == "scm: Memory ran out: give a smaller --batch-size, where the command takes one, or free memory; " + (
        "what was written before is kept."
    )
    assert sizes in ([2], [4])  # where embeddings are asked for, a picture and its mirror image go together


def test_killed_reader_is_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. ")

    monkeypatch.setattr(SCM, "forward", killed)
    said = refusal(capsys, monkeypatch, "evaluate", run)
    assert (
        "A process that reads images was killed, most likely because memory ran out: give a smaller --workers" in said
    )


def test_version() -> None:
    assert "0.1.0" in CliRunner().invoke(cli.cli, ["--version"]).output
