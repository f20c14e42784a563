"""Occlusion on purpose: hide a known share of a picture, and see how a model's figures fall as the share grows.

Lesson: notebooks/04_occlusion_evaluation.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from scmlib.analysis.occluders import KINDS, _check, draw_occluder
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import read_pictures, to_float
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.evaluation import embed_test, rank_records
from scmlib.inference import embed
from scmlib.model import SCM
from scmlib.ranking import Floats, rank

RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)

QUERIES = 64  # hidden at once, to bound memory


def sweep(
    model: SCM,
    dataset: ReidDataset,
    *,
    kinds: Sequence[str] = KINDS,
    ratios: Sequence[float] = RATIOS,
    positions: Sequence[str] = ("random",),
    seed: int = 0,
    workers: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Figures of a data set whose queries are hidden on purpose; its gallery stays as it is.

    The occluder of a query depends on `seed` and its place among the queries alone, and grows in place, so that the
    figures of different ratios are paired. Whom the kind "person" pastes is another identity of the query set, and so
    mostly somebody whom the gallery shows too. Queries without a true match count in nothing.

    The bands hold 95 % of the figures of 1,000 bootstrap resamples of the queries (percentiles), the same resamples for
    every condition: of two conditions whose bands overlap, one can still be better on nearly every resample.

    Args:
        model: stays where it is.
        dataset: its query and gallery splits are read, at the model's image size.
        kinds: of `KINDS`.
        ratios: hidden shares, see `occlude`; 0 is always among them, and is embedded once.
        positions: of `POSITIONS`.
        seed: of occluders and of the bootstrap.
        workers: processes that read whole images.
        progress: whether to show progress bars.

    Returns:
        A row for each kind, position and ratio, with the columns kind, position, ratio, mAP, mAP_low, mAP_high, top1,
        top1_low, top1_high (shares in [0, 1]), and queries, the number that counted.

    Raises:
        BadInput: an unknown kind or position, a ratio out of range or none above 0, no query with a true match, or
            queries of one identity for the kind "person".
    """
    _check(kinds, positions, ratios)
    shares = sorted({float(ratio) for ratio in ratios} - {0.0})
    if not shares:
        raise BadInput("Nothing would be hidden: give a hidden share above 0.")
    query, gallery = embed_test(model, dataset, workers=workers, progress=progress)
    groups = list(dict.fromkeys(product(kinds, positions)))
    scores = _scores(model, dataset, query, gallery, groups, shares, seed, progress)
    figures = np.stack([scores.mean(2), *bootstrap_bands(scores, seed=seed)], 2).reshape(len(scores), 6)
    rows = np.arange(1, len(scores)).reshape(len(groups), len(shares))
    rows = np.pad(rows, ((0, 0), (1, 0)))  # the unhidden row leads every group
    table = pd.DataFrame(
        [(*group, share) for group in groups for share in (0.0, *shares)], columns=["kind", "position", "ratio"]
    )
    table[["mAP", "mAP_low", "mAP_high", "top1", "top1_low", "top1_high"]] = figures[rows.ravel()]
    return table.assign(queries=scores.shape[2])


def _scores(
    model: SCM,
    dataset: ReidDataset,
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    groups: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
    progress: bool,
) -> Floats:
    """Each counted query's average precision, and whether its rank 1 is right, in every condition.

    Returns:
        (1 + conditions, 2, Q): row 0 with nothing hidden, then a row for each group and share.
    """
    whole = rank_records(query, gallery, dataset.query, dataset.gallery)
    counted = np.flatnonzero(np.isfinite(whole.ap))
    scores = np.empty((1 + len(groups) * len(shares), 2, len(counted)))
    scores[0] = whole.ap[counted], whole.first_match[counted] == 0
    ids, cams = _labels(dataset.gallery)
    for start in tqdm(range(0, len(counted), QUERIES), "hidden queries", unit="batch", disable=not progress):
        batch = counted[start : start + QUERIES]
        own_ids, own_cams = _labels([dataset.query[i] for i in batch])
        for row, images in enumerate(_hidden(dataset, batch, model.image_size, groups, shares, seed), 1):
            ranking = rank(embed(model, to_float(images)), gallery, own_ids, ids, own_cams, cams)
            scores[row, :, start : start + len(batch)] = ranking.ap, ranking.first_match == 0
    return scores


def _labels(records: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras."""
    ids, cams = np.array([(record.identity, record.camera) for record in records]).T
    return ids, cams


def _hidden(
    dataset: ReidDataset,
    batch: NDArray[np.intp],
    size: tuple[int, int],
    groups: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
) -> Iterator[Tensor]:
    """Some of the queries, (B, 3, H, W) uint8, under one condition after the other; groups are (kind, position)."""
    images = _read(dataset, batch, size)
    pasted = any(kind == "person" for kind, _ in groups)
    people = _read(dataset, _others(dataset, batch, seed), size) if pasted else images
    for kind, position in groups:
        occluders = [
            draw_occluder(kind, position, size, (seed, int(i)), [person])
            for i, person in zip(batch, people, strict=True)
        ]
        for share in shares:
            yield torch.stack([o.cover(image, share)[0] for o, image in zip(occluders, images, strict=True)])


def _read(dataset: ReidDataset, queries: Iterable[int], size: tuple[int, int]) -> Tensor:
    return read_pictures([dataset.query[i] for i in queries], size)


def _others(dataset: ReidDataset, batch: NDArray[np.intp], seed: int) -> list[int]:
    """For each query of the batch one of another identity, drawn by the seed and the query's number."""
    ids, _ = _labels(dataset.query)
    if (ids == ids[0]).all():
        raise BadInput(f"All queries are of identity {ids[0]}: nobody else to paste; leave out the kind 'person'.")
    return [int(np.random.default_rng((seed, i)).choice(np.flatnonzero(ids != ids[i]))) for i in batch]


def robustness(table: pd.DataFrame) -> dict[str, float]:
    """How much of its mAP a model keeps when queries are hidden, by kind of occluder and over all kinds.

    The mean of mAP over positions and over ratios above 0, divided by mAP at ratio 0: 1 for a model that occlusion
    doesn't touch. It depends on the ratios, so compare it between sweeps of the same ratios only.

    Args:
        table: what `sweep` returns.

    Returns:
        A figure for each kind, and "overall", their mean.
    """
    whole = table.loc[table["ratio"] == 0, "mAP"].iloc[0]
    kept = table[table["ratio"] > 0].groupby("kind", sort=False)["mAP"].mean() / whole
    return {str(kind): float(value) for kind, value in kept.items()} | {"overall": float(kept.mean())}
