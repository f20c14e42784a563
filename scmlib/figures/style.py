"""The style of every figure: colours, sizes, alt text, and how a figure becomes a file or an HTML element.

The rule for what a figure takes: pictures are uint8 tensors, (3, H, W) or (N, 3, H, W), as `read_image` gives them;
masks are float tensors, (N, P, h, w), as the model gives them; index maps are numpy arrays, (N, H, W). Only `to_array`
turns a picture into the (H, W, 3) array that matplotlib and Pillow draw.

One colour has one meaning in all figures. The named colours are those of Okabe and Ito ("Color Universal Design", 2008)
and of Tol ("Colour Schemes", 2021), chosen so that they stay apart under every common colour blindness. What has no
meaning of its own (kinds of occluders, several trainings) takes the shades of `series`.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from torch import Tensor

from scmlib.data.truth import REGION_COLOURS, REGIONS
from scmlib.files import write_atomically
from scmlib.model import embedding_names

RIGHT, WRONG = "#0072B2", "#D55E00"  # blue: a true match, what is correct; vermilion: anything else

POSITIVE, NEGATIVE = RIGHT, WRONG  # the same two meanings in a triplet: the same identity, another one

SCM, CONTROL = "#009E73", "#505050"  # green: the method; grey: what it is held against

# What an embedding is of: black, brown, pink.
GLOBAL, COOPERATIVE, COMPETITIVE = "#000000", "#661100", "#CC79A7"

# Indigo, orange, sky blue.
SPLITS = {"train": "#332288", "query": "#E69F00", "gallery": "#56B4E9"}

PLAIN = "#00224E"  # navy: what stands alone in its figure, the first shade of `series`

MASKS = "viridis"  # perceptually uniform, the same order for colour-blind readers, and its middle stands out from grey

HEAT = "PuOr"  # signed values: two ends that colour-blind readers tell apart

REGION_MAP = ListedColormap(np.array(REGION_COLOURS) / 255)  # of index maps

MARKERS, LINES = "os^Dvp", ("-", "--", ":", "-.")  # so that nothing is told by colour alone

DPI = 110


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


def in_points(axis: Axis) -> None:
    """Write differences of shares as points: +3 from 20 % to 23 %."""

    def told(value: float, _: int) -> str:
        points = round(100 * value, 3)
        return f"{points:+g}".replace("-", "\N{MINUS SIGN}") if points else "0"

    axis.set_major_formatter(FuncFormatter(told))


def to_array(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures as matplotlib and Pillow draw them.

    Args:
        pictures: (..., 3, H, W) uint8, on the CPU.

    Returns:
        (..., H, W, 3) uint8.
    """
    array: NDArray[np.uint8] = pictures.movedim(-3, -1).numpy()
    return array


def series(count: int) -> list[str]:
    """Colours from dark to light for things whose colour has no meaning of its own, told apart by lightness."""
    return [to_hex(mpl.colormaps["cividis"](share)) for share in np.linspace(0, 0.85, count)]


def embedding_colours(parts: int) -> dict[str, str]:
    """A colour for each of the 3 + P embeddings, by its name and in the model's order."""
    families = {"global": GLOBAL, "cooperative": COOPERATIVE, "competitive": COMPETITIVE}
    return {name: families[name.split()[0]] for name in embedding_names(parts)}


def folded(names: Iterable[str], width: int = 30) -> list[str]:
    """Names in lines of at most so many letters, so that long ones leave room for what they name."""
    return ["\n".join(textwrap.wrap(name, width)) or name for name in names]


def rows_height(names: Sequence[str], row: float = 0.42) -> float:
    """Inches that a row for each name takes, in a figure with names as `folded` gives them at its left."""
    return row * len(names) + 0.17 * sum(name.count("\n") for name in names)


def draw_regions(axes: Axes, truth: NDArray[np.uint8]) -> None:
    """An index map, (H, W), in its regions' colours."""
    axes.imshow(truth, cmap=REGION_MAP, vmin=-0.5, vmax=len(REGIONS) - 0.5, interpolation="nearest")


def region_legend(figure: Figure) -> None:
    """Say at the right of a figure which colour of an index map is which region."""
    patches = [Patch(color=REGION_MAP(i), label=name) for i, name in enumerate(REGIONS)]
    figure.legend(handles=patches, loc="center right", fontsize="small", frameon=False)
