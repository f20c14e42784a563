"""Own pictures to a table: by folders, by names, splits drawn; and by the commands that a person types."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from data_prep.downloads.table import draw_splits, write_table
from scmlib.cli.main import cli
from scmlib.data.datasets import check_ready, open_dataset
from scmlib.data.tables import Row
from scmlib.errors import BadInput

PEOPLE = ("Ann", "Bob", "Cyd", "Dee", "Eve", "Zoë")


def photograph(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people in a folder each, four pictures by two cameras; a picture of nobody, and a file of another kind."""
    source = tmp_path_factory.mktemp("photos")
    for k, who in enumerate(PEOPLE):
        for i in range(4):
            photograph(source / who / f"{who}-cam{i % 2} {i}.{('jpg', 'PNG', 'webp', 'tiff')[i]}", 10 * k + i)
    photograph(source / "nobody.jpg", 99)
    (source / "Ann" / "phone.heic").write_bytes(b"another kind")
    (source / "Ann" / "Thumbs.db").write_bytes(b"windows")
    return source


def test_identity_folders_become_a_table(photos: Path, tmp_path: Path) -> None:
    before = sorted(photos.rglob("*"))
    made = write_table("mine", photos, tmp_path)
    assert sorted(photos.rglob("*")) == before
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["mine", "mine/images.csv"]
    assert made.left_out == [photos / "Ann" / "phone.heic", photos / "nobody.jpg"]
    assert made.drawn
    data = open_dataset("mine", tmp_path)
    assert data.layout.identity_names == PEOPLE
    assert not data.layout.camera_rule
    assert [len(records) for records in data.splits.values()] == [12, 3, 9]
    read = {record.path.resolve() for records in data.splits.values() for record in records}
    assert read == {path.resolve() for path in photos.glob("*/*-cam*")}
    check_ready(data)


def test_pattern_gives_cameras_and_the_rule(photos: Path, tmp_path: Path) -> None:
    pattern = r"(?P<identity>\w+)-(?P<camera>cam\d)"
    write_table("mine", photos, tmp_path, pattern=pattern)
    data = open_dataset("mine", tmp_path)
    assert data.layout.camera_names == ("cam0", "cam1")
    assert [len(records) for records in data.splits.values()] == [12, 6, 6]  # a query of each camera
    check_ready(data)
    write_table("without", photos, tmp_path, pattern=pattern, camera_rule=False)
    assert (tmp_path / "without" / "images.csv").read_text().startswith("path,identity,split\n")


