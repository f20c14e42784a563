from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from scmlib import figures
from scmlib.ranking import rank

STRIP = pd.DataFrame(
    {
        "image": ["b", "a", "c"],
        "identity": [3, 7, 7],
        "camera": [2, 1, 2],
        "similarity": [0.9, 0.8, 0.7],
        "role": ["stranger", "junk", "match"],
    }
)
BANDS = pd.DataFrame({"mean": [0.7, 0.2], "low": [0.6, 0.1], "high": [0.8, 0.4]}, index=["ours", "colour"])
MASS = pd.DataFrame({"mask": ["own", "own", "mean", "mean"], "hidden": [0.1, 0.3] * 2, "on_it": [0.1, 0.2, 0.1, 0.4]})
MAPS = pd.DataFrame(
    {"image": ["x", "y"] * 2, "map": ["noise"] * 2 + ["person"] * 2, "spearman": [0.0, 0.1, 0.6, np.nan]}
)

DRAWN: dict[str, tuple[Callable[[], Figure], str]] = {
    "strip": (lambda: figures.draw_strip(STRIP), "image c, similarity 0.70, match at rank 2"),
    "precision": (lambda: figures.draw_precision([False, True, True]), "ranks 2, 3"),
    "bands": (lambda: figures.draw_bands(BANDS, "mAP"), "colour: 20.0% (10.0% to 40.0%)"),
    "mass": (lambda: figures.draw_mass(MASS), "hides 30% of the picture: own 20%; mean 40%"),
    "agreement": (
        lambda: figures.draw_agreement(MAPS),
        "2 queries' sensitivity maps with other maps: person 0.60",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figure_says_its_numbers_in_words_and_draws(name: str) -> None:
    draw, said = DRAWN[name]
    figure = draw()
    assert said in figures.alt_text(figure)
    with Image.open(io.BytesIO(figures.png(figure))) as image:
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn


@pytest.mark.parametrize("right", [[True], [False, True, True, False], [False] * 5 + [True], [True, False, True]])
def test_areas_are_those_of_the_ranking(right: list[bool]) -> None:
    similarity = np.linspace(1, 0, len(right))[:, None]
    wanted = rank(np.ones((1, 1)), similarity, [1], np.array(right, dtype=int))
    said = figures.alt_text(figures.draw_precision(right))
    assert f"rectangles cover {wanted.mAP_rectangular:.3f}, the trapezoids {wanted.mAP:.3f}" in said
