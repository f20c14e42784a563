"""Data sets: folders to records. Every layout's rules stand here once, as data.

File lists are sorted, junk detections left out, and training labels are the positions of the sorted identities.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scmlib.errors import BadInput

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif"}

# What the index maps of the synthetic world tell apart: a pixel's value is its region's position here.
REGIONS = ("background", "occluder", "head", "upper body", "arms", "legs", "shoes", "carried")
# Red, green and blue of each, from Okabe and Ito's palette, which people who are colour blind can tell apart.
REGION_COLOURS = (
    (0, 0, 0),
    (120, 120, 120),
    (240, 228, 66),
    (0, 114, 178),
    (86, 180, 233),
    (230, 159, 0),
    (213, 94, 0),
    (204, 121, 167),
)
OCCLUDER = REGIONS.index("occluder")
PERSON = tuple(range(OCCLUDER + 1, len(REGIONS)))


def truth_path(image: Path) -> Path:
    """Where the index map of a synthetic world's image lies, whether it exists or not."""
    folder = image.resolve().parent
    return folder.parent / "ground_truth" / folder.name / f"{image.stem}.png"


@dataclass(frozen=True, slots=True)
class Record:
    """One image: where it lies and who, seen by which camera, it shows."""

    path: Path
    identity: int
    camera: int
    label: int = -1  # training label, 0 .. n-1; -1 outside the training split


@dataclass(frozen=True)
class ReidDataset:
    """The three splits of a data set, each sorted by path."""

    name: str
    root: Path  # the data set's own folder
    train: list[Record]
    query: list[Record]
    gallery: list[Record]

    @property
    def num_classes(self) -> int:
        """Training identities."""
        return len({record.label for record in self.train})


def market_name(path: Path) -> tuple[int, int]:
    """Identity and camera of a Market-1501 file name, `ID_cCAM...`: all digits after the `c` are the camera's.

    Raises:
        BadInput: the name is of another form.
    """
    match = re.match(r"(-?\d+)_c(\d+)", path.name)
    if not match:
        raise BadInput(
            f"{path} isn't named as in Market-1501 (ID_cCAMERA..., e.g. 0002_c1s1_000451_03.jpg): "
            "rename it or move it out of the folder."
        )
    return int(match[1]), int(match[2])


def image_files(folder: Path) -> list[Path]:
    """All images directly in a folder, sorted; other files (Thumbs.db, readme) are passed over.

    Raises:
        BadInput: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is missing: check --dataset-root and the data set's folder names.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise BadInput(f"{folder} has no images ({', '.join(sorted(SUFFIXES))}): was the archive unpacked completely?")
    return files


def market_records(folder: Path) -> list[Record]:
    """Records of a folder in Market-1501 layout, without junk detections (identity -1)."""
    return [
        Record(path, identity, camera)
        for path in image_files(folder)
        for identity, camera in [market_name(path)]
        if identity != -1
    ]


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its splits, and what reads one."""

    folder: str
    train: str = "bounding_box_train"
    query: str = "query"
    gallery: str = "bounding_box_test"
    read: Callable[[Path], list[Record]] = market_records


LAYOUTS = {
    "synthetic": Layout("Synthetic-Pedestrians"),
    "market1501": Layout("Market-1501-v15.09.15"),
}


def dataset_folder(name: str, dataset_root: str | Path) -> Path:
    """The folder that data set `name` has below `dataset_root`.

    Raises:
        BadInput: an unknown data set.
    """
    if name not in LAYOUTS:
        raise BadInput(f"Unknown data set '{name}': choose one of {', '.join(LAYOUTS)}.")
    return Path(dataset_root) / LAYOUTS[name].folder


def open_dataset(name: str, dataset_root: str | Path) -> ReidDataset:
    """The records of a data set.

    Args:
        name: a key of `LAYOUTS`.
        dataset_root: the folder that holds the data sets' folders.

    Raises:
        BadInput: an unknown name, a missing or empty folder, a file name outside the layout, or a single identity.
    """
    root, layout = dataset_folder(name, dataset_root), LAYOUTS[name]
    if not root.is_dir():
        raise BadInput(f"{root} is missing: --dataset-root must be the folder that holds {layout.folder}.")
    train = layout.read(root / layout.train)
    identities = sorted({record.identity for record in train})
    if len(identities) < 2:
        raise BadInput(f"{root / layout.train} holds a single identity ({identities}): training needs two at least.")
    labels = {identity: label for label, identity in enumerate(identities)}
    return ReidDataset(
        name,
        root,
        [replace(record, label=labels[record.identity]) for record in train],
        layout.read(root / layout.query),
        layout.read(root / layout.gallery),
    )
