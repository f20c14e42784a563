"""The style of every figure: colours, sizes, alt text, and how a figure becomes a file or an HTML element."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import seaborn as sns
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scmlib.data.truth import REGION_COLOURS
from scmlib.files import write_atomically

Pictures = NDArray[np.uint8]  # (N, H, W, 3)

COLOURS = sns.color_palette("colorblind")

RIGHT, WRONG = COLOURS[0], COLOURS[1]  # blue and orange: apart for every common colour blindness

MASKS = "viridis"  # perceptually uniform, the same order for colour-blind readers, and its middle stands out from grey

DPI = 110

REGION_MAP = ListedColormap(np.array(REGION_COLOURS) / 255)


class Drawing(Figure):
    """A figure that a notebook shows together with its alt text, which a plain one loses."""

    def _ipython_display_(self) -> None:
        display({"text/html": html(self), "text/plain": alt_text(self)}, raw=True)  # type: ignore[no-untyped-call]


def new_figure(
    width: float, height: float, alt: str = "", *, layout: Literal["constrained", "none"] = "constrained"
) -> Figure:
    """An empty figure of our style, in inches, outside pyplot's global state; `alt` describes it in words."""
    figure = Drawing((width, height), layout=layout if layout != "none" else None)
    figure.set_label(alt)
    return figure


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG file that carries its alt text."""
    buffer = io.BytesIO()
    # A fixed Software entry keeps equal figures equal to the byte across matplotlib's versions.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Description": alt_text(figure), "Software": "scmlib"})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file."""
    write_atomically(path, png(figure))
    return path


def alt_text(figure: Figure) -> str:
    """What the figure shows, in words."""
    return str(figure.get_label())


def html(figure: Figure, *, effort: int = 4) -> str:
    """The figure as an <img> element that needs no other file and is never wider than its page.

    It is a WebP, a tenth of a PNG where pictures are in it.

    Args:
        figure: any.
        effort: of making the file small, 0 to 6; 0 takes a fifth of the time.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=DPI, pil_kwargs={"quality": 88, "method": effort})
    alt = alt_text(figure).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{alt}" style="max-width: 100%">'


def bare(grid: Iterable[Axes]) -> None:
    """Take ticks and frames off pictures."""
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)


HEAT = "PuOr"  # two ends that colour-blind readers tell apart
