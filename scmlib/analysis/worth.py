"""Do masks help when people are hidden? Masks exchanged at test time, while more and more of every query is hidden.

`scmlib.analysis.swap` exchanges masks, `scmlib.analysis.occlusion` hides a share of the visible person; here both
happen at once. Each set of masks gets curves of mAP and rank-1 against the hidden share, and two numbers say what the
network's own masks are worth beside it:

- `ahead`: how much higher the mAP is with the own masks, at the same hidden share (`top1_ahead`: rank-1);
- `grown`: how much larger that lead is than it was with nothing more hidden (`top1_grown`: in rank-1). Masks that help
  *because* people are hidden have a lead that grows.

All is paired: the same queries, occluders and resamples of identities everywhere.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.analysis.mask_scores import detection
from scmlib.analysis.occluders import KINDS, _check
from scmlib.analysis.occlusion import (
    ALL,
    PERSON_SHARE,
    PICTURE_SHARE,
    QUERIES,
    RATIOS,
    has_truth,
    hidden_queries,
    labels,
    only,
)
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.analysis.swap import ORDER, OWN, Exchange, Foreign
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import read_pictures
from scmlib.data.truth import OCCLUDER, PERSON, read_truth, region_share
from scmlib.evaluation import rank_records
from scmlib.model import SCM
from scmlib.ranking import Floats, Labels, rank

COUNTED = ("mAP", "ahead", "grown", "top1", "top1_ahead", "top1_grown", "auc")  # each with its band


def worth(
    model: SCM,
    dataset: ReidDataset,
    *,
    kinds: Sequence[str] = KINDS,
    ratios: Sequence[float] = RATIOS,
    groups: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Curves of mAP and rank-1 against the hidden share for every exchange of masks, with the own masks' lead over it.

    Occluders stand where `sweep` with the same seed puts them, at random; what counts of a query is its mean over the
    kinds. The gallery isn't hidden, but its masks are exchanged too. Pictures are embedded once a share and kind.

    Args:
        model: is switched to evaluation mode; stays where it is.
        dataset: its query and gallery splits are ranked by the Market-1501 protocol.
        kinds: of occluders, see `KINDS`.
        ratios: hidden shares, of the visible person where index maps are there; 0 is always among them.
        groups: embeddings that are ranked together, see `embedding_groups`; all together if not given.
        seed: of the occluders, of the choice for `other`, and of the bootstrap.
        workers: processes that read the gallery.
        progress: whether to show progress bars.

    Returns:
        A row for each set of masks (the rows of `swap_masks`), group and share, with the columns masks, embeddings (the
        group), hidden (what the ratio is a share of), ratio; mAP, ahead, grown, top1, top1_ahead, top1_grown (see the
        module's head) and auc, the `detection` of the visible person by the cooperative mask (NaN without index maps);
        the 95 % band over identities of each of these (mAP_low, mAP_high, ...); queries and identities, the numbers
        that counted.

    Raises:
        BadInput: an unknown kind, a ratio out of range, a model without masks of its own, pictures of one identity
            only, or no query with a true match.
    """
    _check(kinds, [], ratios)
    shares = sorted({float(ratio) for ratio in ratios} - {0.0})
    groups = groups or {ALL: range(len(model.embedding_names))}
    exchange = Exchange.of(model, dataset, workers=workers, progress=progress)
    foreign, label = exchange.foreign(dataset.gallery, seed), "gallery" if progress else ""
    gallery = exchange.embed(dataset.gallery, foreign, workers=workers, progress=label)
    sides = {name: {g: only(rows, model, kept) for g, kept in groups.items()} for name, rows in gallery.items()}
    counted = _with_match(dataset)
    metrics, auc = _scores(exchange, dataset, counted, sides, groups, (kinds, shares, seed), progress)
    names = sorted(sides, key=ORDER.index)
    ahead = metrics[:, names.index(OWN)][:, None] - metrics
    scores = np.stack([metrics, ahead, ahead - ahead[..., :1, :]], 1).reshape(6, *metrics.shape[1:])
    scores = np.concatenate([scores, np.broadcast_to(auc[:, None], (1, *metrics.shape[1:]))])
    people = np.array([dataset.query[i].identity for i in counted])
    hidden = PERSON_SHARE if has_truth(dataset) else PICTURE_SHARE
    index = [(name, group, hidden, ratio) for name in names for group in groups for ratio in (0.0, *shares)]
    table = pd.DataFrame(index, columns=["masks", "embeddings", "hidden", "ratio"])
    for column, values in zip(COUNTED, scores, strict=True):
        table[[column, f"{column}_low", f"{column}_high"]] = _with_band(values, people, seed).reshape(3, -1).T
    return table.assign(queries=len(counted), identities=len(np.unique(people)))


