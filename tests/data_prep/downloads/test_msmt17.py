from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.downloads.prepare import prepare
from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from tests.data_prep.downloads.conftest import Change, drop, overwrite, refuses_changed
from tests.trees import found, write_download


def test_second_version_and_names(tmp_path: Path) -> None:
    expected = write_download("msmt17", tmp_path / "download")
    raw = tmp_path / "download" / "MSMT17_V1"
    for old, new in (("train", "mask_train_v2"), ("test", "mask_test_v2")):
        (raw / old).rename(raw / new)
    folder = prepare("msmt17", tmp_path / "download", tmp_path / "data", progress=False)
    assert found(open_dataset("msmt17", tmp_path / "data")) == expected
    raw_name, new_name = "0000/0000_000_01_0303morning_0008_0.jpg", "0000_c01_000_0303morning_0008_0.jpg"
    assert (folder / "bounding_box_train" / new_name).read_bytes() == (raw / "mask_train_v2" / raw_name).read_bytes()


@pytest.mark.parametrize("folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")])
def test_download_without_its_four_lists_is_refused(tmp_path: Path, folders: tuple[str, str]) -> None:
    for folder in folders:
        (tmp_path / "MSMT17_V1" / folder / "0000").mkdir(parents=True)
        (tmp_path / "MSMT17_V1" / folder / "0000" / "0000_000_01_0303morning_0008_0.jpg").touch()
    lists = "list_train.txt, list_val.txt, list_query.txt, list_gallery.txt"
    with pytest.raises(BadInput, match=f"MSMT17_V1 holds a part of MSMT17, without {lists}: complete the download"):
        prepare("msmt17", tmp_path / "MSMT17_V1", tmp_path / "data", progress=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("MSMT17_V1/list_val.txt"), r"MSMT17_V1 holds a part of MSMT17, without list_val\.txt: comp"),
        (
            drop("MSMT17_V1/list_train.txt"),
            r"MSMT17_V1 holds a part of MSMT17, without list_train\.txt: complete the download",
        ),
        (
            drop("MSMT17_V1/test/0001/0001_000_15_0303morning_0008_0.jpg"),
            r"list_query\.txt names 0001/0001_000_15_0303morning_0008_0\.jpg, which isn't in .*/test \(1 missing",
        ),
        (
            overwrite("MSMT17_V1/list_val.txt", "0000/a.jpg 0"),
            r"list_val\.txt has the line '0000/a\.jpg 0' where",
        ),
        (overwrite("MSMT17_V1/list_val.txt", "a/0_0_1_0.jpg x"), r"list_val\.txt has 'x' where a number"),
        (overwrite("MSMT17_V1/list_val.txt", "../../0_0_1_0.jpg 0"), r"list_val\.txt has the entry '\.\./"),
        (
            overwrite("MSMT17_V1/list_val.txt", "0000/0000_000_01_0303morning_0008_0.jpg 0\n" * 2),
            "Two images of the source would get the name bounding_box_train/0000_c01_000",
        ),
    ],
)
def test_download_that_does_not_fit(change: Change, said: str, tmp_path: Path) -> None:
    refuses_changed("msmt17", change, said, tmp_path)
