from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data_prep.world import draw_world, read_pair, render_pair, write_world
from data_prep.world.folder import _draw_all
from scmlib.data.datasets import open_dataset
from scmlib.data.truth import OCCLUDER, PERSON, REGION_COLOURS, REGIONS, truth_path
from scmlib.errors import BadInput
from tests.data_prep.folders import content, state
from tests.data_prep.world.conftest import QUICK

TWO = replace(QUICK, loose=0.3, train_images=16)  # enough images for two processes


@pytest.mark.slow
def test_one_seed_one_world_to_the_byte(world_folder: Path, tmp_path: Path) -> None:
    first = content(world_folder)
    again = content(write_world(tmp_path / "again", QUICK, progress=False))
    assert first == again
    other = content(write_world(tmp_path / "other", replace(QUICK, seed=1), progress=False))
    assert not set(first.values()) & {data for name, data in other.items() if name.endswith("jpg")}


@pytest.mark.slow
def test_same_bytes_and_order_from_any_number_of_processes(tmp_path: Path) -> None:
    alone, together = (write_world(tmp_path / str(n), TWO, workers=n, progress=False) for n in (1, 2))
    assert content(alone) == content(together)


def test_layout_is_that_of_market(data_root: Path, table: pd.DataFrame) -> None:
    data = open_dataset("synthetic", data_root)
    assert (len(data.train), len(data.query), len(data.gallery)) == (96, 24, 48)
    assert data.num_classes == 12
    assert not {r.identity for r in data.train} & {r.identity for r in (*data.query, *data.gallery)}
    assert {r.identity for r in data.query} == {r.identity for r in data.gallery}
    for query in data.query:
        assert any(g.identity == query.identity and g.camera != query.camera for g in data.gallery)
    assert len(table) == 96 + 24 + 48


def test_answers_stand_beside_every_image(world_folder: Path, table: pd.DataFrame) -> None:
    for row in table.to_dict("records"):
        image, path = world_folder / str(row["file"]), truth_path(world_folder / str(row["file"]))
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


def test_world_from_before_a_setting_is_left(world_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world_folder, tmp_path / "world")
    path = folder / "ground_truth" / "world.json"
    settings = json.loads(path.read_text())
    del settings["loose"]
    path.write_text(json.dumps(settings))
    assert write_world(folder, QUICK, progress=False) == folder
    with pytest.raises(BadInput, match="holds something else than this world"):
        write_world(folder, replace(QUICK, loose=0.3), progress=False)


def test_finished_world_is_left_and_other_content_refused(world_folder: Path, tmp_path: Path) -> None:
    before = state(world_folder)
    assert write_world(world_folder, QUICK, progress=False) == world_folder
    assert state(world_folder) == before
    (tmp_path / "mine.txt").touch()
    for folder, world in ((world_folder, replace(QUICK, seed=5)), (tmp_path, QUICK)):
        with pytest.raises(BadInput, match="holds something else than this world"):
            write_world(folder, world, progress=False)


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv, "DictWriter", full)
    with pytest.raises(BadInput, match="disk is full"):
        write_world(tmp_path / "world", QUICK, workers=1, progress=False)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from data_prep.world import World, write_world
write_world(Path(sys.argv[1]), World(), workers=2)
"""  # no `if __name__ == "__main__":`, as beginners write it


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="interrupts with a POSIX signal")
def test_interrupted_world_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "world")]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3], start_new_session=True
    ) as run:
        while not list(tmp_path.rglob("*.jpg")):
            assert run.poll() is None
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal sends it, to all processes
        run.communicate(timeout=240)  # ends when the last process that could write to it is gone
    assert run.returncode != 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_failure_in_a_process_comes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bounding_box_train"):
        _draw_all(TWO, tmp_path / "missing", 2, False)


def test_presets_are_named_and_changed(tmp_path: Path, world_folder: Path) -> None:
    with pytest.raises(BadInput, match="Unknown preset 'huge': choose one of quick, default, unaligned, large"):
        draw_world(tmp_path, "huge")
    changes = ["train_identities=2", "test_identities=2", "train_images=2", "cast=0.1"]
    folder = draw_world(tmp_path, "quick", seed=7, changes=changes)
    settings = json.loads((folder / "ground_truth" / "world.json").read_text())
    assert (settings["seed"], settings["train_identities"], settings["cast"]) == (7, 2, 0.1)
    assert len(open_dataset("synthetic", tmp_path).train) == 4


# ---- pairs


def test_pair_of_a_written_image(world_folder: Path, table: pd.DataFrame) -> None:
    occluded = table[table["occluder"] != ""]
    for row in [*occluded.groupby("split").head(3).itertuples()]:
        path = world_folder / str(row.file)
        pair = read_pair(path)
        assert np.array_equal(pair.regions_with, np.asarray(Image.open(truth_path(path))))
        written = np.asarray(Image.open(path), float)
        assert np.abs(written - pair.image_with).mean() < 6 < np.abs(written - pair.image_without).mean()  # JPEG's loss
        number = int(path.stem.split("_")[2]) - 1
        again = render_pair(QUICK, str(row.split), int(str(row.identity)), number)
        assert all(np.array_equal(a, b) for a, b in zip(pair, again, strict=True))


def test_pair_of_what_is_no_such_image_is_refused(world_folder: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    free = world_folder / str(table.loc[table["occluder"] == "", "file"].iloc[0])
    with pytest.raises(BadInput, match="has no occluder to take away"):
        read_pair(free)
    query = next((world_folder / "query").iterdir())
    for path in (query.with_name("1.jpg"), query.with_name("0001_c1s1_000099_00.jpg"), tmp_path / query.name):
        with pytest.raises(BadInput, match="isn't an image of the drawn world"):
            read_pair(path)
    copy = shutil.copytree(world_folder, tmp_path / "world")
    settings = copy / "ground_truth" / "world.json"
    settings.write_text(settings.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(BadInput, match="was drawn by another version of this kit"):
        read_pair(copy / "query" / query.name)
    settings.write_text("[]")
    with pytest.raises(BadInput, match=r"world\.json isn't the settings of a drawn world"):
        read_pair(copy / "query" / query.name)
