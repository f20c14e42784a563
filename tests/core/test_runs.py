from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from scmlib.checkpoints import save_model
from scmlib.data.datasets import digest, open_dataset
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate
from scmlib.runs import Study, metrics_table, open_study, store_evaluation
from scmlib.settings import recipe
from scmlib.variants import build_model
from tests.trees import write_tree


@pytest.fixture
def home(run: Path, data_root: Path, tmp_path: Path) -> Path:
    """A folder with a run below `runs` and its data below `data`, trained from inside it with a relative data root."""
    home = tmp_path / "home"
    shutil.copytree(run, home / "runs" / "mine")
    shutil.copytree(data_root, home / "data")
    for name in ("settings.json", "model.safetensors"):
        relocate(home / "runs" / "mine" / name, home / "data")
    return home


def relocate(path: Path, root: Path) -> None:
    """Let a file of a run say what a training from the folder above `data` and `runs` says."""

    def told(text: str) -> str:
        facts = json.loads(text)
        facts["settings"]["dataset_root"] = "data"
        facts["data"] |= {"root": str(root), "from_run": "../../data"}
        return json.dumps(facts)

    if path.suffix == ".json":
        path.write_text(told(path.read_text()))
        return
    with safe_open(path, "pt") as file:
        header = file.metadata()["scmlib"]
    save_file(load_file(path), path, {"scmlib": told(header)})


@pytest.mark.parametrize("cwd", [".", "runs", "runs/mine", "data", "/"])
def test_run_opens_from_any_working_directory(home: Path, cwd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / cwd)
    assert open_study(home / "runs" / "mine").data.root.parent == home / "data"
    if cwd == "runs":
        assert len(open_study("mine").data.query) == 24
        assert len(open_study("mine/model.safetensors").data.query) == 24


def test_moved_run_finds_the_data_that_moved_along(home: Path, tmp_path: Path) -> None:
    moved = home.rename(tmp_path / "moved")
    assert open_study(moved / "runs" / "mine").data.root.parent == moved / "data"


