"""Verification: do two pictures show the same person? Genuine and impostor pairs, ROC curve and equal error rate.

A pair of a query and a gallery picture is *genuine* where both show one person and *impostor* where they don't; pairs
of one person under one camera are junk, as in the ranking. A pair is accepted from a threshold of similarity on. Terms
as in ISO/IEC 19795-1, "Biometric performance testing and reporting":

- false match rate (FMR): share of impostor pairs that are accepted;
- true match rate (TMR): share of genuine pairs that are accepted; the ROC curve is TMR against FMR over all thresholds;
- TMR at an FMR: the largest TMR of the thresholds whose FMR is at most that;
- equal error rate (EER): FMR where it equals 1 - TMR;
- AUC: the area below the ROC curve, the odds that a genuine pair is more similar than an impostor pair, ties counted
  half (Hanley and McNeil, 1982, "The meaning and use of the area under a receiver operating characteristic curve").

A gallery of millions of pairs is never sorted: similarities are counted in `BINS` bins of [-1, 1], separately for the
queries of each identity, from which bands over identities follow. Similarities that share a bin, 0.0005 wide, count as
equal; between bins curves are straight.

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scmlib.analysis.statistics import RESAMPLES
from scmlib.errors import BadInput
from scmlib.ranking import Embeddings, Floats, Labels, check_sides, similarities
from scmlib.runs import Study, open_study

BINS = 4000

RATES = (1e-2, 1e-3, 1e-4)  # false match rates whose true match rate is told

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Verification:
    """Pairs by their similarity, counted."""

    genuine: Counts  # (I, BINS): of the queries of each identity, from -1 to 1
    impostor: Counts  # (I, BINS)

    @property
    def roc(self) -> tuple[Floats, Floats]:
        """FMR and TMR at every bin's lower edge, from the strictest threshold on, (BINS + 1,) each."""
        false, true = roc(self.genuine.sum(0), self.impostor.sum(0))
        return false, true

    @property
    def threshold(self) -> float:
        """The similarity at the equal error rate."""
        false, true = self.roc
        strictest = int(np.argmax(false + true >= 1))
        return 1 - 2 * strictest / BINS

    def summary(self, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
        """EER, AUC and the TMR at `RATES`, with 95 % bands over the queries' identities (percentile bootstrap).

        The gallery stays as it is: the bands don't cover that other galleries hold other impostors.

        Args:
            resamples: how often as many identities as there are are drawn with replacement.
            seed: of the draws.

        Returns:
            A row each (EER, AUC, `TMR at FMR 0.01` ...) with the columns value, low and high, in [0, 1].
        """
        drawn = np.random.default_rng(seed).multinomial(
            len(self.genuine), np.full(len(self.genuine), 1 / len(self.genuine)), resamples
        )
        found = [rates(drawn[i] @ self.genuine, drawn[i] @ self.impostor) for i in range(resamples)]
        known = pd.DataFrame(found).quantile([0.025, 0.975])
        values = rates(self.genuine.sum(0), self.impostor.sum(0))
        return pd.DataFrame({"value": values, "low": known.iloc[0], "high": known.iloc[1]})


def verify(run: Study | str | Path, dataset: str = "", dataset_root: str | Path = "") -> Verification:
    """Count the genuine and the impostor pairs of a run's queries and gallery, see the module's head.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.

    Raises:
        BadInput: no run or data there, no genuine or no impostor pair.
    """
    study = run if isinstance(run, Study) else open_study(run, dataset, dataset_root)
    evaluation, sides = study.evaluation, (study.data.query, study.data.gallery)
    ids, cams = ([[getattr(r, name) for r in side] for side in sides] for name in ("identity", "camera"))
    return count_pairs(evaluation.query, evaluation.gallery, *ids, *cams)


def count_pairs(
    query: Embeddings,
    gallery: Embeddings,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cams: Labels,
    gallery_cams: Labels,
) -> Verification:
    """Count pairs by similarity; memory is one block of queries against the gallery, and the counts.

    Args:
        query: (Q, D), L2-normalised.
        gallery: (G, D), L2-normalised.
        query_ids: (Q,).
        gallery_ids: (G,).
        query_cams: (Q,).
        gallery_cams: (G,).

    Raises:
        BadInput: sides that don't fit, or no genuine or no impostor pair.
    """
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    ids, cams = ([np.asarray(side) for side in pair] for pair in ((query_ids, gallery_ids), (query_cams, gallery_cams)))
    check_sides(query, gallery, identities=(ids[0], ids[1]), cameras=(cams[0], cams[1]))
    people, who = np.unique(ids[0], return_inverse=True)
    counts = np.zeros((2, len(people), BINS))  # genuine, impostor
    for rows, similarity in similarities(query, gallery):
        bins = ((similarity.cpu().numpy() + 1) * (BINS / 2)).astype(int).clip(0, BINS - 1)
        same = ids[0][rows, None] == ids[1]
        genuine = same & (cams[0][rows, None] != cams[1])
        for kind, chosen in enumerate((genuine, ~same)):
            at = who[rows, None] * BINS + bins
            counts[kind] += np.bincount(at[chosen], minlength=counts[0].size).reshape(counts[0].shape)
    if not counts.sum((1, 2)).all():
        raise BadInput("There are no pairs of one person or none of two: verification needs both.")
    return Verification(counts[0], counts[1])


def roc(genuine: Counts, impostor: Counts) -> tuple[Floats, Floats]:
    """FMR and TMR from the strictest threshold to the mildest, of counts (BINS,); each starts at 0 and ends at 1."""
    false, true = (np.concatenate([[0.0], np.cumsum(kind[::-1])]) / kind.sum() for kind in (impostor, genuine))
    return false, true


def rates(genuine: Counts, impostor: Counts) -> dict[str, float]:
    """EER, AUC, and the TMR at each of `RATES`, of counts (BINS,)."""
    false, true = roc(genuine, impostor)
    excess = false + true - 1  # FMR less the false non-match rate: rises from -1 to 1
    k = int(np.argmax(excess >= 0))
    share = -excess[k - 1] / (excess[k] - excess[k - 1])
    eer = false[k - 1] + share * (false[k] - false[k - 1])
    found = {"EER": float(eer), "AUC": float(np.diff(false) @ (true[1:] + true[:-1]) / 2)}
    return found | {f"TMR at FMR {rate:g}": float(true[false <= rate].max()) for rate in RATES}
