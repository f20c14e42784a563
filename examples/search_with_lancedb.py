"""Search in embeddings with LanceDB, a vector database that runs inside the program and keeps its tables in a folder.

    pip install 'scmlib[export]' lancedb
    scm embed runs/demo/run synthetic --out embeddings.parquet
    python examples/search_with_lancedb.py embeddings.parquet

What a database adds to an index: columns beside each embedding, and conditions on them. Here the query's own camera is
left out, as the evaluation of most data sets asks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lancedb
from pyarrow import parquet


def main(file: Path) -> None:
    """Fill a table with the gallery and print whom the first query finds under other cameras."""
    database = lancedb.connect(file.with_suffix(".lancedb"))
    gallery = parquet.read_table(file, filters=[("split", "=", "gallery")])
    table = database.create_table("gallery", gallery, mode="overwrite")

    query = parquet.read_table(file, filters=[("split", "=", "query")]).slice(0, 1).to_pylist()[0]
    search = table.search(query["embedding"], vector_column_name="embedding").distance_type("dot")
    found = search.where(f"camera != {query['camera']}", prefilter=True).limit(5).to_list()
    print(query["path"])
    for row in found:
        print(f"{1 - row['_distance']:.3f} {row['path']}")  # LanceDB's distance is 1 less the dot product


if __name__ == "__main__":
    main(Path(sys.argv[1]))
