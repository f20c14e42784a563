"""Every data set from its download to its figures, by the commands that a person types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from scmlib.cli.main import cli
from tests.trees import NAMES, pack, write_download

SMALL = ["--img-height", "64", "--img-width", "64", "--batch-size", "8", "--instance-num", "2"]
QUICK = [*SMALL, "--epochs", "1,2", "--ema-extra", "0", "--freeze", "none"]


def scm(*arguments: object) -> str:
    """What a command prints on standard output."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_from_download_to_figures(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_download(name, tmp_path / "downloaded")
    archive = pack(tmp_path / "downloaded", tmp_path / "archive.zip")
    where = ["--dataset-root", tmp_path / "data sets"]

    said = scm("prepare", name, "--source", archive, *where)
    assert "published" in said
    said = scm("inspect", name, *where)
    assert "train" in said
    assert (tmp_path / "runs" / "inspection" / f"{name}.png").is_file()

    chosen = ["--dataset", name, *where]
    scm("train", *chosen, "--net", "regnet_y_tiny", *QUICK, "--gpus", "0")
    run = Path("runs") / f"{name}-regnet_y_tiny"
    figures = json.loads(scm("evaluate", run, *chosen, "--json"))
    released = ["Recall@1", "Recall@2", "Recall@4", "Recall@8", "NMI"]
    if name not in ("car196", "cub200"):
        released = ["top1", "top5", "top10", "mAP"]
    assert [key for key in figures if key not in ("dataset", "net", "spread")][: len(released)] == released
    assert all(0 <= figures[key] <= 1 for key in released)
    assert ("spread" in figures) == (name == "vehicleid")
    assert figures["queries"] > 0

    said = scm("evaluate", run, *chosen)
    assert all(f"{figures[key]:7.2%}" in said for key in released)
    assert ("five drawn galleries" in said) == (name == "vehicleid")
    assert ("each against all others" in said) == (name in ("car196", "cub200"))

    table = scm("recipes", "--dataset", name)
    assert table.count("published") == 2
    assert str(run) in table
    assert f"{figures[released[0]]:.1%}" in table
