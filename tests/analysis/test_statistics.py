"""Bootstrap bands over identities."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from scmlib.analysis.statistics import bootstrap_bands, simultaneous_bands


def test_bands_of_single_queries_are_those_of_the_normal_approximation() -> None:
    scores = np.random.default_rng(0).random((2, 1, 2000))
    low, high = bootstrap_bands(scores, np.arange(2000))
    assert low.shape == (2, 1)
    error = scores.std(-1) / np.sqrt(2000)
    assert np.allclose(low, scores.mean(-1) - 1.96 * error, atol=0.2 * error.max())
    assert np.allclose(high, scores.mean(-1) + 1.96 * error, atol=0.2 * error.max())
    assert np.ptp(bootstrap_bands(np.ones((3, 50)), np.arange(50))) < 1e-12
    same = bootstrap_bands(np.stack([scores[0], scores[0] + 1]), np.arange(2000))
    assert np.allclose(same[:, 1] - same[:, 0], 1)  # every row on the same resamples


def test_identities_are_drawn_whole() -> None:
    # Two identities: a resample holds one of them twice, or both. With scores 0 and 1 its mean is 0, 1, or the mean
    # over all queries; never anything between.
    identities, scores = np.array([7, 7, 7, 3]), np.array([0.0, 0.0, 0.0, 1.0])
    draws = np.random.default_rng(0).multinomial(2, [0.5, 0.5], 1000)  # identity 3 leads: groups are sorted
    means = draws[:, 0] / (draws[:, 0] + 3 * draws[:, 1])
    assert set(means) == {0, 0.25, 1}
    assert bootstrap_bands(scores, identities) == pytest.approx(np.percentile(means, (2.5, 97.5)))


def test_copies_of_a_query_add_no_certainty() -> None:
    scores = np.random.default_rng(1).random(30)
    once = bootstrap_bands(scores, np.arange(30))
    copied = bootstrap_bands(np.tile(scores, 4), np.tile(np.arange(30), 4))
    assert copied == pytest.approx(once)
    apart = bootstrap_bands(np.tile(scores, 4), np.arange(120))
    assert np.ptp(apart) < 0.6 * np.ptp(once)  # taken for 120 witnesses


def test_resamples_without_weight_are_left_out() -> None:
    scores, weights = np.array([1.0, 3.0]), np.array([0.0, 2.0])  # the first identity alone has nothing to divide by
    assert bootstrap_bands(scores, [0, 1], weights=weights) == pytest.approx([1.5, 2])


def test_band_of_a_ratio_of_sums() -> None:
    rng = np.random.default_rng(2)
    scores, weights, groups = rng.random(12), rng.random(12), np.repeat(np.arange(4), 3)
    found = []
    for drawn in np.random.default_rng(0).multinomial(4, np.full(4, 0.25), 1000):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in range(4) for _ in range(drawn[g])])
        found.append(scores[rows].sum() / weights[rows].sum())
    assert bootstrap_bands(scores, groups, weights=weights) == pytest.approx(np.percentile(found, (2.5, 97.5)))


def test_simultaneous_bands_equal_a_loop_over_resamples() -> None:
    rng = np.random.default_rng(3)
    groups, scores = np.repeat(np.arange(8), 3), rng.random(24)
    inside = np.stack([groups < 4, rng.random(24) < 0.5]).astype(float)
    found = simultaneous_bands(scores, groups, inside, 1 - inside, resamples=200)

    def one(drawn: NDArray[np.int64], k: int) -> tuple[float, float]:
        """A difference and its standard error, by the drawn identities one after the other."""
        people = [p for p in range(8) for _ in range(drawn[p])]
        parts = []
        for weights in (inside[k], 1 - inside[k]):
            whole = sum(weights[groups == p].sum() for p in people)
            mean = sum((scores * weights)[groups == p].sum() for p in people) / whole
            parts.append((mean, [(weights * (scores - mean))[groups == p].sum() / whole for p in people]))
        (a, u), (b, v) = parts
        return a - b, float(np.sqrt(sum((x - y) ** 2 for x, y in zip(u, v, strict=True))))

    seen = [one(np.ones(8, int), k) for k in (0, 1)]
    largest = []
    for drawn in np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), 200):
        distances = []
        for k, (estimate, _) in enumerate(seen):
            with np.errstate(invalid="ignore"):
                value, error = one(drawn, k)
            distances += [abs(value - estimate) / error] if error > 1e-12 else []
        largest.append(max(distances))
    reach = np.quantile(largest, 0.95)
    wanted = np.array([[e, e - reach * s, e + reach * s] for e, s in seen]).T
    assert np.allclose(found, wanted)


def test_bands_of_many_differences_are_wider_than_of_one() -> None:
    rng = np.random.default_rng(4)
    groups, scores = np.arange(200), rng.random(200)
    inside = np.eye(10)[rng.integers(0, 10, 200)].T
    _, low, high = simultaneous_bands(scores, groups, inside, 1 - inside)
    _, alone_low, alone_high = simultaneous_bands(scores, groups, inside[:1], 1 - inside[:1])
    assert (high - low)[0] > 1.2 * (alone_high - alone_low)[0]
    mean, lowest, highest = simultaneous_bands(scores, groups, np.ones((1, 200)))  # nothing is taken from it
    assert mean[0] == pytest.approx(scores.mean())
    assert highest[0] - lowest[0] == pytest.approx(2 * 1.98 * scores.std() / np.sqrt(200), rel=0.08)
