from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from scmlib.analysis import mask_baselines
from scmlib.analysis.mask_baselines import (
    Method,
    Views,
    best_clusters,
    cluster_cells,
    inner_clusters,
    joint_clusters,
    mask_methods,
    score_methods,
    training_pool,
    true_masks,
    with_statistics,
)
from scmlib.analysis.mask_scores import Pairs, detection
from scmlib.data.datasets import open_dataset
from scmlib.data.images import to_float
from scmlib.data.truth import OCCLUDER, PERSON, REGIONS, region_share
from scmlib.errors import BadInput
from scmlib.figures.masks import draw_scores, summarise
from scmlib.figures.style import alt_text, png
from scmlib.inference import branch_features, masks_of
from scmlib.model import SCM
from scmlib.variants import build_model

rng = np.random.default_rng(0)
PICTURES = torch.from_numpy(rng.integers(0, 256, (5, 3, 96, 48), dtype=np.uint8))
TRUTH = rng.integers(0, len(REGIONS), (5, 96, 48), dtype=np.uint8)
VIEWS = Views(PICTURES, TRUTH)
TRAINING = Views(PICTURES.flip(0).flip(2), TRUTH[:, ::-1].copy())
METHODS = [
    *("SCM", "mean mask", "mean true person", "middle columns", "stripes", "uniform", "untrained"),
    *("spectral clustering", "spectral clustering, joint", "spectral clustering, best", "truth"),
]

# Seven rows by five: a person in the middle, in three bands whose numbers are in no order; background is 0.
SCENE = np.zeros((7, 5), dtype=int)
SCENE[1:3, 1:4], SCENE[3, 1:4], SCENE[4:6, 2] = 2, 3, 1
BANDS = torch.from_numpy(np.stack([SCENE == 2, SCENE == 3, SCENE == 1])).float()


def network(seed: int, parts: int = 3) -> SCM:
    torch.manual_seed(seed)
    return build_model("regnet_y_tiny", 4, image_size=(96, 48), num_parts=parts)


def features_of(scene: NDArray[np.integer[Any]]) -> Tensor:
    """Features (4, h, w) that tell four clusters apart, with some noise."""
    noise = np.random.default_rng(1).random((4, *scene.shape))
    return torch.from_numpy(np.eye(4)[scene].transpose(2, 0, 1) + 0.1 * noise).float()


@pytest.fixture(scope="module")
def methods() -> dict[str, Method]:
    return mask_methods(network(0), network(1), TRAINING)


@pytest.fixture(scope="module")
def masks(methods: dict[str, Method]) -> dict[str, Tensor]:
    return {name: method(VIEWS) for name, method in methods.items()}


@pytest.fixture(scope="module")
def table(methods: dict[str, Method]) -> pd.DataFrame:
    free = np.kron(np.random.default_rng(2).choice([0, 2, 3, 5], (5, 6, 3)), np.ones((16, 16))).astype(np.uint8)
    hidden = free.copy()
    hidden[:, 32:64] = OCCLUDER
    pairs = Pairs(PICTURES, PICTURES.flip(3), hidden, free, np.arange(5))
    return score_methods(methods, VIEWS, np.arange(5), pairs)


def test_clusters_off_the_border_are_parts_from_top_to_bottom() -> None:
    assert inner_clusters(SCENE[None], 3) == [2, 3, 1]
    shuffled = np.array([3, 0, 1, 2])[SCENE]
    assert inner_clusters(shuffled[None], 3) == [1, 2, 0]
    halves = SCENE.copy()
    halves[:, :3][SCENE[:, :3] == 0] = 3  # background in two clusters: both are off, whatever else they hold
    assert inner_clusters(halves[None], 3) == [2, 1]


def test_at_most_as_many_parts_as_masks_whatever_the_clusters() -> None:
    for seed in range(20):
        labels = np.random.default_rng(seed).integers(0, 4, (2, 7, 5))
        assert len(inner_clusters(labels, 3)) <= 3


def test_clear_regions_are_found() -> None:
    assert torch.equal(cluster_cells(features_of(SCENE), 3), BANDS)


