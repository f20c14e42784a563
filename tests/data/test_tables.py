"""A table as a data set: what it means, and every way in which it can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scmlib.data.datasets import check_ready, find_layout, open_dataset
from scmlib.data.inspection import inspect_dataset
from scmlib.errors import BadInput

PICTURES = ("a.png", "b.jpg", "c.webp", "sub/d.tiff", "e, f.bmp", "g.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the folder `own`, which holds pictures and no table."""
    root = tmp_path_factory.mktemp("root")
    rng = np.random.default_rng(0)
    for name in PICTURES:
        path = root / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)
    return root


def table(root: Path, *lines: str, head: str = "path,identity", end: str = "\n", encoding: str = "utf-8") -> Path:
    """Write the table; returns the root."""
    (root / "own" / "images.csv").write_bytes(end.join([head, *lines, ""]).encode(encoding))
    return root


FULL = (
    "a.png,Bob,hall,train",
    "b.jpg,Ann,hall,train",
    "c.webp,Cyd,hall,query",
    "sub/d.tiff,Cyd,door 2,gallery",
    '"e, f.bmp",Zoë,door 2,gallery',
    "g.png,Ann,door 2,train",
)


@pytest.mark.parametrize(("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig")])
def test_identities_and_cameras_may_be_any_text(pictures: Path, end: str, encoding: str) -> None:
    """Numbers follow the texts' sorted order; byte order mark, CRLF and quoted commas are as usual."""
    data = open_dataset("own", table(pictures, *FULL, head="path,identity,camera,split", end=end, encoding=encoding))
    assert data.layout.identity_names == ("Ann", "Bob", "Cyd", "Zoë")
    assert data.layout.camera_names == ("door 2", "hall")
    rows = {
        split: [(r.path.relative_to(data.root).as_posix(), r.identity, r.camera, r.label) for r in records]
        for split, records in data.splits.items()
    }
    assert rows == {
        "train": [("a.png", 1, 1, 1), ("b.jpg", 0, 1, 0), ("g.png", 0, 0, 0)],
        "query": [("c.webp", 2, 1, -1)],
        "gallery": [("e, f.bmp", 3, 0, -1), ("sub/d.tiff", 2, 0, -1)],
    }
    assert data.layout.camera_rule
    check_ready(data)
    images = inspect_dataset(data).images
    assert list(images["identity"]) == ["Bob", "Ann", "Ann", "Cyd", "Zoë", "Cyd"]
    assert list(images["camera"]) == ["hall", "hall", "door 2", "hall", "door 2", "door 2"]


def test_numbers_stay_what_they_are(pictures: Path) -> None:
    data = open_dataset("own", table(pictures, "a.png,0007,3", "b.jpg,12,15", head="path,identity,camera"))
    assert [(r.identity, r.camera) for r in data.query] == [(7, 3), (12, 15)]
    assert data.layout.identity_names == ()
    assert data.layout.identity_name(7) == "7"


def test_2_and_02_are_two_people(pictures: Path) -> None:
    data = open_dataset("own", table(pictures, "a.png,2", "b.jpg,02"))
    assert data.layout.identity_names == ("02", "2")
    assert [r.identity for r in data.query] == [1, 0]


def test_without_splits_every_picture_is_a_query_against_all_others(pictures: Path) -> None:
    data = open_dataset("own", table(pictures, "a.png,Ann", "b.jpg,Ann", "c.webp,Bob"))
    assert data.query is data.gallery
    assert list(data.splits) == ["query"]
    assert not data.layout.camera_rule
    assert len({r.camera for r in data.query}) == 3  # so that an image alone is taken out of its own list
    with pytest.raises(BadInput, match="own has no training images"):
        check_ready(data)


@pytest.mark.parametrize("missing", ["train", "query", "gallery"])
def test_any_split_may_be_missing(pictures: Path, missing: str) -> None:
    lines = [line for line in FULL if not line.endswith(missing)]
    data = open_dataset("own", table(pictures, *lines, head="path,identity,camera,split"))
    assert missing not in data.splits
    assert len(data.splits) == 2
    with pytest.raises(BadInput, match=f"own has no {missing} split"):
        data.require("train", "query", "gallery")
    inspect_dataset(data)


