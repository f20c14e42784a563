from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmlib.data.datasets import check_ready, dataset_folder, draw_gallery, open_dataset
from scmlib.data.layouts import LAYOUTS, PROTOCOLS
from scmlib.data.readers import market_name
from scmlib.data.records import image_files
from scmlib.errors import BadInput
from tests.trees import FOLDERS, NAMES, TEST_FOLDERS, TEST_ONLY, found, write_tree

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
    for name in ("c.jpg", "a.png", "B.TIF", "d.jpeg", "a.jpg", "readme.txt", ".DS_Store", "._c.jpg"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == ["B.TIF", "a.jpg", "a.png", "c.jpg", "d.jpeg"]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "bmp", "webp", "tif", "Tiff", "gif", "pgm", "jp2", "png"])
def test_every_suffix_counts(suffix: str, tmp_path: Path) -> None:
    files = {split: [name.rpartition(".")[0] + f".{suffix}" for name in names] for split, names in FILES.items()}
    data = open_dataset(
        "market1501", tree(tmp_path, files | {"bounding_box_train": [*files["bounding_box_train"][:3]]})
    )
    assert [len(records) for records in data.splits.values()] == [3, 1, 2]


@given(st.text())
def test_names_of_any_form_are_read_or_refused(name: str) -> None:
    path = Path("folder") / name.replace("/", "").replace("\0", "")
    if re.match(r"-?[0-9]{1,18}_c[0-9]{1,18}", path.name):
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


@pytest.mark.parametrize("name", [*NAMES, *TEST_ONLY, *PROTOCOLS])
def test_every_layout_is_read_exactly(name: str, tmp_path: Path) -> None:
    """File lists, identities and cameras as the fixture's own builder wrote them down; labels are sorted positions."""
    expected = write_tree(name, tmp_path)
    data = open_dataset(name, tmp_path)
    assert found(data) == expected
    people = sorted({row.identity for row in expected.get("train", [])})
    assert [record.label for record in data.train] == [people.index(record.identity) for record in data.train]
    assert data.num_classes == len(people)
    assert all(record.label == -1 for record in [*data.query, *data.gallery])
    for records in (data.train, data.query, data.gallery):
        assert [record.path for record in records] == sorted(record.path for record in records)
    if data.train:
        check_ready(data)


def test_known_data_sets_are_there() -> None:
    assert [*LAYOUTS] == ["synthetic", *NAMES, *TEST_ONLY]
    folders = {name: layout.folder for name, layout in LAYOUTS.items() if name != "synthetic"}
    assert folders == FOLDERS | TEST_FOLDERS


