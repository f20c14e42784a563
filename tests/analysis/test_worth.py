"""Masks exchanged while more and more of every query is hidden."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from scmlib.analysis.mask_scores import detection
from scmlib.analysis.occluders import draw_occluder
from scmlib.analysis.occlusion import embedding_groups, sweep
from scmlib.analysis.swap import swap_masks
from scmlib.analysis.worth import without, worth
from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.images import read_image
from scmlib.data.truth import OCCLUDER, PERSON, read_truth, region_share
from scmlib.errors import BadInput
from scmlib.inference import masks_of
from scmlib.model import SCM
from tests.trees import write_tree

RATIOS = (0.0, 0.2, 0.5)


@pytest.fixture(scope="module")
def data(data_root: Path) -> ReidDataset:
    """The quick world with its first queries and one that has no match."""
    whole = open_dataset("synthetic", data_root)
    stray = replace(whole.query[0], identity=99999)
    return replace(whole, query=[stray, *whole.query[:9]], train=whole.train[::4])


@pytest.fixture(scope="module")
def model(run: Path) -> SCM:
    return load_model(run)[0]


@pytest.fixture(scope="module")
def table(model: SCM, data: ReidDataset) -> pd.DataFrame:
    groups = embedding_groups(model.embedding_names)
    return worth(model, data, kinds=["block", "object"], ratios=RATIOS, groups=groups, seed=2)


def cell(table: pd.DataFrame, masks: str, group: str = "all") -> pd.DataFrame:
    return table[(table["masks"] == masks) & (table["embeddings"] == group)].reset_index(drop=True)


def test_nothing_hidden_is_the_swap(model: SCM, data: ReidDataset, table: pd.DataFrame) -> None:
    swapped = swap_masks(model, data, seed=2).set_index("masks")
    whole = table[(table["embeddings"] == "all") & (table["ratio"] == 0)].set_index("masks")
    assert list(whole.index) == list(swapped.index)
    assert np.allclose(whole["mAP"], swapped["mAP"], atol=1e-6)
    assert np.allclose(whole["ahead"], -swapped["mAP_difference"], atol=1e-6)
    assert np.allclose(whole["ahead_low"], -swapped["mAP_high"], atol=1e-6)
    assert (table["queries"] == 9).all()
    assert (table["identities"] == len({r.identity for r in data.query[1:]})).all()


def test_own_masks_give_the_mean_of_the_sweep_over_kinds(model: SCM, data: ReidDataset, table: pd.DataFrame) -> None:
    groups = embedding_groups(model.embedding_names)
    swept = sweep(model, data, kinds=["block", "object"], ratios=RATIOS, groups=groups, seed=2)
    for group in groups:
        for metric in ("mAP", "top1"):
            one = swept[swept["embeddings"] == group].groupby("ratio")[metric].mean()
            assert np.allclose(cell(table, "own", group)[metric], one, atol=1e-6)
        assert list(cell(table, "own", group)["ratio"]) == list(RATIOS)


def test_leads_and_their_growth_follow_from_the_curves(table: pd.DataFrame) -> None:
    for (name, group), rows in table.groupby(["masks", "embeddings"]):
        ahead = cell(table, "own", str(group))["mAP"].to_numpy() - rows["mAP"].to_numpy()
        assert np.allclose(rows["ahead"], ahead), name
        assert np.allclose(rows["grown"], ahead - ahead[0]), name
        first = cell(table, "own", str(group))["top1"].to_numpy() - rows["top1"].to_numpy()
        assert np.allclose(rows["top1_ahead"], first), name
        assert np.allclose(rows["top1_grown"], first - first[0]), name
    for column in ("mAP", "ahead", "grown", "top1", "top1_ahead", "top1_grown"):
        assert (table[f"{column}_low"] <= table[column] + 1e-12).all()
        assert (table[column] <= table[f"{column}_high"] + 1e-12).all()


def test_masks_are_worth_nothing_to_embeddings_without_masks(table: pd.DataFrame) -> None:
    assert (table[table["embeddings"] == "global"][["ahead", "ahead_low", "ahead_high"]].abs() < 1e-9).all(axis=None)
    assert (cell(table, "uniform", "cooperative")["ahead"] != 0).any()


def test_auc_is_that_of_the_hidden_pictures(model: SCM, data: ReidDataset) -> None:
    table = worth(model, data, kinds=["block"], ratios=[0.5], seed=2)
    values: dict[str, list[float]] = {"own": [], "uniform": [], "truth": []}
    for i, query in list(enumerate(data.query))[1:]:
        person = np.isin(read_truth([query.path]), PERSON)
        occluder = draw_occluder("block", "random", model.image_size, (2, i))
        picture, covered = occluder.cover(read_image(query.path, model.image_size), 0.5, torch.from_numpy(person[0]))
        seen = region_share(without(read_truth([query.path]), covered[None]), PERSON, model.config.grid)
        own = masks_of(model, picture[None]).sum(1)
        for name, mask in (("own", own), ("uniform", torch.ones_like(own)), ("truth", seen)):
            values[name].append(float(detection(mask, seen)[0]))
    for name, found in values.items():
        assert cell(table, name)["auc"][1] == pytest.approx(np.mean(found), abs=2e-3), name
    assert cell(table, "uniform")["auc"].tolist() == [0.5, 0.5]


def test_what_is_covered_is_no_person_any_more() -> None:
    maps = np.full((1, 4, 4), PERSON[0], np.uint8)
    covered = torch.zeros(1, 8, 8, dtype=torch.bool)
    covered[:, 4:] = True
    assert without(maps, covered)[0, :, 0].tolist() == [PERSON[0]] * 2 + [OCCLUDER] * 2
    assert (maps == PERSON[0]).all()


def test_data_without_known_answers_have_no_auc(model: SCM, tmp_path: Path) -> None:
    write_tree("market1501", tmp_path)
    table = worth(model, open_dataset("market1501", tmp_path), kinds=["block"], ratios=[0.3])
    assert "truth" not in set(table["masks"])
    assert table["auc"].isna().all()
    assert set(table["hidden"]) == {"the picture"}
    assert table["mAP"].notna().all()


def test_bad_input_is_named(model: SCM, data: ReidDataset) -> None:
    with pytest.raises(BadInput, match="Unknown kind of occluder 'tree'"):
        worth(model, data, kinds=["tree"])
    with pytest.raises(BadInput, match=r"0\.9 is out of range"):
        worth(model, data, ratios=[0.9])
