from __future__ import annotations

import io
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_prep.downloads import archives
from data_prep.downloads import prepare as preparing
from data_prep.downloads.prepare import SOURCES, prepare
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.data.layouts import LAYOUTS
from scmlib.errors import BadInput
from tests.trees import FOLDERS, NAMES, build_download, found, pack, write_download, write_tree


def content(folder: Path) -> dict[str, bytes]:
    """A folder's files, but for Windows' own, which no data set needs."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "Thumbs.db")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What writing, replacing or touching any file of a folder would change."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def refuses(name: str, source: Path, root: Path, said: str) -> None:
    """The source is refused with one sentence, and nothing of it is left."""
    before = content(root) if root.exists() else {}
    with pytest.raises(BadInput, match=said) as caught:
        prepare(name, source, root, progress=False)
    assert ".partial" not in str(caught.value)
    assert "\n" not in str(caught.value)
    if root.exists():
        assert content(root) == before
        assert not [path for path in root.iterdir() if path.name.startswith(".")]


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


# ---- every data set, from each kind of download to the records that belong in it


def test_each_of_the_twelve_has_a_source() -> None:
    assert sorted(SOURCES) == sorted(NAMES) == sorted(set(LAYOUTS) - {"synthetic"})
    for name in ("dukemtmc", "occluded_duke", "p_dukemtmc"):
        assert "withdrawn by its authors in 2019 over the consent" in SOURCES[name].terms


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar", ".tgz", ".tar.xz"])
@pytest.mark.parametrize("name", NAMES)
def test_download_becomes_the_layout(name: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "download"
    expected = write_download(name, source)
    wanted = build_download(name)[1].files
    if suffix:
        source = pack(source, tmp_path / f"download{suffix}")
    before = state(source) or source.read_bytes()
    root = tmp_path / "data"

    folder = prepare(name, source, root, progress=False)

    assert folder == dataset_folder(name, root) == root / FOLDERS[name]
    assert found(open_dataset(name, root)) == expected
    made = content(folder)
    for row in (row for rows in expected.values() for row in rows):
        if name in ("npdetected", "nplabeled"):  # unpacked from arrays: the pixels count
            image = Image.open(folder / row.path)
            assert image.tobytes() == Image.open(io.BytesIO(wanted[row.path])).tobytes()
        else:
            assert made[row.path] == wanted[row.path]
    assert (state(source) or source.read_bytes()) == before
    assert [path.name for path in root.iterdir()] == [FOLDERS[name].split("/")[0]]


def test_lists_go_before_the_split_that_they_replace(tmp_path: Path) -> None:
    expected = write_download("occluded_duke", tmp_path / "download")
    (tmp_path / "download" / "DukeMTMC-reID").rename(tmp_path / "download" / "pictures")  # nothing says it's Duke
    prepare("occluded_duke", tmp_path / "download", tmp_path / "data", progress=False)
    assert found(open_dataset("occluded_duke", tmp_path / "data")) == expected


@pytest.mark.parametrize("name", ["university1652", "vehicleid"])
def test_other_protocols_are_prepared_with_it(name: str, tmp_path: Path) -> None:
    variant = {"university1652": "university1652:drone", "vehicleid": "vehicleid:1600"}[name]
    expected = write_tree(variant, tmp_path / "held")
    prepare(name, pack(tmp_path / "held", tmp_path / "download.zip"), tmp_path / "data", progress=False)
    assert found(open_dataset(variant, tmp_path / "data")) == expected


def test_msmt17_second_version_and_names(tmp_path: Path) -> None:
    expected = write_download("msmt17", tmp_path / "download")
    raw = tmp_path / "download" / "MSMT17_V1"
    for old, new in (("train", "mask_train_v2"), ("test", "mask_test_v2")):
        (raw / old).rename(raw / new)
    folder = prepare("msmt17", tmp_path / "download", tmp_path / "data", progress=False)
    assert found(open_dataset("msmt17", tmp_path / "data")) == expected
    raw_name, new_name = "0000/0000_000_01_0303morning_0008_0.jpg", "0000_c01_000_0303morning_0008_0.jpg"
    assert (folder / "bounding_box_train" / new_name).read_bytes() == (raw / "mask_train_v2" / raw_name).read_bytes()


def test_occluded_duke_takes_images_from_the_data_root(tmp_path: Path) -> None:
    expected = write_download("occluded_duke", tmp_path / "download")
    (tmp_path / "data").mkdir()
    (tmp_path / "download" / "DukeMTMC-reID").rename(tmp_path / "data" / "DukeMTMC-reID")
    prepare("occluded_duke", tmp_path / "download" / "lists", tmp_path / "data", progress=False)
    assert found(open_dataset("occluded_duke", tmp_path / "data")) == expected


def test_the_same_download_gives_the_same_bytes(tmp_path: Path) -> None:
    write_download("car196", tmp_path / "download")
    first = content(prepare("car196", tmp_path / "download", tmp_path / "a", progress=False))
    time.sleep(1.1)  # annotations that held the time would differ
    assert content(prepare("car196", tmp_path / "download", tmp_path / "b", progress=False)) == first


# ---- finding the data set in what was unpacked


def test_letter_case_is_put_right(tmp_path: Path) -> None:
    expected = write_tree("university1652", tmp_path)
    (tmp_path / "University-Release").rename(tmp_path / "u")
    for old, new in (("train/drone", "train/Drone"), ("train", "Train"), ("test", "TEST")):
        (tmp_path / "u" / old).rename(tmp_path / "u" / new)
    prepare("university1652", tmp_path / "u", tmp_path / "data", progress=False)
    assert found(open_dataset("university1652", tmp_path / "data")) == expected
    assert (tmp_path / "u" / "Train" / "Drone").is_dir()


def test_detected_and_labeled_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for name in ("npdetected", "nplabeled"):
        write_tree(name, tmp_path / "held")
    source = pack(tmp_path / "held", tmp_path / "cuhk03-np.zip")
    for name, other in (("npdetected", "labeled"), ("nplabeled", "detected")):
        folder = prepare(name, source, tmp_path / "data", progress=False)
        assert content(folder) == content(tmp_path / "held" / FOLDERS[name])
        # Given alone, the other set isn't taken for this one.
        refuses(name, tmp_path / "held" / "cuhk03-np" / other, tmp_path / "b", f"{other} is by its name another data")


def test_several_that_fit_are_named(market: Path, tmp_path: Path) -> None:
    (market / FOLDERS["market1501"]).rename(market / "one")
    shutil.copytree(market / "one", market / "two")
    refuses("market1501", market, tmp_path / "data", r"Several folders could be market1501: .*held/one, .*held/two;")
    write_tree("market1501", market)
    (market / "one" / "query" / "someone.jpg").touch()  # the one of the right name is taken
    assert prepare("market1501", market, tmp_path / "data", progress=False).is_dir()


def test_no_fit_says_what_is_missing_and_what_there_is(market: Path, tmp_path: Path) -> None:
    shutil.rmtree(market / FOLDERS["market1501"] / "query")
    said = r"held/Market-1501-v15\.09\.15 isn't market1501: query missing, found bounding_box_test, bounding_box_train;"
    refuses("market1501", market, tmp_path / "data", said)
    zipped(tmp_path / "other.zip", {"a/b.txt": b"", "c.txt": b""})
    said = r"other\.zip isn't cub200: images\.txt, image_class_labels\.txt, images missing, found a, c\.txt;"
    refuses("cub200", tmp_path / "other.zip", tmp_path / "data", said)


def test_nothing_appears_that_can_not_be_read(market: Path, tmp_path: Path) -> None:
    (market / FOLDERS["market1501"] / "query" / "someone.jpg").touch()
    said = r"held can't be used as market1501: Market-1501-v15\.09\.15/query/someone\.jpg isn't named as in Market"
    refuses("market1501", market, tmp_path / "data", said)
    assert not dataset_folder("market1501", tmp_path / "data").exists()


# ---- other forms that don't fit


def drop(path: str) -> Callable[[Path], None]:
    return lambda download: (download / path).unlink()


def write(path: str, text: str) -> Callable[[Path], None]:
    def change(download: Path) -> None:
        (download / path).write_text(text)

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("msmt17", drop("MSMT17_V1/list_val.txt"), r"MSMT17_V1 holds MSMT17's lists without list_val\.txt: comp"),
        (
            "msmt17",
            drop("MSMT17_V1/list_train.txt"),
            r"MSMT17_V1 isn't msmt17: .*, found list_gallery\.txt, list_query",
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
            "Two images of the source have the name bounding_box_train/0000_c01_000",
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
        ("npdetected", write("cuhk-03.mat", "no HDF5"), r"download/cuhk-03\.mat isn't CUHK03 as"),
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
        (image.replace(b"002", b"009"), r"cuhk-03\.mat isn't CUHK03 as .* splits it \(no image for 0002_c1_1_009"),
        (image.replace(b"002", b"902"), r"cuhk-03\.mat isn't CUHK03 as"),  # past the end
        (image.replace(b"002", b"000"), r"'1_000_1_01\.png' isn't PAIR_IDENTITY_VIEW_NUMBER\.png"),
    ):
        config.write_bytes(data.replace(image, wrong))
        refuses("npdetected", tmp_path / "download", tmp_path / "data", said)


# ---- archives that can't be trusted, or read


@pytest.mark.parametrize(
    "name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "C:/out.jpg", "c:out.jpg", "..\\out.jpg", "a\\out.jpg"]
)
def test_entries_that_would_leave_the_folder(name: str, market: Path, tmp_path: Path) -> None:
    for archive in (
        zipped(tmp_path / "evil.zip", {"a.jpg": b"", name: b"evil"}),
        tarred(tmp_path / "evil.tar", ("a.jpg", tarfile.REGTYPE, b""), (name, tarfile.REGTYPE, b"evil")),
    ):
        said = f"{archive.name} has the entry .*out.jpg', which could land outside"
        refuses("market1501", archive, tmp_path / "data" / "root", said)
        assert not list(tmp_path.rglob("*out.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    archive = tarred(tmp_path / "evil.tar", ("query", kind, b"/etc"), ("query/passwd", tarfile.REGTYPE, b"evil"))
    refuses("market1501", archive, tmp_path / "data", r"evil\.tar has the entry 'query', a link or a device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("query")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "/etc")
    refuses("market1501", tmp_path / "evil.zip", tmp_path / "data", r"evil\.zip has the entry 'query', a link")


def test_entries_of_one_name(tmp_path: Path) -> None:
    for names in (("a/b.jpg", "a//b.jpg"), ("a", "a/b.jpg")):
        archive = zipped(tmp_path / "twice.zip", dict.fromkeys(names, b"x"))
        refuses("market1501", archive, tmp_path / "data", r"twice\.zip has two entries of one name")


def test_what_systems_leave_in_archives_is_passed_over(market: Path, tmp_path: Path) -> None:
    home = market / FOLDERS["market1501"]
    wanted = content(home)
    for name in ("__MACOSX/query/0001_c1.jpg", ".DS_Store", "query/._0001_c1s1_000001_00.jpg", "query/THUMBS.DB"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"junk")
    for i, source in enumerate((home, pack(market, tmp_path / "a.zip"), pack(market, tmp_path / "a.tar.bz2"))):
        assert content(prepare("market1501", source, tmp_path / str(i), progress=False)) == wanted


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>Please sign in</html>")
    refuses("market1501", tmp_path / "page.zip", tmp_path / "data", r"page\.zip is neither a zip nor a tar.*web page")
    (tmp_path / "empty.zip").touch()
    refuses("market1501", tmp_path / "empty.zip", tmp_path / "data", r"empty\.zip is neither a zip nor a tar")
    zipped(tmp_path / "none.zip", {})
    refuses("market1501", tmp_path / "none.zip", tmp_path / "data", r"none\.zip has no files in it")
    (tmp_path / "zeros.tar").write_bytes(bytes(20480))
    refuses("market1501", tmp_path / "zeros.tar", tmp_path / "data", r"zeros\.tar has no files in it")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_download_that_was_cut_short(suffix: str, share: float, market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / f"cut{suffix}")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    refuses(
        "market1501", archive, tmp_path / "data", rf"cut{suffix} is damaged or incomplete \(.+\): download it again"
    )


def test_tar_cut_between_two_files(market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / "cut.tar")
    with tarfile.open(archive) as tar:
        member = tar.getmembers()[-2]
    archive.write_bytes(archive.read_bytes()[: member.offset])
    refuses("market1501", archive, tmp_path / "data", r"cut\.tar is damaged or incomplete")


@pytest.mark.parametrize("suffix", [".zip", ".tgz", ".tar.xz"])
def test_damaged_bytes_never_lead_to_wrong_images(suffix: str, market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / f"damaged{suffix}")
    whole, wanted = archive.read_bytes(), content(market / FOLDERS["market1501"])
    rng = np.random.default_rng(0)
    refused = 0
    for i, position in enumerate(rng.integers(len(whole), size=25)):
        archive.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            made = content(prepare("market1501", archive, tmp_path / str(i), progress=False))
        except BadInput:
            refused += 1
            continue
        assert {path: made.get(path) for path in wanted} == wanted  # an attribute or a date may change
    assert refused >= 12


def test_damaged_header_in_a_tar(market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / "damaged.tar")
    data = bytearray(archive.read_bytes())
    with tarfile.open(archive) as tar:
        data[tar.getmembers()[10].offset + 3] ^= 0xFF
    archive.write_bytes(data)
    refuses("market1501", archive, tmp_path / "data", r"damaged\.tar is damaged or incomplete")


def patched(archive: Path, position: int, value: int) -> Path:
    """A zip with a bit pattern added to a field of each header; the directory's fields lie two bytes further on."""
    data = bytearray(archive.read_bytes())
    for magic, start in ((b"PK\x03\x04", position), (b"PK\x01\x02", position + 2)):
        for header in re.finditer(magic, bytes(data)):
            data[header.start() + start] |= value
    archive.write_bytes(data)
    return archive


