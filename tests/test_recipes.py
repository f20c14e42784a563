from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from scmlib.errors import BadInput
from scmlib.recipes import Settings, parse_epochs, recipe
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


def test_laptop_recipe_is_the_synthetic_one_at_half_the_paper_size() -> None:
    ours = recipe("synthetic", "regnet_y_tiny")
    assert recipe("market1501", "regnet_y_tiny") == replace(ours, dataset="market1501", img_height=192, img_width=64)
    assert recipe("veri776", "regnet_y_tiny").image_size == (128, 128)
    assert ours.published == {}


def test_other_networks_take_the_data_set_row() -> None:
    paper = recipe("market1501", "regnet_y_800mf")
    assert recipe("market1501", "torchvision:resnet50") == replace(paper, net="torchvision:resnet50")


def test_unknown_data_set() -> None:
    with pytest.raises(BadInput, match="No recipe for data set 'mars'"):
        recipe("mars", "regnet_y_800mf")


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0}, {"batch_size": 1}, {"epochs": (5, 5)}, {"freeze": "head"}, {"ema_ratio": 1.5}, {"workers": -1}],
)
def test_value_out_of_range_is_named(change: dict[str, object]) -> None:
    (name, value), *_ = change.items()
    with pytest.raises(BadInput, match=f"--{name.replace('_', '-')} .*{str(value).strip('()')}"):
        replace(recipe("synthetic", "regnet_y_tiny"), **change)  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    settings = recipe("market1501", "regnet_y_800mf")
    assert Settings.from_dict({**settings.as_dict(), "epochs": [5, 75], "unknown": 1}) == settings
