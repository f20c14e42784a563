"""One image of a world: scene, person and occluder, taken by a camera; and the same image without the occluder.

Each image has random generators of its own, seeded by the world's seed and the image's split, identity and index.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from data_prep.world.boxes import draw_box
from data_prep.world.cameras import Camera, camera_of, take
from data_prep.world.identities import Attributes, sample_identities, with_twins
from data_prep.world.layers import Array, Layer
from data_prep.world.occluders import KINDS, stand_in_front
from data_prep.world.pedestrian import POSES, VIEWS, draw_pedestrian
from data_prep.world.scenes import background, shadow
from data_prep.world.settings import SPLITS, World
from scmlib.data.truth import OCCLUDER
from scmlib.errors import BadInput


class Pair(NamedTuple):
    """One picture with and without its occluder; all else is the same, to the noise of the camera."""

    image_with: Array  # (H, W, 3) uint8
    image_without: Array
    regions_with: Array  # (H, W) uint8, indices into scmlib's `REGIONS`
    regions_without: Array


class _Shot(NamedTuple):
    """All that is before a camera when it takes a picture."""

    free: Array  # (H, W, 3), 0 to 255: scene and person
    person: Array  # (H, W) uint8, the person's regions
    front: Layer | None  # (H, W), what stands in front
    camera: Camera
    rng: np.random.Generator  # for taking the picture
    facts: dict[str, Any]

    def picture(self) -> Array:
        """What the camera sees, (H, W, 3), 0 to 255."""
        return self.front.over(self.free) if self.front else self.free

    def regions(self) -> Array:
        """What every pixel shows, (H, W) uint8."""
        return np.where(self.front.regions > 0, np.uint8(OCCLUDER), self.person) if self.front else self.person


def identities(world: World) -> tuple[Attributes, ...]:
    """Who is in a world: identity 1 first, those for training before those for the test."""
    people = sample_identities(world.seed, world.train_identities + world.test_identities)
    train, test = people[: world.train_identities], people[world.train_identities :]
    return (*with_twins(world.seed, train, world.twins), *with_twins(world.seed, test, world.twins))


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
    """One image of a world; what isn't given is drawn by chance, as in the written world.

    With other arguments the camera's noise changes too: `render_pair` changes nothing but the occluder.

    Args:
        world: its settings.
        split: train, query or gallery.
        identity: from 1.
        index: of the image among the identity's images of that split, from 0.
        camera: from 1.
        view: the side that the person is seen from, one of `VIEWS`.
        pose: one of `POSES`.
        occluder: one of `KINDS`, or "" for none.

    Returns:
        The image (H, W, 3) uint8, its index map (H, W) uint8 of scmlib's `REGIONS`, and the facts about it: a row of
        the world's table without the file's name.

    Raises:
        BadInput: a value that doesn't exist, or limits that no occluder can keep.
    """
    shot = _compose(world, split, identity, index, camera=camera, view=view, pose=pose, occluder=occluder)
    return take(shot.picture(), shot.camera, shot.rng), shot.regions(), shot.facts


def render_pair(world: World, split: str, identity: int, index: int) -> Pair:
    """One image of a world with and without its occluder: a counterfactual pair.

    Scene, person, light and noise are the same. The two images differ only where the occluder is, and around it as far
    as the camera's blur reaches (at most 4 pixels at a height of 192).

    Args:
        world: its settings.
        split: train, query or gallery.
        identity: from 1.
        index: of the image among the identity's images of that split, from 0.

    Raises:
        BadInput: a value that doesn't exist, or an image without an occluder.
    """
    shot = _compose(world, split, identity, index)
    if shot.front is None:
        raise BadInput(
            f"Image {index} of identity {identity} in {split} has no occluder to take away: choose one that has."
        )
    again = deepcopy(shot.rng)
    image_with = take(shot.picture(), shot.camera, shot.rng)
    return Pair(image_with, take(shot.free, shot.camera, again), shot.regions(), shot.person)


def _compose(
    world: World,
    split: str,
    identity: int,
    index: int,
    *,
    camera: int | None = None,
    view: str | None = None,
    pose: str | None = None,
    occluder: str | None = None,
) -> _Shot:
    """Put scene, person and occluder together; arguments as for `render`."""
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
    number = _camera(world, split, identity, index) if camera is None else camera
    device = camera_of(world.seed, number, world.cameras, world.height, world.cast)
    # Drawn even where it is given, so that what follows stays the same.
    drawn = str(rng.choice(VIEWS, p=device.views)), str(rng.choice(list(POSES)))
    kinds = world.train_kinds if split == "train" else world.test_kinds
    kind = str(rng.choice(kinds)) if rng.random() < getattr(world, f"occluded_{split}") else ""
    view, pose, kind = view or drawn[0], pose or drawn[1], kind if occluder is None else occluder
    who = people[identity - 1]
    box = draw_box(
        world.height,
        world.width,
        world.loose,
        np.random.default_rng([world.seed, 7, *address]),
        small=world.small,
        partial=world.partial,
    )
    whole = draw_pedestrian(who, view, pose, rng, height=box.frame_height, width=box.frame_width, margin=box.margin)
    scene = background(world.seed, number, world.height, world.width, rng)
    scene = box.cut(shadow(whole, box.frame_height, rng)).over(scene)
    person, front, hidden = box.cut(whole), None, 0.0
    if kind:
        front, kind = stand_in_front(kind, person.regions > 0, world.hidden, rng, kinds)
        hidden = float((person.regions[front.regions > 0] > 0).sum() / (person.regions > 0).sum())
    facts = {"split": split, "identity": identity, "camera": number, "view": view, "pose": pose, "occluder": kind}
    facts |= {"hidden": round(hidden, 4), "visible": round(1 - hidden, 4), **asdict(who)}
    return _Shot(person.over(scene), person.regions, front, device, rng, facts)


def _camera(world: World, split: str, identity: int, index: int) -> int:
    """The camera of an image: a test identity's queries come from different ones, its gallery from several."""
    rng = np.random.default_rng([world.seed, 5, identity])
    order = rng.permutation(world.cameras) + 1
    least = 2 if split == "train" else max(2, world.query_images)
    visited = rng.integers(least, world.cameras + 1)
    return int(order[index % visited])
