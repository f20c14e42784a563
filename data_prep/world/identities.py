"""Who is in a world: attributes that stay the same on every image of a person, drawn so that any two people differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache

import numpy as np

# The values of every attribute with their odds. They are few and shared, so that no single one gives a person away.
CHOICES: dict[str, dict[str, float]] = {
    "stature": {"short": 1, "medium": 1, "tall": 1},
    "girth": {"slim": 1, "medium": 1, "broad": 1},
    "skin": {"fair": 1, "light": 1, "tan": 1, "deep": 1, "dark": 1},
    "hair": {"bald": 1, "short": 3, "long": 2, "ponytail": 2},
    "hair_colour": {"black": 3, "dark brown": 3, "blond": 2, "grey": 1},
    "hat": {"none": 6, "cap": 2, "beanie": 1.5, "wide hat": 1},
    "hat_colour": {"black": 2, "white": 1, "red": 1, "navy": 1, "beige": 1},
    "upper": {"t-shirt": 3, "long sleeve": 3, "open jacket": 3, "coat": 2},
    "upper_colour": {"black": 2, "grey": 2, "white": 2, "navy": 2, "red": 1, "green": 1, "yellow": 1},
    "pattern": {
        "plain": 2,
        "horizontal stripes": 1,
        "vertical stripes": 1,
        "checks": 1,
        "dots": 1,
        "two blocks": 1,
        "chest print": 1,
    },
    "second_colour": {"black": 1, "grey": 1, "white": 2, "navy": 1, "red": 1, "green": 1, "yellow": 1},
    "lower": {"trousers": 4, "shorts": 2, "skirt": 2},
    "lower_colour": {"black": 2, "navy": 1, "denim": 2, "grey": 1, "beige": 1},
    "side_stripe": {"none": 3, "white": 1, "red": 0.5},
    "shoes": {"low": 2, "boots": 1},
    "shoe_colour": {"black": 2, "white": 2, "brown": 1, "red": 0.5},
    "bag": {"none": 3, "backpack": 2, "shoulder bag": 2, "hand bag": 1, "suitcase": 1},
    "bag_colour": {"black": 2, "brown": 1, "red": 1, "blue": 1, "beige": 1},
}

# An attribute that goes with another one is "none" when that one isn't there.
DEPENDS = {"hair_colour": ("hair", "bald"), "hat_colour": ("hat", "none"), "bag_colour": ("bag", "none")}


@dataclass(frozen=True)
class Attributes:
    """What stays the same about a person on every image: the values of each field are keys of `CHOICES[field]`."""

    stature: str
    girth: str
    skin: str
    hair: str
    hair_colour: str
    hat: str
    hat_colour: str
    upper: str
    upper_colour: str
    pattern: str
    second_colour: str
    lower: str
    lower_colour: str
    side_stripe: str
    shoes: str
    shoe_colour: str
    bag: str
    bag_colour: str


def sample_identity(rng: np.random.Generator) -> Attributes:
    """The attributes of a random person; colours of a thing that isn't there are "none"."""
    drawn: dict[str, str] = {}
    for name, odds in CHOICES.items():
        ends = np.cumsum(list(odds.values()))
        drawn[name] = list(odds)[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))]
    for name, (other, absent) in DEPENDS.items():
        if drawn[other] == absent:
            drawn[name] = "none"
    if drawn["upper"] == "open jacket" and drawn["pattern"] == "chest print":
        drawn["pattern"] = "two blocks"  # the open front leaves no chest to print on
    if drawn["lower"] == "skirt":
        drawn["side_stripe"] = "none"
    if drawn["second_colour"] == drawn["upper_colour"]:
        drawn["second_colour"] = "white" if drawn["upper_colour"] != "white" else "black"
    if drawn["pattern"] == "plain" and drawn["upper"] != "open jacket":
        drawn["second_colour"] = "none"
    return Attributes(**drawn)


@lru_cache(maxsize=4)
def sample_identities(seed: int, count: int) -> tuple[Attributes, ...]:
    """Random people, any two of whom differ in at least three attributes.

    Args:
        seed: of the world.
        count: of people; a larger count begins with the same people.

    Returns:
        Identity 1 first.
    """
    rng = np.random.default_rng([seed, 1])
    found: list[Attributes] = []
    codes = np.zeros((count, len(fields(Attributes))), "U20")
    while len(found) < count:
        new = sample_identity(rng)
        code = np.array(list(asdict(new).values()))
        if (codes[: len(found)] != code).sum(1).min(initial=99) >= 3:
            codes[len(found)] = code
            found.append(new)
    return tuple(found)


# What can be all that tells a twin: large enough to be seen from any side unless it is hidden.
TELLING = ("upper_colour", "lower_colour", "lower", "shoe_colour", "skin")


@lru_cache(maxsize=8)
def with_twins(seed: int, people: tuple[Attributes, ...], share: float) -> tuple[Attributes, ...]:
    """People of whom some, two by two, are twins that differ in one attribute of `TELLING`.

    Args:
        seed: of the world.
        people: any two of whom differ in at least three attributes.
        share: of the people that have a twin, 0 to 1.

    Returns:
        As many people, in their order; the second of a pair may have changed.
    """
    found = list(people)
    for second in range(1, len(people), 2):
        rng, first = np.random.default_rng([seed, 8, second]), people[second - 1]
        if rng.random() < share:
            name = str(rng.choice(TELLING))
            # The pattern must still show, and a skirt has no stripe at its side.
            taken = {getattr(first, name), first.second_colour, "skirt" if first.side_stripe != "none" else ""}
            found[second] = replace(first, **{name: str(rng.choice([v for v in CHOICES[name] if v not in taken]))})
    return tuple(found)