def _with_band(values: Floats, people: Labels, seed: int) -> Floats:
    """Means of (..., Q) and their bands over identities, (3, ...); NaN in a query's place doesn't count."""
    known = np.isfinite(values).astype(float)
    if not known.any():
        return np.full((3, *values.shape[:-1]), np.nan)
    sums = np.nan_to_num(values)
    return np.stack([sums.sum(-1) / known.sum(-1), *bootstrap_bands(sums, people, weights=known, seed=seed)])


def _with_match(dataset: ReidDataset) -> NDArray[np.intp]:
    """Positions of the queries that have a true match."""
    query, gallery = (np.zeros((len(records), 1), np.float32) for records in (dataset.query, dataset.gallery))
    return np.flatnonzero(np.isfinite(rank_records(query, gallery, dataset.query, dataset.gallery).ap))


def _scores(
    exchange: Exchange,
    dataset: ReidDataset,
    counted: NDArray[np.intp],
    sides: Mapping[str, Mapping[str, NDArray[np.float32]]],
    groups: Mapping[str, Sequence[int]],
    hiding: tuple[Sequence[str], Sequence[float], int],
    progress: bool,
) -> tuple[Floats, Floats]:
    """AP and rank-1 (2, sets, groups, 1 + shares, Q), and AUC (sets, 1 + shares, Q), all means over the kinds."""
    (kinds, shares, seed), names = hiding, sorted(sides, key=ORDER.index)
    conditions = [(kind, "random") for kind in dict.fromkeys(kinds)]
    rows = 1 + len(conditions) * len(shares)
    metrics = np.empty((2, len(names), len(groups), rows, len(counted)))
    auc = np.full((len(names), rows, len(counted)), np.nan)
    ids, cams = labels(dataset.gallery)
    foreign, size = exchange.foreign(dataset.query, seed), exchange.model.image_size
    for start in tqdm(range(0, len(counted), QUERIES), "hidden queries", unit="batch", disable=not progress):
        batch = counted[start : start + QUERIES]
        at = slice(start, start + len(batch))
        records = [dataset.query[i] for i in batch]
        own_ids, own_cams = labels(records)
        whole = read_pictures(records, size)
        maps = read_truth([record.path for record in records]) if exchange.order else None
        nothing = (whole, torch.zeros(len(batch), *size, dtype=torch.bool))
        every = chain([nothing], hidden_queries(dataset, batch, size, conditions, shares, seed))
        for row, (pictures, covered) in enumerate(every):
            given = {name: masks if masks.shape[1] == 1 else masks[:, batch] for name, masks in foreign.items()}
            if maps is not None:
                seen = without(maps, covered)
                given["truth"] = exchange.truth(seen)
                auc[:, row, at] = _detected(exchange, pictures, given, seen, names)
            for name, embedded in exchange.embed(pictures, given).items():
                for g, (group, kept) in enumerate(groups.items()):
                    query = only(embedded, exchange.model, kept)
                    ranking = rank(query, sides[name][group], own_ids, ids, own_cams, cams)
                    metrics[:, names.index(name), g, row, at] = ranking.ap, ranking.first_match == 0
    return _over_kinds(metrics, len(conditions)), _over_kinds(auc, len(conditions))


def without(maps: NDArray[np.uint8], covered: Tensor) -> NDArray[np.uint8]:
    """Index maps (N, H, W) of pictures with something more in front: (N, H', W') bool, at any size."""
    hidden = F.interpolate(covered[:, None].float(), maps.shape[1:])[:, 0] > 0.5
    return np.where(hidden.numpy(), np.uint8(OCCLUDER), maps)


def _detected(
    exchange: Exchange, pictures: Tensor, foreign: Foreign, maps: NDArray[np.uint8], names: Sequence[str]
) -> Floats:
    """Each picture's AUC of each cooperative mask as a detector of the visible person, (sets, N)."""
    person = region_share(maps, PERSON, exchange.model.config.grid)
    masks = exchange.masks(pictures, foreign)
    return np.stack([detection(masks[name].sum(1), person)[0].numpy() for name in names])


def _over_kinds(scores: Floats, kinds: int) -> Floats:
    """Rows (..., 1 + kinds * shares, Q), nothing hidden first, to their means over the kinds, (..., 1 + shares, Q)."""
    hidden = scores[..., 1:, :].reshape(*scores.shape[:-2], kinds, -1, scores.shape[-1]).mean(-3)
    return np.concatenate([scores[..., :1, :], hidden], -2)
