from __future__ import annotations

from dataclasses import replace

import pytest

from data_prep.world import World, changed
from scmlib.errors import BadInput


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_identities": 0}, "World.train_identities is 0"),
        ({"cameras": 1}, "World.cameras is 1"),
        ({"occluded_train": 1.5}, "World.occluded_train is 1.5"),
        ({"hidden": (0.9, 0.2)}, "World.hidden is"),
        ({"loose": -0.1}, "World.loose is -0.1"),
        ({"loose": 0.6}, "World.loose is 0.6, but must be a number from 0 to 0.5"),
        ({"small": 0.7}, "World.small is 0.7"),
        ({"partial": 2.0}, "World.partial is 2.0"),
        ({"test_kinds": ("pole",)}, "World.test_kinds is ..pole.,.*with at least one of sign, vehicle"),
        ({"train_kinds": ("car", "sign")}, "World.train_kinds is"),
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
    assert changed(World(), ["train_kinds=pole,sign"]).train_kinds == ("pole", "sign")
    for text, said in (("colour=3", "sets nothing"), ("cameras=many", "can't be 'many'"), ("hidden=1", "World.hidden")):
        with pytest.raises(BadInput, match=said):
            changed(World(), [text])
