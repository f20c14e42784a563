from __future__ import annotations

from pathlib import Path

from data_prep.downloads.prepare import prepare
from scmlib.data.datasets import open_dataset
from tests.data_prep.downloads.conftest import overwrite, refuses_changed
from tests.trees import found, write_download


def test_lists_replace_the_split_of_the_folders(tmp_path: Path) -> None:
    expected = write_download("occluded_duke", tmp_path / "download")
    (tmp_path / "download" / "DukeMTMC-reID").rename(tmp_path / "download" / "pictures")  # nothing says it's Duke
    prepare("occluded_duke", tmp_path / "download", tmp_path / "data", progress=False)
    assert found(open_dataset("occluded_duke", tmp_path / "data")) == expected


def test_images_may_come_from_the_data_root(tmp_path: Path) -> None:
    expected = write_download("occluded_duke", tmp_path / "download")
    (tmp_path / "data").mkdir()
    (tmp_path / "download" / "DukeMTMC-reID").rename(tmp_path / "data" / "DukeMTMC-reID")
    prepare("occluded_duke", tmp_path / "download" / "lists", tmp_path / "data", progress=False)
    assert found(open_dataset("occluded_duke", tmp_path / "data")) == expected


def test_listed_images_that_are_missing(tmp_path: Path) -> None:
    said = r"query\.list names 0001_c2_f0\.jpg, which isn't in .*/download or .*data/DukeMTMC-reID \(2 missing in all"
    change = overwrite("lists/query.list", "0001_c2_f0.jpg\n0001_c2_f1.jpg")
    refuses_changed("occluded_duke", change, said, tmp_path)
