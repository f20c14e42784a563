"""Ranking and retrieval metrics from embeddings: pure functions, no model and no files.

A ranked list is never sorted here. A true match stands behind the better true matches and behind every negative that is
at least as similar to the query, and both can be counted (`match_positions`). Every metric follows from these positions
(`metrics_from_positions`).

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scmlib.errors import BadInput

Floats = NDArray[np.float64]

Integers = NDArray[np.int64]

Labels = Sequence[int] | NDArray[np.integer[Any]]

Embeddings = Tensor | NDArray[np.floating[Any]]

RANKS = 50  # length of a CMC curve

BLOCK = 128  # queries in one matrix product


@dataclass(frozen=True)
class Ranking:
    """Metrics of one query set against one gallery, see `metrics_from_positions`."""

    cmc: Floats  # (50,): share of queries with a true match among the first k + 1
    ap: Floats  # (queries,): average precision, trapezoid form (the published metrics); NaN where a query can't match
    ap_rectangular: Floats  # (queries,): the form that other libraries report
    inp: Floats  # (queries,): inverse negative penalty
    first_match: Floats  # (queries,): 0-based position of the first true match; NaN where there is none

    @property
    def mAP(self) -> float:
        """Mean of `ap` over the queries that count."""
        return float(np.nanmean(self.ap))

    @property
    def mAP_rectangular(self) -> float:
        """Mean of `ap_rectangular` over the queries that count."""
        return float(np.nanmean(self.ap_rectangular))

    @property
    def mINP(self) -> float:
        """Mean of `inp` over the queries that count."""
        return float(np.nanmean(self.inp))

    @property
    def num_valid(self) -> int:
        """Queries with a true match in the gallery."""
        return int(np.isfinite(self.ap).sum())

    @property
    def num_without_match(self) -> int:
        """Queries left out of every metric: the gallery holds no true match for them."""
        return len(self.ap) - self.num_valid

    def metrics(self) -> dict[str, float]:
        """The metrics that the released code prints: top1, top5, top10 and mAP, in [0, 1]."""
        return {**{f"top{k}": float(self.cmc[k - 1]) for k in (1, 5, 10)}, "mAP": self.mAP}

    def per_query(self) -> dict[str, Floats]:
        """What each query adds to the metrics, (queries,) each: top1, top5, top10, mAP and mINP are the means.

        NaN where a query can't match.
        """
        hits = {f"top{k}": np.where(np.isnan(self.first_match), np.nan, self.first_match < k) for k in (1, 5, 10)}
        return {**hits, "mAP": self.ap, "mINP": self.inp}


def rank(
    query: Embeddings,
    gallery: Embeddings,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cams: Labels | None = None,
    gallery_cams: Labels | None = None,
) -> Ranking:
    """Rank a gallery for every query by the Market-1501 protocol.

    Gallery images of the query's own identity and camera are removed first (Zheng et al., 2015, "Scalable Person
    Re-identification: A Benchmark"). A true match ranks behind negatives of equal similarity, so that a collapsed model
    scores near zero.

    Two similarities that differ by less than the rounding of the matrix product (about 1e-7 of the embeddings' lengths
    in float32) may come out in either order or as a tie, so near-ties can fall differently on another machine. They
    can't on one machine: see `similarities`.

    Args:
        query: (Q, D) embeddings; similarity is the dot product, in the wider type of the two sides and at least in
            float32. Computed where the queries are, on CUDA too.
        gallery: (G, D) embeddings.
        query_ids: (Q,) identities.
        gallery_ids: (G,) identities.
        query_cams: (Q,) cameras; None: no cross-camera rule.
        gallery_cams: (G,) cameras; None: no cross-camera rule.

    Raises:
        BadInput: lengths that don't match, an empty side, cameras of one side only, embeddings that aren't finite, or
            no query with a true match.
    """
    if (query_cams is None) != (gallery_cams is None):
        raise BadInput("Cameras of one side alone give no camera rule: give both or neither.")
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    ids = np.asarray(query_ids), np.asarray(gallery_ids)
    cams = None
    if query_cams is not None and gallery_cams is not None:
        cams = np.asarray(query_cams), np.asarray(gallery_cams)
    check_sides(query, gallery, identities=ids, cameras=cams)
    return rank_similarities(similarities(query, gallery), *ids, *(cams or (None, None)))


def rank_similarities(
    blocks: Iterable[tuple[slice, Tensor]],
    query_ids: NDArray[Any],
    gallery_ids: NDArray[Any],
    query_cams: NDArray[Any] | None = None,
    gallery_cams: NDArray[Any] | None = None,
) -> Ranking:
    """`rank` by similarities that come from elsewhere, for distances that no dot product gives.

    Args:
        blocks: which queries, in order, and their similarities (q, G) to the whole gallery, as `similarities` yields.
        query_ids: (Q,) identities.
        gallery_ids: (G,) identities.
        query_cams: (Q,) cameras; None: no cross-camera rule.
        gallery_cams: (G,) cameras; None: no cross-camera rule.

    Raises:
        BadInput: no query with a true match.
    """
    cams = None if query_cams is None or gallery_cams is None else (query_cams, gallery_cams)
    positions = positions_among(blocks, (query_ids, gallery_ids), cams)
    if not (positions >= 0).any():
        raise BadInput(
            "No query has a true match in the gallery: every match is of the query's own camera, or the splits don't "
            "belong together; check the camera numbers and the folders."
        )
    return metrics_from_positions(positions)


def check_sides(query: Tensor, gallery: Tensor, **labels: tuple[NDArray[Any], NDArray[Any]] | None) -> None:
    """Refuse sides that can't be ranked.

    Args:
        query: (Q, D) embeddings.
        gallery: (G, D) embeddings.
        labels: of both sides, by what they are.

    Raises:
        BadInput: an empty side, widths or lengths that don't match, or embeddings that aren't finite. NaN compares as
            smaller than everything and would put every match in first place.
    """
    sides = len(query), len(gallery)
    for name, given in labels.items():
        if given and (len(given[0]), len(given[1])) != sides:
            raise BadInput(
                f"{sides[0]} query and {sides[1]} gallery embeddings came with {len(given[0])} and {len(given[1])} "
                f"{name}: each embedding needs its own."
            )
    if 0 in sides:
        raise BadInput(f"{sides[0]} query and {sides[1]} gallery embeddings can't be ranked: each side needs one.")
    if query.ndim != 2 or query.shape[1:] != gallery.shape[1:]:
        raise BadInput(
            f"Query embeddings of shape {tuple(query.shape)} and gallery embeddings of shape {tuple(gallery.shape)} "
            "can't be compared: both must be (images, dimensions) and come from one model."
        )
    if not all(extreme.isfinite() for x in (query, gallery) for extreme in x.aminmax()):
        raise BadInput("Some embeddings are not finite numbers: the model's weights are broken; train again.")


def match_positions(
    query: Tensor,
    gallery: Tensor,
    ids: tuple[NDArray[Any], NDArray[Any]],
    cams: tuple[NDArray[Any], NDArray[Any]] | None,
    best: int | None = None,
) -> Integers:
    """Positions of the true matches in each query's ranked list, without sorting the list.

    The i-th best match (i = 0, 1, ...) has position i plus the number of negatives at least as similar. The negatives
    are counted as all images at least as similar, less those of the query's own identity.

    Args:
        query: (Q, D) embeddings.
        gallery: (G, D) embeddings.
        ids: (Q,) and (G,) identities.
        cams: (Q,) and (G,) cameras: an image of the query's own identity and camera is junk, which takes no place.
        best: only the positions of so many best matches; None: of all.

    Returns:
        (Q, n) 0-based, ascending; n is the largest number of matches of a query, and -1 fills shorter rows.
    """
    return positions_among(similarities(query, gallery), ids, cams, best)


def positions_among(
    blocks: Iterable[tuple[slice, Tensor]],
    ids: tuple[NDArray[Any], NDArray[Any]],
    cams: tuple[NDArray[Any], NDArray[Any]] | None,
    best: int | None = None,
) -> Integers:
    """`match_positions` of similarities that come from elsewhere, see `rank_similarities`."""
    order = np.argsort(ids[1], kind="stable")  # images of one identity side by side
    starts, ends = (np.searchsorted(ids[1], ids[0], side, sorter=order) for side in ("left", "right"))
    found = []
    for rows, similarity in blocks:
        at = starts[rows, None] + np.arange((ends - starts)[rows].max())
        inside = at < ends[rows, None]
        own = order[np.minimum(at, len(order) - 1)]  # (q, w): gallery images of the query's identity, then a filling
        match = inside & (cams[0][rows, None] != cams[1][own]) if cams else inside
        theirs = torch.from_numpy(own), torch.from_numpy(inside), torch.from_numpy(match)
        found.append((rows, _positions(similarity, *theirs, best)))
    positions = np.full((len(ids[0]), max(block.shape[1] for _, block in found)), -1)
    for rows, block in found:
        positions[rows, : block.shape[1]] = block
    return positions


def similarities(query: Tensor, gallery: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Dot products of all queries with the whole gallery, `BLOCK` queries at a time.

    A matrix product rounds differently for other shapes. Here all have the same shape, the last one filled up with
    zeros: a query's similarities don't depend on how many other queries there are.

    Args:
        query: (Q, D).
        gallery: (G, D).

    Yields:
        Which queries, and their similarities (q, G), q up to `BLOCK`; overwritten by the next.
    """
    dtype = torch.promote_types(torch.promote_types(query.dtype, gallery.dtype), torch.float32)
    gallery = gallery.detach().to(query.device, dtype)
    product = torch.empty(BLOCK, len(gallery), dtype=dtype, device=query.device)
    for start in range(0, len(query), BLOCK):
        block = query[start : start + BLOCK].detach().to(dtype)
        torch.mm(F.pad(block, (0, 0, 0, BLOCK - len(block))), gallery.T, out=product)
        yield slice(start, start + len(block)), product[: len(block)]


