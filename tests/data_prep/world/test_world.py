from __future__ import annotations

import csv
import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.world import KINDS, PRESETS, World, changed, identities, render, rendering, write_world
from data_prep.world.boxes import Box, draw_box
from data_prep.world.layers import Array, Layer
from data_prep.world.pedestrian import POSES, VIEWS, draw_pedestrian
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.data.truth import OCCLUDER, PERSON, REGION_COLOURS, REGIONS, truth_path
from scmlib.errors import BadInput

QUICK = PRESETS["quick"]
LOOSE = replace(World(), loose=0.3)


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


def middle_rows(world: World, region: str) -> Array:
    """Where a region's middle lies from the top, as a share of the height, on images that show it whole or in part."""
    maps = [render(world, "train", k % 20 + 1, k // 20, occluder="")[1] for k in range(40)]
    return np.array([np.nonzero(m == REGIONS.index(region))[0].mean() / world.height for m in maps])


def test_loose_boxes_move_the_parts_to_other_rows() -> None:
    for region in ("head", "upper body", "legs"):
        assert middle_rows(LOOSE, region).std() > 2 * middle_rows(World(), region).std()


def test_loose_boxes_change_nothing_but_where_the_person_is() -> None:
    assert draw_box(192, 96, 0.0, np.random.default_rng(0)) == Box(192, 96, 192, 96, 0, 0)
    for k in range(10):
        close, loose = (render(world, "gallery", 101 + k, k, occluder="") for world in (World(), LOOSE))
        assert close[2] == loose[2]
        assert (close[1] != loose[1]).any()
        empty = (close[1] == 0) & (loose[1] == 0)
        assert (close[0] == loose[0]).all(2)[empty].mean() > 0.7  # the rest lies in a shadow or at an outline


@pytest.mark.parametrize("loose", [0.1, 0.3, 0.5])
def test_any_box_keeps_three_fifths_of_the_person(loose: float) -> None:
    rng = np.random.default_rng(0)
    for person in identities(QUICK):
        box = draw_box(96, 48, loose, rng)
        box_and_more = box._replace(height=288, width=240, x=box.x + 96, y=box.y + 96)
        whole = draw_pedestrian(
            person,
            str(rng.choice(VIEWS)),
            str(rng.choice(list(POSES))),
            rng,
            height=box.frame_height,
            width=box.frame_width,
            margin=box_and_more.margin,
        )
        regions = box_and_more.cut(whole).regions
        assert (regions[96:192, 96:144] > 0).sum() >= 0.6 * (regions > 0).sum()


def test_loose_maps_show_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = np.array(REGION_COLOURS, np.float32)

    def painted(*args: object, **settings: object) -> Layer:
        layer = draw_pedestrian(*args, **settings)  # type: ignore[arg-type]
        return layer._replace(colour=colours[layer.regions] * layer.alpha[..., None])

    monkeypatch.setattr(rendering, "draw_pedestrian", painted)
    monkeypatch.setattr(rendering, "take", lambda picture, *_: picture)
    for identity in range(1, 21):
        picture, regions, _ = render(LOOSE, "train", identity, occluder="")
        far = np.abs(picture[:, :, None] - colours).max(3)  # (H, W, regions)
        assert np.mean(far.argmin(2)[regions > 0] == regions[regions > 0]) > 0.9  # outlines mix with what is behind
        assert far[regions == 0][:, PERSON].min() > 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loose", [0.3, 0.5])
def test_occluders_keep_the_limits_in_loose_boxes(kind: str, loose: float) -> None:
    world = replace(World(), loose=loose)
    for identity in range(101, 111):
        _, regions, facts = render(world, "query", identity, occluder=kind)
        _, whole, _ = render(world, "query", identity, occluder="")
        hidden = ((whole > 0) & (regions == OCCLUDER)).sum() / (whole > 0).sum()
        assert world.hidden[0] <= hidden <= world.hidden[1]
        assert facts["hidden"] == pytest.approx(hidden, abs=1e-4)
        assert np.array_equal(whole[regions != OCCLUDER], regions[regions != OCCLUDER])


def test_loose_world_is_the_same_from_any_number_of_processes(tmp_path: Path) -> None:
    world = replace(QUICK, loose=0.3, train_images=14)  # enough images for two processes
    alone, together = (
        write_world(tmp_path / str(workers), world, workers=workers, progress=False) for workers in (1, 2)
    )
    assert contents(alone) == contents(together)


def test_world_from_before_a_setting_is_left(data_root: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(dataset_folder("synthetic", data_root), tmp_path / "world")
    path = folder / "ground_truth" / "world.json"
    settings = json.loads(path.read_text())
    del settings["loose"]
    path.write_text(json.dumps(settings))
    assert write_world(folder, QUICK, progress=False) == folder
    with pytest.raises(BadInput, match="holds something else than this world"):
        write_world(folder, replace(QUICK, loose=0.3), progress=False)


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
        ({"loose": -0.1}, "World.loose is -0.1"),
        ({"loose": 0.6}, "World.loose is 0.6, but must be a number from 0 to 0.5"),
        ({"height": 31}, "World.height is 31"),
        ({"query_images": 9}, "World.query_images is 9"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        replace(World(), **change)  # type: ignore[arg-type]


def test_settings_given_as_text() -> None:
    world = changed(World(), ["cast=0.1", "hidden=0.3,0.4", "cameras=4", "loose=0.3"])
    assert world == World(cast=0.1, hidden=(0.3, 0.4), cameras=4, loose=0.3)
    for text, said in (("colour=3", "sets nothing"), ("cameras=many", "can't be 'many'"), ("hidden=1", "World.hidden")):
        with pytest.raises(BadInput, match=said):
            changed(World(), [text])
