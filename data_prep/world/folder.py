"""A world in a folder: written as Market-1501 is laid out, with the answers beside it, and read back.

`ground_truth` holds an index map for each image, `images.csv` (what each image shows) and `world.json` (the settings).
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from tqdm.auto import tqdm

from data_prep.world.rendering import Pair, render, render_pair
from data_prep.world.settings import PRESETS, SPLITS, World, changed
from scmlib.data.datasets import dataset_folder
from scmlib.data.truth import REGION_COLOURS, read_truth, truth_path
from scmlib.errors import BadInput
from scmlib.files import parse_json

ANSWERS = "ground_truth"
SETTINGS = Path(ANSWERS) / "world.json"

# A process takes a second or two to start, in which another one draws about as many images.
IMAGES_PER_PROCESS = 128


def write_world(folder: Path, world: World, *, workers: int = 0, progress: bool = True) -> Path:
    """Write a world into a folder; all or nothing.

    The folder appears, by one renaming, when everything is drawn. One that holds the same world is left as it is.

    Args:
        folder: to be made; an empty one may be there.
        world: its settings.
        workers: processes, 0 for one a core; the bytes written don't depend on it.
        progress: whether to show a bar.

    Returns:
        The folder.

    Raises:
        BadInput: the folder holds anything else, or can't be written.
    """
    folder = Path(folder)
    if workers < 0:
        raise BadInput(f"workers is {workers}, but must be 0 (a process for each core) or more")
    if _is_there(folder, world):
        return folder
    draft = folder.parent / f".{folder.name}.{os.getpid()}.draft"
    try:
        for name in SPLITS.values():
            (draft / name).mkdir(parents=True)
            (draft / ANSWERS / name).mkdir(parents=True)
        rows = _draw_all(world, draft, workers, progress)
        with (draft / ANSWERS / "images.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        (draft / SETTINGS).write_text(json.dumps(asdict(world), indent=2) + "\n", "utf-8")
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise BadInput(f"the world can't be written to {folder}: {reason}; make room or name another folder") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def draw_world(
    dataset_root: str | Path, preset: str, *, seed: int = 0, changes: Iterable[str] = (), workers: int = 0
) -> Path:
    """Write the world of a preset to the folder that `open_dataset` reads; all or nothing.

    Args:
        dataset_root: the folder that holds the data sets' folders.
        preset: a key of `PRESETS`.
        seed: of the world.
        changes: of the preset's settings, each as `name=value`.
        workers: processes, 0 for one a core.

    Returns:
        The world's folder.

    Raises:
        BadInput: an unknown preset, a change that doesn't fit, a folder that holds anything else or can't be written.
    """
    if preset not in PRESETS:
        raise BadInput(f"Unknown preset '{preset}': choose one of {', '.join(PRESETS)}.")
    world = changed(replace(PRESETS[preset], seed=seed), changes)
    return write_world(dataset_folder("synthetic", dataset_root), world, workers=workers)


def read_settings(folder: Path) -> World:
    """The settings of the world that a folder holds; one that the file doesn't name has its default.

    Raises:
        BadInput: there are none, or they can't be read.
    """
    path = folder / SETTINGS
    try:
        content = parse_json(path.read_text("utf-8"))
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        return World(**values)
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"{path} isn't the settings of a drawn world ({error}): draw the world anew.") from error


def read_pair(image: Path) -> Pair:
    """An image of a written world with and without its occluder, drawn anew.

    Args:
        image: a path in a folder that `write_world` made.

    Raises:
        BadInput: no image of a drawn world, one without an occluder, or one that was drawn by another version.
    """
    image = Path(image).resolve()
    splits = {name: split for split, name in SPLITS.items()}
    match = re.fullmatch(r"([0-9]{4,})_c[0-9]+s1_([0-9]{6,})_00\.jpg", image.name)
    if not match or image.parent.name not in splits or not image.is_file():
        raise BadInput(
            f"{image} isn't an image of the drawn world: pairs with and without an occluder exist only there."
        )
    world = read_settings(image.parents[1])
    pair = render_pair(world, splits[image.parent.name], int(match[1]), int(match[2]) - 1)
    # Other versions of Pillow may round an outline differently, but not move it.
    if np.mean(read_truth([image])[0] != pair.regions_with) > 0.02:
        raise BadInput(f"{image} was drawn by another version of this kit: draw the world anew.")
    return pair


def _is_there(folder: Path, world: World) -> bool:
    """Whether a folder holds this world already; one with anything else in it is an error."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        if read_settings(folder) == world:
            return True
    except BadInput:
        pass
    raise BadInput(f"{folder} holds something else than this world; name another folder or remove this one first")


def _tasks(world: World) -> list[tuple[str, int, int]]:
    """Split, identity and index of all images, in the order of the table."""
    train = range(1, world.train_identities + 1)
    test = range(train.stop, train.stop + world.test_identities)
    plan = (
        ("train", train, world.train_images),
        ("query", test, world.query_images),
        ("gallery", test, world.gallery_images),
    )
    return [(split, person, k) for split, people, count in plan for person in people for k in range(count)]


def _draw_all(world: World, folder: Path, workers: int, progress: bool) -> list[dict[str, Any]]:
    """Write every image; returns their rows, in the same order whatever the number of processes."""
    tasks = _tasks(world)
    workers = min(workers or joblib.cpu_count(), max(1, len(tasks) // IMAGES_PER_PROCESS))
    draw = joblib.Parallel(workers, return_as="generator")
    try:
        with closing(draw(joblib.delayed(_write_image)(world, folder, *task) for task in tasks)) as rows:
            return list(tqdm(rows, "drawing", len(tasks), unit="image", disable=not progress))
    finally:
        if workers > 1:  # else joblib keeps its processes for later calls, and their memory
            get_reusable_executor().shutdown()


def _write_image(world: World, folder: Path, split: str, identity: int, index: int) -> dict[str, Any]:
    """Draw one image and write it and its index map; returns its row of the table."""
    image, regions, facts = render(world, split, identity, index)
    file = f"{SPLITS[split]}/{identity:04d}_c{facts['camera']}s1_{index + 1:06d}_00.jpg"
    Image.fromarray(image).save(folder / file, quality=92)
    answer = Image.fromarray(regions)
    answer.putpalette([level for colour in REGION_COLOURS for level in colour])
    answer.save(truth_path(folder / file))
    return {"file": file, **facts}
