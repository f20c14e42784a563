"""Data sets: the records of each split, with cameras and training labels, and what the synthetic world knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scmlib.data.layouts import Layout, layout_of
from scmlib.data.readers import Split
from scmlib.data.records import Record
from scmlib.errors import BadInput


@dataclass(frozen=True)
class ReidDataset:
    """The three splits of a data set, each sorted by path.

    In the retrieval protocol query and gallery are the same list, the test half.
    """

    name: str
    root: Path  # the data set's own folder
    train: list[Record]
    query: list[Record]
    gallery: list[Record]

    @property
    def num_classes(self) -> int:
        """Training identities."""
        return len({record.label for record in self.train})

    @property
    def layout(self) -> Layout:
        """Its rules."""
        return layout_of(self.name)

    @property
    def splits(self) -> dict[str, list[Record]]:
        """Records by split; one test split where query and gallery are the same."""
        if self.query is self.gallery:
            return {"train": self.train, "query": self.query}
        return {"train": self.train, "query": self.query, "gallery": self.gallery}

    def gallery_cameras(self) -> dict[int, set[int]]:
        """For each identity of the gallery, the cameras that saw it."""
        cameras: dict[int, set[int]] = {}
        for record in self.gallery:
            cameras.setdefault(record.identity, set()).add(record.camera)
        return cameras


def dataset_folder(name: str, dataset_root: str | Path) -> Path:
    """The folder that data set `name` has below `dataset_root`.

    Raises:
        BadInput: an unknown data set.
    """
    return Path(dataset_root) / layout_of(name).folder


def open_dataset(name: str, dataset_root: str | Path) -> ReidDataset:
    """The records of a data set. A smaller tree in the same layout works like the full one.

    Where a data set has no camera rule, every record gets a camera number of its own, so that the ranking's rule
    removes an image from its own list and nothing else. VehicleID's gallery is seed 0's draw.

    Args:
        name: a key of `LAYOUTS` or `VARIANTS`.
        dataset_root: the folder that holds the data sets' folders.

    Raises:
        BadInput: an unknown name, a missing or empty folder, a name or a line outside the layout, a single identity.
    """
    root, layout = dataset_folder(name, dataset_root), layout_of(name)
    if not root.is_dir():
        raise BadInput(f"{root} is missing: --dataset-root must be the folder that holds {layout.folder}.")
    train, query = _read(layout.train, layout, root), _read(layout.query, layout, root)
    gallery = _read(layout.gallery, layout, root) if layout.gallery != layout.query else query
    identities = sorted({record.identity for record in train})
    if len(identities) < 2:
        where = root / layout.train.needs[0]
        raise BadInput(f"{where} holds a single identity ({identities[0]}): training needs two at least.")
    labels = {identity: label for label, identity in enumerate(identities)}
    train = [replace(record, label=labels[record.identity]) for record in train]
    if not layout.camera_rule:
        train = with_own_cameras(train, 0)
        query, same = with_own_cameras(query, len(train)), gallery is query
        gallery = query if same else with_own_cameras(gallery, len(train) + len(query))
    if layout.protocol == "draws":
        drawn = draw_gallery(query, seed=0)
        query, gallery = ([r for i, r in enumerate(query) if (i in drawn) == inside] for inside in (False, True))
    return ReidDataset(name, root, train, query, gallery)


def _read(split: Split, layout: Layout, root: Path) -> list[Record]:
    """The records of a split, each of which knows how its picture is framed."""
    return [replace(record, margin=layout.margin) for record in split.read(root)]


def with_own_cameras(records: Sequence[Record], first: int) -> list[Record]:
    """Each record under a camera number of its own, from `first` on."""
    return [replace(record, camera=first + i) for i, record in enumerate(records)]


def draw_gallery(records: Sequence[Record], *, seed: int) -> set[int]:
    """VehicleID's protocol: the positions of one image of each identity, drawn at random, which make the gallery."""
    rng = np.random.default_rng(seed)
    ids = np.array([record.identity for record in records])
    return {int(rng.choice(np.flatnonzero(ids == identity))) for identity in np.unique(ids)}


def check_ready(dataset: ReidDataset) -> None:
    """Find in seconds what would stop a run after an hour.

    Raises:
        BadInput: an empty file, or no query with a true match.
    """
    for records in dataset.splits.values():
        for record in records:
            if record.path.stat().st_size == 0:
                raise BadInput(
                    f"{record.path} is empty: replace it; `scm inspect {dataset.name}` lists all such files."
                )
    cameras = dataset.gallery_cameras()
    if not any(cameras.get(query.identity, set()) - {query.camera} for query in dataset.query):
        raise BadInput(
            f"No query of {dataset.root} has a true match in the gallery: every match is of the query's own camera, or "
            f"the splits don't belong together; `scm inspect {dataset.name}` says more."
        )
