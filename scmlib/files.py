"""Files: written whole or not at all, and JSON that may not be what it seems."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes, *, previous: Path | None = None) -> None:
    """Write a file so that at any moment the old content or the new is there, whole, after a power cut too.

    Args:
        path: the file; folders above it are made.
        content: all of it.
        previous: where the old content is kept. Between two renamings it alone is there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        with draft.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut may leave the new name without the content
        if previous and path.exists():
            path.replace(previous)
        draft.replace(path)
    except OSError as error:
        error.filename = str(path)  # the draft's name would mean nothing to anybody
        raise
    finally:
        with suppress(OSError):  # of a folder that is gone, or read-only: the first error says it
            draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing in a folder."""
    for path in sorted(folder.glob(".*")):
        if re.fullmatch(r"\..+\.[0-9]+", path.name) and path.is_file():
            path.unlink()


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is no JSON, or nested so deeply that nobody meant it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file holds none, which a stray file in a runs folder may not."""
    try:
        content = parse_json(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
