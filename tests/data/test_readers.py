from __future__ import annotations

from pathlib import Path

import pytest

from scmlib.data.readers import (
    ABSENT,
    IdentityFolders,
    ListedImages,
    MarketFolder,
    NumberedFiles,
    lines,
    market_name,
    numbered,
)
from scmlib.errors import BadInput


def touched(folder: Path, *names: str) -> Path:
    """A folder with empty files of these names, deeper folders made too."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_market_names_hold_identity_and_all_digits_of_the_camera() -> None:
    assert market_name(Path("0002_c1s1_000451_03.jpg")) == (2, 1)
    assert market_name(Path("0776_c015_00048590_0.jpg")) == (776, 15)
    assert market_name(Path("-1_c3s2_000001_00.jpg")) == (-1, 3)
    with pytest.raises(BadInput, match=r"person\.jpg isn.t named as in Market-1501"):
        market_name(Path("person.jpg"))


def test_market_folder_leaves_junk_out_and_keeps_distractors(tmp_path: Path) -> None:
    touched(tmp_path, "q/0002_c2_b.jpg", "q/0000_c1_a.jpg", "q/-1_c1_a.jpg", "q/Thumbs.db", "q/._0003_c1_a.jpg")
    found = MarketFolder("q").read(tmp_path)
    assert [(r.path.name, r.identity, r.camera) for r in found] == [("0000_c1_a.jpg", 0, 1), ("0002_c2_b.jpg", 2, 2)]


def test_identity_folders_join_and_remember_the_folder_above(tmp_path: Path) -> None:
    touched(tmp_path, "occluded/7/b.png", "occluded/7/a.png", "whole/12/a.png")
    found = IdentityFolders(("occluded", "whole")).read(tmp_path)
    assert [(r.identity, r.view) for r in found] == [(7, "occluded"), (7, "occluded"), (12, "whole")]
    assert [r.path.name for r in found] == ["a.png", "b.png", "a.png"]


def test_numbered_files_begin_with_their_identity(tmp_path: Path) -> None:
    touched(tmp_path, "Probe/010.jpg", "Probe/3_2.jpg")
    assert sorted(r.identity for r in NumberedFiles("Probe").read(tmp_path)) == [3, 10]
    touched(tmp_path, "Probe/someone.jpg")
    with pytest.raises(BadInput, match="'someone' where a number belongs"):
        NumberedFiles("Probe").read(tmp_path)


def test_listed_images_follow_the_list_and_prefer_jpg(tmp_path: Path) -> None:
    touched(tmp_path, "image/1.png", "image/1.jpg", "image/2.png", "image/3.jpg")
    (tmp_path / "list.txt").write_text("2 20\n1 10\n\n")
    found = ListedImages("list.txt").read(tmp_path)
    assert [(r.path.name, r.identity) for r in found] == [("1.jpg", 10), ("2.png", 20)]


def test_lines_are_words_without_the_mark_that_windows_puts_first(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeff1 a b\r\n\r\n 2  c d \r\n".encode())
    assert lines(path) == [["1", "a", "b"], ["2", "c", "d"]]
    assert lines(path, 1) == [["1", "a b"], ["2", "c d"]]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is no text file"):
        lines(path)


@pytest.mark.parametrize("text", ["", "-1", "1.0", "١", "1" * 19])
def test_numbers_are_plain_digits(text: str) -> None:
    with pytest.raises(BadInput, match="where a number belongs"):
        numbered(text, Path("list.txt"), "IMAGE ID")


def test_an_absent_split_has_no_records(tmp_path: Path) -> None:
    assert ABSENT.read(tmp_path / "nowhere") == []
