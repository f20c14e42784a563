from __future__ import annotations

from dataclasses import asdict

import numpy as np

from data_prep.world import World, identities
from data_prep.world.identities import CHOICES, DEPENDS, sample_identities, sample_identity
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