@pytest.mark.parametrize("name", [*TEST_ONLY, "partial_reid:partial"])
def test_occluded_benchmarks_are_for_testing_alone(name: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    data = open_dataset(name, tmp_path)
    assert list(data.splits) == ["query", "gallery"]
    assert data.num_classes == 0
    with pytest.raises(BadInput, match=f"{name} has no training images: train on another data set, market1501 say"):
        check_ready(data)
    with pytest.raises(BadInput, match=f"{name} has no train split, only query and gallery"):
        data.require("query", "train")


def test_published_sizes_of_the_occluded_benchmarks() -> None:
    sizes = {"occluded_reid": (1000, 200), "partial_reid": (300, 60), "partial_ilids": (119, 119)}
    for name, size in sizes.items():
        assert LAYOUTS[name].published == {"query": size, "gallery": size}


@pytest.mark.parametrize(
    "name", ["p_dukemtmc", "vehicleid", "car196", "cub200", "university1652", *TEST_ONLY, "partial_reid:partial"]
)
def test_without_a_camera_rule_every_image_has_its_own_camera(name: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    data = open_dataset(name, tmp_path)
    cameras = {record.path: record.camera for records in data.splits.values() for record in records}
    assert len(set(cameras.values())) == len(cameras)
    assert (data.query is data.gallery) == (name in ("car196", "cub200"))


def test_vehicleid_draws_one_gallery_image_of_each_identity(tmp_path: Path) -> None:
    write_tree("vehicleid", tmp_path)
    data = open_dataset("vehicleid", tmp_path)
    assert sorted(r.identity for r in data.gallery) == sorted({r.identity for r in [*data.query, *data.gallery]})
    records = sorted([*data.query, *data.gallery], key=lambda record: record.path)
    assert {records[i].path for i in draw_gallery(records, seed=0)} == {record.path for record in data.gallery}
    assert len({frozenset(draw_gallery(records, seed=seed)) for seed in range(5)}) > 1


def test_views_of_university(tmp_path: Path) -> None:
    write_tree("university1652", tmp_path)
    data = open_dataset("university1652", tmp_path)
    assert {record.view for record in data.train} == {"satellite", "drone"}
    assert {record.view for record in data.query} == {"query_satellite"}


@pytest.mark.parametrize(
    ("name", "spoil", "content", "said"),
    [
        ("vehicleid", "train_test_split/train_list.txt", "0000001 x1\n", r"train_list\.txt has 'x1' where a number"),
        ("vehicleid", "train_test_split/train_list.txt", "0000001\n", r"has the line '0000001' where IMAGE ID belongs"),
        (
            "vehicleid",
            "train_test_split/train_list.txt",
            "gone 1\n",
            r"image/gone\.jpg is missing, though .*train_list",
        ),
        ("cub200", "images.txt", "1\n", r"images\.txt has the line '1', which isn't INDEX PATH"),
        ("cub200", "image_class_labels.txt", "1 first\n", r"images\.txt has the line|labels\.txt has 'first'"),
        ("car196", "cars_annos.mat", "no table", r"cars_annos\.mat can't be read as Stanford Cars"),
    ],
)
def test_table_that_does_not_fit_is_named(name: str, spoil: str, content: str, said: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    (dataset_folder(name, tmp_path) / spoil).write_text(content)
    with pytest.raises(BadInput, match=said):
        open_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["car196", "cub200", "vehicleid"])
def test_listed_image_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    gone = open_dataset(name, tmp_path).train[0].path
    gone.unlink()
    with pytest.raises(BadInput, match=f"{re.escape(str(gone))} is missing"):
        open_dataset(name, tmp_path)


WORDS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.lists(WORDS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_random_names_are_read_or_refused(name: str, names: list[str], seed: int) -> None:
    """Whatever files, folders and lines are called, a reader gives records or one sentence."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        write_tree(name, Path(folder))
        places = [path for path in sorted(dataset_folder(name, folder).rglob("*")) if path.is_dir()]
        for new in names:
            place = places[rng.integers(len(places))] / new
            with contextlib.suppress(OSError):  # a name that the disk doesn't take, `..`, or one that is there
                place.mkdir() if rng.random() < 0.3 else place.with_name(f"{new}.jpg").touch()
        for listing in dataset_folder(name, folder).rglob("*.txt"):
            if rng.random() < 0.5:
                listing.write_text(listing.read_text() + " ".join(names))
        try:
            data = open_dataset(name, folder)
        except BadInput as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert data.num_classes > 1


def test_data_that_would_stop_a_run_later_is_refused_at_once(tmp_path: Path) -> None:
    write_tree("market1501", tmp_path)
    data = open_dataset("market1501", tmp_path)
    data.gallery[0].path.write_bytes(b"")
    with pytest.raises(BadInput, match=f"{re.escape(data.gallery[0].path.name)} is empty"):
        check_ready(data)
    alone = replace(data, gallery=[replace(record, camera=q.camera) for q in data.query[:1] for record in [q]])
    with pytest.raises(BadInput, match="has a true match in the gallery"):
        check_ready(replace(alone, query=data.query[:1]))


def test_image_that_a_list_names_twice_is_refused(tmp_path: Path) -> None:
    """It would be drawn into the gallery and stay among the queries."""
    write_tree("vehicleid", tmp_path)
    listing = dataset_folder("vehicleid", tmp_path) / "train_test_split" / "test_list_800.txt"
    listing.write_text(listing.read_text() * 2)
    with pytest.raises(BadInput, match=r"test_list_800\.txt names \S+ twice"):
        open_dataset("vehicleid", tmp_path)


def test_each_view_must_be_there(tmp_path: Path) -> None:
    write_tree("university1652", tmp_path)
    satellite = dataset_folder("university1652", tmp_path) / "train" / "satellite"
    (satellite / ".thumbs").mkdir()  # what a file browser leaves is passed over
    (satellite / ".thumbs" / "a.jpg").touch()
    assert len(open_dataset("university1652", tmp_path).train) > 0
    for path in satellite.glob("*/*"):
        path.unlink()
    with pytest.raises(BadInput, match="satellite leads to no images"):
        open_dataset("university1652", tmp_path)
