"""The same embeddings ranked by other distances, always beside the paper's: re-ranked, and weighted by visibility.

| distance | what it is |
|---|---|
| `paper` | the Euclidean distance of the joined embeddings, as `evaluate` ranks |
| `re-ranked` | k-reciprocal re-ranking, see `reranked` |
| `alike` | the mean of the distances of the 3 + P embeddings, each L2-normalised for itself |
| `visible` | the same mean, weighted by how visible each part is in both pictures, see `part_similarities` |

`alike` is what to hold `visible` against: the two differ by nothing but the weights.

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.analysis.comparison import METRICS, compare_metrics
from scmlib.analysis.reranking import K1, K2, WEIGHT, reranked
from scmlib.data.datasets import ReidDataset
from scmlib.errors import BadInput
from scmlib.inference import masks_of
from scmlib.ranking import Ranking, rank_similarities, similarities
from scmlib.runs import Study, open_study

PAPER, ALIKE = "paper", "alike"


def part_similarities(
    query: Tensor, gallery: Tensor, seen: tuple[Tensor, Tensor] | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Similarities by parts, for `rank_similarities`: parts that are hidden in either picture count less.

    The distance of a query q and a gallery picture g is

        sum over i of v_i(q) v_i(g) d_i(q, g) / sum over i of v_i(q) v_i(g)

    with d_i the Euclidean distance of their i-th embeddings and v_i the visibility of the i-th part (Sun et al., 2019,
    "Perceive Where to Focus: Learning Visibility-aware Part-level Features for Partial Person Re-identification"; with
    whole-picture embeddings among the parts as in Somers et al., 2023, "Body Part-Based Representation Learning for
    Occluded Person Re-Identification").

    Args:
        query: (Q, E, D), E embeddings of each picture; each is L2-normalised here.
        gallery: (G, E, D).
        seen: visibilities in [0, 1], (Q, E) and (G, E); None: everything is visible.

    Yields:
        Which queries, and their similarities (q, G), the distance's negative; -2, the largest distance's, where nothing
        is visible in both pictures.
    """
    query, gallery = (F.normalize(side.float(), dim=2) for side in (query, gallery))
    every = [similarities(q, g) for q, g in zip(query.unbind(1), gallery.unbind(1), strict=True)]
    for blocks in zip(*every, strict=True):
        rows = blocks[0][0]
        total = torch.zeros_like(blocks[0][1])
        whole = torch.zeros_like(total)
        for i, (_, similarity) in enumerate(blocks):
            distance = (2 - 2 * similarity).clamp(min=0).sqrt()
            weight = torch.ones_like(total) if seen is None else seen[0][rows, i, None] * seen[1][None, :, i]
            total += weight * distance
            whole += weight
        yield rows, torch.where(whole > 0, -total / whole.clamp(min=1e-12), -2.0)


def visibility(masks: Tensor, usual: Tensor) -> Tensor:
    """How visible each embedding's part is, from the competitive masks.

    A part's visibility is the sum of its mask, as in Sun et al. (2019), here as a share of the part's usual sum and at
    most 1. The three embeddings of the whole picture are always visible.

    Args:
        masks: (N, P, h, w) in [0, 1].
        usual: (P,), each part's usual sum, e.g. its mean over a gallery.

    Returns:
        (N, 3 + P) in [0, 1].
    """
    share = (masks.sum((2, 3)) / usual.clamp(min=1e-12)).clamp(max=1)
    return F.pad(share, (3, 0), value=1.0)


def rank_by_distances(
    study: Study, *, k1: int = K1, k2: int = K2, weight: float = WEIGHT, progress: bool = False
) -> dict[str, Ranking]:
    """The rankings of a study's queries by every distance of the module's head, the paper's first.

    A data set whose every picture is a query against all others has no gallery of its own to re-rank: `re-ranked` is
    left out there.

    Args:
        study: a run open on its data.
        k1: see `reranked`.
        k2: see `reranked`.
        weight: see `reranked`.
        progress: whether to show progress bars.

    Raises:
        BadInput: a variant without part embeddings, or a parameter out of range.
    """
    model, data, evaluation = study.model, study.data, study.evaluation
    names = model.embedding_names
    if len(names) != 3 + model.config.num_parts:
        raise BadInput(
            f"The variant '{model.config.variant}' has no embeddings of parts: take a run of the variant scm."
        )
    query, gallery = (
        torch.from_numpy(side).reshape(len(side), len(names), -1) for side in (evaluation.query, evaluation.gallery)
    )
    masks = [masks_of(model, records) for records in (data.query, data.gallery)]
    usual = masks[1].sum((2, 3)).mean(0)
    seen = visibility(masks[0], usual), visibility(masks[1], usual)
    found = {PAPER: evaluation.ranking}
    if data.query is not data.gallery:
        found["re-ranked"] = _ranked(data, reranked(evaluation.query, evaluation.gallery, k1, k2, weight))
    found[ALIKE] = _ranked(data, part_similarities(query, gallery))
    found["visible"] = _ranked(data, part_similarities(query, gallery, seen))
    return found


def _ranked(data: ReidDataset, blocks: Iterator[tuple[slice, Tensor]]) -> Ranking:
    ids, cams = (
        [np.array([getattr(record, name) for record in side]) for side in (data.query, data.gallery)]
        for name in ("identity", "camera")
    )
    return rank_similarities(blocks, *ids, *cams)


def compare_distances(
    run: Study | str | Path,
    dataset: str = "",
    dataset_root: str | Path = "",
    *,
    k1: int = K1,
    k2: int = K2,
    weight: float = WEIGHT,
    seed: int = 0,
) -> pd.DataFrame:
    """The metrics by every distance, and the differences to the distance that each is held against.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.
        k1: see `reranked`.
        k2: see `reranked`.
        weight: see `reranked`.
        seed: of the bootstrap.

    Returns:
        A row for each distance with the columns distance; against, the distance it is held against (`alike` for
        `visible`, else `paper`); top1, top5, top10, mAP and mINP in [0, 1]; and for each of these the difference (e.g.
        mAP_difference), paired by query, with its 95 % band over identities (mAP_low, mAP_high).

    Raises:
        BadInput: no run or data there, a variant without part embeddings, or a parameter out of range.
    """
    study = run if isinstance(run, Study) else open_study(run, dataset, dataset_root)
    rankings = rank_by_distances(study, k1=k1, k2=k2, weight=weight)
    rows = []
    for name, ranking in rankings.items():
        against = ALIKE if name == "visible" else PAPER
        table = compare_metrics(ranking, rankings[against], study.data.query, seed=seed)
        row: dict[str, str | float] = {"distance": name, "against": against}
        row |= {metric: table["a"].to_dict()[metric] for metric in METRICS}
        for metric in METRICS:
            row |= {f"{metric}_{end}": table[end].to_dict()[metric] for end in ("difference", "low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)
