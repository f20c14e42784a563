from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.inspection import Inspection, count_table, inspect_dataset, left_out
from scmlib.figures.data import draw_inspection
from scmlib.figures.style import alt_text
from tests.trees import NAMES, TEST_ONLY, write_tree


@pytest.fixture
def market(tmp_path: Path) -> Path:
    write_tree("market1501", tmp_path)
    return tmp_path


def look(root: Path, name: str = "market1501") -> Inspection:
    return inspect_dataset(open_dataset(name, root))


def one(findings: list[str], part: str) -> str:
    """The one finding that says so."""
    (finding,) = [finding for finding in findings if part in finding]
    return finding


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_every_data_set(name: str, tmp_path: Path) -> None:
    expected = write_tree(name, tmp_path)
    table = look(tmp_path, name).counts
    assert table.loc["train", "images"] == len(expected["train"])
    assert table.loc["train", "identities"] == len({row.identity for row in expected["train"]})
    assert table["images"].sum() == sum(len(rows) for rows in expected.values())
    assert (table.loc["train", "cameras"] == 0) == (expected["train"][0].camera is None)
    assert (table["published_images"] > 400).all()  # the published counts, of the full data set
    assert table["size"].str.contains("x").all()


def test_files_that_are_no_images_are_named(market: Path) -> None:
    data = open_dataset("market1501", market)
    data.train[0].path.write_bytes(b"")
    data.train[1].path.write_bytes(data.train[1].path.read_bytes()[:100])
    data.query[0].path.write_text("not an image")
    findings = look(market).findings
    assert data.train[0].path.name in one(findings, "1 empty file")
    broken = one(findings, "2 files that aren't whole images")
    assert data.train[1].path.name in broken
    assert data.query[0].path.name in broken


def test_identity_in_training_and_test_is_named(market: Path) -> None:
    data = open_dataset("market1501", market)
    shared = {record.identity for record in data.train} & {record.identity for record in data.gallery}
    assert len(shared) == 1  # the tree's own awkward case
    assert str(shared.pop()) in one(look(market).findings, "in training and in test")


def test_numbers_that_start_anew_are_no_leak(tmp_path: Path) -> None:
    write_tree("msmt17", tmp_path)
    data = open_dataset("msmt17", tmp_path)
    assert {record.identity for record in data.train} & {record.identity for record in data.gallery}
    assert not [finding for finding in look(tmp_path, "msmt17").findings if "training and test" in finding]


def test_duplicates_by_content_are_found_across_splits(market: Path) -> None:
    data = open_dataset("market1501", market)
    copy = data.query[0].path.with_name("0801_c1s1_000001_00.bmp.png")
    with Image.open(data.train[0].path) as image:
        image.save(copy)  # another file format, the same pixels
    finding = one(look(market).findings, "in train and in query")
    assert str(data.train[0].path) in finding
    assert str(copy) in finding


def test_queries_without_a_match_and_why(market: Path) -> None:
    folder = open_dataset("market1501", market).query[0].path.parent
    picture = open_dataset("market1501", market).gallery[-1].path
    shutil.copy(picture, folder / "0901_c1s1_000001_00.jpg")
    shutil.copy(picture, folder / "0902_c1s1_000001_00.jpg")
    shutil.copy(picture, picture.with_name("0902_c1s1_000002_00.jpg"))
    findings = look(market).findings
    assert "0901_c1s1_000001_00.jpg" in one(findings, "the identity isn't in the gallery")
    assert "0902_c1s1_000001_00.jpg" in one(findings, "by the query's own camera")


def test_counts_that_differ_from_the_published_are_said(market: Path) -> None:
    data = open_dataset("market1501", market)
    assert f"train has {len(data.train)} images where 12,936 are published" in one(look(market).findings, "12,936")
    table = count_table(data)
    assert table.loc["gallery", "published_images"] == 15_913
    assert table.loc["gallery", "published_identities"] == -1


def test_nothing_is_found_in_the_synthetic_world(data_root: Path) -> None:
    assert look(data_root, "synthetic").findings == []


def test_figure_says_what_it_shows(market: Path) -> None:
    inspection, data = look(market), open_dataset("market1501", market)
    figure = draw_inspection(inspection.images, data.layout.camera_rule)
    assert len(figure.axes) == 2
    cameras = {record.camera for records in data.splits.values() for record in records}
    assert f"{len(cameras)} cameras" in alt_text(figure)
    assert len(draw_inspection(inspection.images, False).axes) == 1