def test_encrypted(market: Path, tmp_path: Path) -> None:
    archive = patched(pack(market, tmp_path / "secret.zip"), 6, 1)  # the flags' lowest bit
    refuses("market1501", archive, tmp_path / "data", r"secret\.zip is encrypted: unpack it with the password")


def test_packed_in_a_way_that_python_can_not_read(market: Path, tmp_path: Path) -> None:
    archive = patched(pack(market, tmp_path / "odd.zip"), 8, 1)  # 9, Deflate64, as Windows packs large files
    refuses("market1501", archive, tmp_path / "data", r"odd\.zip is packed in a way that Python can't read")


# ---- the disk


def test_too_little_room(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(market, tmp_path / "a.zip")
    size = sum(map(len, content(market).values()))
    for free in (size - 1, size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        if free < size:
            refuses("market1501", archive, tmp_path / "data", r"a\.zip needs .* GB and the disk has .* GB free: make")
        else:
            assert prepare("market1501", archive, tmp_path / "data", progress=False).is_dir()


def test_disk_that_fills_up_on_the_way(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    refuses("market1501", market, tmp_path / "data", "can't be brought to .*: the disk is full; mend that")


def test_a_folder_is_linked_where_possible_and_copied_elsewhere(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Path("query/0001_c1s1_000001_00.jpg")
    original = market / FOLDERS["market1501"] / image
    folder = prepare("market1501", market, tmp_path / "linked", progress=False)
    assert (folder / image).samefile(original)

    def impossible(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", impossible)
    folder = prepare("market1501", market, tmp_path / "copied", progress=False)
    assert not (folder / image).samefile(original)
    assert (folder / image).read_bytes() == original.read_bytes()


def test_links_in_a_folder(market: Path, tmp_path: Path) -> None:
    home = market / FOLDERS["market1501"]
    image = home / "query" / "0001_c1s1_000001_00.jpg"
    elsewhere = image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(elsewhere)
    (tmp_path / "shortcut").symlink_to(market)
    folder = prepare("market1501", tmp_path / "shortcut", tmp_path / "data", progress=False)
    assert not (folder / "query" / image.name).is_symlink()
    assert (folder / "query" / image.name).read_bytes() == elsewhere.read_bytes()
    for leads_to in (tmp_path / "data", market, tmp_path / "nothing"):
        (home / "link").symlink_to(leads_to)
        refuses(
            "market1501", market, tmp_path / "b", r"15\.09\.15/link is no file, but a link to a folder or to nothing"
        )
        (home / "link").unlink()


# ---- what is there already, and what a run left behind


def test_what_is_there_is_left_as_it_is(market: Path, tmp_path: Path) -> None:
    before = state(market)
    folder = prepare("market1501", tmp_path / "no source is needed", market, progress=False)
    assert folder == market / FOLDERS["market1501"]
    assert state(market) == before


def test_folder_of_its_name_that_is_something_else(tmp_path: Path) -> None:
    expected = write_download("msmt17", tmp_path)
    (tmp_path / "MSMT17_V1").rename(tmp_path / "MSMT17")
    said = r"MSMT17 exists, but isn't in the layout of msmt17: rename it and give it as --source"
    refuses("msmt17", tmp_path / "MSMT17", tmp_path, said)
    (tmp_path / "MSMT17").rename(tmp_path / "raw")
    (tmp_path / "MSMT17").mkdir()  # an empty one isn't in the way
    prepare("msmt17", tmp_path / "raw", tmp_path, progress=False)
    assert found(open_dataset("msmt17", tmp_path)) == expected


def test_source_may_hold_the_data_root(market: Path) -> None:
    (market / FOLDERS["market1501"]).rename(market / "old")
    folder = prepare("market1501", market, market / "data", progress=False)
    assert content(folder) == content(market / "old")


def test_missing_source_and_unknown_name(market: Path, tmp_path: Path) -> None:
    refuses("market1501", tmp_path / "none.zip", tmp_path / "data", r"none\.zip is missing: give --source")
    refuses("synthetic", market, tmp_path / "data", "'synthetic' isn't made from a download: choose one of market1501")
    left = tmp_path / "data" / ".prepare-market1501.partial" / "unpacked"
    left.mkdir(parents=True)
    with pytest.raises(BadInput, match="lies in what a run that was killed left behind"):
        prepare("market1501", left, tmp_path / "data", progress=False)
    assert left.exists()


@pytest.mark.parametrize("name", ["market1501", "npdetected"])
def test_interrupted_then_done(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_download(name, tmp_path / "download")
    source = pack(tmp_path / "download", tmp_path / "download.tgz")
    for step in ("_arrange", "_check"):
        with monkeypatch.context() as patch:
            patch.setattr(preparing, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                prepare(name, source, tmp_path / "data", progress=False)
        assert list((tmp_path / "data").iterdir()) == []
    prepare(name, source, tmp_path / "data", progress=False)
    assert found(open_dataset(name, tmp_path / "data")) == expected


KILLED = """
import sys, time
from pathlib import Path
from data_prep.downloads import prepare
prepare.open_dataset = lambda *_: (print("checking", flush=True), time.sleep(60))
prepare.prepare("market1501", sys.argv[1], sys.argv[2], progress=False)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills with a POSIX signal")
def test_killed_then_done(market: Path, tmp_path: Path) -> None:
    source, root = pack(market, tmp_path / "download.zip"), tmp_path / "data"
    command = [sys.executable, "-c", KILLED, str(source), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as run:
        assert run.stdout
        assert run.stdout.readline() == b"checking\n"
        run.send_signal(signal.SIGKILL)
    assert [path.name for path in root.iterdir()] == [".prepare-market1501.partial"]
    prepare("market1501", source, root, progress=False)
    assert [path.name for path in root.iterdir()] == [FOLDERS["market1501"]]
    open_dataset("market1501", root)


def test_bars_count_bytes_and_files(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("market1501", pack(market, tmp_path / "a.zip"), tmp_path / "a")
    assert "unpacking: 100%" in capsys.readouterr().err
    prepare("market1501", market, tmp_path / "b")
    assert "linking: 100%" in capsys.readouterr().err
    prepare("market1501", market, tmp_path / "c", progress=False)
    assert capsys.readouterr().err == ""


def test_unpack_writes_what_the_archive_holds(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"a": b"1"}).read_bytes()
    # A tar whose last file is a zip: by its end it looks like a zip too.
    archive = tarred(tmp_path / "outer.tar", ("x/y", tarfile.REGTYPE, b"2" * 3), ("inner.zip", tarfile.REGTYPE, inner))
    (tmp_path / "out").mkdir()
    archives.unpack(archive, tmp_path / "out", progress=False)
    assert content(tmp_path / "out") == {"x/y": b"222", "inner.zip": inner}