def test_best_clusters_bound_what_names_can_reach() -> None:
    person = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) * torch.from_numpy(SCENE > 1)
    best = best_clusters(SCENE, person, 3)
    assert best.shape == (3, 7, 5)
    for i, cluster in enumerate((2, 3, 0)):
        assert best[i].max() == pytest.approx(float(person[cluster == SCENE].mean())) or cluster == 0
    reached = detection(best.sum(0)[None], person[None])[0].item()
    for values in permutations((0.0, 1.0, 2.0, 3.0)):  # every order of the clusters
        assert detection(torch.tensor(values)[SCENE][None], person[None])[0].item() <= reached + 1e-9
    assert best_clusters(np.zeros((7, 5), dtype=int), person, 3)[1:].max() == 0


def test_joint_clusters_mean_the_same_in_every_picture() -> None:
    known = torch.stack([features_of(SCENE), features_of(np.roll(SCENE, 1, 0))])
    other = np.zeros_like(SCENE)
    other[0, 0], other[6, 4] = 1, 2  # legs on top, head at the bottom: names stay
    found = joint_clusters(torch.stack([features_of(SCENE), features_of(other)]), known, 3)
    assert torch.equal(found[0], BANDS)
    assert found[1].sum((1, 2)).tolist() == [1, 0, 1]
    assert found[1, 2, 0, 0] == found[1, 0, 6, 4] == 1


def test_graph_is_connected_by_design() -> None:
    features = torch.from_numpy(np.eye(4)[SCENE].transpose(2, 0, 1)).float()
    features[:, torch.from_numpy(SCENE == 0)] = 0  # cells without any feature, and regions with nothing in common
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cluster_cells(features, 3)
    assert found.shape == (3, 7, 5)
    assert set(found.sum(0).unique().tolist()) <= {0, 1}


def test_grid_too_small_to_be_cut() -> None:
    with pytest.raises(BadInput, match="2 x 2 cells is too small for 4 clusters"):
        cluster_cells(torch.rand(8, 2, 2), 3)


def test_features_are_what_the_mask_module_sees() -> None:
    model, seen = network(0), []
    model.scm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    masks_of(model, PICTURES)
    found = branch_features(model, PICTURES, batch_size=2)
    assert torch.allclose(found, seen[0], atol=1e-5)
    assert found.min() >= 0


def test_statistics_are_those_of_the_pictures_and_weights_stay() -> None:
    fresh = network(1)
    before = copy.deepcopy(fresh.state_dict())
    ready = with_statistics(fresh, PICTURES)
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), ready.parameters(), strict=True))
    conv, norm = list(ready.stem.children())[:2]
    normalised = norm(conv(to_float(PICTURES)))
    assert normalised.mean((0, 2, 3)).abs().max() < 1e-4
    assert normalised.std((0, 2, 3)).sub(1).abs().max() < 1e-3
    assert not any(module.training for module in ready.modules())


def test_masks_of_every_method(masks: dict[str, Tensor]) -> None:
    assert list(masks) == METHODS
    for found in masks.values():
        assert found.shape == (5, 3, 6, 3)
        assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal(masks["SCM"], masks_of(network(0), PICTURES))
    assert torch.allclose(masks["mean mask"][4], masks_of(network(0), TRAINING.pictures).mean(0))
    assert torch.allclose(masks["mean true person"][2], true_masks(TRAINING.truth, (6, 3), 3).mean(0))
    assert not torch.equal(masks["untrained"], masks["SCM"])
    assert masks["stripes"][0, :, :, 0].tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert masks["middle columns"][0].sum(0).tolist() == [[0, 1, 0]] * 6
    assert masks["uniform"].min() == 1
    assert torch.equal(masks["truth"], true_masks(TRUTH, (6, 3), 3))


def test_true_masks_leave_nothing_of_the_person_out() -> None:
    person = region_share(TRUTH, PERSON, (6, 3))
    assert torch.allclose(true_masks(TRUTH, (6, 3), 3).sum(1), person)
    assert torch.allclose(true_masks(TRUTH, (6, 3), 2)[:, 1], person)  # two masks: each is the whole person


