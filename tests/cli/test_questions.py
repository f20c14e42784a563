from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from scmlib.run_folder import WEIGHTS
from tests.cli.test_analysis import scm


@pytest.fixture(scope="module")
def other(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quick run with noise in its weights."""
    folder = shutil.copytree(run, tmp_path_factory.mktemp("runs") / "other")
    weights = load_file(folder / WEIGHTS)
    with safe_open(folder / WEIGHTS, "pt") as file:
        facts = file.metadata()
    noise = torch.Generator().manual_seed(0)
    noisy = {
        name: w + 0.2 * w.std() * torch.randn(w.shape, generator=noise) if w.ndim > 1 else w
        for name, w in weights.items()
    }
    save_file(noisy, folder / WEIGHTS, facts)
    return folder


@pytest.fixture
def where(data_root: Path, tmp_path: Path) -> list[object]:
    return ["--dataset-root", data_root, "--out", tmp_path]


def test_compare_two_runs(run: Path, other: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("compare", run, other, *where, "--json"))
    names = {"top1", "top5", "top10", "mAP", "mINP"}
    assert names <= set(answer["a"]) & set(answer["b"])
    for name in names:
        assert answer["difference"][name] == pytest.approx(answer["a"][name] - answer["b"][name])
        assert answer["low"][name] <= answer["difference"][name] <= answer["high"][name]
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert len(table) == answer["queries"] == answer["wins"] + answer["losses"] + answer["ties"]
    assert answer["wins"] == (table["ap_a"] > table["ap_b"]).sum()
    assert answer["losses"] > 0 or answer["wins"] > 0
    assert {row["path"] for row in answer["apart"]} <= set(table["path"])
    assert (tmp_path / "comparison.png").is_file()
    assert (tmp_path / "comparison_pictures.png").is_file()
    said = scm("compare", run, other, *where)
    assert f"A is ahead on {answer['wins']} queries, B on {answer['losses']}, {answer['ties']} are equal" in said
    assert answer["verdict"]["mAP"] in said


def test_a_run_equals_itself(run: Path, where: list[object], tmp_path: Path) -> None:
    assert "on 0 queries, B on 0" in scm("compare", run, run, *where)
    assert not (tmp_path / "comparison_pictures.png").exists()


def test_distances_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("distances", run, *where, "--k1", 5, "--k2", 2, "--json"))
    rows = {row["distance"]: row for row in answer["rows"]}
    assert list(rows) == ["paper", "re-ranked", "alike", "visible"]
    assert rows["re-ranked"]["mAP_low"] <= rows["re-ranked"]["mAP_difference"] <= rows["re-ranked"]["mAP_high"]
    said = scm("distances", run, *where, "--k1", 5, "--k2", 2)
    assert f"{rows['visible']['mINP']:.1%}" in said
    assert (tmp_path / "distances.png").is_file()
    assert len(pd.read_csv(tmp_path / "distances.csv")) == 4


def test_verification_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("verification", run, *where, "--json"))
    rows = {row["rate"]: row for row in answer["rows"]}
    assert {"EER", "AUC"} <= set(rows)
    assert rows["EER"]["low"] <= rows["EER"]["value"] <= rows["EER"]["high"]
    said = scm("verification", run, *where)
    assert f"{rows['EER']['value']:.2%}" in said
    assert f"{answer['genuine']:,} genuine and {answer['impostor']:,} impostor pairs" in said
    assert (tmp_path / "verification.png").is_file()
