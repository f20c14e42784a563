"""One self-contained page about a run: what was done, figures, numbers, ranked lists, masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from scmlib.figures.style import html
from scmlib.files import write_atomically


@dataclass(frozen=True)
class Section:
    """A heading, what to say, and what to show below it."""

    title: str
    text: str
    figure: Figure | None = None
    table: pd.DataFrame | None = None
    caption: str = ""


def write_report(path: Path, title: str, lead: str, sections: list[Section], facts: Mapping[str, Any]) -> Path:
    """Render the page.

    Args:
        path: the HTML file to write; it needs no other file and no network.
        title: of the page.
        lead: what was done and found, in a sentence or two.
        sections: in order.
        facts: settings and versions, listed at the end.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = lambda figure: Markup(html(figure))
    environment.filters["table"] = lambda table: Markup(table.to_html(index=False, border=0, escape=True))
    template = environment.from_string(resources.files("scmlib.figures").joinpath("report.html").read_text())
    page = template.render(title=title, lead=lead, sections=sections, facts=facts)
    write_atomically(path, page.encode())
    return path
