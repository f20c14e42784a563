"""Your own pictures as a data set: a table with their paths. The pictures stay where they are."""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scmlib.data.layouts import LAYOUTS
from scmlib.data.records import is_bystander, is_image
from scmlib.data.tables import COLUMNS, SPLITS, TABLE, Row
from scmlib.errors import BadInput
from scmlib.files import write_atomically

FEWEST = 4  # the fewest identities for a training split: two to train on and two to test on


class OwnTable(NamedTuple):
    """What `write_table` wrote."""

    folder: Path  # the data set's folder
    rows: list[Row]
    left_out: list[Path]  # files of the source that aren't in the table, sorted
    drawn: bool  # whether the splits were drawn at random


def write_table(
    name: str,
    source: str | Path,
    dataset_root: str | Path,
    *,
    pattern: str = "",
    camera_rule: bool = True,
    seed: int = 0,
) -> OwnTable:
    """Write ROOT/NAME/images.csv, a table of the pictures in a folder. The pictures stay where they are.

    Without a pattern, each folder directly in the source holds the pictures of one identity, at any depth. If the
    pattern gives no splits, `draw_splits` draws them. A table with the same content is left as it is.

    Args:
        name: the name of the data set and of its folder.
        source: the folder that holds the pictures.
        dataset_root: the folder that holds the data sets' folders; made where it doesn't exist.
        pattern: a regular expression with the named group `identity` and, if wanted, `camera` and `split`. It is
            searched in each picture's file name, or in its path below the source if the pattern has a `/` in it.
        camera_rule: whether to keep the cameras that the pattern gives. Without cameras, the cross-camera rule is off.
        seed: the seed of the drawn splits.

    Returns:
        The table and what was left out of it.

    Raises:
        BadInput: the name can't be a folder name or is close to a known data set's; the source isn't a folder or has
            no suitable pictures; the pattern can't be used; no identity can be matched; or a file with other content
            has the table's name.
    """
    source, folder = Path(source), Path(dataset_root) / name
    _check_name(name)
    if not source.is_dir():
        raise BadInput(
            f"{source} isn't a folder: for a table of your own pictures, give --source the folder they are in."
        )
    pictures, left_out = _look(source)
    rows = _by_pattern(pictures, source, pattern) if pattern else _by_folder(pictures, source)
    if not rows:
        wanted = f"in whose name --pattern {pattern} is found" if pattern else "in a folder for each identity"
        raise BadInput(f"{source} has no pictures {wanted}: nothing was written.")
    if not camera_rule:
        rows = {path: row._replace(camera="") for path, row in rows.items()}
    _check_complete(rows)
    table = [row._replace(path=_relative(path, source, folder)) for path, row in rows.items()]
    drawn = not table[0].split
    if drawn:
        table = draw_splits(table, seed=seed)
    _write(table, folder / TABLE)
    return OwnTable(folder, table, sorted([*left_out, *(path for path in pictures if path not in rows)]), drawn)


def draw_splits(rows: Sequence[Row], *, seed: int) -> list[Row]:
    """Draw a split for every row: half of the identities are for training, the others for testing.

    A test identity must have a match: it has at least two pictures, and from two cameras if there are cameras. Each
    camera with several pictures of a test identity gives one of them as a query, drawn at random. If no camera has
    several, the first camera gives its only picture. All other pictures of the test identities are the gallery, so that
    every query has a match. With fewer than `FEWEST` identities there is no training split.

    Args:
        rows: the rows of a table. All have a camera, or none has.
        seed: the seed of the draws.

    Returns:
        The same rows in the same order, each with its split.

    Raises:
        BadInput: no identity can be matched.
    """
    rng = np.random.default_rng(seed)
    members: dict[str, dict[str, list[int]]] = {}  # identity -> camera -> row numbers
    for i, row in enumerate(rows):
        members.setdefault(row.identity, {}).setdefault(row.camera, []).append(i)
    people = sorted(members)
    needed = 2 if rows[0].camera else 1
    matchable = [who for who in people if len(members[who]) >= needed and sum(map(len, members[who].values())) > 1]
    if not matchable:
        what = "pictures by two cameras" if needed == 2 else "two pictures"
        raise BadInput(f"No identity has {what}, so nothing can be matched: nothing was written.")
    count = len(matchable) if len(people) < FEWEST else min(len(people) // 2, len(matchable))
    tested = rng.choice(matchable, count, replace=False).tolist()
    splits = ["train" if len(people) >= FEWEST else "gallery"] * len(rows)
    for who in sorted(tested):
        cameras = [members[who][camera] for camera in sorted(members[who])]
        several = [pictures for pictures in cameras if len(pictures) > 1]
        queries = {int(rng.choice(pictures)) for pictures in several or cameras[:1]}
        for i in (i for pictures in cameras for i in pictures):
            splits[i] = "query" if i in queries else "gallery"
    return [row._replace(split=split) for row, split in zip(rows, splits, strict=True)]


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise BadInput(f"'{name}' can't be the name of a data set: use letters, numbers, spaces, dots, - and _.")
    if near := difflib.get_close_matches(name.lower(), LAYOUTS, 1, 0.9):
        raise BadInput(
            f"'{name}' is close to {near[0]}, a known data set: write that, or choose another name for your own."
        )


def _look(source: Path) -> tuple[list[Path], list[Path]]:
    """All pictures below a folder, and all other files except system files and notes; both sorted."""
    pictures: list[Path] = []
    others: list[Path] = []
    for here, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not is_bystander(name)]
        others += [Path(here, name) for name in folders if Path(here, name).is_symlink()]  # os.walk doesn't enter links
        for path in (Path(here, name) for name in files if not is_bystander(name) and name != TABLE):
            (pictures if is_image(path) else others).append(path)
    return sorted(pictures), sorted(others)


