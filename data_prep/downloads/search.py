"""Search a folder, as a download was unpacked, for the files and folders of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scmlib.errors import BadInput


def is_system_file(name: str) -> bool:
    """Whether a file or folder of this name belongs to the operating system or an editor, not to the data."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db")


def files_below(folder: Path) -> list[Path]:
    """All files in a folder at any depth, sorted, without system files.

    Raises:
        BadInput: the folder holds a link to a folder, a broken link, or something that is not a file.
    """
    found = []
    for path in sorted(folder.iterdir()):
        if is_system_file(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            found += files_below(path)
        elif path.is_file():
            found.append(path)
        else:
            raise BadInput(
                f"{path} is not a file but a link to a folder or to nothing: replace the link with the real files."
            )
    return found


def lookup(folder: Path, path: str) -> Path | None:
    """A file or folder below a folder, found in any letter case.

    Args:
        folder: where to look.
        path: the path below it, with `/` between its parts. An exact match is preferred.

    Returns:
        The path as it is on the disk; None if there is none.
    """
    here = folder
    for part in path.split("/"):
        if not (here / part).exists():
            inside = here.iterdir() if here.is_dir() else ()
            matches = sorted(entry.name for entry in inside if entry.name.lower() == part.lower())
            if not matches:
                return None
            part = matches[0]
        here = here / part
    return here


def lacking(folder: Path, paths: Iterable[str]) -> list[str]:
    """The paths that a folder doesn't hold, in any letter case."""
    return [path for path in paths if lookup(folder, path) is None]


def folders_in(folder: Path) -> list[Path]:
    """A folder and all folders below it, sorted."""
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def holders(folder: Path, paths: Iterable[str]) -> list[Path]:
    """All folders, at any depth, that hold all of these paths; sorted."""
    wanted = tuple(paths)
    return [here for here in folders_in(folder) if not lacking(here, wanted)]


def by_name(folder: Path) -> dict[str, Path]:
    """All files in a folder at any depth, by file name. If several share a name, the last in sorted order counts."""
    return {path.name: path for path in files_below(folder)}


def refuse_missing(missing: list[str], listing: Path, where: str) -> None:
    """Refuse a list that names files which don't exist.

    Args:
        missing: the files that the list names and that don't exist.
        listing: the list.
        where: where the files were searched, for the message.

    Raises:
        BadInput: `missing` is not empty. The message gives the first name and their number.
    """
    if missing:
        raise BadInput(
            f"{listing} names {missing[0]}, which isn't in {where} ({len(missing)} missing in all): "
            "complete the download and try again."
        )
