"""Sliders that need no kernel: an explorer's figure at every step of two or three of its controls.

The explorers' own functions draw. Pictures and their alt texts are written when the site is built, and
`_static/frames.js` shows those that the controls ask for.
"""

from __future__ import annotations

import html
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ipywidgets import ToggleButtons
from PIL import Image

from scmlib.analysis.occlusion import embedding_groups
from scmlib.analysis.worth import worth
from scmlib.course import SHARES, explore_world
from scmlib.explorers import (
    explore_masks,
    explore_prior,
    explore_ranking,
    explore_schedule,
    explore_search,
    explore_worth,
    occlusion_lab,
)
from scmlib.explorers.widgets import Explorer
from scmlib.figures.style import alt_text, png
from scmlib.runs import Study


class Control(NamedTuple):
    """A control on the page."""

    label: str
    steps: Sequence[tuple[str, Mapping[str, Any]]]  # what a step is called, and where it puts the explorer's controls
    slides: bool  # whether it is a slider, for steps in an order; else a list to choose from

    def start(self, explorer: Explorer) -> int:
        """The step at which the explorer itself stands, or the first."""
        here = explorer.values.items()
        return next((i for i, (_, values) in enumerate(self.steps) if values.items() <= here), 0)


def controls(explorer: Explorer, **options: Sequence[Any]) -> list[Control]:
    """Some of the explorer's own controls, each with some of its options: values, or labels and values."""
    chosen = []
    for name, steps in options.items():
        widget = explorer.controls[name]
        pairs = [step if isinstance(step, tuple) else (str(step), step) for step in steps]
        named = [(label, {name: value}) for label, value in pairs]
        chosen.append(Control(widget.description, named, not isinstance(widget, ToggleButtons)))
    return chosen