def _by_folder(pictures: Sequence[Path], source: Path) -> dict[Path, Row]:
    """A row for each picture in a folder directly in the source. The folder's name is the identity."""
    inside = {path: path.relative_to(source).parts for path in pictures}
    return {path: Row("", parts[0].strip()) for path, parts in inside.items() if len(parts) > 1}


def _by_pattern(pictures: Sequence[Path], source: Path, pattern: str) -> dict[Path, Row]:
    """A row for each picture whose name, or path, matches the pattern.

    Raises:
        BadInput: the pattern can't be used, or gives an unknown split.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"--pattern {pattern} is not a regular expression ({error}): correct it.") from error
    groups = set(expression.groupindex)
    if "identity" not in groups or groups - set(COLUMNS[1:]):
        raise BadInput(
            f"--pattern {pattern} has the named groups {', '.join(sorted(groups)) or 'none'}: it must have "
            "(?P<identity>...) and may have (?P<camera>...) and (?P<split>...)."
        )
    rows = {}
    for path in pictures:
        found = expression.search(path.relative_to(source).as_posix() if "/" in pattern else path.name)
        if found and found["identity"].strip():
            row = Row("", **{name: (text or "").strip() for name, text in found.groupdict().items()})
            if row.split.lower() not in (*SPLITS, ""):
                raise BadInput(
                    f"{path} gets the split '{row.split}' from --pattern: it must be train, query or gallery."
                )
            rows[path] = row._replace(split=row.split.lower())
    return rows


def _check_complete(rows: Mapping[Path, Row]) -> None:
    """Check that all pictures have a camera or none has, and the same for splits.

    Raises:
        BadInput: only some of the pictures have one.
    """
    for column in ("camera", "split"):
        lacking = [path for path, row in rows.items() if not getattr(row, column)]
        if 0 < len(lacking) < len(rows):
            raise BadInput(
                f"{lacking[0]} gets no {column} from --pattern ({len(lacking)} such pictures): all need one, or none."
            )


def _relative(path: Path, source: Path, folder: Path) -> str:
    """The path of a picture, relative to the table's folder."""
    try:
        return Path(os.path.relpath(source.resolve() / path.relative_to(source), folder.resolve())).as_posix()
    except ValueError as error:  # on Windows, between two drives
        raise BadInput(f"{path} is on another drive than {folder}: choose a --dataset-root on its drive.") from error


def _write(rows: Sequence[Row], path: Path) -> None:
    """Write a table, with only the columns that have values.

    Raises:
        BadInput: a path isn't valid text, or a file with other content is already there.
    """
    columns = [column for column in COLUMNS if getattr(rows[0], column)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([getattr(row, column) for column in columns] for row in rows)
    try:
        content = text.getvalue().encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"A name below --source isn't valid text ({error.object[error.start :][:40]!r}): rename it."
        ) from error
    if path.exists() and path.read_bytes() != content:
        raise BadInput(f"{path} already exists with other content: remove it, or choose another name for the data set.")
    write_atomically(path, content)
