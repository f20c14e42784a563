from __future__ import annotations

import time
from pathlib import Path

import pytest

from data_prep.downloads.prepare import prepare
from tests.data_prep.downloads.conftest import Change, drop, overwrite, refuses_changed
from tests.data_prep.folders import content
from tests.trees import write_download


def test_the_same_download_gives_the_same_bytes(tmp_path: Path) -> None:
    write_download("car196", tmp_path / "download")
    first = content(prepare("car196", tmp_path / "download", tmp_path / "a", progress=False))
    time.sleep(1.1)  # annotations that held the time would differ
    assert content(prepare("car196", tmp_path / "download", tmp_path / "b", progress=False)) == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            drop("stanford_cars/cars_test_annos_withlabels.mat"),
            r"download has no cars_test_annos_withlabels\.mat, and the devkit's own",
        ),
        (
            drop("stanford_cars/cars_test/00002.jpg"),
            r"cars_test_annos_withlabels\.mat names 00002\.jpg, which isn't in cars_test \(1 missing",
        ),
        (overwrite("stanford_cars/devkit/cars_train_annos.mat", ""), r"cars_train_annos\.mat can't be read as"),
    ],
)
def test_download_that_does_not_fit(change: Change, said: str, tmp_path: Path) -> None:
    refuses_changed("car196", change, said, tmp_path)
