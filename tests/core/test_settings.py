from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from scmlib.cli.main import cli
from scmlib.errors import BadInput
from scmlib.settings import Settings, parse_epochs, recipe
from tests.conftest import ORACLE

FIGURES = ("top1", "top5", "top10", "mAP", "Recall@1", "Recall@2", "Recall@4", "Recall@8", "NMI")

with (ORACLE / "recipes.csv").open() as file:
    PUBLISHED = list(csv.DictReader(file))


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['dataset']}-{row['net']}")
def test_published_recipe(row: dict[str, str]) -> None:
    settings = recipe(row["dataset"], row["net"])
    for name, text in row.items():
        if name in FIGURES:
            assert settings.published.get(name) == (float(text) if text else None)
        else:
            value = getattr(settings, name.replace("-", "_"))
            assert value == (parse_epochs(text) if name == "epochs" else type(value)(text)), name


def test_there_are_24() -> None:
    assert len(PUBLISHED) == 24


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['dataset']}-{row['net']}")
def test_released_command_line(row: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the authors print it, with `scm train` for `python train.py`; what is left out comes from the recipe."""
    monkeypatch.chdir(tmp_path)
    flags = [f"--{name}={value}" for name, value in row.items() if name not in FIGURES]
    whole = ["train", *flags, "--gpus", "0", "--dataset-root", "../datasets", "--dry-run"]
    short = ["train", "--dataset", row["dataset"], "--net", row["net"], "--dataset-root", "../datasets", "--dry-run"]
    printed = [CliRunner().invoke(cli, command) for command in (whole, short)]
    assert [result.exit_code for result in printed] == [0, 0]
    resolved = [Settings.from_dict(json.loads(result.stdout)) for result in printed]
    assert resolved[0] == resolved[1] == replace(recipe(row["dataset"], row["net"]), dataset_root="../datasets")


def test_imagenet_weights_are_found_where_the_released_code_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrain").mkdir()
    (tmp_path / "pretrain" / "checkpoint_regnet_y_800mf.pth").touch()
    command = ["train", "--dataset", "market1501", "--net", "regnet_y_800mf", "--dry-run"]
    weights = [
        json.loads(CliRunner().invoke(cli, [*command, *more]).stdout)["weights"]
        for more in ([], ["--weights", "x.pth"])
    ]
    assert weights == ["pretrain/checkpoint_regnet_y_800mf.pth", "x.pth"]


def test_variant_of_a_protocol_is_trained_like_the_data_set() -> None:
    assert recipe("vehicleid:1600", "regnet_y_800mf") == replace(
        recipe("vehicleid", "regnet_y_800mf"), dataset="vehicleid:1600"
    )


def test_laptop_recipe_is_the_synthetic_one_at_half_the_paper_size() -> None:
    ours = recipe("synthetic", "regnet_y_tiny")
    assert recipe("market1501", "regnet_y_tiny") == replace(ours, dataset="market1501", img_height=192, img_width=64)
    assert recipe("veri776", "regnet_y_tiny").image_size == (128, 128)
    assert ours.published == {}


def test_other_networks_take_the_data_set_row() -> None:
    paper = recipe("market1501", "regnet_y_800mf")
    assert recipe("market1501", "torchvision:resnet50") == replace(paper, net="torchvision:resnet50")


@pytest.mark.parametrize("net", ["regnet_y_800mf", "regnet_y_tiny", "torchvision:resnet50"])
@pytest.mark.parametrize("name", ["my own pictures", "partial_reid", "partial_reid:partial"])
def test_data_set_without_a_recipe_takes_that_of_market1501(name: str, net: str) -> None:
    assert recipe(name, net) == replace(recipe("market1501", net), dataset=name)
    assert recipe(name, net).published == {}


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.0},
        {"batch_size": 1},
        {"epochs": (5, 5)},
        {"freeze": "head"},
        {"ema_ratio": 1.5},
        {"workers": -1},
        {"precision": "half"},
    ],
)
def test_value_out_of_range_is_named(change: dict[str, object]) -> None:
    (name, value), *_ = change.items()
    with pytest.raises(BadInput, match=f"--{name.replace('_', '-')} .*{str(value).strip('()')}"):
        replace(recipe("synthetic", "regnet_y_tiny"), **change)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    settings = recipe("market1501", "regnet_y_800mf")
    assert Settings.from_dict({**settings.as_dict(), "epochs": [5, 75], "unknown": 1}) == settings
