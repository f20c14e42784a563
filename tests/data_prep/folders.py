"""What a folder holds, to compare."""

from __future__ import annotations

from pathlib import Path


def content(folder: Path) -> dict[str, bytes]:
    """A folder's files by their paths in it, without Windows' own, which no data set needs."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "Thumbs.db")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What writing, replacing or touching any file of a folder would change."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }
