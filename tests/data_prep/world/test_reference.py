"""The world stays what it was: pictures, index maps and table of a quick world beside stored ones.

Another version of Pillow and another processor may round differently, so that a level here and there may differ; one
number more or less from a random generator would change nearly every pixel. After a change that is meant to redraw the
world: `python -m tests.data_prep.world.test_reference`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.world import PRESETS, render
from data_prep.world.layers import Array
from scmlib.data.datasets import dataset_folder

PICTURES, TABLE = Path(__file__).with_name("quick.npz"), Path(__file__).with_name("quick.csv")
QUICK = PRESETS["quick"]
LOOSE = replace(QUICK, loose=0.3)
SHOWN = [
    *((QUICK, "train", 1, 0), (QUICK, "train", 5, 3), (QUICK, "gallery", 14, 2), (QUICK, "gallery", 24, 3)),
    *((QUICK, "query", 13, 0), (QUICK, "query", 16, 1), (QUICK, "query", 20, 0), (QUICK, "query", 22, 1)),
    *((LOOSE, "train", 2, 1), (LOOSE, "query", 13, 0)),
]


def drawn() -> dict[str, Array]:
    pairs = [render(*picture)[:2] for picture in SHOWN]
    return {
        name: np.stack(arrays) for name, arrays in zip(("images", "regions"), zip(*pairs, strict=True), strict=True)
    }


def table_of(data_root: Path) -> Path:
    return dataset_folder("synthetic", data_root) / "ground_truth" / "images.csv"


def test_pictures_and_maps_are_the_stored_ones() -> None:
    ours = drawn()
    with np.load(PICTURES) as stored:
        assert np.abs(ours["images"].astype(float) - stored["images"]).mean() < 0.02  # levels of 256
        assert (ours["regions"] != stored["regions"]).mean() < 0.002


def test_table_is_the_stored_one(data_root: Path) -> None:
    ours, stored = (pd.read_csv(path, keep_default_na=False) for path in (table_of(data_root), TABLE))
    pd.testing.assert_frame_equal(ours, stored, check_exact=False, rtol=0, atol=0.005)  # of the shares hidden, visible


if __name__ == "__main__":
    import tempfile

    from data_prep.world import write_world

    np.savez_compressed(PICTURES, **drawn())  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as root:
        write_world(dataset_folder("synthetic", root), QUICK)
        TABLE.write_bytes(table_of(Path(root)).read_bytes())
