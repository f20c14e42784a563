from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from scmlib.cli import main as cli
from scmlib.data.datasets import dataset_folder, open_dataset
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


def test_help_is_quick_and_names_every_command() -> None:
    done = scm("--help")
    assert done.returncode == 0
    for command in ("demo", "prepare", "train", "evaluate", "masks"):
        assert command in done.stdout


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
    assert {"settings.json", "log.csv", "state.pt", "model.safetensors", "training.png"} <= {
        path.name for path in out.iterdir()
    }
    again = scm("train", *where, "--net", "regnet_y_tiny", *QUICK, "--out", out)
    assert again.returncode == 2
    assert "--resume" in again.stderr

    done = scm("evaluate", out, *where, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() == {"dataset", "net", "top1", "top5", "top10", "mAP", "queries", "queries_without_match"}
    assert figures["queries"] == 24
    assert json.loads((out / "evaluation_market1501.json").read_text()) == figures
    said = scm("evaluate", out, *where).stdout
    assert "24 queries counted, 0 without a match" in said
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
    assert "Unknown preset 'huge': choose one of quick, default, large" in said


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


def test_version() -> None:
    assert "0.1.0" in CliRunner().invoke(cli.cli, ["--version"]).output