def test_scores_of_every_method(table: pd.DataFrame) -> None:
    assert list(table) == ["method", "mask", "score", "value", "low", "high"]
    assert list(table["method"].unique()) == METHODS
    assert table.groupby("method").size().unique().tolist() == [4 * 9 + 1 + 3]
    value = table.set_index(["method", "score", "mask"])["value"].sort_index()
    assert value["uniform", "person"].to_numpy() == pytest.approx(1)
    assert value["uniform", "auc"].to_numpy() == pytest.approx(0.5)
    assert value["uniform", "coverage"].to_numpy() == pytest.approx(1)
    assert value["stripes", "overlap"].to_numpy() == pytest.approx(0)
    assert [value["truth", score, "cooperative"] for score in ("hidden", "visible")] == [-1, 0]
    for blind in METHODS[1:6]:
        assert value[blind, "picture_dependent"].to_numpy() == pytest.approx(0)
        for score in ("hidden", "visible", "background"):
            assert np.nan_to_num(value[blind, score]) == pytest.approx(0, abs=1e-6)
    aucs = value.xs(("auc", "cooperative"), level=("score", "mask"))
    assert aucs.idxmax() == "truth"
    assert aucs["spectral clustering, best"] >= aucs["spectral clustering"]


def test_scores_are_the_same_again(table: pd.DataFrame) -> None:
    again = score_methods(mask_methods(network(0), network(1), TRAINING), VIEWS, np.arange(5))
    changes = table["score"].isin(["hidden", "visible", "background"])
    pd.testing.assert_frame_equal(table[~changes].reset_index(drop=True), again)


def test_slow_methods_see_fewer_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_baselines, "CLUSTERED", 2)
    seen: dict[str, int] = {}

    def method(name: str) -> Method:
        def masks(views: Views) -> Tensor:
            seen[name] = len(views.pictures)
            return torch.ones(len(views.pictures), 3, 6, 3)

        return masks

    score_methods({name: method(name) for name in ("SCM", "spectral clustering")}, VIEWS, np.arange(5))
    assert seen == {"SCM": 5, "spectral clustering": 2}


def test_pool_is_of_the_training_split_where_there_is_one(data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    pool = training_pool(data, 10)
    assert len(pool) == 10
    assert (pool[0], pool[-1]) == (data.train[0], data.train[-1])
    assert set(training_pool(replace(data, train=[]), 10)) <= set(data.gallery)
    assert training_pool(data, 10**6) == list(data.train)


def test_untrained_network_of_another_kind() -> None:
    with pytest.raises(BadInput, match="of another architecture"):
        mask_methods(network(0), network(1, parts=2), TRAINING)


SCORES = pd.DataFrame(
    [
        ("ours", "cooperative", "person", 2.0),
        ("ours", "competitive 1", "person", 1.5),
        ("ours", "competitive 2", "person", 2.5),
        ("ours", "competitive 1", "overlap", np.nan),
        ("ours", "competitive 2", "overlap", 0.5),
        ("a baseline", "cooperative", "person", 1.0),
        ("a baseline", "competitive 1", "person", 1.0),
        ("a baseline", "competitive 1", "overlap", np.nan),
    ],
    columns=["method", "mask", "score", "value"],
)


def test_summary_of_scores() -> None:
    summary = summarise(SCORES)
    assert list(summary.index) == ["ours", "a baseline"]
    assert list(summary) == ["person, cooperative", "person, competitive", "overlap, competitive"]
    assert summary.to_numpy() == pytest.approx(np.array([[2, 2, 0.5], [1, 1, np.nan]]), nan_ok=True)


def test_heat_map_says_its_numbers() -> None:
    figure = draw_scores(SCORES)
    assert "a baseline: person 1.00, overlap -." in alt_text(figure)
    lifts, others = figure.axes[:2]
    assert [text.get_text() for text in lifts.texts] == ["2.00", "1.00"]
    assert sorted(text.get_text() for text in others.texts) == ["-", "0.50"]
    assert [label.get_text() for label in others.get_xticklabels()] == ["overlap ↓"]
    assert png(figure) == png(draw_scores(SCORES))


def test_heat_map_of_real_scores_is_drawn(table: pd.DataFrame) -> None:
    assert "spectral clustering, best: auc " in alt_text(draw_scores(table))
