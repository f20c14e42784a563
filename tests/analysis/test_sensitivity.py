from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.analysis.sensitivity import GREY, agreement, sensitivity, sensitivity_maps, targets, true_matches
from scmlib.analysis.statistics import spearman
from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.images import read_image, read_pictures, to_float
from scmlib.errors import BadInput
from scmlib.inference import embed, masks_of
from scmlib.model import SCM


@pytest.fixture(scope="module")
def data(data_root: Path) -> ReidDataset:
    return open_dataset("synthetic", data_root)


@pytest.fixture(scope="module")
def model(run: Path) -> SCM:
    return load_model(run)[0]


def test_map_equals_hiding_one_place_after_the_other(model: SCM, data: ReidDataset) -> None:
    image = read_image(data.query[0].path, model.image_size)
    match = embed(model, data.gallery[:1])[0]
    falls = sensitivity(model, image, match, patch=24, batch_size=7)
    assert falls.shape == masks_of(model, image[None]).shape[2:] == (6, 3)
    whole = (embed(model, to_float(image)[None]) @ match)[0]
    for row, column in ((0, 0), (3, 1), (5, 2)):
        hidden = image.clone()
        top, left = 16 * row - 4, 16 * column - 4  # a square of 24 about a cell of 16
        hidden[:, max(0, top) : top + 24, max(0, left) : left + 24] = GREY
        assert falls[row, column] == pytest.approx(whole - (embed(model, to_float(hidden)[None]) @ match)[0], abs=1e-5)


def test_what_is_grey_already_is_not_missed(model: SCM) -> None:
    image = torch.full((3, *model.image_size), GREY, dtype=torch.uint8)
    match = embed(model, to_float(image)[None])[0]
    assert np.abs(sensitivity(model, image, match)).max() < 1e-5
    assert sensitivity(model, image, match, stride=32).shape == (3, 1)


@pytest.mark.parametrize(("patch", "stride"), [(0, 16), (16, 0), (16, 100)])
def test_patches_that_do_not_fit_are_refused(model: SCM, patch: int, stride: int) -> None:
    image = torch.zeros(3, *model.image_size, dtype=torch.uint8)
    with pytest.raises(BadInput, match=f"Patch {patch} and stride {stride} don't fit an image of 96 x 48"):
        sensitivity(model, image, np.ones(1536, dtype=np.float32), patch=patch, stride=stride)


def test_rank_correlation_of_maps_with_known_answers() -> None:
    rising = np.array([[1.0, 2.0], [3.0, 9.0]])
    assert spearman(rising, rising**3) == pytest.approx(1)
    assert spearman(rising, -rising) == pytest.approx(-1)
    # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15).
    assert spearman(rising, np.array([[2.0, 1.0], [4.0, 3.0]])) == pytest.approx(0.6)
    assert np.isnan(spearman(rising, np.ones((2, 2))))


def test_true_matches_are_of_the_identity_and_from_other_cameras(data: ReidDataset) -> None:
    queries, matches = true_matches(data, 5)
    assert len(queries) == len(matches) == 5
    assert queries[0] == data.query[0]
    assert queries[-1] == data.query[-1]
    for query, found in zip(queries, matches, strict=True):
        assert found
        assert all(match.identity == query.identity and match.camera != query.camera for match in found)
    assert len(true_matches(data, 10**6)[0]) == len(data.query)
    with pytest.raises(BadInput, match=r"No query of .* has a true match"):
        true_matches(replace(data, gallery=[replace(record, identity=-5) for record in data.gallery]), 5)


def test_targets_are_mean_directions(model: SCM, data: ReidDataset) -> None:
    found = targets(model, [data.gallery[:1], data.gallery[1:4]])
    embedded = embed(model, data.gallery[:4])
    mean = embedded[1:4].mean(0)
    assert np.allclose(found, [embedded[0], mean / np.linalg.norm(mean)], atol=1e-5)


def test_agreement_of_a_run(model: SCM, data: ReidDataset) -> None:
    queries, matches = true_matches(data, 4)
    falls = sensitivity_maps(model, queries, matches)
    table = agreement(model, queries, falls)
    assert list(table.columns) == ["image", "identity", "map", "spearman"]
    assert list(table["map"].unique()) == ["cooperative", "mean mask", "another's", "centre", "noise", "person"]
    assert len(table) == 4 * 6
    assert list(table["identity"][::6]) == [query.identity for query in queries]
    assert table["spearman"].dropna().between(-1, 1).all()
    assert table.equals(agreement(model, queries, falls))
    image = read_image(queries[0].path, model.image_size)
    first = sensitivity(model, image, targets(model, matches[:1])[0])
    assert np.allclose(falls[0], first, atol=1e-5)
    masks = masks_of(model, read_pictures(queries, model.image_size)).sum(1).numpy()
    identities = np.array([query.identity for query in queries])
    blind = masks[identities != identities[0]].mean(0)
    interior = [spearman(first[1:-1, 1:-1], mask[1:-1, 1:-1]) for mask in (masks[0], blind)]
    assert table["spearman"][:2].tolist() == pytest.approx(interior, abs=0.02)
    whole = agreement(model, queries, falls, interior=False)["spearman"]
    assert whole[:2].tolist() == pytest.approx([spearman(first, mask) for mask in (masks[0], blind)], abs=0.02)


def test_images_without_known_answers_are_compared_with_the_other_maps(
    model: SCM, data: ReidDataset, tmp_path: Path
) -> None:
    copied = tmp_path / "query" / "a.png"
    copied.parent.mkdir()
    copied.write_bytes(data.query[0].path.read_bytes())
    queries, matches = true_matches(data, 2)
    falls = sensitivity_maps(model, queries, matches)
    table = agreement(model, [replace(queries[0], path=copied), queries[1]], falls)
    assert list(table["map"].unique()) == ["cooperative", "mean mask", "another's", "centre", "noise"]
    with pytest.raises(BadInput, match=f"All queries are of identity {queries[0].identity}"):
        agreement(model, queries[:1], falls[:1])
