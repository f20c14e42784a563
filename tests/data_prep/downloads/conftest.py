"""Shared by the tests of downloads: a small data set, archives with any content, and checks of refused sources."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.downloads.prepare import prepare
from scmlib.errors import BadInput
from tests.data_prep.folders import content
from tests.trees import write_download, write_tree

Change = Callable[[Path], object]  # of a download's folder


def refuses(name: str, source: Path, root: Path, said: str) -> None:
    """Check that a source is refused with one sentence, and that nothing of it is left in the data root."""
    before = content(root) if root.exists() else {}
    with pytest.raises(BadInput, match=said) as caught:
        prepare(name, source, root, progress=False)
    assert ".partial" not in str(caught.value)
    assert "\n" not in str(caught.value)
    if root.exists():
        assert content(root) == before
        assert not [path for path in root.iterdir() if path.name.startswith(".")]


def refuses_changed(name: str, change: Change, said: str, folder: Path) -> None:
    """Check that a data set's download is refused after a change."""
    write_download(name, folder / "download")
    change(folder / "download")
    refuses(name, folder / "download", folder / "data", said)


def drop(path: str) -> Change:
    """Remove a file of a download."""
    return lambda download: (download / path).unlink()


def overwrite(path: str, text: str) -> Change:
    """Write a text in place of a file of a download."""
    return lambda download: (download / path).write_text(text)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A folder with a small Market-1501 in its layout."""
    write_tree("market1501", tmp_path / "held")
    return tmp_path / "held"


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """A tar of members, each a name, a type and its content (of a link, where it leads)."""
    with tarfile.open(path, "w") as archive:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
            else:
                info.linkname = data.decode()
            archive.addfile(info, io.BytesIO(data))
    return path
