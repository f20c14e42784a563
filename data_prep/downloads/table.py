"""Your own pictures as a data set: a table that names them where they lie. Nothing is copied."""

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

FEWEST = 4  # identities that are needed to have two for training and two for testing


class OwnTable(NamedTuple):
    """What `write_table` wrote."""

    folder: Path
    rows: list[Row]
    left_out: list[Path]  # files of the source that aren't in the table
    drawn: bool  # whether the splits were drawn


def write_table(
    name: str,
    source: str | Path,
    dataset_root: str | Path,
    *,
    pattern: str = "",
    camera_rule: bool = True,
    seed: int = 0,
) -> OwnTable:
    """Write ROOT/NAME/images.csv for the pictures of a folder, which stay where they are.

    Without a pattern, each folder directly in the source holds the pictures of one identity, at any depth. Where the
    pattern gives no split, `draw_splits` does. A table with the same content is left as it is.

    Args:
        name: the data set's, and its folder's.
        source: the folder that holds the pictures.
        dataset_root: the folder that holds the data sets' folders; made where it doesn't exist.
        pattern: a regular expression with the named group `identity` and, if wanted, `camera` and `split`. It's
            searched in each picture's file name, or in its path below the source if the pattern has a `/` in it.
        camera_rule: whether to keep the cameras that the pattern gives.
        seed: of the drawn splits.

    Raises:
        BadInput: a name that can't be a folder's or is nearly a known data set's, a source that isn't a folder or has
            no fitting pictures, a pattern that can't be used, nobody who can be matched, another table in the way.
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
    """Give every row a split: half of the identities for training, the others for testing, nobody in both.

    Only who can be matched is tested on: two pictures at least, of two cameras where there are cameras. Each camera
    that has several pictures of a tested identity gives one of them as a query, drawn at random; where none has
    several, the first camera gives its only one. All other pictures of tested identities are the gallery, so that every
    query has a match. Fewer than `FEWEST` identities are all for testing.

    Args:
        rows: of a table; all with a camera or none.
        seed: of the draws.

    Raises:
        BadInput: nobody can be matched.
    """
    rng = np.random.default_rng(seed)
    places: dict[str, dict[str, list[int]]] = {}  # identity, camera: rows
    for i, row in enumerate(rows):
        places.setdefault(row.identity, {}).setdefault(row.camera, []).append(i)
    people = sorted(places)
    needed = 2 if rows[0].camera else 1
    matchable = [who for who in people if len(places[who]) >= needed and sum(map(len, places[who].values())) > 1]
    if not matchable:
        what = "pictures by two cameras" if needed == 2 else "two pictures"
        raise BadInput(f"No identity has {what}, so nothing can be matched: nothing was written.")
    count = len(matchable) if len(people) < FEWEST else min(len(people) // 2, len(matchable))
    tested = rng.choice(matchable, count, replace=False).tolist()
    splits = ["train" if len(people) >= FEWEST else "gallery"] * len(rows)
    for who in sorted(tested):
        cameras = [places[who][camera] for camera in sorted(places[who])]
        several = [members for members in cameras if len(members) > 1]
        queries = {int(rng.choice(members)) for members in several or cameras[:1]}
        for i in (i for members in cameras for i in members):
            splits[i] = "query" if i in queries else "gallery"
    return [row._replace(split=split) for row, split in zip(rows, splits, strict=True)]


def _check_name(name: str) -> None:
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise BadInput(f"'{name}' can't be the name of a data set: take letters, numbers, spaces, - and _.")
    if near := difflib.get_close_matches(name.lower(), LAYOUTS, 1, 0.9):
        raise BadInput(f"'{name}' is nearly {near[0]}, a known data set: write that, or give your own another name.")


def _look(source: Path) -> tuple[list[Path], list[Path]]:
    """All pictures below a folder, and all other files that somebody may miss; both sorted."""
    pictures: list[Path] = []
    others: list[Path] = []
    for here, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not is_bystander(name)]
        others += [Path(here, name) for name in folders if Path(here, name).is_symlink()]  # which os.walk doesn't enter
        for path in (Path(here, name) for name in files if not is_bystander(name) and name != TABLE):
            (pictures if is_image(path) else others).append(path)
    return sorted(pictures), sorted(others)


def _by_folder(pictures: Sequence[Path], source: Path) -> dict[Path, Row]:
    """A row for each picture that lies in a folder of the source, whose name is the identity."""
    inside = {path: path.relative_to(source).parts for path in pictures}
    return {path: Row("", parts[0].strip()) for path, parts in inside.items() if len(parts) > 1}


def _by_pattern(pictures: Sequence[Path], source: Path, pattern: str) -> dict[Path, Row]:
    """A row for each picture in whose name the pattern is found."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"--pattern {pattern} is no regular expression ({error}): mend it.") from error
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
                raise BadInput(f"{path} has the split '{row.split}' by --pattern: it must be train, query or gallery.")
            rows[path] = row._replace(split=row.split.lower())
    return rows


def _check_complete(rows: Mapping[Path, Row]) -> None:
    """Refuse cameras or splits that only some of the pictures have."""
    for column in ("camera", "split"):
        lacking = [path for path, row in rows.items() if not getattr(row, column)]
        if 0 < len(lacking) < len(rows):
            raise BadInput(
                f"{lacking[0]} has no {column} by --pattern ({len(lacking)} such): all must have one, or none."
            )


def _relative(path: Path, source: Path, folder: Path) -> str:
    """Where a picture lies, seen from the table's folder."""
    try:
        return Path(os.path.relpath(source.resolve() / path.relative_to(source), folder.resolve())).as_posix()
    except ValueError as error:  # Windows' drives
        raise BadInput(f"{path} is on another drive than {folder}: choose a --dataset-root on its drive.") from error


def _write(rows: Sequence[Row], path: Path) -> None:
    """Write a table; the columns that it needs alone."""
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
        raise BadInput(f"{path} is there and has other content: remove it, or choose another name for this one.")
    write_atomically(path, content)
