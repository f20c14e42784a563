from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmlib.datasets import dataset_folder, image_files, market_name, open_dataset
from scmlib.errors import BadInput

SPLITS = ("bounding_box_train", "query", "bounding_box_test")


def tree(root: Path, files: dict[str, list[str]]) -> Path:
    """A Market-1501 folder of empty files."""
    for split in SPLITS:
        folder = root / "Market-1501-v15.09.15" / split
        folder.mkdir(parents=True)
        for name in files.get(split, []):
            (folder / name).touch()
    return root


FILES = {
    "bounding_box_train": ["0007_c2s3_1_00.jpg", "0002_c1s1_1_00.JPG", "0002_c6s1_2_00.png", "Thumbs.db"],
    "query": ["0001_c1s1_1_00.jpg"],
    "bounding_box_test": ["-1_c1s1_1_00.jpg", "0000_c3s1_1_00.jpg", "0001_c15s1_1_00.jpg"],
}


def test_market_layout(tmp_path: Path) -> None:
    data = open_dataset("market1501", tree(tmp_path, FILES))
    assert [(r.path.name, r.identity, r.camera, r.label) for r in data.train] == [
        ("0002_c1s1_1_00.JPG", 2, 1, 0),
        ("0002_c6s1_2_00.png", 2, 6, 0),
        ("0007_c2s3_1_00.jpg", 7, 2, 1),
    ]
    assert [(r.identity, r.camera, r.label) for r in data.query] == [(1, 1, -1)]
    assert [(r.identity, r.camera) for r in data.gallery] == [(0, 3), (1, 15)]  # junk is out, distractors stay
    assert data.num_classes == 2


def test_file_lists_are_sorted(tmp_path: Path) -> None:
    for name in ("c.jpg", "a.png", "B.TIF", "d.jpeg", "readme.txt", ".DS_Store"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == ["B.TIF", "a.png", "c.jpg", "d.jpeg"]


@given(st.text())
def test_names_of_any_form_are_read_or_refused(name: str) -> None:
    path = Path("folder") / name.replace("/", "").replace("\0", "")
    if re.match(r"-?\d+_c\d+", path.name):
        identity, camera = market_name(path)
        assert camera >= 0
        assert isinstance(identity, int)
    else:
        with pytest.raises(BadInput, match="isn't named as in Market-1501"):
            market_name(path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({**FILES, "query": []}, r"query has no images.*was the archive unpacked"),
        ({**FILES, "query": ["someone.jpg"]}, r"someone\.jpg isn't named as in Market-1501"),
        ({**FILES, "bounding_box_train": ["0002_c1s1_1_00.jpg"]}, r"bounding_box_train holds a single identity"),
    ],
)
def test_folder_that_does_not_fit_is_named(tmp_path: Path, files: dict[str, list[str]], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        open_dataset("market1501", tree(tmp_path, files))


def test_missing_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Market-1501-v15\.09\.15 is missing: --dataset-root"):
        open_dataset("market1501", tmp_path)
    (tmp_path / "Market-1501-v15.09.15").mkdir()
    with pytest.raises(BadInput, match="bounding_box_train is missing"):
        open_dataset("market1501", tmp_path)


def test_unknown_data_set() -> None:
    with pytest.raises(BadInput, match="Unknown data set 'market': choose one of synthetic, market1501"):
        dataset_folder("market", "data")
