"""Insertion and deletion curves against changing one cell after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.analysis.insertion import areas, blurred, insertion_deletion
from scmlib.analysis.sensitivity import GREY
from scmlib.checkpoints import load_model
from scmlib.data.datasets import open_dataset
from scmlib.data.images import read_image, to_float
from scmlib.errors import BadInput
from scmlib.inference import embed
from scmlib.model import SCM


@pytest.fixture(scope="module")
def model(run: Path) -> SCM:
    return load_model(run)[0]


@pytest.fixture(scope="module")
def image(model: SCM, data_root: Path) -> torch.Tensor:
    return read_image(open_dataset("synthetic", data_root).query[0].path, model.image_size)


def test_curves_equal_changing_one_cell_after_the_other(model: SCM, image: torch.Tensor) -> None:
    match = embed(model, to_float(image)[None])[0]
    maps = np.random.default_rng(0).permutation(36).reshape(2, 6, 3).astype(float)
    curves = insertion_deletion(model, image, match, maps, steps=6, batch_size=7)
    assert curves.shape == (2, 2, 7)
    for k in (0, 1):
        inserted, deleted = blurred(image), image.clone()
        order = sorted(np.ndindex(6, 3), key=lambda cell: -maps[k][cell])
        for step in range(7):
            for row, column in order[: 3 * step]:
                cell = np.s_[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
                inserted[cell], deleted[cell] = image[cell], GREY
            wanted = embed(model, to_float(torch.stack([inserted, deleted]))) @ match
            assert curves[k, :, step] == pytest.approx(wanted, abs=1e-5)
    assert curves[:, 0, -1] == pytest.approx(1, abs=1e-5)  # the whole picture against itself
    assert curves[:, 1, 0] == pytest.approx(1, abs=1e-5)


def test_equal_cells_go_in_an_order_by_chance(model: SCM, image: torch.Tensor) -> None:
    match = embed(model, to_float(image)[None])[0]
    flat, rows = np.zeros((1, 6, 3)), -np.arange(18.0).reshape(1, 6, 3)
    drawn = [insertion_deletion(model, image, match, flat, steps=3, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2], atol=1e-6)
    assert not np.allclose(drawn[0], insertion_deletion(model, image, match, rows, steps=3), atol=1e-6)


def test_areas_of_known_curves() -> None:
    assert areas(np.array([[0.0, 1.0], [1.0, 1.0]])).tolist() == [0.5, 1.0]
    assert areas(np.array([1.0, 0.0, 0.0])) == pytest.approx(0.25)


def test_a_blurred_picture_keeps_its_colours_and_loses_its_detail(image: torch.Tensor) -> None:
    faint = blurred(image)
    assert faint.shape == image.shape
    assert faint.dtype == torch.uint8
    assert (faint.float().mean((1, 2)) - image.float().mean((1, 2))).abs().max() < 8
    assert faint.float().diff(dim=2).abs().mean() < 0.3 * image.float().diff(dim=2).abs().mean()


@pytest.mark.parametrize(("steps", "grid"), [(0, (6, 3)), (3, (5, 3))])
def test_what_does_not_fit_is_refused(model: SCM, image: torch.Tensor, steps: int, grid: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=f"{steps} steps over {grid[0]} x 3 cells don't fit a picture of 96 x 48"):
        insertion_deletion(model, image, np.ones(1536), np.zeros((1, *grid)), steps=steps)
