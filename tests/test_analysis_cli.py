from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from scmlib.cli import cli


def scm(*arguments: object) -> str:
    """What a command prints on standard output."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def where(data_root: Path, tmp_path: Path) -> list[object]:
    return ["--dataset", "synthetic", "--dataset-root", data_root, "--out", tmp_path]


def test_scores_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    said = scm("scores", run, *where)
    table = pd.read_csv(tmp_path / "mask_scores.csv")
    assert list(table["method"].unique())[:2] == ["SCM", "SCM, mean mask"]
    assert all(method in said for method in table["method"])
    assert (tmp_path / "mask_scores.png").stat().st_size > 10_000


def test_clinic_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    said = scm("clinic", run, *where)
    assert "100.0%" in next(line for line in said.splitlines() if line.startswith("query left in the gallery"))
    assert (tmp_path / "clinic.png").is_file()
