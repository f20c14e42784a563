from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from scmlib import ranking as module
from scmlib.errors import BadInput
from scmlib.ranking import BLOCK, count_at_least, count_by_columns, metrics_from_positions, nmi, rank, recall_at
from tests.conftest import error, oracle


@pytest.mark.parametrize("case", ["small", "many_cameras"])
def test_released_ranking(case: str) -> None:
    z = oracle(f"ranking_{case}")
    ids, cams = (z["query_ids"], z["gallery_ids"]), (z["query_cams"], z["gallery_cams"])
    ranking = rank(z["query"], z["gallery"], *ids, *cams)
    assert error(ranking.cmc, z["cmc"]) < 1e-6
    assert error(ranking.ap, z["ap"]) < 1e-6
    assert error(ranking.mAP, z["mAP"]) < 1e-6


def test_released_recall() -> None:
    z = oracle("recall_nmi")
    assert error(list(recall_at(z["features"], z["labels"]).values()), z["recall"]) < 1e-6


def test_released_nmi(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released clusters, which another k-means found, judged by our function."""
    z = oracle("recall_nmi")
    monkeypatch.setattr("sklearn.cluster.KMeans.fit_predict", lambda self, embeddings: z["clusters"])
    assert error(nmi(z["features"], z["labels"]), z["nmi"]) < 1e-6


class Reference(NamedTuple):
    cmc: NDArray[np.float64]
    trapezoid: list[float]
    rectangular: list[float]
    inp: list[float]


def reference(similarity: NDArray[Any], ids: list[list[int]], cams: list[list[int]] | None) -> Reference:
    """CMC over 50 ranks, both forms of AP and INP, as one would explain them: a list, sorted, walked through."""
    found, valid = Reference(np.zeros(50), [], [], []), 0
    for q, row in enumerate(similarity):
        kept = [g for g in range(len(row)) if not (cams and ids[1][g] == ids[0][q] and cams[1][g] == cams[0][q])]
        kept.sort(key=lambda g: (-row[g], ids[1][g] == ids[0][q]))  # a tie: the negative first
        hits = [position for position, g in enumerate(kept) if ids[1][g] == ids[0][q]]
        if not hits:
            for values in found[1:]:
                values.append(np.nan)
            continue
        valid += 1
        found.cmc[hits[0] :] += 1
        after = [i / (r + 1) for i, r in enumerate(hits, 1)]
        before = [(i - 1) / r if r else 1.0 for i, r in enumerate(hits, 1)]
        found.rectangular.append(float(np.mean(after)))
        found.trapezoid.append(float(np.mean(after) + np.mean(before)) / 2)
        wrong = hits[-1] + 1 - len(hits)  # what stands before the hardest match
        found.inp.append(1 - wrong / (hits[-1] + 1))
    return found._replace(cmc=found.cmc / max(valid, 1))


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    Q=st.integers(1, 12),
    G=st.integers(1, 40),
    people=st.integers(1, 6),
    cameras=st.integers(0, 4),  # none: no rule; one: every match is junk
    ties=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32, np.float16]),
    block=st.integers(1, 14),
)
def test_ranking_equals_a_double_loop(
    seed: int, Q: int, G: int, people: int, cameras: int, ties: bool, dtype: type[np.floating[Any]], block: int
) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/8: their products are exact in every type, so that the order is the same in all.
    q, g = ((rng.integers(-40, 41, (n, 3)) / 8).astype(dtype) for n in (Q, G))
    if ties:
        q, g = np.sign(q), np.sign(g)  # few distinct similarities
    ids = [rng.integers(0, people, n).tolist() for n in (Q, G)]
    cams = [rng.integers(1, cameras + 1, n).tolist() for n in (Q, G)] if cameras else None
    wanted = reference(q.astype(np.float64) @ g.T.astype(np.float64), ids, cams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        if np.isnan(wanted.trapezoid).all():
            with pytest.raises(BadInput, match="No query has a true match"):
                rank(q, g, *ids, *cams or ())
            return
        ranking = rank(q, g, *ids, *cams or ())
    assert np.allclose(ranking.cmc, wanted.cmc)
    assert np.allclose(ranking.ap, wanted.trapezoid, equal_nan=True)
    assert np.allclose(ranking.ap_rectangular, wanted.rectangular, equal_nan=True)
    assert np.allclose(ranking.inp, wanted.inp, equal_nan=True)
    assert ranking.num_valid == np.isfinite(wanted.trapezoid).sum()
    assert ranking.num_without_match == Q - ranking.num_valid


def near_ties(Q: int, G: int) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Queries and a gallery whose similarities to one query differ by little more than a product's rounding."""
    generator = torch.Generator().manual_seed(0)
    q, g = torch.randn(Q, 96, generator=generator), torch.randn(1, 96, generator=generator)
    g = g + 1e-7 * torch.randn(G, 96, generator=generator)
    rng = np.random.default_rng(0)
    return q, g, rng.integers(0, 6, Q), rng.integers(0, 6, G)


def test_a_query_ranks_alike_whatever_other_queries_there_are() -> None:
    q, g, q_ids, g_ids = near_ties(2 * BLOCK + 9, 300)
    whole = rank(q, g, q_ids, g_ids)
    for rows in (slice(0, 1), slice(3, 10), slice(5, BLOCK + 6), slice(2 * BLOCK - 1, None)):
        part = rank(q[rows], g, q_ids[rows], g_ids)
        assert np.array_equal(part.ap, whole.ap[rows])
        assert np.array_equal(part.first_match, whole.first_match[rows])


def test_types_mix_and_half_precision_is_compared_in_single() -> None:
    q, g, q_ids, g_ids = near_ties(10, 40)
    for a, b in ((q.half(), g.half()), (q.bfloat16(), g.half()), (q, g.half())):
        assert np.array_equal(rank(a, b, q_ids, g_ids).ap, rank(a.float(), b.float(), q_ids, g_ids).ap)
    assert np.array_equal(rank(q, g.double(), q_ids, g_ids).ap, rank(q.double(), g.double(), q_ids, g_ids).ap)
    assert np.array_equal(rank(q.requires_grad_(), g, q_ids, g_ids).ap, rank(q.detach(), g, q_ids, g_ids).ap)


def test_both_ways_to_count_agree() -> None:
    rng = np.random.default_rng(0)
    similarity = torch.from_numpy(rng.integers(0, 9, (5, 70)).astype(np.float32))
    limits = torch.from_numpy(rng.integers(-1, 10, (5, 4)).astype(np.float32))
    counted = count_at_least(similarity, limits, [4] * 5)
    for row, wanted, numbers in zip(similarity.tolist(), limits.tolist(), counted.tolist(), strict=True):
        assert numbers == [sum(s >= limit for s in row) for limit in wanted]
    assert torch.equal(count_by_columns(similarity, limits), counted)
    assert count_by_columns(similarity, limits[:, :0]).shape == (5, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_ranks_alike() -> None:
    rng = np.random.default_rng(0)
    q, g = (torch.from_numpy(rng.integers(-40, 41, (n, 3)) / 8) for n in (300, 500))  # exact products
    ids, cams = ((rng.integers(0, n, 300), rng.integers(0, n, 500)) for n in (50, 3))
    here, there = rank(q, g, *ids, *cams), rank(q.cuda(), g.cuda(), *ids, *cams)
    assert np.array_equal(here.ap, there.ap, equal_nan=True)
    assert recall_at(g.cuda(), ids[1]) == recall_at(g, ids[1])


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
    assert ranking.mINP == pytest.approx(2 / 3)
    assert ranking.metrics() == {"top1": 1, "top5": 1, "top10": 1, "mAP": ranking.mAP}


def test_hand_worked_positions() -> None:
    # Two matches behind a wrong one; one match in first place; none, which counts nowhere.
    ranking = metrics_from_positions(np.array([[1, 2], [0, -1], [-1, -1]]))
    assert ranking.first_match.tolist()[:2] == [1, 0]
    assert ranking.cmc[:2].tolist() == [0.5, 1]
    assert ranking.ap[:2] == pytest.approx([((1 / 2 + 0) + (2 / 3 + 1 / 2)) / 4, 1])
    assert ranking.inp[:2] == pytest.approx([2 / 3, 1])
    assert [np.isnan(x[2]) for x in (ranking.ap, ranking.ap_rectangular, ranking.inp, ranking.first_match)] == [
        True
    ] * 4
    assert (ranking.num_valid, ranking.num_without_match) == (2, 1)


def test_collapsed_model_scores_near_zero() -> None:
    ids = np.arange(20).repeat(2)
    ranking = rank(np.ones((40, 8)), np.ones((400, 8)), ids, np.tile(ids, 10))
    assert ranking.cmc[0] == 0
    assert ranking.mAP < 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_numbers_are_refused(value: float) -> None:
    broken = np.ones((3, 4))
    broken[1, 2] = value
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


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match=r"shape \(2, 3\) and gallery embeddings of shape \(2, 4\)"):
        rank(np.ones((2, 3)), np.ones((2, 4)), [1, 2], [1, 2])
    with pytest.raises(BadInput, match="came with 2 and 2 classes"):
        recall_at(np.ones((3, 4)), [1, 2])


def test_nmi_of_separated_classes_is_one() -> None:
    labels = np.arange(4).repeat(10)
    x = np.eye(4, dtype=np.float32)[labels] + np.random.default_rng(0).normal(0, 0.01, (40, 4)).astype(np.float32)
    assert nmi(x, labels) == pytest.approx(1)
    assert nmi(x, labels, seed=1) == pytest.approx(1)