def _positions(similarity: Tensor, own: Tensor, inside: Tensor, match: Tensor, best: int | None) -> Integers:
    """`match_positions` of one block: similarities (q, G), and (q, w) of the images of the query's identity."""
    counts = match.sum(1)
    if best is not None:
        counts = counts.clamp(max=best)
    n = int(counts.max())
    device = similarity.device
    values = similarity.gather(1, own.to(device))
    # Ascending, the filling first; then the matches alone, descending.
    ascending = values.masked_fill(~inside.to(device), -torch.inf).sort(1).values
    matches = values.masked_fill(~match.to(device), -torch.inf).sort(1, descending=True).values[:, :n].contiguous()
    own_ahead = own.shape[1] - torch.searchsorted(ascending, matches)
    ahead = count_at_least(similarity, matches, counts.tolist()) - own_ahead.cpu()
    i = torch.arange(n)
    at: Integers = (ahead + i).masked_fill(i >= counts[:, None], -1).numpy()
    return at


def count_at_least(similarity: Tensor, limits: Tensor, counts: Sequence[int]) -> Tensor:
    """How many of a row's similarities reach each of its limits.

    Args:
        similarity: (q, G).
        limits: (q, n).
        counts: how many limits of each row are asked for.

    Returns:
        (q, n) on the CPU; whatever it is beyond a row's count.
    """
    if similarity.is_cuda:
        return count_by_columns(similarity, limits).cpu()
    found = np.zeros(limits.shape, np.int64)
    # A row stays in the processor's cache while it is compared with all its limits. Numpy counts booleans eight at a
    # time; torch turns each of them into an int64 first, which takes ten times as long.
    for row, sought, numbers, n in zip(similarity.numpy(), limits.numpy(), found, counts, strict=True):
        numbers[:n] = [np.count_nonzero(row >= limit) for limit in sought[:n]]
    return torch.from_numpy(found)