def test_splits_of_retrieval_are_two(tmp_path: Path) -> None:
    write_tree("cub200", tmp_path)
    data: ReidDataset = open_dataset("cub200", tmp_path)
    assert list(look(tmp_path, "cub200").counts.index) == list(data.splits) == ["train", "query"]


@pytest.mark.parametrize("name", TEST_ONLY)
def test_sets_for_testing_alone_are_inspected(name: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    inspection = look(tmp_path, name)
    assert list(inspection.counts.index) == ["query", "gallery"]
    published = {"occluded_reid": "1,000", "partial_reid": "300", "partial_ilids": "119"}[name]
    count = int(inspection.counts["images"].iloc[0])
    assert one(inspection.findings, f"query has {count} images where {published} are published")
    assert len(draw_inspection(inspection.images, False).axes) == 1


@pytest.mark.parametrize("name", [*NAMES, *TEST_ONLY])
def test_nothing_is_left_out_of_a_sound_tree(name: str, tmp_path: Path) -> None:
    write_tree(name, tmp_path)
    assert left_out(open_dataset(name, tmp_path)) == []


def test_what_nobody_reads_is_counted_and_named(tmp_path: Path) -> None:
    write_tree("p_dukemtmc", tmp_path)
    folder = open_dataset("p_dukemtmc", tmp_path).train[0].path.parent
    others = [folder / "a.heic", folder / "b.jpg.part", folder / "c", folder.parent / "stray.jpg"]
    for path in [*others, folder / "desktop.ini", folder / ".DS_Store", folder / "README", folder / "._a.jpg"]:
        path.write_bytes(b"something")
    assert left_out(open_dataset("p_dukemtmc", tmp_path)) == sorted(others)
    finding = one(look(tmp_path, "p_dukemtmc").findings, "4 files not read as pictures")
    assert all(str(path) in finding for path in others)


def test_modes_are_told(market: Path) -> None:
    first = open_dataset("market1501", market).train[0].path
    with Image.open(first) as image:
        image.convert("L").save(first)
    assert look(market).counts["modes"].to_dict() == {"train": "RGB 15, L 1", "query": "RGB", "gallery": "RGB"}


def test_what_was_done_to_pictures_is_told(market: Path) -> None:
    """Turned ones, several frames, and one that shows nothing: each is a finding, and the table says which."""
    data = open_dataset("market1501", market)
    exif = Image.Exif()
    for value, record in zip((6, 6, 3), data.train, strict=False):
        exif[ExifTags.Base.Orientation] = value
        Image.effect_noise((32, 16) if value == 6 else (16, 32), 50).save(record.path.with_suffix(".jpg"), exif=exif)
        if record.path.suffix != ".jpg":
            record.path.unlink()
    frames = [Image.effect_noise((16, 32), 50 + i) for i in range(2)]
    animated = data.query[0].path.with_suffix(".gif")
    data.query[0].path.unlink()
    frames[0].save(animated, save_all=True, append_images=frames[1:])
    Image.new("RGB", (16, 32), (3, 2, 1)).save(data.gallery[1].path)
    inspection = look(market)
    assert "3 pictures are stored turned and read upright (EXIF orientation 3: 1, 6: 2)." in inspection.findings
    assert one(inspection.findings, "1 file holds several frames, of which the first is read").endswith(f"{animated}.")
    blank = one(inspection.findings, "1 picture is nearly black or white all over")
    assert data.gallery[1].path.name in blank
    assert not [finding for finding in inspection.findings if "another shape" in finding]  # upright, they are alike
    assert sorted(inspection.images["orientation"].unique()) == [1, 3, 6]


def test_one_picture_of_another_shape_is_named(market: Path) -> None:
    odd = open_dataset("market1501", market).gallery[0].path
    Image.effect_noise((32, 16), 50).save(odd)
    assert f"{odd} (32x16)" in one(look(market).findings, "1 picture is of another shape than the rest")


def test_shapes_that_vary_are_no_finding(market: Path) -> None:
    """Boxes cut by hand differ in shape, and so may half of a data set."""
    for i, record in enumerate(r for records in open_dataset("market1501", market).splits.values() for r in records):
        Image.effect_noise((14 + i % 5, 32), 50).save(record.path)
    assert not [finding for finding in look(market).findings if "another shape" in finding]