def test_copied_run_finds_data_where_they_were_or_next_to_it(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "mine"
    shutil.copytree(home / "runs" / "mine", copy)
    assert open_study(copy).data.root.parent == home / "data"
    (home / "data").rename(tmp_path / "elsewhere" / "data")
    assert open_study(copy).data.root.parent == tmp_path / "elsewhere" / "data"


def test_data_are_looked_for_where_the_call_says_first(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "data", tmp_path / "other")
    study = open_study(home / "runs" / "mine", dataset_root=tmp_path / "other")
    assert study.data.root.parent == tmp_path / "other"


def test_missing_data_are_one_sentence_that_lists_the_places(home: Path, tmp_path: Path) -> None:
    shutil.move(home / "data", tmp_path / "gone")
    with pytest.raises(BadInput) as caught:
        open_study(home / "runs" / "mine")
    said = str(caught.value)
    assert f"Synthetic-Pedestrians is missing in {home / 'data'}, {home / 'runs' / 'data'}: " in said
    assert "with dataset_root in Python, --dataset-root on the command line" in said
    with pytest.raises(BadInput, match=f"is missing in {tmp_path}: say which folder"):
        open_study(home / "runs" / "mine", dataset_root=tmp_path)


def test_run_of_an_earlier_version_opens(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its facts hold a digest where the data's place is recorded now: the settings' own root is all that it knows."""
    model = build_model("regnet_y_tiny", 12, image_size=(96, 48))
    settings = replace(recipe("synthetic", "regnet_y_tiny"), img_height=96, img_width=48)
    old = home / "old"
    save_model(old / "model.safetensors", model, {"settings": settings.as_dict(), "data": "0" * 32})
    monkeypatch.chdir(old)
    assert open_study(old).data.root.parent == home / "data"


def test_digest_tells_data_apart_and_not_where_they_lie(data_root: Path, tmp_path: Path) -> None:
    data = open_dataset("synthetic", data_root)
    shutil.copytree(data_root, tmp_path / "copy")
    copy = open_dataset("synthetic", tmp_path / "copy")
    assert digest(copy, "train") == digest(data, "train") != digest(data, "query")
    first = copy.query[0]
    for other in (replace(first, identity=99), replace(first, camera=99)):
        assert digest(replace(copy, query=[other, *copy.query[1:]]), "query") != digest(data, "query")
    first.path.unlink()
    fewer = open_dataset("synthetic", tmp_path / "copy")
    assert digest(fewer, "query", "gallery") != digest(data, "query", "gallery")
    assert digest(fewer, "train") == digest(data, "train")


def evaluated(study: Study) -> tuple[dict[str, Any], Path]:
    return store_evaluation(study, evaluate(study.model, study.data))


def test_evaluations_of_other_data_stand_beside_one_another(run: Path, data_root: Path, tmp_path: Path) -> None:
    folder, fewer = tmp_path / "run", tmp_path / "fewer"
    shutil.copytree(run, folder)
    shutil.copytree(data_root, fewer)
    open_dataset("synthetic", fewer).query[0].path.unlink()
    whole, first = evaluated(open_study(folder))
    with pytest.warns(UserWarning, match="are others than"):
        part, second = evaluated(open_study(folder, dataset_root=fewer))
    assert first != second
    assert json.loads(first.read_text()) == whole
    assert json.loads(second.read_text()) == part
    assert whole["data"]["root"] == str(data_root)
    assert whole["data"]["counts"] == {"query": 24, "gallery": len(open_study(folder).data.gallery)}
    assert part["data"]["counts"]["query"] == 23
    assert evaluated(open_study(folder))[1] == first  # the same data again: the same file
    told = set(metrics_table(folder, "synthetic")["data"])
    assert told == {str(data_root), f"{fewer} (other images than the run's)"}


def test_trained_here_and_tested_there_is_named_as_that(run: Path, data_root: Path, tmp_path: Path) -> None:
    folder, root = tmp_path / "run", tmp_path / "data"
    shutil.copytree(run, folder)
    write_tree("market1501", root)
    facts, path = evaluated(open_study(folder, "market1501", root))
    assert facts["trained_on"] == "synthetic"
    assert path.name.startswith("evaluation_market1501_")
    (row,) = metrics_table(tmp_path, "market1501").query("source != 'published'").to_dict("records")
    assert row["source"] == f"{folder} (trained on synthetic)"
    data = open_dataset("market1501", root)
    queries, gallery = len(data.query), len(data.gallery)
    assert row["data"] == f"{root} ({queries:,} of 3,368 query images, {gallery:,} of 15,913 gallery images)"


def test_weights_beside_one_another_keep_evaluations_of_their_own(run: Path, data_root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(run / "model.safetensors", tmp_path / f"{name}.safetensors")
    paths = [evaluated(open_study(tmp_path / f"{name}.safetensors"))[1] for name in ("a", "b")]
    assert len(set(paths)) == 2
    sources = metrics_table(tmp_path, "synthetic")["source"]
    assert sorted(sources) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_reached_metrics_stand_beside_the_published(tmp_path: Path) -> None:
    def evaluation(name: str, dataset: str = "market1501", **changes: object) -> None:
        settings = replace(recipe("market1501", "regnet_y_800mf"), **{"weights": "imagenet.pth", **changes})  # type: ignore[arg-type]
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text(json.dumps({"settings": settings.as_dict()}))
        metrics = {"dataset": dataset, "net": settings.net, "top1": 0.5, "mAP": 0.25}
        (tmp_path / name / f"evaluation_{dataset}.json").write_text(json.dumps(metrics))

    evaluation("same")
    evaluation("other", lr=0.01, weights="")
    evaluation("elsewhere", dataset="dukemtmc")
    (tmp_path / "stray_evaluation_x.json").write_text("no JSON")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "settings.json").write_text('{"settings": []}')
    odd = {"dataset": "cub200", "net": "x", "NMI": "high", "data": {"counts": 3}}
    (tmp_path / "odd" / "evaluation_x.json").write_text(json.dumps(odd))
    table = metrics_table(tmp_path)
    assert (table["source"] == "published").sum() == 24
    rows = table[(table["dataset"] == "market1501") & (table["net"] == "regnet_y_800mf")]
    assert list(rows["source"]) == [
        "published",
        f"{tmp_path}/other (lr 0.01, from random weights)",
        f"{tmp_path}/same",
    ]
    assert list(rows["mAP"]) == [0.897846, 0.25, 0.25]
    (cross,) = table[table["source"].str.contains("trained on market1501")]["dataset"]
    assert cross == "dukemtmc"
    assert set(metrics_table(tmp_path, "cub200")["dataset"]) == {"cub200"}


def test_a_study_knows_its_data(run: Path, data_root: Path) -> None:
    study = open_study(run)
    assert study.has_truth
    assert len(study.log) == study.settings.last_epoch
    assert study.data.query == open_dataset("synthetic", data_root).query
    lonely = Study(study.model, study.settings, study.data, data_root)
    with pytest.raises(BadInput, match="log"):
        _ = lonely.log


def test_evaluation_of_other_images_than_the_run_saw_is_warned_of(run: Path, data_root: Path, tmp_path: Path) -> None:
    folder, root = tmp_path / "run", tmp_path / "data"
    shutil.copytree(run, folder)
    shutil.copytree(data_root, root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluated(open_study(folder, dataset_root=root))  # the same images elsewhere
    first, second = open_dataset("synthetic", root).query[:2]
    second.path.write_bytes(first.path.read_bytes())
    with pytest.warns(UserWarning, match=f"test images in {root} have other content than those that were there when"):
        evaluated(open_study(folder, dataset_root=root))
    second.path.unlink()
    with pytest.warns(UserWarning, match="are others than those that were there when"):
        evaluated(open_study(folder, dataset_root=root))