def count_by_columns(similarity: Tensor, limits: Tensor) -> Tensor:
    """`count_at_least` for a GPU, which takes a limit of all rows at a time; (q, n)."""
    columns = [(similarity >= limit[:, None]).sum(1) for limit in limits.T]
    return torch.stack(columns, 1) if columns else torch.zeros(limits.shape, dtype=torch.long, device=limits.device)


def metrics_from_positions(positions: Integers) -> Ranking:
    """CMC, average precision and inverse negative penalty from the positions of the true matches.

    With the i-th of n true matches (i = 1..n) at 0-based position r_i, precision after it is i / (r_i + 1), and
    precision before it is (i - 1) / r_i, or 1 at r_i = 0.

    - CMC at rank k: share of queries with r_1 < k.
    - AP, trapezoid: mean over i of (before + after) / 2, the area under the precision-recall curve. It is the form of
      Market-1501's evaluation code (Zheng et al., 2015, "Scalable Person Re-identification: A Benchmark"), which goes
      back to that of Oxford Buildings (Philbin et al., 2007, "Object retrieval with large vocabularies and fast spatial
      matching").
    - AP, rectangular: mean over i of the precision after; scikit-learn's `average_precision_score`.
    - INP: n / (r_n + 1), 1 where nothing wrong stands before the hardest match (Ye et al., 2021, "Deep Learning for
      Person Re-identification: A Survey and Outlook").

    Args:
        positions: (Q, n) ascending; -1 fills the rows of queries with fewer matches. A query without a match counts in
            no metric.
    """
    present = positions >= 0
    count = present.sum(1)
    valid = count > 0
    i = np.arange(1, positions.shape[1] + 1)
    r = np.where(present, positions, 1)
    after = np.where(present, i / (r + 1), 0)
    before = np.where(present, np.where(r > 0, (i - 1) / np.maximum(r, 1), 1), 0)
    with np.errstate(invalid="ignore"):
        ap, rectangular = ((after + before) / 2).sum(1) / count, after.sum(1) / count
        inp = count / (positions.max(1) + 1)  # 0 / 0 without a match
    first = np.where(valid, positions[:, 0], np.nan)
    cmc = (first[valid, None] <= np.arange(RANKS)).mean(0)
    return Ranking(cmc, ap, rectangular, inp, first)


