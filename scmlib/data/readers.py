"""Records, and what reads them: each way to name files and folders is said once.

File lists are sorted, and other files (Thumbs.db, readme) are passed over. Identities are whole numbers.

Lesson: notebooks/A1_data_sets_and_own_pictures.ipynb.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from scmlib.data.matlab import read_mat
from scmlib.data.records import Record, by_path, entries, image_files, is_bystander, is_image
from scmlib.errors import BadInput


def lines(path: Path, cuts: int = -1) -> list[list[str]]:
    """The words of each line of a text file; empty lines are left out.

    Args:
        path: of the file.
        cuts: at most so many cuts of a line, from its start; -1: at every space.

    Raises:
        BadInput: the file is missing or no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing: was the archive unpacked completely?") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text file ({error.reason}): unpack it again.") from error
    return [line.strip().split(maxsplit=cuts) for line in text.splitlines() if line.strip()]


def numbered(text: str, where: Path, form: str) -> int:
    """A whole number that a name or a line holds.

    Raises:
        BadInput: it's something else; says where and which form is meant.
    """
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadInput(f"{where} has '{text[:80]}' where a number belongs ({form}): mend or remove it.")
    return int(text)


class Split(Protocol):
    """One split of a layout."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Folders and files, below the data set's own folder, that it is read from."""

    def read(self, root: Path) -> list[Record]:
        """Its records, sorted by path; BadInput where the folder doesn't fit."""


@dataclass(frozen=True)
class Absent:
    """A split that a data set doesn't have: no records."""

    needs: tuple[str, ...] = ()

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        return []


ABSENT = Absent()


def market_name(path: Path) -> tuple[int, int]:
    """Identity and camera of a Market-1501 file name, `ID_cCAM...`: all digits after the `c` are the camera's.

    Raises:
        BadInput: the name is of another form.
    """
    match = re.match(r"(-?[0-9]{1,18})_c([0-9]{1,18})", path.name)
    if not match:
        raise BadInput(
            f"{path} isn't named as in Market-1501 (ID_cCAMERA..., e.g. 0002_c1s1_000451_03.jpg): "
            "rename it or move it out of the folder."
        )
    return int(match[1]), int(match[2])


@dataclass(frozen=True)
class MarketFolder:
    """A folder of images with Market-1501's names; junk detections (identity -1) are left out, distractors (0) stay."""

    place: str

    @property
    def needs(self) -> tuple[str, ...]:  # noqa: D102  (the protocol says it)
        return (self.place,)

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        named = [(path, *market_name(path)) for path in image_files(root / self.place)]
        records = [Record(path, identity, camera) for path, identity, camera in named if identity != -1]
        return by_path(records, root / self.place)


@dataclass(frozen=True)
class IdentityFolders:
    """Folders that hold a folder for each identity, its name the number; empty and hidden ones are passed over."""

    needs: tuple[str, ...]

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        return by_path([record for place in self.needs for record in self.place(root / place)], root)

    @staticmethod
    def place(folder: Path) -> list[Record]:
        """The records of one of the folders; each must hold some."""
        records = [
            Record(path, numbered(person.name, person, "the folder's name is the identity"), 0, view=folder.name)
            for person in entries(folder)
            if person.is_dir() and not is_bystander(person.name)
            for path in person.iterdir()
            if is_image(path)
        ]
        return by_path(records, folder)


@dataclass(frozen=True)
class NumberedFiles:
    """A folder of images named ID or ID_INDEX."""

    place: str

    @property
    def needs(self) -> tuple[str, ...]:  # noqa: D102
        return (self.place,)

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        return [
            Record(path, numbered(path.stem.partition("_")[0], path, "the name begins with the identity"), 0)
            for path in image_files(root / self.place)
        ]


@dataclass(frozen=True)
class ListedImages:
    """VehicleID: a list of `IMAGE ID` lines, the file being image/IMAGE.jpg."""

    listing: str

    @property
    def needs(self) -> tuple[str, ...]:  # noqa: D102
        return ("image", self.listing)

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        listing = root / self.listing
        images = [path for path in entries(root / "image") if is_image(path)]
        files = {path.stem: path for path in sorted(images, key=lambda p: (p.suffix.lower() == ".jpg", p))}  # .jpg wins
        records, named = [], set[str]()
        for words in lines(listing):
            if len(words) != 2:
                raise BadInput(f"{listing} has the line '{' '.join(words)[:80]}' where IMAGE ID belongs: mend it.")
            identity = numbered(words[1], listing, "IMAGE ID")
            if words[0] not in files:
                raise BadInput(f"{root / 'image' / words[0]}.jpg is missing, though {listing} names it.")
            if words[0] in named:  # it would stand in the query and in the gallery, and find itself
                raise BadInput(f"{listing} names {words[0]} twice: remove one of the lines.")
            named.add(words[0])
            records.append(Record(files[words[0]], identity, 0))
        return by_path(records, listing)


def car_table(root: Path) -> list[tuple[str, int]]:
    """Path and class of every image of Stanford Cars: the first and the sixth field of `annotations`."""
    path = root / "cars_annos.mat"
    if not path.is_file():
        raise BadInput(f"{path} is missing: was the archive unpacked completely, the annotations too?")
    try:
        rows = np.atleast_1d(read_mat(path, squeeze_me=True)["annotations"])
        return [(str(row[0]), int(row[5])) for row in rows]
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise BadInput(f"{path} can't be read as Stanford Cars' annotations ({error}): unpack it again.") from error


def bird_table(root: Path) -> list[tuple[str, int]]:
    """Path and class of every image of CUB-200-2011, joined by their index."""
    listing, classes = root / "images.txt", root / "image_class_labels.txt"
    labels = {words[0]: words[-1] for words in lines(classes)}
    table = []
    for words in lines(listing, 1):
        if len(words) < 2 or words[0] not in labels:
            raise BadInput(
                f"{listing} has the line '{' '.join(words)[:80]}', which isn't INDEX PATH with an INDEX of "
                f"{classes.name}: unpack the archive again."
            )
        table.append((f"images/{words[1]}", numbered(labels[words[0]], classes, "INDEX CLASS")))
    return table


@dataclass(frozen=True)
class Classes:
    """Fine-grained retrieval: the images of classes `first` to `last` of a table."""

    needs: tuple[str, ...]
    table: Callable[[Path], list[tuple[str, int]]]
    first: int
    last: int

    def read(self, root: Path) -> list[Record]:  # noqa: D102
        records = [
            Record(root / path, number, 0) for path, number in self.table(root) if self.first <= number <= self.last
        ]
        there = {folder: set(entries(folder)) for folder in {record.path.parent for record in records}}
        gone = [record.path for record in records if record.path not in there[record.path.parent]]
        if gone:
            raise BadInput(f"{min(gone)} is missing, and {len(gone) - 1} more that {root / self.needs[0]} names.")
        return by_path(records, root / self.needs[0])
