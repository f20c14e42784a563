"""Re-ranking with k-reciprocal neighbours: images that are among each other's nearest count as alike.

Zhong, Zheng, Cao and Li, 2017, "Re-ranking Person Re-identification with k-reciprocal Encoding" (CVPR). It looks at the
whole test set at once, at the other queries too, which a system that answers one query at a time can't do. So its
metrics stand beside the plain ones, never in their place.

With N images in all, memory is a few sparse matrices of N rows, some 100 numbers in each, and one block of queries
against the whole. The published code holds several full N x N matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scmlib.errors import BadInput
from scmlib.ranking import Embeddings, Floats, Integers, check_sides, similarities

K1, K2, WEIGHT = 20, 6, 0.3  # the paper's k1, k2 and lambda

PAIRS = 4096  # whose distances are computed at once


def reranked(
    query: Embeddings, gallery: Embeddings, k1: int = K1, k2: int = K2, weight: float = WEIGHT
) -> Iterator[tuple[slice, Tensor]]:
    """Similarities after k-reciprocal re-ranking, for `rank_similarities`.

    With all N = Q + G images, d(p, g) the squared Euclidean distance over the largest that p has, and N(p, k) the k
    nearest images of p and p itself:

    - R(p, k), k-reciprocal neighbours: those g in N(p, k) that have p in N(g, k).
    - R*(p, k1): R(p, k1), and R(q, k1 / 2) of each of its q that shares more than two thirds of R(q, k1 / 2) with it.
    - V_p: exp(-d(p, g)) at each g of R*(p, k1), 0 elsewhere, divided by its sum.
    - Local query expansion: V_p becomes the mean of V over the k2 nearest images of p, p itself among them.
    - Jaccard distance of p and g: 1 - sum of min(V_p, V_g) / sum of max(V_p, V_g).
    - The result: (1 - weight) times the Jaccard distance and weight times d.

    The paper leaves open how d is scaled, counts p out of its neighbours, says "at least two thirds" and doesn't divide
    V by its sum. All four are taken from the code that its authors published, which other libraries follow too. Tests
    hold this function equal, up to rounding, to a plain transcription of the definition above on small random sets;
    it has not been compared with the published code's own output.

    Args:
        query: (Q, D) embeddings, L2-normalised.
        gallery: (G, D) embeddings, L2-normalised.
        k1: neighbours that an image is encoded by.
        k2: images that an encoding is the mean of; 1 for no expansion.
        weight: of the plain distance, in [0, 1]; 1 ranks as the plain distance does.

    Yields:
        Which queries, and their similarities (q, G), the result's negative.

    Raises:
        BadInput: sides that don't fit, embeddings that aren't L2-normalised, or a parameter out of range.
    """
    query, gallery = (torch.as_tensor(side).detach().float() for side in (query, gallery))
    check_sides(query, gallery)
    if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
        raise BadInput(f"k1 {k1}, k2 {k2}, weight {weight}: the first two start at 1, the weight lies in [0, 1].")
    images = torch.cat([query, gallery])
    if not torch.allclose(images.norm(dim=1), torch.ones(len(images)), atol=1e-3):
        raise BadInput("Re-ranking needs embeddings of length 1: divide each by its norm, as `embed` does.")
    neighbours, farthest = _neighbours(images, max(k1 + 1, k2))
    encoded = _encode(images, neighbours, farthest, k1)
    if k2 > 1:
        near = _indicator(neighbours[:, :k2])
        encoded = near.multiply(1 / near.sum(1)) @ encoded
    encoded = encoded.tocsr()
    columns = encoded[len(query) :].tocsc()  # of the gallery
    for rows, similarity in similarities(query, gallery):
        plain = (2 - 2 * similarity.double().numpy()) / farthest[rows, None]
        jaccard = np.stack([_jaccard(encoded, columns, p) for p in range(rows.start, rows.stop)])
        yield rows, torch.from_numpy(-((1 - weight) * jaccard + weight * plain))


def _neighbours(images: Tensor, k: int) -> tuple[Integers, Floats]:
    """Each image's k nearest, itself first, (N, k), and its largest squared distance, (N,)."""
    nearest, farthest = [], []
    for rows, similarity in similarities(images, images):
        farthest.append(2 - 2 * similarity.min(1).values.double())
        itself = torch.arange(rows.start, rows.stop)
        similarity[torch.arange(len(itself)), itself] = torch.inf
        nearest.append(similarity.topk(min(k, len(images)), dim=1).indices)
    return torch.cat(nearest).numpy(), torch.cat(farthest).clamp(min=1e-12).numpy()


def _indicator(columns: Integers) -> Any:
    """(N, k) column numbers to a sparse (N, N) matrix of ones there."""
    from scipy import sparse  # here, since it takes long to import

    N, k = columns.shape
    return sparse.csr_array((np.ones(N * k), columns.ravel(), np.arange(0, N * k + 1, k)), shape=(N, N))


def _encode(images: Tensor, neighbours: Integers, farthest: Floats, k1: int) -> Any:
    """V of every image, a sparse (N, N) matrix, before the local query expansion."""

    def reciprocal(k: int) -> Any:
        near = _indicator(neighbours[:, : k + 1])
        return near.multiply(near.T).tocsr()

    whole, half = reciprocal(k1), reciprocal(int(np.around(k1 / 2)))
    shared = whole.multiply(whole @ half.T).tocoo()  # |R(p, k1) and R(q, k1 / 2)| for each q in R(p, k1)
    sizes = half.sum(1)
    shared.data = (3 * shared.data > 2 * sizes[shared.coords[1]]).astype(float)
    expanded = (whole + shared.tocsr() @ half).tocoo()
    expanded.eliminate_zeros()
    p, g = expanded.coords
    squared = [
        2 - 2 * (images[p[i : i + PAIRS]] * images[g[i : i + PAIRS]]).sum(1).double().numpy()
        for i in range(0, len(p), PAIRS)
    ]
    expanded.data = np.exp(-np.concatenate(squared) / farthest[p])
    encoded = expanded.tocsr()
    return encoded.multiply(1 / encoded.sum(1)[:, None]).tocsr()


def _jaccard(encoded: Any, columns: Any, p: int) -> NDArray[np.float64]:
    """Jaccard distances of image p to the whole gallery, (G,).

    Args:
        encoded: sparse (N, N), rows that sum to 1.
        columns: sparse (G, N), the gallery's rows of it, held by columns.
        p: the image.
    """
    start, end = encoded.indptr[p : p + 2]
    own, at = encoded.data[start:end], encoded.indices[start:end]
    first, last = columns.indptr[at], columns.indptr[at + 1]
    lengths = last - first
    entries = np.repeat(first - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    common = np.minimum(np.repeat(own, lengths), columns.data[entries])
    shared = np.bincount(columns.indices[entries], common, columns.shape[0])
    return 1 - shared / (2 - shared)