def test_pictures_may_lie_elsewhere(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "root" / "far").mkdir(parents=True)
    Image.new("RGB", (4, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (4, 8)).save(tmp_path / "b.png")
    (tmp_path / "root" / "far" / "images.csv").write_text("identity,note,path\nx,,../../a.png\nx,n,../../b.png\n")
    data = open_dataset("far", tmp_path / "root")
    assert [record.path.resolve() for record in data.query] == [tmp_path / "a.png", tmp_path / "b.png"]


CAMERAS, SPLITS = "path,identity,camera", "path,identity,split"


@pytest.mark.parametrize(
    ("head", "lines", "said"),
    [
        ("", [], r"images\.csv has no column path and no column identity, but ''"),
        ("path,who", ["a.png,Ann"], r"images\.csv has no column identity, but 'path,who': its first line"),
        ("path;identity", ["a.png;Ann"], r"no column path and no column identity, but 'path;identity'.*with commas"),
        ("path,identity,Path", ["a.png,Ann,b.jpg"], r"has the column path twice"),
        ("path,identity", [], r"images\.csv names no pictures"),
        ("path,identity", ["a.png,Ann", ",Bob"], r"images\.csv, line 3, has no path"),
        ("path,identity", ["a.png,Ann", "b.jpg"], r"images\.csv, line 3, has no identity"),
        ("path,identity", ["a.png,Ann", "gone.png,Bob"], r"line 3, names gone\.png, which is missing below .*own"),
        ("path,identity", ["a.png,Ann", "./a.png,Bob"], r"line 3, names \./a\.png again, after line 2"),
        ("path,identity", ["/a.png,Ann"], r"line 2, has the absolute path /a\.png: write it relative to"),
        ("path,identity", ["C:\\a.png,Ann"], r"line 2, has the absolute path C:\\a\.png"),
        ("path,identity", ["../../../etc/passwd,Ann"], r"line 2, names .*passwd, which isn't named as a picture"),
        ("path,identity", ["sub,Ann"], r"line 2, names sub, which isn't named as a picture"),
        ("path,identity", ['"a.png,Ann', "b.jpg,Bob"], r"images\.csv, line \d, is no CSV"),
        (SPLITS, ["a.png,Ann,train", "b.jpg,Ann,test"], r"line 3, has the split 'test': it must be train, query or g"),
        (SPLITS, ["a.png,Ann,train", "b.jpg,Ann,"], r"line 3, and the lines above don't agree on having a split"),
        (CAMERAS, ["a.png,Ann,", "b.jpg,Ann,1"], r"line 3, and the lines above don't agree on having a camera"),
        (SPLITS, ["a.png,Ann,train", "b.jpg,Ann,train"], r"holds a single identity to train with \(Ann\)"),
    ],
)
def test_table_that_is_wrong_is_one_sentence(pictures: Path, head: str, lines: Sequence[str], said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        open_dataset("own", table(pictures, *lines, head=head))
    assert "\n" not in str(caught.value)


def test_table_of_another_encoding_is_named(pictures: Path) -> None:
    with pytest.raises(BadInput, match=r"images\.csv isn't UTF-8 text"):
        open_dataset("own", table(pictures, "a.png,Zoë", encoding="latin-1"))


def test_unknown_name_lists_what_there_is(pictures: Path, tmp_path: Path) -> None:
    table(pictures, "a.png,Ann")
    with pytest.raises(BadInput, match=r"Unknown data set 'won': choose one of synthetic, .*your own below .*: own"):
        find_layout("won", pictures)
    for name in ("../own", ".", "", "own/sub"):
        with pytest.raises(BadInput, match="Unknown data set"):
            find_layout(name, pictures)
    with pytest.raises(BadInput, match=r"or put .*won.images\.csv there"):
        find_layout("won", tmp_path)
