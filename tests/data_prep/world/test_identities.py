from __future__ import annotations

from dataclasses import asdict

import numpy as np

from data_prep.world import PRESETS, World, identities
from data_prep.world.identities import (
    CHOICES,
    DEPENDS,
    TELLING,
    Attributes,
    sample_identities,
    sample_identity,
    with_twins,
)
from data_prep.world.painting import COLOURS


def test_identities_differ_in_three_attributes_at_least_but_share_most() -> None:
    people = [tuple(vars(person).values()) for person in identities(World())]
    differences = [sum(a != b for a, b in zip(p, q, strict=True)) for i, p in enumerate(people) for q in people[:i]]
    assert len(people) == 200
    assert min(differences) >= 3
    assert np.mean(differences) < 0.8 * len(people[0])


def test_larger_world_begins_with_the_same_people() -> None:
    assert sample_identities(3, 20)[:10] == sample_identities(3, 10)
    assert sample_identities(4, 10) != sample_identities(3, 10)


def test_attributes_are_choices_that_go_together() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        person = asdict(sample_identity(rng))
        for name, value in person.items():
            assert value in CHOICES[name] or value == "none" or name in ("pattern", "second_colour")
            assert "colour" not in name or value in COLOURS
        for name, (other, absent) in DEPENDS.items():
            assert (person[name] == "none") == (person[other] == absent)
        assert person["second_colour"] != person["upper_colour"]


def differences(a: Attributes, b: Attributes) -> list[str]:
    return [name for name, value in asdict(a).items() if value != asdict(b)[name]]


def test_twins_differ_in_one_attribute_that_shows() -> None:
    people = sample_identities(0, 200)
    twins = with_twins(0, people, 1.0)
    assert twins[::2] == people[::2]
    for one, other in zip(twins[::2], twins[1::2], strict=True):
        assert len(differences(one, other)) == 1
        assert differences(one, other)[0] in TELLING
        assert not (other.lower == "skirt" and other.side_stripe != "none")
        assert other.second_colour != other.upper_colour
    assert with_twins(0, people, 0.0) == people
    some = with_twins(0, people, 0.3)
    assert 0.2 < np.mean([len(differences(*pair)) == 1 for pair in zip(some[::2], some[1::2], strict=True)]) < 0.4


def test_no_one_in_training_has_a_twin_in_the_test() -> None:
    world = World(train_identities=3, test_identities=4, twins=1.0)
    people = identities(world)
    alike = [(i, j) for i in range(7) for j in range(i + 1, 7) if len(differences(people[i], people[j])) == 1]
    assert alike == [(0, 1), (3, 4), (5, 6)]
    assert identities(PRESETS["default"]) == sample_identities(0, 200)