def spread(explorer: Explorer, name: str, count: int) -> Sequence[Any]:
    """So many of a control's options, evenly over all of them."""
    options: Sequence[Any] = explorer.controls[name].options
    return options[:: len(options) // count][:count]


def embeddings_control(explorer: Explorer) -> Control:
    """Families of embeddings in place of a box for each."""
    keys = [name for name in explorer.controls if name != "query"]
    families = {"all": "", "global": "global", "cooperative": "cooperative", "competitive": "competitive"}
    steps = [(label, {key: key.startswith(family) for key in keys}) for label, family in families.items()]
    return Control("embeddings", steps, slides=False)


def moving(study: Study) -> dict[str, tuple[Explorer, list[Control]]]:
    """The explorers by name, each with the controls that it has on the page."""
    world, prior, schedule = explore_world(study), explore_prior(), explore_schedule()
    masks, lab, lists, asked = (make(study) for make in (explore_masks, occlusion_lab, explore_ranking, explore_search))
    curves = worth(study.model, study.data, ratios=SHARES, groups=embedding_groups(study.model.embedding_names))
    exchanged = explore_worth(curves)
    h, parts = study.model.config.grid[0], range(1, study.model.config.num_parts + 1)
    person, rates = asked.controls["person"].options, asked.controls["rate"].options[-3:]  # a rarer one is no pair here
    in_front = ["vehicle", "plant", "pedestrian"]
    return {
        "explore_world": (
            world,
            controls(world, view=["front", "back"], occluder=in_front, hidden=[0.1, 0.3, 0.45, 0.6]),
        ),
        "explore_masks": (
            masks,
            controls(masks, image=spread(masks, "image", 3), part=parts, row=[1, h // 2, h - 2]),
        ),
        "occlusion_lab": (
            lab,
            controls(lab, query=spread(lab, "query", 2), ratio=[0.2, 0.4], down=[0.1, 0.3, 0.5, 0.7]),
        ),
        "explore_ranking": (
            lists,
            [*controls(lists, query=spread(lists, "query", 4)), embeddings_control(lists)],
        ),
        "explore_search": (
            asked,
            controls(asked, query=spread(asked, "query", 4), rate=rates, person=person),
        ),
        "explore_worth": (
            exchanged,
            controls(exchanged, **{name: control.options for name, control in exchanged.controls.items()}),
        ),
        "explore_prior": (
            prior,
            controls(prior, parts=range(1, 7), mask_part=range(4), rows=[12, 24]),
        ),
        "explore_schedule": (
            schedule,
            controls(schedule, warm_up=[1, 3, 6, 10], ema_ratio=[0.5, 0.65, 0.8, 1.0], extra=[0, 3, 10]),
        ),
    }


def write_frames(study: Study, source: Path, *, every: bool) -> None:
    """Put frames and controls into the page `explore.md` where it names an explorer.

    Args:
        study: the site's run on its world.
        source: the folder of the staged pages.
        every: whether all steps are drawn; else the first and the last of each control.
    """
    page = source / "explore.md"
    text = page.read_text()
    for name, (explorer, full) in moving(study).items():
        chosen = full if every else [control._replace(steps=[control.steps[0], control.steps[-1]]) for control in full]
        block = draw_frames(name, explorer, chosen, source)
        assert f"<!-- {name} -->" in text, f"explore.md has no place for {name}"
        text = text.replace(f"<!-- {name} -->", block)
    page.write_text(text)


def draw_frames(name: str, explorer: Explorer, chosen: Sequence[Control], source: Path) -> str:
    """Write an explorer's frames into `_static/frames`, and give the HTML that moves them.

    All frames of one explorer have one size, so that nothing on the page jumps when they change.
    """
    folder = source / "_static" / "frames" / name
    folder.mkdir(parents=True)
    alts, sheets = {}, {}
    for steps in itertools.product(*(enumerate(control.steps) for control in chosen)):
        key = "-".join(str(step) for step, _ in steps)
        moved = {name: value for _, (_, values) in steps for name, value in values.items()}
        figure = explorer.draw(**{**explorer.values, **moved})
        alts[key], sheets[key] = alt_text(figure), Image.open(io.BytesIO(png(figure))).convert("RGB")
    size = (max(sheet.width for sheet in sheets.values()), max(sheet.height for sheet in sheets.values()))
    for key, sheet in sheets.items():
        frame = Image.new("RGB", size, "white")
        frame.paste(sheet)
        frame.save(folder / f"{key}.webp", quality=70)
    starts = [control.start(explorer) for control in chosen]
    bar = [control_html(f"{name}-{i}", *pair) for i, pair in enumerate(zip(chosen, starts, strict=True))]
    return frames_html(f"_static/frames/{name}/", bar, "-".join(map(str, starts)), alts, size)


def control_html(name: str, control: Control, start: int) -> str:
    """A slider or a list; like the picture, each is back at its first step when the page is loaded again."""
    labels = [html.escape(label) for label, _ in control.steps]
    label = f'<label for="{name}">{html.escape(control.label)}</label>'
    if control.slides:
        return (
            f'<span>{label} <input id="{name}" type="range" min="0" max="{len(labels) - 1}" value="{start}" '
            f'autocomplete="off" aria-valuetext="{labels[start]}" data-steps="{"|".join(labels)}"> '
            f'<span aria-hidden="true">{labels[start]}</span></span>'
        )
    options = [f"<option{' selected' if i == start else ''}>{label}</option>" for i, label in enumerate(labels)]
    return f'<span>{label} <select id="{name}" autocomplete="off">{"".join(options)}</select></span>'


def frames_html(folder: str, bar: Sequence[str], first: str, alts: Mapping[str, str], size: tuple[int, int]) -> str:
    """Controls above a picture, and all alt texts beside it, without an empty line, which would end the HTML.

    Args:
        folder: of the frames, from the page.
        bar: the controls.
        first: the frame shown at first.
        alts: by the frames' names.
        size: width and height of every frame.
    """
    words = json.dumps(alts).replace("<", "\\u003c")  # no text may end the script
    return "\n".join(
        [
            f'<div class="frames" data-folder="{folder}">',
            '<div class="live-controls">',
            *bar,
            "</div>",
            f'<div class="frames-picture"><img loading="lazy" src="{folder}{first}.webp" width="{size[0]}" '
            f'height="{size[1]}" alt="{html.escape(alts[first])}"></div>',
            '<p class="visually-hidden" role="status"></p>',
            f'<script type="application/json">{words}</script>',
            "</div>",
        ]
    )
