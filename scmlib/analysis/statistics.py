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


def spearman(a: Map, b: Map) -> float:
    """Rank correlation of two maps, cell by cell, in [-1, 1]; NaN if one is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # here, since it takes half a second to import

    return float(spearmanr(a.ravel(), b.ravel()).statistic)
