from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scmlib.figures.data import draw_gates, draw_grid, verdict
from scmlib.figures.style import alt_text
from tests.figures.examples import pictures, truth

PICTURE, MAP = pictures(1)[0], truth(1)[0]
CHECKS = ("open_dataset", "inspect_dataset")
TABLE = pd.DataFrame(
    {
        "open_dataset": ["", "it isn't named so", ""],
        "inspect_dataset": ["", None, "80 pictures are twice there"],
        "rank1": [0.0125, np.nan, 0.975],
        "queries": [80, np.nan, 80],
    },
    index=["sound", "misnamed", "twice"],
)


def test_grid_takes_rows_of_any_length_with_words_and_maps() -> None:
    figure = draw_grid(
        [[PICTURE, PICTURE], [MAP]], ["seen", "known"], [["camera 1", "camera 2"], ["its map"]], alt="A."
    )
    assert alt_text(figure) == "A. Rows: seen; known."
    assert [axes.get_xlabel() for axes in figure.axes] == ["camera 1", "camera 2", "its map", ""]
    assert figure.legends
    assert not draw_grid([[PICTURE]], ["seen"]).legends


@pytest.mark.parametrize(
    ("check", "said", "wanted"),
    [
        ("open_dataset", "no such file", "stops"),
        ("inspect_dataset", "1 empty files", "tells"),
        ("open_dataset", "", "silent"),
        ("inspect_dataset", None, "not reached"),
        ("inspect_dataset", np.nan, "not reached"),
    ],
)
def test_verdict(check: str, said: object, wanted: str) -> None:
    assert verdict(check, said) == wanted


def test_gates_say_who_noticed_and_what_came_out() -> None:
    figure = draw_gates(TABLE, CHECKS)
    alt = alt_text(figure)
    assert "sound: noticed by no check, rank-1 1.2%" in alt
    assert "misnamed: noticed by open_dataset, no result" in alt
    assert "twice: noticed by inspect_dataset, rank-1 97.5%" in alt
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["silent", "silent", "stops", "not reached", "silent", "tells"]
