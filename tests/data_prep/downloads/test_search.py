from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.downloads.search import by_name, files_below, holders, lacking, lookup, refuse_missing
from scmlib.errors import BadInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with some files: `a.jpg` twice, and one file that the operating system left there."""
    for name in ("Train/Drone/a.jpg", "other/train/drone/a.jpg", "other/list.txt", "other/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_are_sorted_and_without_system_files(folder: Path) -> None:
    names = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    assert names == ["Train/Drone/a.jpg", "other/list.txt", "other/train/drone/a.jpg"]
    assert by_name(folder) == {"a.jpg": folder / "other/train/drone/a.jpg", "list.txt": folder / "other/list.txt"}


def test_paths_are_found_in_any_letter_case(folder: Path) -> None:
    found = lookup(folder, "train/DRONE/A.jpg")
    assert found
    assert found.read_text() == "Train/Drone/a.jpg"
    assert lookup(folder, "train/a.jpg") is None
    assert lookup(folder, "other/list.txt/a.jpg") is None  # a file holds nothing
    assert lacking(folder, ["train", "query", "OTHER/List.txt"]) == ["query"]


def test_exact_match_is_preferred(folder: Path) -> None:
    (folder / "TRAIN").mkdir(exist_ok=True)
    (folder / "train").mkdir(exist_ok=True)
    for name in ("TRAIN", "Train", "train"):
        assert lookup(folder, name) == folder / name


def test_holders_are_found_at_any_depth(folder: Path) -> None:
    assert holders(folder, ["train/drone"]) == [folder, folder / "other"]
    assert holders(folder, ["train/drone", "list.txt"]) == [folder / "other"]
    assert holders(folder, ["list.txt", "query"]) == []


def test_missing_files_are_refused_with_the_first_and_their_number() -> None:
    refuse_missing([], Path("list.txt"), "train")
    with pytest.raises(BadInput, match=r"list\.txt names b\.jpg, which isn't in train \(2 missing in all\)"):
        refuse_missing(["b.jpg", "c.jpg"], Path("list.txt"), "train")
