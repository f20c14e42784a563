from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from data_prep.downloads import prepare as preparing
from data_prep.downloads.prepare import SOURCES, prepare
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.data.layouts import LAYOUTS
from scmlib.errors import BadInput
from tests.data_prep.downloads.conftest import refuses, zipped
from tests.data_prep.folders import content, state
from tests.trees import FOLDERS, NAMES, TEST_FOLDERS, TEST_ONLY, build_download, found, pack, write_download, write_tree

# ---- every data set, from each kind of download to the records that belong in it


def test_each_known_data_set_has_a_source() -> None:
    assert sorted(SOURCES) == sorted([*NAMES, *TEST_ONLY]) == sorted(set(LAYOUTS) - {"synthetic"})
    for name in ("dukemtmc", "occluded_duke", "p_dukemtmc"):
        assert "taken down in 2019, after press reports" in SOURCES[name].terms


@pytest.mark.parametrize("suffix", ["", ".zip", ".tar", ".tgz", ".tar.xz"])
@pytest.mark.parametrize("name", [*NAMES, *TEST_ONLY])
def test_download_becomes_the_layout(name: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "download"
    expected = write_download(name, source)
    wanted = build_download(name)[1].files
    if suffix:
        source = pack(source, tmp_path / f"download{suffix}")
    before = state(source) or source.read_bytes()
    root = tmp_path / "data"

    folder = prepare(name, source, root, progress=False)

    assert folder == dataset_folder(name, root) == root / (FOLDERS | TEST_FOLDERS)[name]
    assert found(open_dataset(name, root)) == expected
    made = content(folder)
    for row in (row for rows in expected.values() for row in rows):
        if name in ("npdetected", "nplabeled"):  # unpacked from arrays: the pixels count
            image = Image.open(folder / row.path)
            assert image.tobytes() == Image.open(io.BytesIO(wanted[row.path])).tobytes()
        else:
            assert made[row.path] == wanted[row.path]
    assert (state(source) or source.read_bytes()) == before
    assert [path.name for path in root.iterdir()] == [folder.relative_to(root).parts[0]]


@pytest.mark.parametrize("name", ["university1652", "vehicleid"])
def test_other_protocols_are_prepared_with_it(name: str, tmp_path: Path) -> None:
    variant = {"university1652": "university1652:drone", "vehicleid": "vehicleid:1600"}[name]
    expected = write_tree(variant, tmp_path / "held")
    prepare(name, pack(tmp_path / "held", tmp_path / "download.zip"), tmp_path / "data", progress=False)
    assert found(open_dataset(variant, tmp_path / "data")) == expected


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
        refuses(name, tmp_path / "held" / "cuhk03-np" / other, tmp_path / "b", f"{other} has the name of another data")


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
    refuses("market1501", market, tmp_path / "data", "can't be prepared in .*: the disk is full; solve this")


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
            "market1501", market, tmp_path / "b", r"15\.09\.15/link is not a file but a link to a folder or to nothing"
        )
        (home / "link").unlink()


# ---- folders that are there already, and what an interrupted run left


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
    refuses(
        "synthetic",
        market,
        tmp_path / "data",
        "'synthetic' isn't a data set that comes as a download: choose one of market1501",
    )
    left = tmp_path / "data" / ".prepare-market1501.partial" / "unpacked"
    left.mkdir(parents=True)
    with pytest.raises(BadInput, match="is in a folder that an interrupted run left behind"):
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as run:
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
