from __future__ import annotations

import csv
import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.synthetic import KINDS, PRESETS, World, changed, identities, render, write_world
from scmlib.datasets import OCCLUDER, PERSON, REGION_COLOURS, REGIONS, dataset_folder, open_dataset, truth_path
from scmlib.errors import BadInput

QUICK = PRESETS["quick"]


@pytest.fixture(scope="module")
def table(data_root: Path) -> pd.DataFrame:
    return pd.read_csv(dataset_folder("synthetic", data_root) / "ground_truth" / "images.csv", keep_default_na=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_one_seed_one_world_to_the_byte(data_root: Path, tmp_path: Path) -> None:
    first = contents(dataset_folder("synthetic", data_root))
    alone = contents(write_world(tmp_path / "alone", QUICK, workers=1, progress=False))
    assert first == alone
    other = contents(write_world(tmp_path / "other", replace(QUICK, seed=1), workers=2, progress=False))
    assert not set(first.values()) & {data for name, data in other.items() if name.endswith("jpg")}


def test_layout_is_that_of_market(data_root: Path, table: pd.DataFrame) -> None:
    data = open_dataset("synthetic", data_root)
    assert (len(data.train), len(data.query), len(data.gallery)) == (96, 24, 48)
    assert data.num_classes == 12
    assert not {r.identity for r in data.train} & {r.identity for r in (*data.query, *data.gallery)}
    assert {r.identity for r in data.query} == {r.identity for r in data.gallery}
    for query in data.query:
        assert any(g.identity == query.identity and g.camera != query.camera for g in data.gallery)
    assert len(table) == 96 + 24 + 48


def test_answers_stand_beside_every_image(data_root: Path, table: pd.DataFrame) -> None:
    folder = dataset_folder("synthetic", data_root)
    for row in table.to_dict("records"):
        image, path = folder / str(row["file"]), truth_path(folder / str(row["file"]))
        truth = Image.open(path)
        regions = np.asarray(truth)
        assert Image.open(image).size == truth.size == (48, 96)
        assert truth.getpalette()[:24] == [level for colour in REGION_COLOURS for level in colour]  # type: ignore[index]
        assert regions.max() < len(REGIONS)
        assert np.isin(regions, PERSON).any()
        assert (regions == OCCLUDER).any() == bool(row["occluder"])
        assert image.name.startswith(f"{row['identity']:04d}_c{row['camera']}s1_")


def test_shares_of_occlusion(table: pd.DataFrame) -> None:
    occluded = table["occluder"] != ""
    low, high = QUICK.hidden
    assert table.loc[occluded, "hidden"].between(low, high).all()
    assert (table.loc[~occluded, "hidden"] == 0).all()
    assert np.allclose(table["hidden"] + table["visible"], 1)
    shares = occluded.groupby(table["split"]).mean()
    assert shares["query"] == 1
    assert shares["gallery"] < 0.3
    assert 0.3 < shares["train"] < 0.7


def test_identities_differ_in_three_attributes_at_least_but_share_most() -> None:
    people = [tuple(vars(person).values()) for person in identities(World())]
    differences = [sum(a != b for a, b in zip(p, q, strict=True)) for i, p in enumerate(people) for q in people[:i]]
    assert len(people) == 200
    assert min(differences) >= 3
    assert np.mean(differences) < 0.8 * len(people[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_occluder_hides_within_the_limits(kind: str) -> None:
    world = World()
    image, regions, facts = render(world, "query", identity=150, occluder=kind)
    assert image.shape == (192, 96, 3)
    assert image.dtype == regions.dtype == np.uint8
    assert world.hidden[0] <= facts["hidden"] <= world.hidden[1]
    assert facts["occluder"] in (kind, "sign")  # where a pole is too thin, a sign stands in
    whole = render(world, "query", identity=150, occluder="")
    assert whole[2]["visible"] == 1
    assert not (whole[1] == OCCLUDER).any()


def test_finished_world_is_left_and_other_content_refused(data_root: Path) -> None:
    folder = dataset_folder("synthetic", data_root)
    before = (folder / "ground_truth" / "images.csv").stat().st_mtime_ns
    assert write_world(folder, QUICK, progress=False) == folder
    assert (folder / "ground_truth" / "images.csv").stat().st_mtime_ns == before
    with pytest.raises(BadInput, match="holds something else than this world"):
        write_world(folder, replace(QUICK, seed=5), progress=False)


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv, "DictWriter", full)
    with pytest.raises(BadInput, match="disk is full"):
        write_world(tmp_path / "world", QUICK, workers=1, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_identities": 0}, "World.train_identities is 0"),
        ({"cameras": 1}, "World.cameras is 1"),
        ({"occluded_train": 1.5}, "World.occluded_train is 1.5"),
        ({"hidden": (0.9, 0.2)}, "World.hidden is"),
        ({"height": 31}, "World.height is 31"),
        ({"query_images": 9}, "World.query_images is 9"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        replace(World(), **change)  # type: ignore[arg-type]


def test_settings_given_as_text() -> None:
    world = changed(World(), ["cast=0.1", "hidden=0.3,0.4", "cameras=4"])
    assert world == World(cast=0.1, hidden=(0.3, 0.4), cameras=4)
    for text, said in (("colour=3", "sets nothing"), ("cameras=many", "can't be 'many'"), ("hidden=1", "World.hidden")):
        with pytest.raises(BadInput, match=said):
            changed(World(), [text])
