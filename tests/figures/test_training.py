"""Figures of the training course: they draw, and their alt text says the right numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from scmlib import figures
from scmlib.figures.style import alt_text
from scmlib.figures.training import POSITIONS, _spread_out
from scmlib.losses import batch_hard_triplet
from scmlib.model import embedding_names
from tests.figures.examples import log

SHAPES = dict.fromkeys(POSITIONS, (8, 4, 2))


def test_network_names_every_piece() -> None:
    figure = figures.draw_network(SHAPES, parts=3, length=256)
    said = alt_text(figure)
    assert all(f"{name} 8 × 4 × 2" in said for name in POSITIONS)
    assert "3 competitive" in said


@pytest.mark.parametrize("seed", range(3))
def test_triplets_mean_is_the_loss(seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(6, 2))
    identities = [0, 0, 1, 1, 2, 2]
    figure = figures.draw_triplets(vectors, identities, list("abcdef"))
    loss = batch_hard_triplet(torch.from_numpy(vectors), torch.tensor(identities))
    assert f"Mean {float(loss):.3f}." in alt_text(figure)


def test_triplets_hardest_pairs_by_hand() -> None:
    vectors = np.array([[2, 0], [0.6, 0.8], [0, 0.5], [-1, 0]])
    said = alt_text(figures.draw_triplets(vectors, [0, 0, 1, 1], ["A1", "A2", "B1", "B2"]))
    assert "anchor A2: farthest positive A1 at 0.89, nearest negative B1 at 0.63" in said


def test_losses_say_first_and_last() -> None:
    figure = figures.draw_losses({"a": [2.0, 1.0], "b": [2.5, 2.25]}, math.log(12))
    assert "a: from 2.00 to 1.00; b: from 2.50 to 2.25. Guessing costs 2.48." in alt_text(figure)


def test_each_embeddings_curve_has_its_name() -> None:
    figure = figures.draw_training(log(5, 14))
    assert figure.axes[0].get_legend_handles_labels()[1] == embedding_names(14)
    assert figures.draw_training(log(5, -1)).axes[0].get_legend_handles_labels()[1] == ["global mean", "global max"]


def test_axes_are_labelled() -> None:
    identity, others, rate, shared = figures.draw_training(log(5, 3)).axes
    assert all(axes.get_ylabel() for axes in (identity, others, rate, shared))
    assert all(axes.get_xlabel() == "epoch" for axes in (identity, others, rate))


@pytest.mark.parametrize("angles", [[0.0, 0.01, 3.0], [3.1, -3.1, 0.0, 0.1], [0.0] * 8])
def test_names_on_the_circle_stand_apart(angles: list[float]) -> None:
    apart = np.sort(_spread_out(np.array(angles), 0.3))
    assert np.diff(apart, append=apart[0] + 2 * np.pi).min() > 0.29
    assert np.abs(_spread_out(np.array([0.0, 2.0]))).tolist() == [0.0, 2.0]
