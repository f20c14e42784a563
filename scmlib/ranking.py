"""Ranking and retrieval figures from embeddings: pure functions, no model and no files.

Lesson: notebooks/04_occlusion_evaluation.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor
from torch.nn import functional as F

from scmlib.errors import BadInput

Floats = NDArray[np.float64]

Labels = Sequence[int] | NDArray[np.integer[Any]]

Embeddings = Tensor | NDArray[np.floating[Any]]

RANKS = 50  # length of a CMC curve

SIMILARITIES = 2**22  # held at once, to bound memory: 16 MiB as float32


@dataclass(frozen=True)
class Ranking:
    """Figures of one query set against one gallery."""

    cmc: Floats  # (50,): share of queries with a true match among the first k + 1
    ap: Floats  # (queries,): average precision, trapezoid form (the published figures); NaN where a query can't match
    ap_rectangular: Floats  # (queries,): the form that other libraries report
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
    def num_valid(self) -> int:
        """Queries with a true match in the gallery."""
        return int(np.isfinite(self.ap).sum())

    @property
    def num_without_match(self) -> int:
        """Queries left out of every figure: the gallery holds no true match for them."""
        return len(self.ap) - self.num_valid

    def figures(self) -> dict[str, float]:
        """The figures that the released code prints."""
        return {**{f"top{k}": float(self.cmc[k - 1]) for k in (1, 5, 10)}, "mAP": self.mAP}


def rank(
    query: Embeddings,
    gallery: Embeddings,
    query_ids: Labels,
    gallery_ids: Labels,
    query_cams: Labels | None = None,
    gallery_cams: Labels | None = None,
) -> Ranking:
    """Rank a gallery for every query by the Market-1501 protocol (Zheng et al., 2015).

    Gallery images of the query's own identity and camera are removed first. A true match ranks behind negatives of
    equal similarity, so that a collapsed model scores near zero. With the i-th true match (i = 1..n) at 0-based
    position r, AP = mean of (i/(r+1) + (i-1)/r)/2, where (i-1)/r is 1 at r = 0.

    Args:
        query: (Q, D) embeddings; similarity is the dot product.
        gallery: (G, D) embeddings.
        query_ids: (Q,) identities.
        gallery_ids: (G,) identities.
        query_cams: (Q,) cameras; None: no camera rule.
        gallery_cams: (G,) cameras; None: no camera rule.

    Raises:
        BadInput: lengths that don't match, an empty side, cameras of one side only, embeddings that aren't finite, or
            no query with a true match.
    """
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    q_ids, g_ids = torch.as_tensor(query_ids), torch.as_tensor(gallery_ids)
    if (query_cams is None) != (gallery_cams is None):
        raise BadInput("Cameras of one side alone give no camera rule: give both or neither.")
    cams = None
    if query_cams is not None and gallery_cams is not None:
        cams = torch.as_tensor(query_cams), torch.as_tensor(gallery_cams)
    sides = len(query), len(gallery)
    for name, given in (("identities", (q_ids, g_ids)), ("cameras", cams)):
        if given and (len(given[0]), len(given[1])) != sides:
            raise BadInput(
                f"{sides[0]} query and {sides[1]} gallery embeddings came with {len(given[0])} and {len(given[1])} "
                f"{name}: each embedding needs its own."
            )
    if 0 in sides:
        raise BadInput(f"{sides[0]} query and {sides[1]} gallery embeddings can't be ranked: each side needs one.")
    check_finite(query, gallery)
    positions = []
    for rows in chunks(len(query), len(gallery)):
        similarity = query[rows] @ gallery.T  # (q, G)
        same = q_ids[rows, None] == g_ids
        junk = same & (cams[0][rows, None] == cams[1]) if cams else torch.zeros_like(same)
        positions.append(match_positions(similarity, same & ~junk, ~same))
    width = max(p.shape[1] for p in positions)
    at = torch.cat([F.pad(p, (0, width - p.shape[1]), value=-1) for p in positions]).numpy()
    if not (at >= 0).any():
        raise BadInput(
            "No query has a true match in the gallery: every match is of the query's own camera, or the splits don't "
            "belong together; check the camera numbers and the folders."
        )
    return _figures(at)


def check_finite(*embeddings: Tensor) -> None:
    """Refuse NaN, which compares as smaller than everything and would put every match in first place."""
    if not all(x.isfinite().all() for x in embeddings):
        raise BadInput("Some embeddings are not finite numbers: the model's weights are broken; train again.")


def chunks(rows: int, columns: int) -> Iterator[Tensor]:
    """Row numbers, as many at a time as `SIMILARITIES` allows."""
    step = max(1, SIMILARITIES // max(1, columns))
    for start in range(0, rows, step):
        yield torch.arange(start, min(rows, start + step))


def match_positions(similarity: Tensor, match: Tensor, negative: Tensor) -> Tensor:
    """0-based positions of true matches in each row's ranked list, without sorting the list.

    The i-th best match stands behind the i better matches and every negative that is at least as similar.

    Args:
        similarity: (Q, G).
        match: (Q, G) booleans, true matches.
        negative: (Q, G) booleans; what is neither is junk and takes no place.

    Returns:
        (Q, n) ascending, n the largest number of matches of a row; -1 fills shorter rows.
    """
    counts = match.sum(1)
    n = int(counts.max()) if len(counts) else 0
    best = similarity.masked_fill(~match, -torch.inf).topk(n, dim=1).values  # (Q, n), descending
    others = similarity.masked_fill(~negative, -torch.inf)
    order = torch.arange(n)
    # One column of matches at a time: (Q, G) comparisons, never (Q, n, G).
    ahead = [(others >= best[:, i, None]).sum(1) for i in range(n)]
    at = torch.stack(ahead, 1) + order if n else torch.empty(len(similarity), 0, dtype=torch.long)
    return at.masked_fill(order >= counts[:, None], -1)


def _figures(at: NDArray[np.int64]) -> Ranking:
    """CMC and average precision from positions (Q, n), -1 where a row has fewer matches."""
    present = at >= 0
    count = present.sum(1)
    valid = count > 0
    i = np.arange(1, at.shape[1] + 1)
    r = np.where(present, at, 1)
    after = np.where(present, i / (r + 1), 0)
    before = np.where(present, np.where(r > 0, (i - 1) / np.maximum(r, 1), 1), 0)
    with np.errstate(invalid="ignore"):
        ap, rectangular = ((after + before) / 2).sum(1) / count, after.sum(1) / count
    first = np.where(valid, at[:, 0], np.nan)
    cmc = (first[valid, None] <= np.arange(RANKS)).mean(0)
    return Ranking(cmc, ap, rectangular, first)


def recall_at(embeddings: Embeddings, labels: Labels, ks: Sequence[int] = (1, 2, 4, 8)) -> dict[int, float]:
    """Recall@K of every image against all others (the protocol of CUB200 and Cars).

    A same-class image must stand among the first K; ties rank behind, as in `rank`.

    Args:
        embeddings: (N, D); similarity is the dot product.
        labels: (N,) classes.
        ks: the values of K.
    """
    features, classes = torch.as_tensor(embeddings), torch.as_tensor(labels)
    check_finite(features)
    firsts = []
    for rows in chunks(len(features), len(features)):
        similarity, same = features[rows] @ features.T, classes[rows, None] == classes
        match = same.clone()
        match[torch.arange(len(rows)), rows] = False  # the image itself
        best = similarity.masked_fill(~match, -torch.inf).amax(1)
        ahead = (similarity.masked_fill(same, -torch.inf) >= best[:, None]).sum(1)
        firsts.append(torch.where(match.any(1), ahead, max(ks)))  # a class of one image is never recalled
    first = torch.cat(firsts)
    return {k: float((first < k).double().mean()) for k in ks}


def nmi(embeddings: NDArray[np.float32], labels: Labels, *, seed: int = 0) -> float:
    """Normalised mutual information of classes and a k-means with as many clusters, in [0, 1]."""
    clusters = KMeans(len(set(labels)), random_state=seed, n_init=1).fit_predict(embeddings)
    return float(normalized_mutual_info_score(labels, clusters, average_method="arithmetic"))
