"""Statistics that several analyses share: bootstrap bands and rank correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scmlib.ranking import Floats

Map = NDArray[np.floating[Any]]

RESAMPLES = 1000  # of the bootstrap


def bootstrap_bands(scores: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """95 % bands of means over queries by the percentile bootstrap, every row on the same resamples.

    Args:
        scores: (..., Q), a score for each query.
        resamples: how often Q queries are drawn with replacement.
        seed: of the draws.

    Returns:
        (2, ...): the 2.5th and the 97.5th percentile of the resamples' means.
    """
    Q = scores.shape[-1]
    counts = np.random.default_rng(seed).multinomial(Q, np.full(Q, 1 / Q), resamples)  # (resamples, Q)
    bands: Floats = np.percentile(scores @ counts.T / Q, (2.5, 97.5), axis=-1)
    return bands


def spearman(a: Map, b: Map) -> float:
    """Rank correlation of two maps, cell by cell, in [-1, 1]; NaN if one is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # here, since it takes half a second to import

    return float(spearmanr(a.ravel(), b.ravel()).statistic)
