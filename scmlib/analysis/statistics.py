"""Statistics that several analyses share: bootstrap bands and rank correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scmlib.ranking import Floats, Labels

Map = NDArray[np.floating[Any]]

RESAMPLES = 1000  # of the bootstrap


def bootstrap_bands(
    scores: Floats, groups: Labels, *, weights: Floats | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Floats:
    """95 % bands of means by the percentile bootstrap (Efron and Tibshirani, 1993), every row on the same resamples.

    Whole groups are drawn: the queries of one identity resemble one another, so they count as one witness. Bands over
    single queries would be too narrow.

    Args:
        scores: (..., Q), a score for each query.
        groups: (Q,), each query's identity.
        weights: (..., Q), what each score is a part of: the band is that of sum of scores over sum of weights. Ones if
            not given: the band of the mean.
        resamples: how often as many groups as there are are drawn with replacement.
        seed: of the draws.

    Returns:
        (2, ...): the 2.5th and the 97.5th percentile of the resamples.
    """
    _, group = np.unique(groups, return_inverse=True)
    member = np.eye(group.max() + 1)[group]  # (Q, G)
    G = member.shape[1]
    counts = np.random.default_rng(seed).multinomial(G, np.full(G, 1 / G), resamples)  # (resamples, G)
    sums, whole = (x @ member @ counts.T for x in (scores, np.ones_like(scores) if weights is None else weights))
    # A resample without any weight says nothing.
    drawn = np.divide(sums, whole, out=np.full_like(sums, np.nan), where=whole > 0)
    bands: Floats = np.nanpercentile(drawn, (2.5, 97.5), axis=-1)
    return bands


def simultaneous_bands(
    scores: Floats,
    groups: Labels,
    inside: Floats,
    outside: Floats | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Floats, Floats, Floats]:
    """Differences of means, with bands that hold together: in 95 % of tests all of them cover their truths at once.

    The studentised max-t bootstrap over whole identities (Romano and Wolf, 2005, "Exact and Approximate Stepdown
    Methods for Multiple Hypothesis Testing"; its single step). Each resample gives every difference, its distance to
    the estimate in standard errors of that resample, and the largest of these distances. An estimate's band is so many
    of its own standard errors to either side as 95 % of the largest distances stay within. Standard errors are the
    linearised ones of a ratio of sums over identities.

    Args:
        scores: (K, Q), or (Q,) for all differences alike.
        groups: (Q,), each query's identity.
        inside: (K, Q), the weights of the first mean, e.g. 1 for the queries of a group.
        outside: (K, Q), those of the mean that is taken from it; None: nothing is taken.
        resamples: how often as many identities as there are are drawn with replacement.
        seed: of the draws.

    Returns:
        Estimates, lower and upper ends, (K,) each.
    """
    _, group = np.unique(groups, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(G := int(group.max()) + 1))
    drawn = np.random.default_rng(seed).multinomial(G, np.full(G, 1 / G), resamples)
    counts = np.concatenate([np.ones((1, G)), drawn])  # (1 + resamples, G), what was seen first
    every = np.broadcast_to(scores, inside.shape)
    found, errors = np.empty((2, len(inside), len(counts)))
    for k, score in enumerate(every):
        influence = np.zeros_like(counts)  # of each identity on the difference
        found[k] = 0
        for sign, weights in ((1, inside[k]), (-1, outside[k] if outside is not None else None)):
            if weights is not None:
                sums, whole = (np.add.reduceat(x[order], starts) for x in (score * weights, weights))
                with np.errstate(invalid="ignore"):  # 0 / 0 in a resample without any weight, which says nothing
                    total = counts @ whole
                    mean = counts @ sums / total
                    influence += sign * (sums - mean[:, None] * whole) / total[:, None]
                found[k] += sign * mean
        errors[k] = np.sqrt((counts * influence**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = np.abs(found[:, 1:] - found[:, :1]) / errors[:, 1:]
    largest = np.where(np.isfinite(distances), distances, 0).max(0)
    estimates, reach = found[:, 0], np.quantile(largest, 0.95) * errors[:, 0]
    return estimates, estimates - reach, estimates + reach


def spearman(a: Map, b: Map) -> float:
    """Rank correlation of two maps, cell by cell, in [-1, 1]; NaN if one is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # here, since it takes half a second to import

    return float(spearmanr(a.ravel(), b.ravel()).statistic)
