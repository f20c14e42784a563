from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from scmlib.cli.main import cli
from scmlib.errors import BadInput
from tests.trees import write_tree


def scm(*arguments: object) -> str:
    """What a command prints on standard output."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def where(data_root: Path, tmp_path: Path) -> list[object]:
    return ["--dataset", "synthetic", "--dataset-root", data_root, "--out", tmp_path]


def test_scores_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    said = scm("scores", run, *where, "--beside", run)
    table = pd.read_csv(tmp_path / "mask_scores.csv")
    assert list(table["method"].unique())[:2] == ["SCM", "mean mask"]
    assert all(method in said for method in table["method"])
    assert "No mask on this grid has a lift above" in said
    assert "An occluder changes the cooperative mask on hidden cells by" in said
    assert f"Overlap with the masks of {run}, part by part: 1.00, 1.00, 1.00." in said
    assert (tmp_path / "mask_scores.png").stat().st_size > 10_000


def test_scores_for_scripts(run: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("scores", run, *where, "--json"))
    table = pd.read_csv(tmp_path / "mask_scores.csv")
    assert [row["masks"] for row in answer["rows"]] == list(table["method"].unique())
    own = answer["rows"][0]
    names = {"auc", "ap", "lift", "hidden", "visible", "background", "picture_dependent", "parts", "coverage"}
    assert names <= set(own)
    for name in names - {"lift", "parts"}:
        row = table[(table["method"] == "SCM") & (table["mask"] == "cooperative") & (table["score"] == name)]
        assert own[name] == pytest.approx(row["value"].item(), abs=1e-9, nan_ok=True)  # JSON has ten decimals
    assert answer["ceilings"]["lift"] >= max(row["lift"] for row in answer["rows"]) - 1e-6
    assert 0 <= own["picture_dependent"] <= 1


def test_swap_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("swap", run, *where, "--json"))
    rows = {row["masks"]: row for row in answer["rows"]}
    assert list(rows) == ["own", "mean", "other", "no walk", "no prior", "stripes", "uniform", "truth"]
    assert rows["own"]["mAP_difference"] == 0
    assert rows["mean"]["mINP_low"] <= rows["mean"]["mINP_difference"] <= rows["mean"]["mINP_high"]
    said = scm("swap", run, *where)
    assert f"{rows['truth']['mAP']:.1%}" in said
    assert f"{answer['queries']} queries of {answer['identities']} identities" in said
    assert (tmp_path / "swap.png").is_file()


def test_clinic_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    said = scm("clinic", run, *where)
    assert "100.0%" in next(line for line in said.splitlines() if line.startswith("query left in the gallery"))
    assert (tmp_path / "clinic.png").is_file()


def test_occlusion_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    answer = json.loads(scm("occlusion", run, *where, "--ratio", 0.3, "--position", "bottom", "--json"))
    table = pd.read_csv(tmp_path / "occlusion.csv")
    assert list(table["ratio"].unique()) == [0, 0.3]
    assert set(table["kind"]) == {"block", "object", "person"} == set(answer["robustness"]) - {"overall"}
    assert len(answer["sweep"]) == len(table)
    assert set(table["embeddings"]) == {"all", "global", "cooperative", "parts"}
    assert set(table["hidden"]) == {"the visible person"}
    assert (tmp_path / "occlusion_embeddings.png").is_file()
    assert (tmp_path / "occlusion.png").is_file()
    assert (tmp_path / "occlusion_masks.png").is_file()
    said = scm("occlusion", run, *where, "--ratio", 0.3)
    assert "Kept of the unhidden mAP" in said


def test_sensitivity_of_a_run(run: Path, where: list[object], tmp_path: Path) -> None:
    said = scm("sensitivity", run, *where, "--queries", 4)
    table = pd.read_csv(tmp_path / "sensitivity.csv")
    assert {"cooperative", "mean mask", "centre", "noise", "person"} <= set(table["map"])
    assert set(table["cells"]) == {"interior", "all"}
    assert all(name in said for name in table["map"])
    assert (tmp_path / "sensitivity.png").is_file()


def test_world_without_answers_is_named(run: Path, tmp_path: Path) -> None:
    write_tree("market1501", tmp_path)
    command = ["scores", str(run), "--dataset", "market1501", "--dataset-root", str(tmp_path)]
    with pytest.raises(BadInput, match="has no index map"):
        CliRunner().invoke(cli, command, catch_exceptions=False)


def test_clinic_needs_cameras(run: Path, tmp_path: Path) -> None:
    write_tree("p_dukemtmc", tmp_path)
    command = ["clinic", str(run), "--dataset", "p_dukemtmc", "--dataset-root", str(tmp_path)]
    with pytest.raises(BadInput, match="p_dukemtmc has no camera rule to break"):
        CliRunner().invoke(cli, command, catch_exceptions=False)


def test_nothing_hidden_is_refused(run: Path, where: list[object]) -> None:
    with pytest.raises(BadInput, match="give a hidden share above 0"):
        scm("occlusion", run, *where, "--ratio", 0)


def test_unknown_variant_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Unknown variant 'stripes'"):
        CliRunner().invoke(cli, ["ablation", "--variant", "stripes", "--out", str(tmp_path)], catch_exceptions=False)


@pytest.mark.slow
def test_ablation_with_changes_of_world_and_recipe(tmp_path: Path) -> None:
    asked = ["--worlds", 1, "--seeds", 1, "--lr", 0.3, "--variant", "uniform masks", "--quick", "--out", tmp_path]
    said = scm("ablation", *asked, "--set", "occluded_train=0.2", "--change", "epochs=1,3", "--change", "erasing=0")
    table = pd.read_csv(tmp_path / "ablation.csv")
    assert list(table["variant"]) == ["SCM", "uniform masks"]
    assert not (tmp_path / "worlds" / "100").exists()  # one rate: nothing to tune
    facts = json.loads((tmp_path / "uniform_masks-lr0.3-world1-seed0" / "settings.json").read_text())["settings"]
    assert (facts["epochs"], facts["erasing"], facts["variant"]) == ([1, 3], 0, "uniform")
    assert "not resolved" in said
    assert (tmp_path / "ablation.png").is_file()


@pytest.mark.parametrize("change", ["epoch=1,2", "epochs", "epochs=one", "lr="])
def test_change_that_is_none_is_named(change: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["ablation", "--change", change, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert f"'{change}' isn't a setting and its value, like epochs=2,9" in result.output
