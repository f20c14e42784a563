"""A widget that moves a pure function: controls above, its picture below, and a sentence where something went wrong."""

from __future__ import annotations

import base64
import html as escape
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipywidgets import HTML, Box, Layout, SelectionSlider, ToggleButtons, VBox
from ipywidgets.widgets.widget_description import DescriptionWidget
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from scmlib.errors import BadInput
from scmlib.figures.style import html, to_array

MANY = 20  # options, from which on a slider has a long bar

ERROR = "scmlib-error"  # class of a sentence that says what went wrong; tests look for it


@dataclass(frozen=True)
class Filmstrip:
    """Figures one below the other, each under the settings that it was drawn with: an explorer on paper."""

    frames: Sequence[tuple[str, Figure]]

    def _repr_html_(self) -> str:
        return "".join(f"<p><b>{escape.escape(title)}</b></p>{html(figure)}" for title, figure in self.frames)

    def __repr__(self) -> str:
        return "\n".join(f"{title}: {figure.get_label()}" for title, figure in self.frames)


def _fit(control: DescriptionWidget) -> None:
    """Give a control the room that it needs for its label and its value."""
    control.style.description_width, control.layout.width = "7.5em", "22em"
    if isinstance(control, SelectionSlider) and len(control.options) > MANY:
        control.layout.width = "60em"
    if isinstance(control, ToggleButtons):
        control.style.button_width, control.layout.width = "6em", "30em"


def _said(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def put_pictures(buttons: ToggleButtons, pictures: Tensor) -> HTML:
    """Let buttons carry pictures, so that a picture is what one clicks on; keys move them as before.

    Args:
        buttons: the first stands for no picture.
        pictures: (N, 3, H, W) uint8, for the others.

    Returns:
        What must stand beside the buttons: the style that holds the pictures.
    """
    name = f"scmlib-{buttons.model_id}"
    shape = "width: 72px; height: 144px; background-size: cover; color: white; text-shadow: 0 0 4px black"
    rules = [f".{name} .widget-toggle-button:nth-child(n + 2) {{ {shape}; }}"]
    for place, picture in enumerate(to_array(pictures), 2):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "webp", quality=80)
        url = f"url(data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()})"
        rules.append(f".{name} .widget-toggle-button:nth-child({place}) {{ background-image: {url}; }}")
    buttons.add_class(name)
    buttons.layout.width = "100%"
    return HTML(f"<style>{' '.join(rules)}</style>")


class Explorer(VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Controls, and the figure that a function draws from their values, drawn anew whenever one moves.

    A move that comes while a figure is drawn waits, and only the last such move counts: Jupyter's front end sends a
    widget's next value when the kernel is done with the one before.

    Args:
        draw: called with every control's value under its name.
        controls: by the names of the function's arguments.
    """

    def __init__(self, draw: Callable[..., Figure], controls: Mapping[str, DescriptionWidget]):
        self.draw, self.controls = draw, dict(controls)
        self.picture, self.message = HTML(), HTML()
        self.bar = Box(list(self.controls.values()), layout=Layout(flex_flow="row wrap"))
        super().__init__([self.bar, self.message, self.picture])
        for control in self.controls.values():
            _fit(control)
            control.observe(self.show, "value")
        self.show()

    @property
    def values(self) -> dict[str, Any]:
        """What the controls stand at."""
        return {name: control.value for name, control in self.controls.items()}

    def show(self, _: object = None) -> None:
        """Draw; what goes wrong is told in a sentence, above the last good picture."""
        self.guard(lambda: setattr(self.picture, "value", html(self.draw(**self.values), effort=0)))

    def guard(self, action: Callable[[], None]) -> None:
        """Do something, and tell what goes wrong where the learner sees it; nobody sees a callback's traceback."""
        self.message.value = ""
        try:
            action()
        except BadInput as error:
            self._tell(str(error))
        except Exception as error:  # whatever a callback leads to
            self._tell(f"The picture can't be drawn ({type(error).__name__}: {error}).")

    def _tell(self, sentence: str) -> None:
        self.message.value = f'<p class="{ERROR}" role="alert"><b>{escape.escape(sentence)}</b></p>'

    def add_filters(
        self,
        name: str,
        filters: Mapping[str, DescriptionWidget],
        options: Callable[..., Sequence[tuple[str, int]]],
    ) -> None:
        """Further controls, in front of the others, that narrow what one control offers.

        Args:
            name: the control, one with options.
            filters: by the names of the arguments of `options`.
            options: labels and values that are left; raises BadInput where none is.
        """
        control = self.controls[name]

        def narrow(_: object = None) -> None:
            left = options(**{key: widget.value for key, widget in filters.items()})
            if not left:
                raise BadInput(f"No {name} fits these filters: empty one of them.")
            control.options = left

        for widget in filters.values():
            _fit(widget)
            widget.observe(lambda change: self.guard(narrow), "value")
        self.bar.children = (*filters.values(), *self.bar.children)

    def filmstrip(self, **values: Sequence[Any]) -> Filmstrip:
        """The same function on paper: a figure for each value, the controls not named as they stand.

        Args:
            values: lists of equal length by the control's name; controls move in step.

        Raises:
            BadInput: no such control, or lists of different lengths.
        """
        if unknown := values.keys() - self.controls.keys():
            raise BadInput(f"No control is called '{unknown.pop()}': choose of {', '.join(self.controls)}.")
        if len({len(steps) for steps in values.values()}) != 1:
            raise BadInput("Give lists of one length: controls move in step.")
        frames = []
        for step in zip(*values.values(), strict=True):
            named = dict(zip(values, step, strict=True))
            title = ", ".join(f"{self.controls[name].description} {_said(value)}" for name, value in named.items())
            frames.append((title, self.draw(**{**self.values, **named})))
        return Filmstrip(frames)
