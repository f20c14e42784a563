"""The network on the page: what a browser needs to hide a query and see masks and ranked list follow.

Everything is made here from the site's run and a small drawn world: the network as ONNX, pictures of a few queries and
of the gallery, and the gallery's embeddings. `_static/live.js` does the rest with ONNX Runtime's WebAssembly build.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image
from torch import Tensor

from data_prep.world import PRESETS, write_world
from docs.keep_run import KEPT
from docs.npm import ONNXRUNTIME, fetch
from scmlib.data.datasets import dataset_folder
from scmlib.data.records import Record
from scmlib.data.truth import OCCLUDER, read_truth
from scmlib.exports.network import export_network
from scmlib.figures.style import MASKS, RIGHT, WRONG, to_array
from scmlib.runs import Study, open_study

# The demo's cameras and, of its people, the first twelve for testing; of those for training one picture each is drawn.
WORLD = replace(
    PRESETS["default"], train_images=1, test_identities=12, query_images=2, gallery_images=6, occluded_query=0.5
)
QUERIES = 8  # that the page offers
WASM = "ort-wasm-simd-threaded.wasm"
RUNTIME = ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", f"dist/{WASM}")


def open_site_study(folder: Path) -> Study:
    """The site's run on its world, which is drawn into `folder`."""
    write_world(dataset_folder("synthetic", folder), WORLD, progress=False)
    return open_study(KEPT, "synthetic", folder)


def shown_queries(study: Study) -> list[Record]:
    """Queries that nothing hides yet, of as many people as there are, then of the same people again."""
    free = [q for q in study.data.query if not (read_truth([q.path]) == OCCLUDER).any()]
    seen: dict[int, int] = {}
    order = []
    for query in free:
        seen[query.identity] = seen.get(query.identity, 0) + 1
        order.append((seen[query.identity], query))
    return [query for _, query in sorted(order, key=lambda pair: pair[0])[:QUERIES]]


def write_live(study: Study, folder: Path) -> None:
    """Write the page's data: network, pictures, embeddings and facts.

    Args:
        study: the site's run on its world.
        folder: made if it isn't there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    queries, gallery = shown_queries(study), study.data.gallery
    export_network(study.model, folder / "network.onnx")
    strip(study.pictures(queries)).save(folder / "queries.png")
    strip(study.pictures(gallery)).save(folder / "gallery.webp", quality=85)
    study.evaluation.gallery.astype("<f4").tofile(folder / "gallery.bin")
    kept = json.loads((KEPT / "metrics.json").read_text())
    facts = {
        "size": study.model.image_size,
        "grid": study.model.config.grid,
        "parts": study.model.config.num_parts,
        "queries": [{"identity": q.identity, "camera": q.camera} for q in queries],
        "gallery": [{"identity": g.identity, "camera": g.camera} for g in gallery],
        "colours": {"right": RIGHT, "wrong": WRONG},
        "map": (mpl.colormaps[MASKS](np.arange(256), bytes=True)[:, :3]).tolist(),
        "run": kept,
    }
    (folder / "facts.json").write_text(json.dumps(facts))


def write_runtime(folder: Path, cache: Path) -> None:
    """Put ONNX Runtime's files into a folder, the largest of them packed to a quarter of its 14 MB.

    It isn't called `.gz`, for some servers unpack that on the way, and the page would unpack it again.

    Raises:
        BadInput: npm can't fetch them.
    """
    fetch(ONNXRUNTIME, RUNTIME, folder, cache)
    large = folder / WASM
    large.with_suffix(".packed").write_bytes(gzip.compress(large.read_bytes(), mtime=0))
    large.unlink()


def strip(pictures: Tensor) -> Image.Image:
    """Pictures (N, 3, H, W) side by side."""
    return Image.fromarray(np.concatenate(list(to_array(pictures)), axis=1))