def test_pattern_with_a_slash_sees_the_path_and_may_give_splits(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for i, path in enumerate(("train/1/a", "train/2/a", "query/3/a", "gallery/3/b")):
        photograph(source / f"{path}.jpg", i)
    made = write_table("mine", source, tmp_path, pattern=r"^(?P<split>\w+)/(?P<identity>\d+)/")
    assert not made.drawn
    data = open_dataset("mine", tmp_path)
    rows = {split: [r.identity for r in records] for split, records in data.splits.items()}
    assert rows == {"train": [1, 2], "query": [3], "gallery": [3]}


def test_table_may_stand_among_its_pictures(tmp_path: Path) -> None:
    for i in range(4):
        photograph(tmp_path / "mine" / "AB"[i // 2] / f"{i}.jpg", i)
    first = write_table("mine", tmp_path / "mine", tmp_path)
    assert {row.path for row in first.rows} == {"A/0.jpg", "A/1.jpg", "B/2.jpg", "B/3.jpg"}
    assert write_table("mine", tmp_path / "mine", tmp_path) == first  # a second time changes nothing
    assert list(open_dataset("mine", tmp_path).splits) == ["query", "gallery"]  # too few people to train with


def rows(*texts: str) -> list[Row]:
    """`Ann1` is Ann by camera 1."""
    return [Row(f"{i}.jpg", text[:-1], text[-1].strip()) for i, text in enumerate(texts)]


@pytest.mark.parametrize("seed", range(5))
def test_drawn_splits_keep_people_apart_and_give_every_query_a_match(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rows(*(f"{who}{camera}" for who in "abcdefghij" for camera in rng.integers(0, 3, rng.integers(1, 6))))
    split = draw_splits(table, seed=seed)
    assert [row._replace(split="") for row in split] == table
    people = {name: {row.identity for row in split if row.split == name} for name in ("train", "query", "gallery")}
    assert not people["train"] & (people["query"] | people["gallery"])
    assert people["query"] == people["gallery"]
    assert len(people["train"]) >= 5
    for query in (row for row in split if row.split == "query"):
        others = [r for r in split if r.split == "gallery" and r.identity == query.identity]
        assert any(other.camera != query.camera for other in others)
    assert draw_splits(table, seed=seed) == split


def test_splits_follow_the_seed() -> None:
    table = rows(*(f"{who} " for who in "abcdefgh" for _ in range(3)))
    assert len({tuple(row.split for row in draw_splits(table, seed=seed)) for seed in range(5)}) > 1


def test_hand_worked_splits_of_few_people() -> None:
    """Three people are all for testing: Bob, seen once, can't be a query; Ann's only picture of camera 1 is one."""
    split = draw_splits(rows("Ann1", "Bob1", "Ann2", "Cyd1", "Cyd2"), seed=0)
    assert [row.split for row in split] == ["query", "gallery", "gallery", "query", "gallery"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pattern": "("}, r"--pattern \( is not a regular expression"),
        ({"pattern": r"\w+"}, r"has the named groups none: it must have \(\?P<identity>"),
        ({"pattern": "(?P<identity>.)(?P<colour>.)"}, r"has the named groups colour, identity"),
        ({"pattern": "(?P<identity>nowhere)"}, r"no pictures in whose name --pattern"),
        ({"pattern": r"(?P<identity>\w+)-cam(?P<camera>0)?"}, r"gets no camera from --pattern \(12 such pictures\)"),
        ({"pattern": r"(?P<identity>\w+)-(?P<split>cam)"}, r"gets the split 'cam' from --pattern"),
        ({"pattern": r"(?P<identity>.+)\.\w+$"}, r"No identity has two pictures, so nothing can be matched"),
        ({"name": "markt1501"}, r"'markt1501' is close to market1501, a known data set"),
        ({"name": "../mine"}, r"'\.\./mine' can't be the name of a data set"),
        ({"source": "photos.zip"}, r"photos\.zip isn't a folder"),
    ],
)
def test_what_does_not_fit_is_one_sentence(photos: Path, tmp_path: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        write_table(**{"name": "mine", "source": photos, "dataset_root": tmp_path, **options})  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_another_table_is_never_overwritten(photos: Path, tmp_path: Path) -> None:
    write_table("mine", photos, tmp_path)
    before = (tmp_path / "mine" / "images.csv").read_bytes()
    with pytest.raises(BadInput, match=r"images\.csv already exists with other content"):
        write_table("mine", photos, tmp_path, seed=1)
    assert (tmp_path / "mine" / "images.csv").read_bytes() == before


def scm(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_commands_say_what_was_made(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = scm("prepare", "mine", "--source", photos, "--dataset-root", "root", "--seed", 2)
    assert "The splits are drawn by identity (seed 2)." in said
    assert "train: 12 images, 3 identities" in said
    assert "No camera rule: a match counts whichever camera took it." in said
    assert f"{photos / 'Ann' / 'phone.heic'}, {photos / 'nobody.jpg'}" in said
    said = scm("inspect", "mine", "--dataset-root", "root")
    assert "No camera rule" in said
    assert "phone.heic" in said
    assert "16x32 pixels, stored as RGB" in said
    settings = json.loads(
        scm("train", "--dataset", "mine", "--net", "regnet_y_tiny", "--dataset-root", "root", "--dry-run")
    )
    assert (settings["img_height"], settings["img_width"]) == (192, 64)
    with pytest.raises(BadInput, match="'mine' has no recipe, and no run below runs was evaluated on it"):
        CliRunner().invoke(cli, ["recipes", "--dataset", "mine"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mine"], r"'mine' is none of synthetic, market1501.*to make a table of your own pictures, give --source"),
        (["market1501", "--pattern", "x"], r"--pattern and --no-camera-rule are for tables of your own pictures"),
        (["mine", "--preset", "quick"], r"--preset, --seed and --set are the synthetic world's"),
        (["partial_ilids"], r"nothing is downloaded here.*i-LIDS itself belongs to the UK Home Office"),
    ],
)
def test_commands_refuse_in_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        CliRunner().invoke(cli, ["prepare", *arguments, "--dataset-root", str(tmp_path)], catch_exceptions=False)


@pytest.mark.slow
def test_own_pictures_from_a_folder_to_figures(photos: Path, run: Path, tmp_path: Path) -> None:
    """Trained on; and as a set for testing alone, by a run that was trained on other data."""
    root, own = tmp_path / "root", tmp_path / "run"
    scm("prepare", "mine", "--source", photos, "--dataset-root", root)
    where = ["--dataset", "mine", "--dataset-root", root]
    flags = ["--img-height", 64, "--img-width", 32, "--batch-size", 4, "--instance-num", 2, "--epochs", "1,2"]
    scm("train", *where, "--net", "regnet_y_tiny", *flags, "--ema-extra", 0, "--kernel-size", 2, "--out", own)
    (root / "test").mkdir()
    table = (root / "mine" / "images.csv").read_text().splitlines()
    lines = [line.rpartition(",")[0] for line in table if not line.endswith("train")]
    (root / "test" / "images.csv").write_text("\n".join([*lines, ""]))
    for source, name in ((own, "mine"), (run, "mine"), (run, "test")):
        where = ["--dataset", name, "--dataset-root", root]
        metrics = json.loads(scm("evaluate", source, *where, "--json"))
        assert 0 <= metrics["mAP"] <= 1
        assert metrics["queries"] == (3 if name == "mine" else 12)
        assert "No camera rule" in scm("evaluate", source, *where)
    assert str(own) in scm("recipes", "--dataset", "mine", "--runs", tmp_path)
    out = tmp_path / "out"
    scm("masks", own, next(iter(photos.glob("Ann/*.webp"))), "--out", out)
    scm("occlusion", run, *where, "--ratio", 0.3, "--out", out)
    assert (out / "occlusion.png").is_file()
