"""The settings of a world, checked, with presets and changes given as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from data_prep.world.occluders import KINDS, WIDE
from scmlib.errors import BadInput

# The folder of each split, as in Market-1501.
SPLITS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


@dataclass(frozen=True)
class World:
    """Settings of a world; the same settings give the same bytes.

    Raises:
        BadInput: a value out of its range, or two values that don't go together.
    """

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
    small: float = 0.0  # how much smaller than its box a person may be, who then stands anywhere in it
    partial: float = 0.0  # share of the images whose box misses much of the person: the legs, or head and trunk
    twins: float = 0.0  # share of the identities that have a twin, who differs in a single attribute
    train_kinds: tuple[str, ...] = KINDS  # what can stand in front of a person in training
    test_kinds: tuple[str, ...] = KINDS  # and in the test
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
        for name in ("occluded_train", "occluded_gallery", "occluded_query", "partial", "twins"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"World.{name} is {getattr(self, name)!r}, but must be a share from 0 to 1")
        for name in ("cast", "loose", "small"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise BadInput(f"World.{name} is {getattr(self, name)!r}, but must be a number from 0 to 0.5")
        low, high = self.hidden if len(self.hidden) == 2 else (0.0, 0.0)
        if not 0 < low < high <= 0.95 or round(high - low, 6) < 0.05:
            raise BadInput(
                f"World.hidden is {self.hidden!r}, but must be two shares above 0 and up to 0.95, at least 0.05 apart"
            )
        for name in ("train_kinds", "test_kinds"):
            kinds = getattr(self, name)
            if not set(kinds) <= set(KINDS) or not set(kinds) & set(WIDE):
                raise BadInput(
                    f"World.{name} is {kinds!r}, but must be some of {', '.join(KINDS)}, "
                    f"with at least one of {', '.join(WIDE)}"
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
    # Where a part is can't be known beforehand, nothing that hides people in the test was there in training, and the
    # person who looks most alike is somebody else: position isn't enough.
    "unaligned": World(
        loose=0.15,
        small=0.25,
        partial=0.2,
        twins=0.3,
        train_kinds=("pole", "sign"),
        test_kinds=("vehicle", "plant", "pedestrian"),
    ),
    "large": World(train_identities=700, test_identities=700),
}


def changed(world: World, changes: Iterable[str]) -> World:
    """A world with some settings replaced.

    Args:
        world: with the settings that stay.
        changes: each as `name=value`, e.g. `cast=0.1`; several as `hidden=0.2,0.5` or `train_kinds=pole,sign`.

    Raises:
        BadInput: a name that doesn't exist, or a value of the wrong form or out of its range.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in asdict(world):
            raise BadInput(f"'{change}' sets nothing: a world has {', '.join(asdict(world))}")
        now = getattr(world, name)
        try:
            several = isinstance(now, tuple)
            values[name] = tuple(type(now[0])(part) for part in text.split(",")) if several else type(now)(text)
        except ValueError as error:
            raise BadInput(f"World.{name} can't be '{text}': it is of the form {now}") from error
    return replace(world, **values)
