from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from scmlib.analysis.mask_baselines import cluster_cells, method_masks, parts_from_top, score_methods, with_statistics
from scmlib.data.images import to_float
from scmlib.data.truth import REGIONS
from scmlib.errors import BadInput
from scmlib.figures.masks import draw_scores, summarise
from scmlib.figures.style import alt_text, png
from scmlib.inference import branch_features, masks_of
from scmlib.model import SCM
from scmlib.variants import build_model

rng = np.random.default_rng(0)
PICTURES = torch.from_numpy(rng.integers(0, 256, (5, 3, 96, 48), dtype=np.uint8))
TRUTH = rng.integers(0, len(REGIONS), (5, 96, 48), dtype=np.uint8)
METHODS = ["SCM", "SCM, mean mask", "SCM, untrained", "spectral clustering", "stripes", "uniform"]

# Seven rows by five: a person in the middle, in three bands whose numbers are in no order; background is 0.
SCENE = np.zeros((7, 5), dtype=int)
SCENE[1:3, 1:4], SCENE[3, 1:4], SCENE[4:7, 2] = 2, 3, 1


def network(seed: int, parts: int = 3) -> SCM:
    torch.manual_seed(seed)
    return build_model("regnet_y_tiny", 4, image_size=(96, 48), num_parts=parts)


@pytest.fixture(scope="module")
def masks() -> dict[str, Tensor]:
    return method_masks(network(0), network(1), PICTURES)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return score_methods(network(0), network(1), PICTURES, TRUTH)


def test_background_is_at_the_border_and_parts_run_from_top_to_bottom() -> None:
    assert np.array_equal(parts_from_top(SCENE, 3), np.stack([SCENE == 2, SCENE == 3, SCENE == 1]))
    shuffled = np.array([3, 0, 1, 2])[SCENE]
    assert np.array_equal(parts_from_top(shuffled, 3), parts_from_top(SCENE, 3))


def test_cluster_without_cells_is_an_empty_mask() -> None:
    found = parts_from_top(np.where(SCENE == 3, 2, SCENE), 3)
    assert sorted(found.sum((1, 2))) == [0, 3, 9]


def test_clear_regions_are_found() -> None:
    features = np.eye(4)[SCENE].transpose(2, 0, 1) + 0.1 * rng.random((4, 7, 5))
    found = cluster_cells(torch.from_numpy(features).float(), 3)
    assert np.array_equal(found.numpy(), parts_from_top(SCENE, 3))


def test_graph_is_connected_by_design() -> None:
    features = np.eye(4)[SCENE].transpose(2, 0, 1).copy()
    features[:, SCENE == 0] = 0  # cells without any feature, and regions with nothing in common
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cluster_cells(torch.from_numpy(features).float(), 3)
    assert found.shape == (3, 7, 5)
    assert set(found.sum(0).unique().tolist()) <= {0, 1}


def test_grid_too_small_to_be_cut() -> None:
    with pytest.raises(BadInput, match="2 x 2 cells is too small for 3 parts"):
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
    assert torch.allclose(masks["SCM, mean mask"][4], masks["SCM"].mean(0))
    assert not torch.equal(masks["SCM, untrained"], masks["SCM"])
    assert masks["stripes"][0, :, :, 0].tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert masks["uniform"].min() == 1


def test_scores_of_every_method(table: pd.DataFrame) -> None:
    assert list(table) == ["method", "mask", "score", "value"]
    assert list(table["method"].unique()) == METHODS
    assert table.groupby("method").size().unique().tolist() == [19]
    value = table.set_index(["method", "score", "mask"])["value"].sort_index()
    assert value["uniform", "person"].to_numpy() == pytest.approx(1)
    assert value["uniform", "coverage"].to_numpy() == pytest.approx(1)
    assert value["stripes", "person", "cooperative"] == pytest.approx(1)
    assert value["stripes", "overlap"].to_numpy() == pytest.approx(0)
    assert value["spectral clustering", "overlap"].to_numpy() == pytest.approx(0)


def test_scores_are_the_same_again(table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table, score_methods(network(0), network(1), PICTURES, TRUTH))


def test_untrained_network_of_another_kind() -> None:
    with pytest.raises(BadInput, match="of another architecture"):
        score_methods(network(0), network(1, parts=2), PICTURES, TRUTH)


SCORES = pd.DataFrame(
    [
        ("ours", "cooperative", "person", 2.0),
        ("ours", "competitive 1", "person", 1.5),
        ("ours", "competitive 2", "person", 2.5),
        ("ours", "competitive 1", "shrink", np.nan),
        ("ours", "competitive 2", "shrink", 0.5),
        ("a baseline", "cooperative", "person", 1.0),
        ("a baseline", "competitive 1", "person", 1.0),
        ("a baseline", "competitive 1", "shrink", np.nan),
    ],
    columns=["method", "mask", "score", "value"],
)


def test_summary_of_scores() -> None:
    summary = summarise(SCORES)
    assert list(summary.index) == ["ours", "a baseline"]
    assert list(summary) == ["person, cooperative", "person, competitive", "shrink, competitive"]
    assert summary.to_numpy() == pytest.approx(np.array([[2, 2, 0.5], [1, 1, np.nan]]), nan_ok=True)


def test_heat_map_says_its_numbers() -> None:
    figure = draw_scores(SCORES)
    assert "a baseline: person cooperative 1.00, person competitive 1.00, shrink competitive -." in alt_text(figure)
    lifts, others = figure.axes[:2]
    assert [text.get_text() for text in lifts.texts] == ["2.00", "2.00", "1.00", "1.00"]
    assert sorted(text.get_text() for text in others.texts) == ["-", "0.50"]
    assert [label.get_text() for label in others.get_xticklabels()] == ["shrink ↑\ncompetitive"]
    assert png(figure) == png(draw_scores(SCORES))


def test_heat_map_of_real_scores_is_drawn(table: pd.DataFrame) -> None:
    assert "spectral clustering: person cooperative" in alt_text(draw_scores(table))
