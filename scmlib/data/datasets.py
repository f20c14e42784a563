"""Data sets: the records of each split, with cameras and training labels, and what the synthetic world knows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scmlib.data.layouts import LAYOUTS, PROTOCOLS, Layout, layout_of
from scmlib.data.readers import Split
from scmlib.data.records import Record
from scmlib.data.tables import TABLE, table_layout
from scmlib.errors import BadImage, BadInput


@dataclass(frozen=True)
class ReidDataset:
    """The three splits of a data set, each sorted by path; empty where it has none.

    In the retrieval protocol, and in a table without splits, query and gallery are the same list.
    """

    name: str
    root: Path  # the data set's own folder
    layout: Layout  # its rules
    train: list[Record]
    query: list[Record]
    gallery: list[Record]

    @property
    def num_classes(self) -> int:
        """Training identities."""
        return len({record.label for record in self.train})

    @property
    def splits(self) -> dict[str, list[Record]]:
        """Records by split, as far as it has them; one test split where query and gallery are the same."""
        splits = {"train": self.train, "query": self.query, "gallery": self.gallery}
        if self.query is self.gallery:
            del splits["gallery"]
        return {split: records for split, records in splits.items() if records}

    def require(self, *splits: str) -> None:
        """Refuse a data set without one of these splits.

        Raises:
            BadInput: which is missing.
        """
        for split in splits:
            if not getattr(self, split):
                has = " and ".join(self.splits)
                raise BadInput(f"{self.name} has no {split} split, only {has}: choose another data set for this.")

    def gallery_cameras(self) -> dict[int, set[int]]:
        """For each identity of the gallery, the cameras that saw it."""
        cameras: dict[int, set[int]] = {}
        for record in self.gallery:
            cameras.setdefault(record.identity, set()).add(record.camera)
        return cameras


def dataset_folder(name: str, dataset_root: str | Path) -> Path:
    """The folder that a known data set has below `dataset_root`.

    Raises:
        BadInput: an unknown data set.
    """
    return Path(dataset_root) / layout_of(name).folder


def find_layout(name: str, dataset_root: str | Path) -> Layout:
    """The layout of a known data set, of another protocol on its files, or of the table ROOT/NAME/images.csv.

    Raises:
        BadInput: neither a known name nor a table's folder, or a table with something wrong in it.
    """
    if name in LAYOUTS or name in PROTOCOLS:
        return layout_of(name)
    root = Path(dataset_root)
    tables = sorted(path.parent.name for path in root.glob(f"*/{TABLE}"))
    if name not in tables:
        own = f"or of your own below {root}: {', '.join(tables)}" if tables else f"or put {root / name / TABLE} there"
        raise BadInput(f"Unknown data set '{name}': choose one of {', '.join((*LAYOUTS, *PROTOCOLS))}, {own}.")
    return table_layout(root / name)


def open_dataset(name: str, dataset_root: str | Path) -> ReidDataset:
    """The records of a data set. A smaller tree in the same layout works like the full one.

    Where a data set has no camera rule, every record gets a camera number of its own, so that the ranking's rule
    removes an image from its own list and nothing else. VehicleID's gallery is seed 0's draw.

    Args:
        name: a key of `LAYOUTS` or `PROTOCOLS`, or a folder with a table `images.csv`.
        dataset_root: the folder that holds the data sets' folders.

    Raises:
        BadInput: an unknown name, a missing or empty folder, a name or a line outside the layout, a single identity.
    """
    layout = find_layout(name, dataset_root)
    root = Path(dataset_root) / layout.folder
    if not root.is_dir():
        raise BadInput(f"{root} is missing: --dataset-root must be the folder that holds {layout.folder}.")
    train, query = _read(layout.train, layout, root), _read(layout.query, layout, root)
    gallery = _read(layout.gallery, layout, root) if layout.gallery != layout.query else query
    identities = sorted({record.identity for record in train})
    if len(identities) == 1:
        where, who = root / layout.train.needs[0], layout.identity_name(identities[0])
        raise BadInput(f"{where} holds a single identity to train with ({who}): training needs two at least.")
    train = labelled(train)
    if not layout.camera_rule:
        train = with_own_cameras(train, 0)
        query, same = with_own_cameras(query, len(train)), gallery is query
        gallery = query if same else with_own_cameras(gallery, len(train) + len(query))
    if layout.protocol == "draws":
        drawn = draw_gallery(query, seed=0)
        query, gallery = ([r for i, r in enumerate(query) if (i in drawn) == inside] for inside in (False, True))
    return ReidDataset(name, root, layout, train, query, gallery)


def labelled(records: Sequence[Record]) -> list[Record]:
    """Records with training labels, 0 to n - 1 in the order of their identities."""
    labels = {identity: label for label, identity in enumerate(sorted({record.identity for record in records}))}
    return [replace(record, label=labels[record.identity]) for record in records]


def without(dataset: ReidDataset, paths: Collection[str]) -> ReidDataset:
    """The data set without some training images, named by their paths below its folder, labelled anew."""
    left = [record for record in dataset.train if os.path.relpath(record.path, dataset.root) not in paths]
    return replace(dataset, train=labelled(left))


def fingerprint(dataset: ReidDataset, *splits: str) -> str:
    """What tells the bytes of some splits' image files from any others; unlike `digest`, it reads them all.

    Args:
        dataset: opened.
        splits: of train, query, gallery; one that the data set lacks adds nothing.

    Returns:
        32 hexadecimal digits.

    Raises:
        BadImage: a file is gone.
    """
    paths = {record.path for split, records in dataset.splits.items() if split in splits for record in records}
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(paths):
        try:
            whole.update(hashlib.blake2b(path.read_bytes()).digest())
        except OSError as error:
            raise BadImage(f"{path} can't be read ({error.strerror}): check the path.") from error
    return whole.hexdigest()


def digest(dataset: ReidDataset, *splits: str) -> str:
    """What tells the images of some splits from any others: their file names, identities and cameras.

    Args:
        dataset: opened.
        splits: of train, query, gallery; one that the data set lacks adds nothing.

    Returns:
        32 hexadecimal digits, the same wherever the data set's folder lies.
    """
    rows = [
        f"{split} {os.path.relpath(record.path, dataset.root)} {record.identity} {record.camera}"
        for split, records in dataset.splits.items()
        if split in splits
        for record in records
    ]
    return hashlib.blake2b("\n".join(rows).encode(errors="surrogateescape"), digest_size=16).hexdigest()


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


def check_trainable(name: str, layout: Layout) -> None:
    """Refuse to train on a data set that is for testing alone.

    Raises:
        BadInput: it has no training split.
    """
    if layout.test_only:
        raise BadInput(
            f"{name} has no training images: train on another data set, market1501 say, and evaluate that run with "
            f"--dataset {name}."
        )


def check_ready(dataset: ReidDataset) -> None:
    """Find in seconds what would stop a run after an hour.

    Raises:
        BadInput: no training images, an empty file, or no query with a true match.
    """
    check_trainable(dataset.name, dataset.layout)
    for records in dataset.splits.values():
        for record in records:
            if record.path.stat().st_size == 0:
                raise BadInput(
                    f"{record.path} is empty: replace it; `scm inspect {dataset.name}` lists all such files."
                )
    cameras = dataset.gallery_cameras()
    if dataset.query and not any(cameras.get(query.identity, set()) - {query.camera} for query in dataset.query):
        raise BadInput(
            f"No query of {dataset.root} has a true match in the gallery: every match is of the query's own camera, or "
            f"the splits don't belong together; `scm inspect {dataset.name}` says more."
        )
