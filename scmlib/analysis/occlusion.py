"""Occlusion on purpose: hide a known share of the visible person, and see how a model's metrics fall as it grows.

Where no truth is at hand the share is one of the picture. The table names which, for the two can't be compared.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.analysis.occluders import KINDS, _check, draw_occluder
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import read_pictures, to_float
from scmlib.data.records import Record
from scmlib.data.truth import PERSON, read_truth, region_share, truth_path
from scmlib.errors import BadInput
from scmlib.evaluation import embed_test, rank_records
from scmlib.inference import embed
from scmlib.model import SCM
from scmlib.ranking import Floats, rank

RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)

# What a hidden share is one of.
PERSON_SHARE, PICTURE_SHARE = "the visible person", "the picture"

ALL = "all"  # the group of every embedding

QUERIES = 64  # hidden at once, to bound memory


def embedding_groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Embeddings that are ranked together, by the group's name: all of them, and those of one kind each.

    Args:
        names: a model's `embedding_names`.
    """
    kinds = {"global": "global", "cooperative": "cooperative", "parts": "competitive"}
    chosen = {group: [i for i, name in enumerate(names) if name.startswith(kind)] for group, kind in kinds.items()}
    return {ALL: list(range(len(names)))} | {group: found for group, found in chosen.items() if found}


