"""Nearest images of a gallery of any size, exactly or with the FAISS library.

`rank` needs every true match's position, and so every similarity. For the head of the ranked list alone, an index
answers from a gallery of millions: FAISS (Douze et al., 2024, "The Faiss library"), the extra `scmlib[search]`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scmlib.errors import BadInput
from scmlib.ranking import Embeddings, check_sides, similarities


def nearest(
    query: Embeddings, gallery: Embeddings, top: int = 10, index: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The gallery images most similar to each query, best first.

    Args:
        query: (Q, D) embeddings; similarity is the dot product.
        gallery: (G, D) embeddings.
        top: images to find, at most G.
        index: empty: exactly, with the products that `rank` compares. Otherwise a FAISS index by its factory string:
            `Flat` is exact too; `IVF4096,PQ64` keeps 64 bytes an image, looks at a part of them, and is approximate.

    Returns:
        (Q, top) positions in the gallery, -1 where an approximate index found fewer, and (Q, top) similarities.

    Raises:
        BadInput: sides that don't fit (see `rank`), more images asked for than there are, FAISS not installed, or a
            string that FAISS can't read or can't train on this gallery.
    """
    query, gallery = torch.as_tensor(query), torch.as_tensor(gallery)
    check_sides(query, gallery)
    if not 1 <= top <= len(gallery):
        raise BadInput(f"The nearest {top} of {len(gallery)} gallery images can't be found: ask for 1 to all of them.")
    if index:
        return _search(query.detach().float().cpu().numpy(), gallery.detach().float().cpu().numpy(), top, index)
    found = [similarity.topk(top, dim=1) for _, similarity in similarities(query, gallery)]
    at, values = (torch.cat([block[part] for block in found]).cpu().numpy() for part in (1, 0))
    return at, values.astype(np.float32)


def _search(
    query: NDArray[np.float32], gallery: NDArray[np.float32], top: int, index: str
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    try:
        import faiss
    except ImportError as absent:
        raise BadInput("FAISS is not installed: pip install 'scmlib[search]', or leave `index` empty.") from absent
    query, gallery = np.ascontiguousarray(query), np.ascontiguousarray(gallery)
    try:
        built = faiss.index_factory(gallery.shape[1], index, faiss.METRIC_INNER_PRODUCT)
        built.train(gallery)
        built.add(gallery)
    except RuntimeError as refused:
        raise BadInput(
            f"FAISS refuses the index {index!r} for {len(gallery)} embeddings of {gallery.shape[1]} dimensions: "
            "try Flat, or a smaller index."
        ) from refused
    similarity, at = built.search(query, top)
    return at, similarity
