"""Colour histograms: of the central third, and of the true person's pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scmlib.analysis.colours import stripe_histograms
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.truth import read_truth, truth_path
from scmlib.errors import BadInput


@pytest.fixture(scope="module")
def data(data_root: Path) -> ReidDataset:
    return open_dataset("synthetic", data_root)


@pytest.mark.parametrize("person", [False, True])
def test_pictures_differ_in_their_colours(data: ReidDataset, person: bool) -> None:
    histograms = stripe_histograms(data.query, person=person)
    assert histograms.shape == (len(data.query), 6 * 3 * 16)
    assert np.allclose(np.linalg.norm(histograms, axis=1), 1, atol=1e-5)
    assert ((histograms @ histograms.T).argmax(1) == np.arange(len(histograms))).all()


def test_only_what_is_asked_for_counts(data: ReidDataset, tmp_path: Path) -> None:
    path = tmp_path / "query" / "a.png"
    truth = truth_path(path)
    for folder in (path.parent, truth.parent):
        folder.mkdir(parents=True)
    picture, regions = np.zeros((12, 9, 3), dtype=np.uint8), np.zeros((12, 9), dtype=np.uint8)
    regions[4:6, 3] = 2  # a head in the third of six stripes
    Image.fromarray(regions).save(truth)
    record, found = replace(data.query[0], path=path), {}
    for name, (row, column) in {"none": (4, 0), "edge": (4, 2), "centre": (4, 5), "person": (4, 3)}.items():
        marked = picture.copy()
        marked[row, column] = (255, 0, 0)
        Image.fromarray(marked).save(path)
        found[name] = np.stack([stripe_histograms([record], person=person)[0] for person in (False, True)])
    assert np.array_equal(found["none"], found["edge"])
    assert not np.allclose(found["none"][0], found["centre"][0])
    assert np.array_equal(found["none"][1], found["centre"][1])
    assert not np.allclose(found["none"], found["person"], atol=0.05)
    assert np.flatnonzero(found["none"][1].reshape(6, -1).any(1)).tolist() == [2]


def test_picture_without_known_answers_is_named(data: ReidDataset, tmp_path: Path) -> None:
    path = tmp_path / "query" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(data.query[0].path.read_bytes())
    with pytest.raises(BadInput, match=r"a\.jpg has no index map"):
        stripe_histograms([replace(data.query[0], path=path)], person=True)
    truth = truth_path(path)
    truth.parent.mkdir(parents=True)
    Image.fromarray(read_truth([data.query[0].path])[0][::2]).save(truth)
    with pytest.raises(BadInput, match="differ in size"):
        stripe_histograms([replace(data.query[0], path=path)], person=True)