def sweep(
    model: SCM,
    dataset: ReidDataset,
    *,
    kinds: Sequence[str] = KINDS,
    ratios: Sequence[float] = RATIOS,
    positions: Sequence[str] = ("random",),
    groups: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Metrics of a data set whose queries are hidden on purpose; its gallery stays as it is.

    Where the data have index maps, the share is one of the *visible person*: 0.3 hides three tenths of the person's
    pixels that the query shows, wherever the person stands and however large it is. Elsewhere it is a share of the
    picture, of which an occluder beside the person hides nothing that counts.

    The occluder of a query depends on `seed` and its place among the queries alone, and grows in place, so that ratios
    are paired. The kind "person" pastes another identity of the queries. Queries without a true match don't count.

    The bands hold 95 % of 1,000 bootstrap resamples of the queries' identities (percentiles), the same resamples for
    every condition: of two conditions whose bands overlap, one can still be better on nearly every resample.

    Args:
        model: stays where it is.
        dataset: its query and gallery splits are read, at the model's image size.
        kinds: of `KINDS`.
        ratios: hidden shares, see `occlude`; 0 is always among them, and is embedded once.
        positions: of `POSITIONS`.
        groups: embeddings that are ranked together, see `embedding_groups`; all together if not given.
        seed: of occluders and of the bootstrap.
        workers: processes that read whole images.
        progress: whether to show progress bars.

    Returns:
        A row for each group, kind, position and ratio, with the columns embeddings (the group), kind, position, hidden
        (what the ratio is a share of, `PERSON_SHARE` or `PICTURE_SHARE`), ratio, mAP, mAP_low, mAP_high, top1,
        top1_low, top1_high (shares in [0, 1]), and queries, the number that counted.

    Raises:
        BadInput: an unknown kind or position, a ratio out of range or none above 0, no query with a true match, or
            queries of one identity for the kind "person".
    """
    _check(kinds, positions, ratios)
    shares = sorted({float(ratio) for ratio in ratios} - {0.0})
    if not shares:
        raise BadInput("Nothing would be hidden: give a hidden share above 0.")
    groups = groups or {ALL: range(len(model.embedding_names))}
    query, gallery = embed_test(model, dataset, workers=workers, progress=progress)
    sides = {name: Side(only(query, model, kept), only(gallery, model, kept), kept) for name, kept in groups.items()}
    conditions = list(dict.fromkeys(product(kinds, positions)))
    counted, scores = _scores(model, dataset, sides, conditions, shares, seed, progress)
    identities = [dataset.query[i].identity for i in counted]
    hidden = PERSON_SHARE if has_truth(dataset) else PICTURE_SHARE
    rows = [(name, *c, hidden, share) for name in groups for c in conditions for share in (0.0, *shares)]
    table = pd.DataFrame(rows, columns=["embeddings", "kind", "position", "hidden", "ratio"])
    columns = ["mAP", "mAP_low", "mAP_high", "top1", "top1_low", "top1_high"]
    table[columns] = _metrics(scores, bootstrap_bands(scores, identities, seed=seed), len(conditions))
    return table.assign(queries=len(counted))


def _metrics(scores: Floats, bands: Floats, conditions: int) -> Floats:
    """Means and bands of `_scores`, a row for each group, condition and share; unhidden leads every condition."""
    metrics = np.stack([scores.mean(-1), *bands], -1)  # (groups, rows, 2, 3)
    rows = np.arange(1, scores.shape[1]).reshape(conditions, -1)
    rows = np.pad(rows, ((0, 0), (1, 0)))
    return metrics[:, rows.ravel()].reshape(-1, 6)


class Side(NamedTuple):
    """Some of the embeddings of whole queries and of the gallery, L2-normalised together."""

    query: NDArray[np.float32]
    gallery: NDArray[np.float32]
    kept: Sequence[int]


def only(embedded: NDArray[np.float32], model: SCM, kept: Sequence[int]) -> NDArray[np.float32]:
    """Some of the 3 + P embeddings, (N, len(kept) * D), L2-normalised together."""
    each = torch.from_numpy(embedded).reshape(len(embedded), len(model.embedding_names), -1)  # (N, 3 + P, D)
    return F.normalize(each[:, list(kept)].flatten(1), dim=1).numpy()


def _scores(
    model: SCM,
    dataset: ReidDataset,
    sides: Mapping[str, Side],
    conditions: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
    progress: bool,
) -> tuple[NDArray[np.intp], Floats]:
    """The queries that count, and each one's average precision, and whether its rank 1 is right, in every condition.

    Returns:
        (Q,) positions, and (groups, 1 + conditions, 2, Q): row 0 with nothing hidden, then a row for each condition and
        share.
    """
    whole = [rank_records(side.query, side.gallery, dataset.query, dataset.gallery) for side in sides.values()]
    counted = np.flatnonzero(np.isfinite(whole[0].ap))
    scores = np.empty((len(sides), 1 + len(conditions) * len(shares), 2, len(counted)))
    for group, ranking in enumerate(whole):
        scores[group, 0] = ranking.ap[counted], ranking.first_match[counted] == 0
    ids, cams = labels(dataset.gallery)
    for start in tqdm(range(0, len(counted), QUERIES), "hidden queries", unit="batch", disable=not progress):
        batch = counted[start : start + QUERIES]
        own_ids, own_cams = labels([dataset.query[i] for i in batch])
        for row, (images, _) in enumerate(
            hidden_queries(dataset, batch, model.image_size, conditions, shares, seed), 1
        ):
            embedded = embed(model, to_float(images))
            for group, side in enumerate(sides.values()):
                ranking = rank(only(embedded, model, side.kept), side.gallery, own_ids, ids, own_cams, cams)
                scores[group, row, :, start : start + len(batch)] = ranking.ap, ranking.first_match == 0
    return counted, scores


def labels(records: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras."""
    ids, cams = np.array([(record.identity, record.camera) for record in records]).T
    return ids, cams


def has_truth(dataset: ReidDataset) -> bool:
    """Whether every query has an index map."""
    return all(truth_path(record.path).is_file() for record in dataset.query)


def hidden_queries(
    dataset: ReidDataset,
    batch: NDArray[np.intp],
    size: tuple[int, int],
    conditions: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some queries under one condition (kind, position) and share after the other, see `sweep`.

    Args:
        dataset: of the queries.
        batch: (B,), their positions.
        size: (H, W) of the pictures.
        conditions: kinds and positions.
        shares: hidden shares above 0.
        seed: of the occluders.

    Yields:
        (B, 3, H, W) uint8 pictures and (B, H, W) bool, what is hidden in them; all shares of the first condition first.
    """
    images, regions = _read(dataset, batch, size), torch.ones(len(batch), *size, dtype=torch.bool)
    if has_truth(dataset):
        regions = region_share(read_truth([dataset.query[i].path for i in batch]), PERSON, size) > 0.5
    pasted = any(kind == "person" for kind, _ in conditions)
    people = _read(dataset, _others(dataset, batch, seed), size) if pasted else images
    for kind, position in conditions:
        occluders = [
            draw_occluder(kind, position, size, (seed, int(i)), [person])
            for i, person in zip(batch, people, strict=True)
        ]
        for share in shares:
            covered = zip(occluders, images, regions, strict=True)
            pairs = [occluder.cover(image, share, region) for occluder, image, region in covered]
            yield torch.stack([image for image, _ in pairs]), torch.stack([hidden for _, hidden in pairs])


def _read(dataset: ReidDataset, queries: Iterable[int], size: tuple[int, int]) -> Tensor:
    return read_pictures([dataset.query[i] for i in queries], size)


def _others(dataset: ReidDataset, batch: NDArray[np.intp], seed: int) -> list[int]:
    """For each query of the batch one of another identity, drawn by the seed and the query's number."""
    ids, _ = labels(dataset.query)
    if (ids == ids[0]).all():
        raise BadInput(f"All queries are of identity {ids[0]}: nobody else to paste; leave out the kind 'person'.")
    return [int(np.random.default_rng((seed, i)).choice(np.flatnonzero(ids != ids[i]))) for i in batch]


def robustness(table: pd.DataFrame) -> dict[str, float]:
    """How much of its mAP a model keeps when queries are hidden, by kind of occluder and over all kinds.

    The mean of mAP over positions and over ratios above 0, divided by mAP at ratio 0: 1 for a model that occlusion
    doesn't touch. It depends on the ratios and on what they are shares of, so compare it between sweeps of the same
    ratios only.

    Args:
        table: what `sweep` returns, of one group of embeddings.

    Returns:
        A number for each kind, and "overall", their mean.
    """
    whole = table.loc[table["ratio"] == 0, "mAP"].iloc[0]
    kept = table[table["ratio"] > 0].groupby("kind", sort=False)["mAP"].mean() / whole
    return {str(kind): float(value) for kind, value in kept.items()} | {"overall": float(kept.mean())}
