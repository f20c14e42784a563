from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data_prep.downloads.conftest import refuses
from tests.trees import write_download


def drop(path: str) -> Callable[[Path], None]:
    return lambda download: (download / path).unlink()


def write(path: str, text: str) -> Callable[[Path], None]:
    def change(download: Path) -> None:
        (download / path).write_text(text)

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("msmt17", drop("MSMT17_V1/list_val.txt"), r"MSMT17_V1 holds a part of MSMT17, without list_val\.txt: comp"),
        (
            "msmt17",
            drop("MSMT17_V1/list_train.txt"),
            r"MSMT17_V1 holds a part of MSMT17, without list_train\.txt: complete the download",
        ),
        (
            "msmt17",
            drop("MSMT17_V1/test/0001/0001_000_15_0303morning_0008_0.jpg"),
            r"list_query\.txt names 0001/0001_000_15_0303morning_0008_0\.jpg, which isn't in .*/test \(1 missing",
        ),
        (
            "msmt17",
            write("MSMT17_V1/list_val.txt", "0000/a.jpg 0"),
            r"list_val\.txt has the line '0000/a\.jpg 0' where",
        ),
        ("msmt17", write("MSMT17_V1/list_val.txt", "a/0_0_1_0.jpg x"), r"list_val\.txt has 'x' where a number"),
        ("msmt17", write("MSMT17_V1/list_val.txt", "../../0_0_1_0.jpg 0"), r"list_val\.txt has the entry '\.\./"),
        (
            "msmt17",
            write("MSMT17_V1/list_val.txt", "0000/0000_000_01_0303morning_0008_0.jpg 0\n" * 2),
            "Two images of the source would get the name bounding_box_train/0000_c01_000",
        ),
        (
            "occluded_duke",
            write("lists/query.list", "0001_c2_f0.jpg\n0001_c2_f1.jpg"),
            r"query\.list names 0001_c2_f0\.jpg, which isn't in .*/download or .*data/DukeMTMC-reID \(2 missing in all",
        ),
        ("npdetected", drop("cuhk-03.mat"), r"_config_detected\.mat without cuhk-03\.mat: put both"),
        (
            "nplabeled",
            drop("config/cuhk03_new_protocol_config_labeled.mat"),
            r"holds cuhk-03\.mat without cuhk03_new_protocol_config_labeled\.mat: put both",
        ),
        ("npdetected", write("cuhk-03.mat", "no HDF5"), r"download/cuhk-03\.mat isn't the CUHK03 that"),
        (
            "npdetected",
            write("config/cuhk03_new_protocol_config_detected.mat", "none"),
            r"_config_detected\.mat can't be read as CUHK03's new protocol",
        ),
        (
            "car196",
            drop("stanford_cars/cars_test_annos_withlabels.mat"),
            r"download has no cars_test_annos_withlabels\.mat, and the devkit's own",
        ),
        (
            "car196",
            drop("stanford_cars/cars_test/00002.jpg"),
            r"cars_test_annos_withlabels\.mat names 00002\.jpg, which isn't in cars_test \(1 missing",
        ),
        ("car196", write("stanford_cars/devkit/cars_train_annos.mat", ""), r"cars_train_annos\.mat can't be read as"),
    ],
)
def test_download_that_does_not_fit(name: str, change: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    write_download(name, tmp_path / "download")
    change(tmp_path / "download")
    refuses(name, tmp_path / "download", tmp_path / "data", said)


def test_cuhk03_of_another_split_is_refused(tmp_path: Path) -> None:
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