def recall_at(embeddings: Embeddings, labels: Labels, ks: Sequence[int] = (1, 2, 4, 8)) -> dict[int, float]:
    """Recall@K of every image against all others, the protocol of CUB200 and Cars.

    An image of its own class must stand among the first K (Song et al., 2016, "Deep Metric Learning via Lifted
    Structured Feature Embedding"); ties rank behind, as in `rank`. An image alone in its class counts as missed.

    Args:
        embeddings: (N, D); similarity is the dot product.
        labels: (N,) classes.
        ks: the values of K.

    Returns:
        Recall in [0, 1] by K.

    Raises:
        BadInput: lengths that don't match, no image, or embeddings that aren't finite.
    """
    features, classes = torch.as_tensor(embeddings), np.asarray(labels)
    check_sides(features, features, classes=(classes, classes))
    itself = np.arange(len(features))  # as its camera, so that an image is junk to itself and to no other
    first = match_positions(features, features, (classes, classes), (itself, itself), best=1)
    return {k: float(((first >= 0) & (first < k)).any(1).mean()) for k in ks}


def nmi(embeddings: NDArray[np.float32], labels: Labels, *, seed: int = 0) -> float:
    """Normalised mutual information of classes and a k-means with as many clusters, in [0, 1]."""
    from sklearn.cluster import KMeans  # here, since it takes a second to import, and most rankings don't cluster
    from sklearn.metrics import normalized_mutual_info_score

    clusters = KMeans(len(set(labels)), random_state=seed, n_init=1).fit_predict(embeddings)
    return float(normalized_mutual_info_score(labels, clusters, average_method="arithmetic"))
