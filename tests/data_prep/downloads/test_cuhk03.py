from __future__ import annotations

from pathlib import Path

import pytest

from tests.data_prep.downloads.conftest import Change, drop, overwrite, refuses, refuses_changed
from tests.trees import write_download


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("npdetected", drop("cuhk-03.mat"), r"_config_detected\.mat without cuhk-03\.mat: put both"),
        (
            "nplabeled",
            drop("config/cuhk03_new_protocol_config_labeled.mat"),
            r"holds cuhk-03\.mat without cuhk03_new_protocol_config_labeled\.mat: put both",
        ),
        ("npdetected", overwrite("cuhk-03.mat", "no HDF5"), r"download/cuhk-03\.mat isn't the CUHK03 that"),
        (
            "npdetected",
            overwrite("config/cuhk03_new_protocol_config_detected.mat", "none"),
            r"_config_detected\.mat can't be read as CUHK03's new protocol",
        ),
    ],
)
def test_download_that_does_not_fit(name: str, change: Change, said: str, tmp_path: Path) -> None:
    refuses_changed(name, change, said, tmp_path)


def test_config_of_another_file_is_refused(tmp_path: Path) -> None:
    write_download("npdetected", tmp_path / "download")
    config = tmp_path / "download/config/cuhk03_new_protocol_config_detected.mat"
    data = config.read_bytes()
    image = b"1_002_1_01.png"
    assert image in data
    for wrong, said in (
        (image.replace(b"002", b"009"), r"cuhk-03\.mat isn't the CUHK03 that .* splits \(no image for 0002_c1_1_009"),
        (image.replace(b"002", b"902"), r"cuhk-03\.mat isn't the CUHK03 that"),  # past the end
        (image.replace(b"002", b"000"), r"'1_000_1_01\.png' isn't PAIR_IDENTITY_VIEW_NUMBER\.png"),
    ):
        config.write_bytes(data.replace(image, wrong))
        refuses("npdetected", tmp_path / "download", tmp_path / "data", said)
