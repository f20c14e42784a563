from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from scmlib import figures
from scmlib.figures import style

# What a colour looks like to people without red, green or blue cones, in linear RGB: Machado, Oliveira and Fernandes
# (2009), A physiologically-based model for simulation of color vision deficiency.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
GROUPS = {  # colours that share a figure
    "found": (style.RIGHT, style.WRONG),
    "method": (style.SCM, style.CONTROL),
    "embeddings": (style.GLOBAL, style.COOPERATIVE, style.COMPETITIVE),
    "splits": tuple(style.SPLITS.values()),
    "series": tuple(style.series(3)),
}


def lab(colour: str, sight: str) -> NDArray[np.float64]:
    """A colour as somebody sees it, in CIELAB, where distances are about as large as they look."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1) / XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a: str, b: str, sight: str) -> float:
    return float(np.linalg.norm(lab(a, sight) - lab(b, sight)))


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_of_one_figure_stay_well_apart(sight: str) -> None:
    for group in GROUPS.values():
        assert min(distance(a, b, sight) for a, b in combinations(group, 2)) > 20, group


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_meanings_look_alike(sight: str) -> None:
    named = [colour for name, group in GROUPS.items() if name != "series" for colour in group]
    assert len(set(named)) == len(named) == 10
    assert min(distance(a, b, sight) for a, b in combinations(named, 2)) > 14


def test_distance_knows_what_deuteranopes_confuse() -> None:
    assert distance("#009E73", "#7F7F7F", "usual") > 40
    assert distance("#009E73", "#7F7F7F", "deuteranopia") < 15
    assert lab("white", "usual") == pytest.approx([100, 0, 0], abs=0.1)


def test_series_goes_from_dark_to_light() -> None:
    lightness = [lab(colour, "usual")[0] for colour in style.series(12)]
    assert lightness == sorted(lightness)
    assert style.series(1)[0].upper() == style.PLAIN


def test_a_picture_becomes_an_array_without_a_change() -> None:
    picture = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)
    array = figures.to_array(picture)
    assert array.shape == (2, 4, 5, 3)
    assert array[1, 3, 2, 0] == picture[1, 0, 3, 2]
    np.testing.assert_array_equal(figures.to_array(picture[0]), array[0])


def test_every_embedding_has_the_colour_of_its_kind() -> None:
    colours = style.embedding_colours(2)
    assert list(colours) == ["global mean", "cooperative mean", "global max", "competitive 1 max", "competitive 2 max"]
    assert list(colours.values()) == [style.GLOBAL, style.COOPERATIVE, style.GLOBAL, *[style.COMPETITIVE] * 2]


def test_folded_names_keep_every_letter() -> None:
    assert style.folded(["ab cd", "abcdefgh"], 5) == ["ab cd", "abcde\nfgh"]
    assert style.rows_height(["ab", "a\nb"], 0.4) == pytest.approx(0.97)


def test_alt_text_is_escaped_in_html() -> None:
    figure = figures.new_figure(1, 1, 'a "b" < c & d')
    assert 'alt="a &quot;b&quot; &lt; c &amp; d"' in figures.html(figure)
