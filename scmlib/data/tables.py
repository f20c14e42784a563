"""A table as a data set: your own pictures, named by a file `images.csv` in a folder below the data root.

Its columns, in any order: `path` (relative to the table's folder), `identity` (any text), and optionally `camera` (any
text) and `split` (train, query or gallery). Without cameras there is no camera rule. Without splits all pictures are
for testing, each of them a query against all others.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from scmlib.data.layouts import Layout
from scmlib.data.readers import ABSENT, Split
from scmlib.data.records import Record, by_path, is_image
from scmlib.errors import BadInput

TABLE = "images.csv"
COLUMNS = ("path", "identity", "camera", "split")
SPLITS = ("train", "query", "gallery")


class Row(NamedTuple):
    """A picture as a table names it; texts are empty where a column is missing."""

    path: str
    identity: str
    camera: str = ""
    split: str = ""


@dataclass(frozen=True, eq=False)
class TableSplit:
    """Those records of a table that belong to one split."""

    records: tuple[Record, ...]
    needs: tuple[str, ...] = (TABLE,)

    def read(self, root: Path) -> list[Record]:  # noqa: D102  (the protocol says it)
        return by_path(list(self.records), root / TABLE)


def table_layout(folder: Path) -> Layout:
    """The layout of the data set that a folder's table describes.

    Identities stay as they are where all of them are whole numbers; else each gets the position that its text has among
    the sorted ones, and the texts stand in the layout's `identity_names`. Likewise cameras.

    Raises:
        BadInput: what is wrong with the table, and in which line.
    """
    rows = read_table(folder / TABLE)
    identities, identity_names = numbered_texts(row.identity for row in rows)
    camera_rule = bool(rows[0].camera)
    cameras, camera_names = numbered_texts(row.camera for row in rows)
    records: dict[str, list[Record]] = {}
    for row in rows:
        record = Record(folder / row.path, identities[row.identity], cameras[row.camera])
        records.setdefault(row.split, []).append(record)
    splits: dict[str, Split] = {split: TableSplit(tuple(members)) for split, members in records.items()}
    everything = splits.get("", ABSENT)
    return Layout(
        folder.name,
        splits.get("train", ABSENT),
        splits.get("query", everything),
        splits.get("gallery", everything),
        {},
        camera_rule=camera_rule,
        identity_names=identity_names,
        camera_names=camera_names if camera_rule else (),
    )


def numbered_texts(texts: Iterable[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """A number for each different text: its own if all are whole numbers, else its position in sorted order.

    Returns:
        Text to number; and the texts by number, empty where the numbers are the texts' own.
    """
    different = sorted(set(texts))
    if all(re.fullmatch("[0-9]{1,18}", text) for text in different):
        own = {text: int(text) for text in different}
        if len(set(own.values())) == len(own):  # `2` and `02` may be two people
            return own, ()
    return {text: i for i, text in enumerate(different)}, tuple(different)


def read_table(path: Path) -> list[Row]:
    """The rows of a table, each checked.

    Raises:
        BadInput: no such table or an empty one, a column missing, or a line with something missing, unknown, repeated,
            or with a path that leads to no picture.
    """
    rows: list[Row] = []
    first_line: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            places = _columns(next(reader, []), path)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                row, where = _row(cells, places), f"{path}, line {reader.line_num},"
                _check_row(row, where, path.parent)
                name = str(PurePosixPath(row.path))
                if name in first_line:
                    raise BadInput(
                        f"{where} names {row.path} again, after line {first_line[name]}: remove one of them."
                    )
                first_line[name] = reader.line_num
                for column in ("camera", "split"):
                    if rows and bool(getattr(row, column)) != bool(getattr(rows[0], column)):
                        raise BadInput(
                            f"{where} and the lines above don't agree on having a {column}: give all or none."
                        )
                rows.append(row)
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing: `scm prepare` writes such a table.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} isn't UTF-8 text ({error.reason}): save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}, is no CSV ({error}): mend it.") from error
    if not rows:
        raise BadInput(f"{path} names no pictures: give each a line below the header.")
    return rows


def _columns(header: list[str], path: Path) -> dict[str, int]:
    """Where each known column stands."""
    names = [name.strip().lower() for name in header]
    for name in COLUMNS:
        if names.count(name) > 1:
            raise BadInput(f"{path} has the column {name} twice: remove one.")
    missing = [name for name in ("path", "identity") if name not in names]
    if missing:
        raise BadInput(
            f"{path} has no column {' and no column '.join(missing)}, but '{','.join(header)[:80]}': its first line "
            "must name the columns path, identity and, where there are such, camera and split, with commas between."
        )
    return {name: names.index(name) for name in COLUMNS if name in names}


def _row(cells: list[str], places: dict[str, int]) -> Row:
    return Row(**{"path": "", "identity": ""} | {n: cells[i].strip() for n, i in places.items() if i < len(cells)})


def _check_row(row: Row, where: str, folder: Path) -> None:
    """Refuse a row that gives no picture of somebody."""
    for column in ("path", "identity"):
        if not getattr(row, column):
            raise BadInput(f"{where} has no {column}: fill it in or remove the line.")
    if row.split and row.split not in SPLITS:
        raise BadInput(f"{where} has the split '{row.split[:80]}': it must be train, query or gallery.")
    if PurePosixPath(row.path).is_absolute() or PureWindowsPath(row.path).drive:
        raise BadInput(f"{where} has the absolute path {row.path}: write it relative to {folder}.")
    if not is_image(Path(row.path)):
        raise BadInput(f"{where} names {row.path}, which isn't named as a picture (.jpg, .png, .tif, .webp ...).")
    try:
        there = (folder / row.path).is_file()
    except (ValueError, OSError):  # a path that no system can have
        there = False
    if not there:
        raise BadInput(f"{where} names {row.path}, which is missing below {folder}: paths are relative to the table.")
