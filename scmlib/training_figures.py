"""Figures of the training course: the network's pieces, hard triplets, learning curves and a band over worlds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from scmlib.figures import COLOURS, RIGHT, WRONG, new_figure

Floats = NDArray[np.float64]

PLACES = {  # of the pieces whose output has a shape: left to right, two branches one above the other
    "picture": (0, 0),
    "stem": (1, 0),
    "layer1": (2, 0),
    "layer2": (3, 0),
    "layer3": (4, 0),
    "branch_1": (5.2, 0.8),
    "branch_2": (5.2, -0.8),
    "scm": (6.4, -1.7),
}
ENDS = {  # of the poolings: place, and the pieces that each is made from
    "global mean": ((7.5, 1.2), ("branch_1",)),
    "global max": ((7.5, 0.4), ("branch_1",)),
    "cooperative mean": ((7.5, -0.6), ("branch_2", "scm")),
    "competitive max": ((7.5, -1.7), ("branch_2", "scm")),
}


def draw_network(shapes: Mapping[str, Sequence[int]], parts: int, length: int) -> Figure:
    """Which piece feeds which, and the shape that each gives for one picture.

    Args:
        shapes: by the names of `PLACES`, (channels, height, width) of the output.
        parts: P.
        length: D, of an embedding.
    """
    written = {name: " × ".join(str(side) for side in shapes[name]) for name in PLACES}
    said = "; ".join(f"{name} {shape}" for name, shape in written.items())
    figure = new_figure(
        10.5,
        3.9,
        f"The network from left to right, with channels × height × width of each output: {said}. Branch 1 gives the "
        f"global embeddings by mean and maximum; branch 2, under the masks, one cooperative and {parts} competitive "
        f"embeddings; each has length {length}.",
    )
    axes = figure.subplots()
    style: dict[str, Any] = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "0.4"}
    centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "small", "zorder": 2}
    for name, place in PLACES.items():
        special = {"facecolor": (*COLOURS[4], 0.25)} if name == "scm" else {}
        axes.text(*place, f"{name}\n{written[name]}", **centred, bbox=style | special)
    chain = ["picture", "stem", "layer1", "layer2", "layer3"]
    links = [(PLACES[a], PLACES[b]) for a, b in pairwise(chain)]
    links += [(PLACES["layer3"], PLACES["branch_1"]), (PLACES["layer3"], PLACES["branch_2"])]
    links += [(PLACES["branch_2"], PLACES["scm"])]
    for name, (place, sources) in ENDS.items():
        count = parts if name == "competitive max" else 1
        colour = COLOURS[0] if sources == ("branch_1",) else COLOURS[1]
        label = f"{name}: {count} embedding{'s' * (count > 1)}"
        axes.text(*place, label, **centred | {"ha": "left"}, bbox=style | {"edgecolor": colour, "linewidth": 1.5})
        links += [(PLACES[source], (place[0] + 0.3, place[1])) for source in sources]
    for (x, y), (to_x, to_y) in links:  # from right edge to left edge
        axes.annotate("", (to_x - 0.38, to_y), (x + 0.38, y), arrowprops={"arrowstyle": "->", "color": "0.5"})
    axes.set(xlim=(-0.5, 9.2), ylim=(-2.1, 1.5))
    axes.axis("off")
    return figure


def draw_triplets(embeddings: Floats, identities: Sequence[int], names: Sequence[str]) -> Figure:
    """A panel for each anchor: its farthest positive, its nearest negative and what the pair costs.

    Args:
        embeddings: (B, 2), any length; drawn at length 1.
        identities: (B,); shown by colour and marker.
        names: (B,) of the vectors.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    distance = np.linalg.norm(unit[:, None] - unit, axis=2)  # (B, B)
    ids = np.array(identities)
    same = ids[:, None] == ids
    farthest = np.where(same, distance, -1).argmax(1).tolist()
    nearest = np.where(same, np.inf, distance).argmin(1).tolist()
    rows = range(len(unit))
    positive, negative = distance[rows, farthest], distance[rows, nearest]
    loss = np.logaddexp(0, positive - negative)  # softplus
    said = "; ".join(
        f"anchor {names[i]}: farthest positive {names[farthest[i]]} at {positive[i]:.2f}, nearest negative "
        f"{names[nearest[i]]} at {negative[i]:.2f}, loss {loss[i]:.2f}"
        for i in rows
    )
    alt = f"Hardest pairs of {len(unit)} vectors on the unit circle. {said}. Mean {loss.mean():.3f}."
    figure = new_figure(2.6 * len(unit), 3.2, alt)
    panels = figure.subplots(1, len(unit), squeeze=False)[0]
    for anchor, axes in enumerate(panels):
        axes.add_patch(Circle((0, 0), 1, fill=False, color="0.85"))
        for other, colour, line in ((farthest[anchor], RIGHT, "-"), (nearest[anchor], WRONG, "--")):
            axes.plot(*unit[[anchor, other]].T, color=colour, linestyle=line, linewidth=2, zorder=1)
        for i, name in enumerate(names):
            chosen = {"edgecolor": "black", "linewidth": 2} if i == anchor else {}
            marker = "os^D"[int(np.unique(ids).searchsorted(ids[i])) % 4]
            axes.scatter(*unit[i], s=70, marker=marker, color="0.35", zorder=2, **chosen)
            axes.annotate(name, unit[i] * 1.22, ha="center", va="center")
        title = f"anchor {names[anchor]}: {positive[anchor]:.2f} − {negative[anchor]:.2f}\nloss {loss[anchor]:.2f}"
        axes.set_title(title, fontsize="medium")
        axes.set(xlim=(-1.45, 1.45), ylim=(-1.45, 1.45), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        sns.despine(ax=axes)
    handles = [
        Line2D([], [], color=RIGHT, linestyle="-", linewidth=2, label="farthest positive"),
        Line2D([], [], color=WRONG, linestyle="--", linewidth=2, label="nearest negative"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def draw_losses(losses: Mapping[str, Sequence[float]], guessing: float, unit: str = "epoch") -> Figure:
    """Losses of several trainings, and what guessing would cost.

    Args:
        losses: by name, one value an epoch or step, in nats.
        guessing: the cross-entropy of equal probabilities, the logarithm of the number of classes.
        unit: of the horizontal axis.
    """
    said = "; ".join(f"{name}: from {values[0]:.2f} to {values[-1]:.2f}" for name, values in losses.items())
    figure = new_figure(7, 3.2, f"Cross-entropy against {unit}s. {said}. Guessing costs {guessing:.2f}.")
    axes = figure.subplots()
    for i, (name, values) in enumerate(losses.items()):
        style = ("-", "--", "-.", ":")[i % 4]
        axes.plot(range(1, len(values) + 1), values, color=COLOURS[i], linestyle=style, linewidth=2, label=name)
    axes.axhline(guessing, color="0.6", linestyle=(0, (1, 3)), label="guessing")
    axes.set(xlabel=unit, ylabel="cross-entropy (nats)", ylim=(0, None))
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(ax=axes)
    return figure


def draw_band(values: Sequence[float], here: float, what: str) -> Figure:
    """One number beside the same number of other trainings, with their mean and deviation.

    Args:
        values: of at least two other trainings, in [0, 1].
        here: this one's.
        what: the axis label.
    """
    mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
    alt = f"{what}: this run {here:.1%}; {len(values)} other trainings {mean:.1%} ± {deviation:.1%}."
    figure = new_figure(7, 1.9, alt)
    axes = figure.subplots()
    axes.axvspan(mean - deviation, mean + deviation, color=COLOURS[0], alpha=0.2, lw=0, label="mean ± deviation")
    axes.axvline(mean, color=COLOURS[0])
    axes.scatter(values, [0] * len(values), color=COLOURS[0], label="other trainings", zorder=2)
    axes.scatter(here, 1, color=COLOURS[1], marker="D", s=60, label="this run", zorder=2)
    axes.set(yticks=[0, 1], yticklabels=["other trainings", "this run"], ylim=(-0.6, 1.6), xlabel=what)
    axes.set(xlim=(min(*values, here) - 0.02, max(*values, here) + 0.02))
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure
