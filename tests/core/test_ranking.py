from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, normalized_mutual_info_score

from scmlib.errors import BadInput
from scmlib.ranking import nmi, rank, recall_at
from tests.conftest import error, oracle


@pytest.mark.parametrize("case", ["small", "many_cameras"])
def test_released_ranking(case: str) -> None:
    z = oracle(f"ranking_{case}")
    ids, cams = (z["query_ids"], z["gallery_ids"]), (z["query_cams"], z["gallery_cams"])
    ranking = rank(z["query"], z["gallery"], *ids, *cams)
    assert error(ranking.cmc, z["cmc"]) < 1e-6
    assert error(ranking.ap, z["ap"]) < 1e-6
    assert error(ranking.mAP, z["mAP"]) < 1e-6


def test_released_recall_and_nmi() -> None:
    z = oracle("recall_nmi")
    assert error(list(recall_at(z["features"], z["labels"]).values()), z["recall"]) < 1e-6
    ours = normalized_mutual_info_score(z["labels"], z["clusters"], average_method="arithmetic")
    assert error(ours, z["nmi"]) < 1e-6


def reference(
    similarity: NDArray[np.float64], ids: list[list[int]], cams: list[list[int]]
) -> tuple[NDArray[np.float64], list[float], list[float]]:
    """CMC over 50 ranks and both forms of AP, as one would explain them: a list, sorted, walked through."""
    cmc, trapezoid, rectangular, valid = np.zeros(50), [], [], 0
    for q, row in enumerate(similarity):
        kept = [g for g in range(len(row)) if ids[1][g] != ids[0][q] or cams[1][g] != cams[0][q]]
        kept.sort(key=lambda g: (-row[g], ids[1][g] == ids[0][q]))  # a tie: the negative first
        hits = [position for position, g in enumerate(kept) if ids[1][g] == ids[0][q]]
        if not hits:
            trapezoid.append(np.nan)
            rectangular.append(np.nan)
            continue
        valid += 1
        cmc[hits[0] :] += 1
        after = [i / (r + 1) for i, r in enumerate(hits, 1)]
        before = [(i - 1) / r if r else 1.0 for i, r in enumerate(hits, 1)]
        rectangular.append(float(np.mean(after)))
        trapezoid.append(float(np.mean(after) + np.mean(before)) / 2)
    return cmc / max(valid, 1), trapezoid, rectangular


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(1, 40),
    st.integers(1, 6),
    st.integers(1, 4),
    st.booleans(),
)
def test_ranking_equals_a_double_loop(seed: int, Q: int, G: int, people: int, cameras: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    q, g = rng.normal(size=(Q, 3)), rng.normal(size=(G, 3))
    if ties:
        q, g = np.sign(q), np.sign(g)  # few distinct similarities
    ids = [rng.integers(0, people, n).tolist() for n in (Q, G)]
    cams = [rng.integers(1, cameras + 1, n).tolist() for n in (Q, G)]
    cmc, ap, rectangular = reference(q @ g.T, ids, cams)
    if np.isnan(ap).all():
        with pytest.raises(BadInput, match="No query has a true match"):
            rank(q, g, *ids, *cams)
        return
    ranking = rank(q, g, *ids, *cams)
    assert np.allclose(ranking.cmc, cmc)
    assert np.allclose(ranking.ap, ap, equal_nan=True)
    assert np.allclose(ranking.ap_rectangular, rectangular, equal_nan=True)
    assert ranking.num_valid == np.isfinite(ap).sum()
    assert ranking.num_without_match == Q - ranking.num_valid
    assert (np.diff(ranking.cmc) >= 0).all()


def test_rectangular_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    q, g = rng.normal(size=(1, 4)), rng.normal(size=(30, 4))
    ids = rng.integers(0, 3, 30)
    theirs = average_precision_score(ids == 1, (q @ g.T)[0])
    assert rank(q, g, [1], ids).mAP_rectangular == pytest.approx(theirs)


def test_hand_worked_list() -> None:
    # Right, wrong, right: positions 0 and 2, so (1/1 + 1)/2 and (2/3 + 1/2)/2.
    ranking = rank(np.array([[1.0]]), np.array([[0.9], [0.8], [0.7]]), [5], [5, 6, 5])
    assert ranking.mAP == pytest.approx((1 + (2 / 3 + 1 / 2) / 2) / 2)
    assert ranking.mAP_rectangular == pytest.approx((1 + 2 / 3) / 2)
    assert ranking.cmc[0] == 1


def test_collapsed_model_scores_near_zero() -> None:
    ids = np.arange(20).repeat(2)
    ranking = rank(np.ones((40, 8)), np.ones((400, 8)), ids, np.tile(ids, 10))
    assert ranking.cmc[0] == 0
    assert ranking.mAP < 0.1


def test_embeddings_that_are_not_numbers_are_refused() -> None:
    broken = np.full((3, 4), np.nan)
    with pytest.raises(BadInput, match="not finite"):
        rank(broken, broken, [1, 2, 3], [1, 2, 3])
    with pytest.raises(BadInput, match="not finite"):
        recall_at(broken, [1, 1, 2])


@pytest.mark.parametrize(
    ("q_ids", "g_ids", "q_cams", "g_cams", "said"),
    [
        ([1], [1, 2], None, None, "came with 1 and 2 identities"),
        ([1, 2], [1, 2], [1, 2], None, "Cameras of one side alone"),
        ([1, 2], [1, 2], [1, 2, 3], [1, 2], "came with 3 and 2 cameras"),
        ([1, 2], [1, 2], [1, 2], [1], "came with 2 and 1 cameras"),
        ([], [1, 2], None, None, "0 query and 2 gallery embeddings can't be ranked"),
    ],
)
def test_lengths_that_do_not_match_are_named(
    q_ids: list[int], g_ids: list[int], q_cams: list[int] | None, g_cams: list[int] | None, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        rank(np.eye(2)[: 2 if q_ids else 0], np.eye(2), q_ids, g_ids, q_cams, g_cams)


def test_large_sets_are_ranked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    q, g, ids = rng.normal(size=(9, 4)), rng.normal(size=(20, 4)), (rng.integers(0, 4, 9), rng.integers(0, 4, 20))
    whole, recall = rank(q, g, *ids), recall_at(g, ids[1])
    monkeypatch.setattr("scmlib.ranking.SIMILARITIES", 40)
    assert np.array_equal(rank(q, g, *ids).ap, whole.ap)
    assert recall_at(g, ids[1]) == recall


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25), st.integers(1, 5), st.booleans())
def test_recall_equals_a_double_loop(seed: int, N: int, classes: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(N, 3)), rng.integers(0, classes, N)
    x = np.sign(x) if ties else x
    for k, value in recall_at(x, labels).items():
        hits = 0
        for i in range(N):
            others = [j for j in range(N) if j != i]
            others.sort(key=lambda j: (-float((x @ x.T)[i, j]), labels[j] == labels[i]))
            hits += any(labels[j] == labels[i] for j in others[:k])
        assert value == pytest.approx(hits / N)


def test_nmi_of_separated_classes_is_one() -> None:
    labels = np.arange(4).repeat(10)
    x = np.eye(4, dtype=np.float32)[labels] + np.random.default_rng(0).normal(0, 0.01, (40, 4)).astype(np.float32)
    assert nmi(x, labels) == pytest.approx(1)
    assert nmi(x, labels, seed=1) == pytest.approx(1)
