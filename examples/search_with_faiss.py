"""Search in embeddings with FAISS, a library for galleries of millions of pictures.

    pip install 'scmlib[search]'
    scm embed runs/demo/run synthetic --out embeddings.npz
    python examples/search_with_faiss.py embeddings.npz

`IndexFlatIP` compares the query with every picture. `faiss.index_factory(length, "IVF4096,PQ64",
faiss.METRIC_INNER_PRODUCT)` in its place looks at a part of them and keeps 64 bytes of each; such an index is trained
with `index.train(gallery)` first, and what it misses must be measured on one's own data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import faiss
import numpy as np


def main(file: Path) -> None:
    """Index the gallery, keep the index as a file, and print whom the first query finds."""
    with np.load(file) as rows:
        path, split, embedding = rows["path"], rows["split"], rows["embedding"]
    gallery = split == "gallery"
    index = faiss.IndexFlatIP(embedding.shape[1])  # inner product: embeddings have length 1, so it is the cosine
    index.add(embedding[gallery])
    stored = file.with_suffix(".faiss")
    faiss.write_index(index, str(stored))

    similarity, found = faiss.read_index(str(stored)).search(embedding[~gallery][:1], 5)
    print(path[~gallery][0])
    for value, position in zip(similarity[0], found[0], strict=True):
        print(f"{value:.3f} {path[gallery][position]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
