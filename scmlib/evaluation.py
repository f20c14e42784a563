"""Evaluation: a model's metrics on a data set, by the data set's own protocol.

Protocols: Zheng et al., 2015: Scalable Person Re-identification (ranking, cross-camera rule); Liu et al., 2016: Deep
Relative Distance Learning (VehicleID's drawn galleries); Oh Song et al., 2016: Deep Metric Learning via Lifted
Structured Feature Embedding (Recall@K and NMI on CUB200 and Cars).

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scmlib.data.datasets import ReidDataset, draw_gallery
from scmlib.data.layouts import Layout
from scmlib.data.records import Record
from scmlib.health import is_collapsed, warn_of_collapse
from scmlib.inference import embed
from scmlib.model import SCM
from scmlib.ranking import Ranking, nmi, rank, recall_at

DRAWS = 5  # galleries that VehicleID's metrics are the mean of


def rank_records(
    query: NDArray[np.float32], gallery: NDArray[np.float32], queries: Sequence[Record], galleries: Sequence[Record]
) -> Ranking:
    """`rank` with identities and cameras taken from the records.

    Args:
        query: (Q, D) embeddings, L2-normalised; similarity is the dot product.
        gallery: (G, D) embeddings.
        queries: Q records, in the order of the rows.
        galleries: G records.

    Raises:
        BadInput: as `rank` does.
    """
    ids = [[record.identity for record in records] for records in (queries, galleries)]
    cams = [[record.camera for record in records] for records in (queries, galleries)]
    return rank(query, gallery, *ids, *cams)


class Evaluation(NamedTuple):
    """A model's metrics on a data set, and the embeddings they came from."""

    metrics: dict[str, float]  # by the released names, in [0, 1]
    spread: dict[str, float]  # standard deviation over the draws of a gallery; empty where nothing is drawn
    ranking: Ranking  # of the data set's own query and gallery
    query: NDArray[np.float32]  # (Q, (3 + P) * D)
    gallery: NDArray[np.float32]  # (G, (3 + P) * D)


def evaluate(model: SCM, dataset: ReidDataset, *, workers: int = 0, progress: bool = False) -> Evaluation:
    """A model's metrics by the data set's own protocol: embeds the test images, then `evaluate_embeddings`.

    Args:
        model: stays where it is.
        dataset: its query and gallery splits are read.
        workers: processes that read images.
        progress: whether to show progress bars.

    Raises:
        BadInput: an image that can't be read, or no query with a true match.
    """
    return evaluate_embeddings(dataset, *embed_test(model, dataset, workers=workers, progress=progress))


def embed_test(
    model: SCM, dataset: ReidDataset, *, workers: int = 0, progress: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of the query and of the gallery split, (Q, E) and (G, E); one array where both are the same images.

    Args:
        model: stays where it is.
        dataset: its query and gallery splits are read.
        workers: processes that read images.
        progress: whether to show progress bars.
    """
    dataset.require("query", "gallery")
    embedded = {
        split: embed(model, records, workers=workers, progress=split if progress else "")
        for split, records in dataset.splits.items()
        if split != "train"
    }
    return embedded["query"], embedded.get("gallery", embedded["query"])


def evaluate_embeddings(dataset: ReidDataset, query: NDArray[np.float32], gallery: NDArray[np.float32]) -> Evaluation:
    """The metrics of embedded test images by the data set's protocol.

    - ranking: top1, top5, top10 and mAP of query against gallery.
    - draws (VehicleID): the same, mean over `DRAWS` galleries drawn from all test images, and the spread over them.
    - retrieval (CUB200, Cars): Recall@K of every test image against all others, and NMI.

    Args:
        dataset: says the protocol, and what each row shows.
        query: (Q, D) embeddings.
        gallery: (G, D) embeddings; those of the queries where the protocol is retrieval.

    Raises:
        BadInput: no query with a true match, or embeddings that aren't finite.
    """
    ranking = rank_records(query, gallery, dataset.query, dataset.gallery)
    if is_collapsed(torch.from_numpy(gallery)):
        warn_of_collapse(f"of {dataset.name}'s gallery")
    metrics: dict[str, float] = ranking.metrics()
    spread: dict[str, float] = {}
    if dataset.layout.protocol == "retrieval":
        labels = [record.identity for record in dataset.query]
        metrics = {f"Recall@{k}": value for k, value in recall_at(query, labels).items()} | {"NMI": nmi(query, labels)}
    elif dataset.layout.protocol == "draws":
        records, rows = [*dataset.query, *dataset.gallery], np.concatenate([query, gallery])
        order = sorted(range(len(records)), key=lambda i: records[i].path)  # as drawn from when opened
        drawn = pd.DataFrame(
            [draw_ranking([records[i] for i in order], rows[order], seed).metrics() for seed in range(DRAWS)]
        )
        metrics = {str(name): float(drawn[name].mean()) for name in drawn}
        spread = {str(name): float(drawn[name].std()) for name in drawn}
    return Evaluation(metrics, spread, ranking, query, gallery)


def draw_ranking(records: Sequence[Record], embeddings: NDArray[np.float32], seed: int) -> Ranking:
    """VehicleID's protocol (Liu et al., 2016): one drawn image of each identity is the gallery, the others are queries.

    Args:
        records: N test images.
        embeddings: (N, D), in their order.
        seed: of the draw.

    Raises:
        BadInput: as `rank` does.
    """
    inside = draw_gallery(records, seed=seed)
    halves = [[i for i in range(len(records)) if (i in inside) == drawn] for drawn in (False, True)]
    query, gallery = (embeddings[half] for half in halves)
    return rank_records(query, gallery, *([records[i] for i in half] for half in halves))


def per_query(ranking: Ranking, queries: Sequence[Record]) -> pd.DataFrame:
    """A ranking, query by query.

    Args:
        ranking: of the queries.
        queries: what each of them is.

    Returns:
        A row for each query, in their order, with the columns path, identity, camera, rank (of the first true match,
        from 1), and what the query adds to each metric, in [0, 1]: top1, top5, top10, mAP (its average precision) and
        mINP (its inverse negative penalty). Empty cells where it has no true match.
    """
    known = [(str(query.path), query.identity, query.camera) for query in queries]
    table = pd.DataFrame(known, columns=["path", "identity", "camera"])
    return table.assign(rank=(ranking.first_match + 1), **ranking.per_query()).astype({"rank": "Int64"})


def named(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """A table with people and cameras as the data write them: texts where a table of your own has texts.

    Args:
        table: its columns identity and camera, and those whose names end in `_identity` or `_camera`, are looked at.
        layout: of the data.
    """
    told = {"identity": layout.identity_names, "camera": layout.camera_names}
    columns = {column: told.get(str(column).rpartition("_")[2]) for column in table}
    return table.assign(**{str(c): [names[number] for number in table[c]] for c, names in columns.items() if names})


def ranked_gallery(
    similarity: NDArray[np.float32], query: Record, gallery: Sequence[Record], length: int
) -> tuple[list[int], list[bool]]:
    """The head of one query's ranked list.

    Args:
        similarity: (G,) of the query to every gallery image.
        query: the query's record.
        gallery: the gallery's records.
        length: images to give.

    Returns:
        Gallery positions, best first, without junk; and whether each shows the query's identity.
    """
    counted = (
        int(i)
        for i in np.argsort(-similarity, kind="stable")
        if (gallery[i].identity, gallery[i].camera) != (query.identity, query.camera)
    )
    head = list(islice(counted, length))
    return head, [gallery[i].identity == query.identity for i in head]
