"""The widget around a pure function: moves, errors as sentences, filters, and the printed twin. No model."""

from __future__ import annotations

import pytest
from ipywidgets import Checkbox, Combobox, IntSlider, SelectionSlider
from matplotlib.figure import Figure

from scmlib.errors import BadInput
from scmlib.explorers.widgets import ERROR, Explorer
from scmlib.figures.style import alt_text, new_figure


def draw(number: int, doubled: bool, which: int) -> Figure:
    if number == 3:
        raise BadInput("Three <isn't> drawn.")
    return new_figure(1, 1, f"{number // (number - 4)}, {doubled}, {which}.")


@pytest.fixture
def explorer() -> Explorer:
    options = [(f"option {i}", i) for i in range(4)]
    return Explorer(
        draw,
        {
            "number": IntSlider(0, 0, 9, description="a number"),
            "doubled": Checkbox(False, description="doubled"),
            "which": SelectionSlider(description="which", options=options),
        },
    )


def test_a_move_draws_anew(explorer: Explorer) -> None:
    assert 'alt="0, False, 0."' in explorer.picture.value
    explorer.controls["number"].value = 5
    explorer.controls["doubled"].value = True
    assert 'alt="5, True, 0."' in explorer.picture.value
    assert explorer.values == {"number": 5, "doubled": True, "which": 0}


def test_bad_input_is_a_sentence_above_the_last_good_picture(explorer: Explorer) -> None:
    explorer.controls["number"].value = 3
    assert 'alt="0, False, 0."' in explorer.picture.value
    assert explorer.message.value == f'<p class="{ERROR}" role="alert"><b>Three &lt;isn&#x27;t&gt; drawn.</b></p>'
    explorer.controls["number"].value = 2
    assert explorer.message.value == ""


def test_an_exception_in_a_callback_is_told(explorer: Explorer) -> None:
    explorer.controls["number"].value = 4
    assert "ZeroDivisionError" in explorer.message.value
    assert 'alt="0, False, 0."' in explorer.picture.value


def test_a_filter_narrows_the_options(explorer: Explorer) -> None:
    least = Combobox(options=["1", "2"], description="least")
    explorer.add_filters("which", {"least": least}, lambda least: [("last", 3)] if least == "2" else [])
    assert explorer.bar.children[0] is least
    least.value = "2"
    assert explorer.controls["which"].options == (("last", 3),)
    assert 'alt="0, False, 3."' in explorer.picture.value
    least.value = "9"
    assert "No which fits these filters" in explorer.message.value
    assert explorer.controls["which"].options == (("last", 3),)


def test_a_filmstrip_draws_the_same_function(explorer: Explorer) -> None:
    film = explorer.filmstrip(number=[1, 2], doubled=[True, False])
    assert [title for title, _ in film.frames] == ["a number 1, doubled on", "a number 2, doubled off"]
    assert [alt_text(figure) for _, figure in film.frames] == ["-1, True, 0.", "-1, False, 0."]
    assert film._repr_html_().count("<img") == 2
    assert repr(film).startswith("a number 1, doubled on: -1, True, 0.")
    with pytest.raises(BadInput, match="No control is called 'colour'"):
        explorer.filmstrip(colour=[1])
    with pytest.raises(BadInput, match="one length"):
        explorer.filmstrip(number=[1, 2], which=[0])
