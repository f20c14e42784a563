"""A drawn world of pedestrians in Market-1501's layout, with the answers: who, where, which pixels, what is hidden."""

from __future__ import annotations

import csv
import errno
import json
import multiprocessing
import os
import shutil
from collections.abc import Collection, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from data_prep.world.body import POSES, VIEWS, Attributes, draw_pedestrian, sample_identities, sample_identity
from data_prep.world.boxes import draw_box
from data_prep.world.cameras import camera_of, take
from data_prep.world.canvas import Array, Layer, paste, slide
from data_prep.world.occluders import OCCLUDERS, draw_occluder
from data_prep.world.scenes import background, shadow
from scmlib.data.datasets import dataset_folder
from scmlib.data.truth import REGION_COLOURS, REGIONS
from scmlib.errors import BadInput

SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}

# What can stand in front of a person.
KINDS = (*OCCLUDERS, "pedestrian")


@dataclass(frozen=True)
class World:
    """Settings of a world; the same settings give the same bytes."""

    seed: int = 0  # of everything that is drawn by chance
    train_identities: int = 100
    test_identities: int = 100  # others than those for training
    train_images: int = 16  # of each identity, spread over its cameras
    query_images: int = 4  # of each test identity, each from another camera
    gallery_images: int = 10  # of each test identity, from at least two cameras
    cameras: int = 6
    occluded_train: float = 0.5  # share of the images on which something stands in front, 0 to 1
    occluded_gallery: float = 0.1
    occluded_query: float = 1.0
    hidden: tuple[float, float] = (0.2, 0.5)  # the least and the most of a person's pixels that it hides
    cast: float = 0.05  # how far the gains of a camera's red, green and blue go from 1: its colour cast
    loose: float = 0.0  # how far a box's edges may be off, as a share of its height: heads and legs change their rows
    height: int = 192  # of an image, in pixels
    width: int = 96

    def __post_init__(self) -> None:
        counts = {
            "train_identities": 1,
            "test_identities": 1,
            "train_images": 1,
            "query_images": 1,
            "gallery_images": 2,
        }
        for name, least in {"seed": 0, "cameras": 2, **counts}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise BadInput(f"World.{name} is {value!r}, but must be a whole number of at least {least}")
        if self.query_images > self.cameras:
            raise BadInput(
                f"World.query_images is {self.query_images}, but each query needs a camera of its own "
                f"and World.cameras is {self.cameras}"
            )
        for name in ("occluded_train", "occluded_gallery", "occluded_query"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"World.{name} is {getattr(self, name)!r}, but must be a share from 0 to 1")
        for name in ("cast", "loose"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise BadInput(f"World.{name} is {getattr(self, name)!r}, but must be a number from 0 to 0.5")
        low, high = self.hidden if len(self.hidden) == 2 else (0.0, 0.0)
        if not 0 < low < high <= 0.95 or round(high - low, 6) < 0.05:
            raise BadInput(
                f"World.hidden is {self.hidden!r}, but must be two shares above 0 and up to 0.95, at least 0.05 apart"
            )
        for name in ("height", "width"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 32 <= value <= 1024 or value % 2:
                raise BadInput(f"World.{name} is {value!r}, but must be an even number of pixels from 32 to 1024")
        if not 1.5 <= self.height / self.width <= 3:
            raise BadInput(
                f"World.width is {self.width}, but World.height ({self.height}) must be 1.5 to 3 times as much"
            )


PRESETS: dict[str, World] = {
    "quick": World(
        train_identities=12,
        test_identities=12,
        train_images=8,
        query_images=2,
        gallery_images=4,
        cameras=3,
        height=96,
        width=48,
    ),
    "default": World(),
    "large": World(train_identities=700, test_identities=700),
}


def changed(world: World, changes: Iterable[str]) -> World:
    """Return a world with some settings replaced, each given as `name=value`; a pair as `hidden=0.2,0.5`.

    Raises `BadInput` for a name that doesn't exist and for a value that isn't of its form.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in asdict(world):
            raise BadInput(f"'{change}' sets nothing: a world has {', '.join(asdict(world))}")
        kind = type(getattr(world, name))
        try:
            values[name] = tuple(float(part) for part in text.split(",")) if kind is tuple else kind(text)
        except ValueError as error:
            raise BadInput(f"World.{name} can't be '{text}': it is of the form {getattr(world, name)}") from error
    return replace(world, **values)


def identities(world: World) -> tuple[Attributes, ...]:
    """Return who is in a world: identity 1 first, those for training before those for the test.

    Any two differ in at least three attributes.
    """
    return sample_identities(world.seed, world.train_identities + world.test_identities)


def _cameras(world: World, split: str, identity: int, index: int) -> int:
    """Return the camera of an image; a test identity's queries come from different ones, its gallery from several."""
    rng = np.random.default_rng([world.seed, 5, identity])
    order = rng.permutation(world.cameras) + 1
    least = 2 if split == "train" else max(2, world.query_images)
    visited = rng.integers(least, world.cameras + 1)
    return int(order[index % visited])


def _occluder(world: World, kind: str, person: Array, rng: np.random.Generator) -> tuple[Layer, str]:
    """Return a layer in place that hides a share of the person (H, W, bool) within the world's limits, and its kind."""
    low, high = world.hidden
    for attempt in range(40):
        target = rng.uniform(low, high)
        if attempt == 20:
            kind = "sign"  # wide enough to hide any share, where a pole may be too thin
        if kind == "pedestrian":
            view, pose = str(rng.choice(VIEWS)), str(rng.choice(list(POSES)))
            layer = draw_pedestrian(
                sample_identity(rng),
                view,
                pose,
                rng,
                height=world.height,
                width=world.width,
                size=rng.uniform(0.9, 1.1),
            )
            axis, fixed = "across", round(rng.uniform(0.0, 0.06) * world.height)
        else:
            layer, axis, fixed = draw_occluder(kind, world.height, world.width, rng)
        share, x, y = slide(layer.regions > 0, person, axis, fixed, target, bool(rng.random() < 0.5))
        if low <= share <= high:
            return paste(layer, x, y, world.height, world.width), kind
    raise BadInput(f"World.hidden is {world.hidden}, and no {kind} hides that much of a person")


def render(
    world: World,
    split: str = "train",
    identity: int = 1,
    index: int = 0,
    *,
    camera: int | None = None,
    view: str | None = None,
    pose: str | None = None,
    occluder: str | None = None,
) -> tuple[Array, Array, dict[str, Any]]:
    """Draw one image of a world: image (H, W, 3) uint8, index map (H, W) uint8 of `REGIONS`, and the facts about it.

    `split` is train, query or gallery, `identity` counts from 1, `index` from 0 within the split. What isn't given is
    drawn by chance as `write_world` does; `occluder` is one of `KINDS`, or "" for none. A value that doesn't exist
    raises `BadInput`.
    """
    people = identities(world)
    known: dict[str, tuple[object, Collection[object]]] = {
        "split": (split, SPLITS),
        "identity": (identity, range(1, len(people) + 1)),
        "camera": (camera, (None, *range(1, world.cameras + 1))),
        "view": (view, (None, *VIEWS)),
        "pose": (pose, (None, *POSES)),
        "occluder": (occluder, (None, "", *KINDS)),
    }
    for name, (value, values) in known.items():
        if value not in values:
            raise BadInput(f"{name} is {value!r}, but must be one of {list(values)}")
    address = list(SPLITS).index(split), identity, index
    rng = np.random.default_rng([world.seed, 6, *address])
    number = _cameras(world, split, identity, index)
    number = number if camera is None else camera
    device = camera_of(world.seed, number, world.cameras, world.height, world.cast)
    drawn = str(rng.choice(VIEWS, p=device.views)), str(rng.choice(list(POSES)))
    kind = str(rng.choice(KINDS)) if rng.random() < getattr(world, f"occluded_{split}") else ""
    view, pose, kind = view or drawn[0], pose or drawn[1], kind if occluder is None else occluder
    who = people[identity - 1]
    box = draw_box(world.height, world.width, world.loose, np.random.default_rng([world.seed, 7, *address]))
    whole = draw_pedestrian(who, view, pose, rng, height=box.frame_height, width=box.frame_width, margin=box.margin)
    picture = background(world.seed, number, world.height, world.width, rng)
    picture = box.cut(shadow(whole, box.frame_height, rng)).over(picture)
    person = box.cut(whole)
    picture = person.over(picture)
    regions, hidden = person.regions.copy(), 0.0
    if kind:
        front, kind = _occluder(world, kind, person.regions > 0, rng)
        picture = front.over(picture)
        hidden = float((regions[front.regions > 0] > 0).sum() / (regions > 0).sum())
        regions[front.regions > 0] = REGIONS.index("occluder")
    facts = {"split": split, "identity": identity, "camera": number, "view": view, "pose": pose, "occluder": kind}
    facts |= {"hidden": round(hidden, 4), "visible": round(1 - hidden, 4), **asdict(who)}
    return take(picture, device, rng), regions, facts


class Task(NamedTuple):
    """One image to draw."""

    split: str
    identity: int
    number: int


def _tasks(world: World) -> list[Task]:
    train = range(1, world.train_identities + 1)
    test = range(train.stop, train.stop + world.test_identities)
    plan = (
        ("train", train, world.train_images),
        ("query", test, world.query_images),
        ("gallery", test, world.gallery_images),
    )
    return [Task(split, person, k) for split, people, count in plan for person in people for k in range(count)]


def _write_images(tasks: list[Task], world: World, folder: Path) -> list[dict[str, Any]]:
    rows = []
    for task in tasks:
        image, regions, facts = render(world, *task)
        stem = f"{task.identity:04d}_c{facts['camera']}s1_{task.number + 1:06d}_00"
        place = SPLITS[task.split]
        Image.fromarray(image).save(folder / place / f"{stem}.jpg", quality=92)
        answer = Image.fromarray(regions)
        answer.putpalette([level for colour in REGION_COLOURS for level in colour])
        answer.save(folder / "ground_truth" / place / f"{stem}.png")
        rows.append({"file": f"{place}/{stem}.jpg", **facts})
    return rows


def _draw_all(world: World, folder: Path, workers: int, progress: bool) -> Iterable[dict[str, Any]]:
    """Write every image and yield its row, in the same order whatever the number of processes."""
    tasks = _tasks(world)
    chunks = [tasks[start : start + 32] for start in range(0, len(tasks), 32)]
    workers = min(workers or os.cpu_count() or 1, len(chunks) // 4 or 1)
    work = partial(_write_images, world=world, folder=folder)
    with tqdm(total=len(tasks), desc="drawing", unit="image", disable=not progress) as bar:
        pool = None
        if workers > 1:
            pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            for rows in pool.map(work, chunks) if pool else map(work, chunks):
                bar.update(len(rows))
                yield from rows
        finally:
            if pool:
                pool.shutdown(cancel_futures=True)


def _settings(world: World) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(asdict(world)))  # tuples become lists, as they are read back
    return settings


def _is_there(folder: Path, world: World) -> bool:
    """Return whether a folder holds this world already; a folder with anything else in it is an error."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        drawn = json.loads((folder / "ground_truth" / "world.json").read_text("utf-8"))
        # A world from before there was a setting was drawn as its default does.
        if {**_settings(World()), **drawn} == _settings(world):
            return True
    except (OSError, TypeError, ValueError):
        pass
    raise BadInput(f"{folder} holds something else than this world; name another folder or remove this one first")


def write_world(folder: Path, world: World, *, workers: int = 0, progress: bool = True) -> Path:
    """Write a world into a folder as Market-1501 is laid out, with the answers under `ground_truth`, and return it.

    All or nothing: the folder appears when everything is drawn. A folder that holds the same world is left as it is;
    one that holds anything else, and a full disk, raise `BadInput`. `workers` is the number of processes, 0 one for
    each core; the bytes written don't depend on it. Processes are spawned, so a script calls this under
    `if __name__ == "__main__":`.
    """
    folder = Path(folder)
    if workers < 0:
        raise BadInput(f"workers is {workers}, but must be 0 (a process for each core) or more")
    if _is_there(folder, world):
        return folder
    draft = folder.parent / f".{folder.name}.{os.getpid()}.draft"
    try:
        for place in SPLITS.values():
            (draft / place).mkdir(parents=True)
            (draft / "ground_truth" / place).mkdir(parents=True)
        rows = list(_draw_all(world, draft, workers, progress))
        with (draft / "ground_truth" / "images.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        text = json.dumps(_settings(world), indent=2) + "\n"
        (draft / "ground_truth" / "world.json").write_text(text, "utf-8")
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
    """The world of a preset, with changes such as `cast=0.1`, under the name that `open_dataset` looks for."""
    if preset not in PRESETS:
        raise BadInput(f"Unknown preset '{preset}': choose one of {', '.join(PRESETS)}.")
    world = changed(replace(PRESETS[preset], seed=seed), changes)
    return write_world(dataset_folder("synthetic", dataset_root), world, workers=workers)
