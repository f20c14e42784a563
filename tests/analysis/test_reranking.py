"""k-reciprocal re-ranking against a plain transcription of its definition, in full matrices and sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scmlib.analysis.reranking import reranked
from scmlib.errors import BadInput
from scmlib.ranking import BLOCK, similarities

Matrix = NDArray[np.float64]


def unit(rng: np.random.Generator, people: NDArray[np.int64], spread: float = 0.6) -> Matrix:
    centres = np.random.default_rng(7).normal(size=(people.max() + 1, 6))
    rows = centres[people] + spread * rng.normal(size=(len(people), 6))
    normalised: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised


def naive(query: Matrix, gallery: Matrix, k1: int, k2: int, weight: float) -> Matrix:
    """Similarities (Q, G), step by step as the docstring of `reranked` says."""
    images = np.concatenate([query, gallery])
    N = len(images)
    squared = ((images[:, None] - images[None]) ** 2).sum(2)
    d = squared / squared.max(1, keepdims=True)
    order = [[p] + [int(g) for g in np.argsort(squared[p]) if g != p] for p in range(N)]

    def reciprocal(p: int, k: int) -> set[int]:
        return {g for g in order[p][: k + 1] if p in order[g][: k + 1]}

    V = np.zeros((N, N))
    for p in range(N):
        near = reciprocal(p, k1)
        expanded = set(near)
        for q in near:
            other = reciprocal(q, round(k1 / 2))
            if len(other & near) > 2 / 3 * len(other):
                expanded |= other
        for g in expanded:
            V[p, g] = np.exp(-d[p, g])
        V[p] /= V[p].sum()
    V = np.stack([V[order[p][:k2]].mean(0) for p in range(N)])
    result = np.zeros((len(query), len(gallery)))
    for p in range(len(query)):
        for g in range(len(gallery)):
            a, b = V[p], V[len(query) + g]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            result[p, g] = -((1 - weight) * jaccard + weight * d[p, len(query) + g])
    return result


def joined(query: Matrix, gallery: Matrix, *settings: float) -> Matrix:
    return torch.cat([block for _, block in reranked(query, gallery, *settings)]).numpy()  # type: ignore[arg-type]


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (6, 3, 0.7), (1, 1, 0.3), (80, 90, 0.3)])
def test_equals_a_plain_transcription_of_the_definition(k1: int, k2: int, weight: float) -> None:
    rng = np.random.default_rng(0)
    query, gallery = (unit(rng, np.arange(n) % 7) for n in (13, 47))
    assert joined(query, gallery, k1, k2, weight) == pytest.approx(naive(query, gallery, k1, k2, weight), abs=2e-6)


def test_queries_come_in_blocks() -> None:
    rng = np.random.default_rng(1)
    query, gallery = (unit(rng, np.arange(n) % 20) for n in (BLOCK + 5, 60))
    rows = [rows for rows, _ in reranked(query, gallery)]
    assert rows == [slice(0, BLOCK), slice(BLOCK, BLOCK + 5)]
    assert joined(query, gallery, 4, 2, 0.3) == pytest.approx(naive(query, gallery, 4, 2, 0.3), abs=2e-6)


def test_the_plain_distance_alone_keeps_the_order() -> None:
    rng = np.random.default_rng(2)
    query, gallery = (unit(rng, np.arange(n) % 5) for n in (6, 30))
    plain = torch.cat([s.clone() for _, s in similarities(torch.tensor(query), torch.tensor(gallery))])
    assert (np.argsort(joined(query, gallery, 5, 2, 1.0)) == np.argsort(plain.numpy())).all()


def test_twins_of_a_picture_are_nearest() -> None:
    query = unit(np.random.default_rng(3), np.arange(4))
    gallery = np.concatenate([query, unit(np.random.default_rng(4), np.arange(30) % 7)])
    assert (joined(query, gallery, 3, 1, 0.3).argmax(1) == np.arange(4)).all()


def test_what_does_not_fit_is_named() -> None:
    rows = unit(np.random.default_rng(0), np.arange(5))
    with pytest.raises(BadInput, match="length 1"):
        next(reranked(2 * rows, rows))
    with pytest.raises(BadInput, match="k1 0"):
        next(reranked(rows, rows, 0))
    with pytest.raises(BadInput, match="weight 1"):
        next(reranked(rows, rows, weight=1.5))
