"""Figures of the network and its training: architecture, losses, triplets, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import lazy_loader
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from scmlib.errors import BadInput
from scmlib.figures.style import (
    CONTROL,
    COOPERATIVE,
    GLOBAL,
    LINES,
    MARKERS,
    NEGATIVE,
    PLAIN,
    POSITIVE,
    SCM,
    embedding_colours,
    new_figure,
    series,
)
from scmlib.schedule import learning_rate

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch

Floats = NDArray[np.float64]

POSITIONS = {  # in the drawing, of the pieces whose output has a shape: two branches, one above the other
    "picture": (0, 0),
    "stem": (1, 0),
    "layer1": (2, 0),
    "layer2": (3, 0),
    "layer3": (4, 0),
    "branch_1": (5.2, 0.8),
    "branch_2": (5.2, -0.8),
    "scm": (6.4, -1.7),
}

# In the drawing, in the order of `embedding_names`, the competitive ones together: position, and the pieces before it.
ENDS = (
    ((7.5, 1.2), ("branch_1",)),
    ((7.5, -0.6), ("branch_2", "scm")),
    ((7.5, 0.4), ("branch_1",)),
    ((7.5, -1.7), ("branch_2", "scm")),
)


def draw_network(shapes: Mapping[str, Sequence[int]], parts: int, length: int) -> Figure:
    """Which piece feeds which, and the shape that each gives for one picture.

    Args:
        shapes: by the names of `POSITIONS`, (channels, height, width) of the output.
        parts: P.
        length: D, of an embedding.
    """
    said = "; ".join(f"{name} {' × '.join(map(str, shapes[name]))}" for name in POSITIONS)
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
    boxes = {}
    for name, place in POSITIONS.items():
        special = {"edgecolor": SCM, "linewidth": 2.5} if name == "scm" else {}
        shape = "{}\n{} ×\n{} × {}".format(name, *shapes[name])
        boxes[name] = axes.text(*place, shape, **centred, bbox=style | special).get_bbox_patch()
    links = [*pairwise(["picture", "stem", "layer1", "layer2", "layer3"]), ("branch_2", "scm")]
    links += [("layer3", "branch_1"), ("layer3", "branch_2")]
    ways = [(source, POSITIONS[target], boxes[target]) for source, target in links]
    colours = embedding_colours(parts)
    names = list(colours)
    labels = [*names[:3], names[3] if parts == 1 else f"{names[3]}\nto {names[-1]}"]
    for label, colour, (place, sources) in zip(labels, colours.values(), ENDS, strict=False):
        axes.text(*place, label, **centred | {"ha": "left"}, bbox=style | {"edgecolor": colour, "linewidth": 1.5})
        ways += [(source, (place[0] - 0.08, place[1]), None) for source in sources]
    for source, end, box in ways:
        arrow = {"arrowstyle": "->", "color": "0.5", "patchA": boxes[source], "patchB": box}
        axes.annotate("", end, POSITIONS[source], arrowprops=arrow)
    axes.set(xlim=(-0.5, 9.2), ylim=(-2.1, 1.5))
    axes.axis("off")
    return figure


def draw_triplets(embeddings: Floats, identities: Sequence[int], names: Sequence[str]) -> Figure:
    """A panel for each anchor: its farthest positive, its nearest negative and what the pair costs.

    Args:
        embeddings: (B, 2), any length; drawn at length 1.
        identities: (B,); shown by the marker.
        names: (B,) of the vectors, a few letters each.
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
    columns = min(len(unit), 5)
    lines = -(-len(unit) // columns)
    figure = new_figure(2.6 * columns, 2.9 * lines + 0.3, alt)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for anchor, axes in enumerate(panels[: len(unit)]):
        _circle(axes, unit, ids, names, anchor, (farthest[anchor], nearest[anchor]))
        title = f"anchor {names[anchor]}: {positive[anchor]:.2f} − {negative[anchor]:.2f}\nloss {loss[anchor]:.2f}"
        axes.set_title(title, fontsize="medium")
    for axes in panels[len(unit) :]:
        axes.remove()
    handles = [
        Line2D([], [], color=POSITIVE, linestyle="-", linewidth=2, label="farthest positive"),
        Line2D([], [], color=NEGATIVE, linestyle="--", linewidth=2, label="nearest negative"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _circle(
    axes: Axes, unit: Floats, ids: NDArray[np.int64], names: Sequence[str], anchor: int, pair: tuple[int, int]
) -> None:
    """Vectors on the unit circle, and the lines from an anchor to its farthest positive and its nearest negative."""
    axes.add_patch(Circle((0, 0), 1, fill=False, color="0.85"))
    for other, colour, line in zip(pair, (POSITIVE, NEGATIVE), LINES, strict=False):
        axes.plot(*unit[[anchor, other]].T, color=colour, linestyle=line, linewidth=2, zorder=1)
    around = _spread_out(np.arctan2(unit[:, 1], unit[:, 0]))
    for i, (identity, angle) in enumerate(zip(np.unique(ids, return_inverse=True)[1].tolist(), around, strict=True)):
        chosen: dict[str, Any] = {"edgecolor": "black", "linewidth": 2} if i == anchor else {}
        axes.scatter(
            unit[i, 0], unit[i, 1], s=70, marker=MARKERS[identity % len(MARKERS)], color="0.35", zorder=2, **chosen
        )
        at = (1.28 * np.cos(angle), 1.28 * np.sin(angle))
        axes.annotate(names[i], at, ha="center", va="center", fontsize="small")
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    sns.despine(ax=axes)


def _spread_out(angles: Floats, least: float = 0.33) -> Floats:
    """Angles in radians, moved apart until neighbours differ by what a short name takes, or by what there is."""
    order = np.argsort(angles)
    moved = angles[order]
    least = min(least, 2 * np.pi / len(angles))
    for _ in range(200):
        short = np.clip(least - np.diff(moved, append=moved[0] + 2 * np.pi), 0, None) / 2  # to the next one
        moved = moved + np.roll(short, 1) - short
    apart: Floats = np.empty_like(moved)
    apart[order] = moved
    return apart


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
    for i, ((name, values), colour) in enumerate(zip(losses.items(), series(len(losses)), strict=True)):
        style: dict[str, Any] = {"color": colour, "linestyle": LINES[i % len(LINES)], "linewidth": 2, "label": name}
        style["marker"] = "o" if len(values) == 1 else ""  # a line needs two points
        axes.plot(range(1, len(values) + 1), values, **style)
    axes.axhline(guessing, color=CONTROL, linestyle=(0, (1, 3)), label="guessing")
    axes.set(xlabel=unit, ylabel="cross-entropy (nats)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_training(log: pd.DataFrame) -> Figure:
    """Loss terms and learning rate against epochs, from a run's log."""
    first, last = log.iloc[0], log.iloc[-1]
    figure = new_figure(
        11,
        3.4,
        f"Training: the loss falls from {first['loss']:.2f} in epoch {first['epoch']:.0f} to {last['loss']:.2f} in "
        f"epoch {last['epoch']:.0f}; the learning rate peaks at {log['learning_rate'].max():.3g}.",
    )
    identity, others, rate = figure.subplots(1, 3, gridspec_kw={"wspace": 0.08})
    _identity_losses(identity, log)
    for name, family, colour, line in (
        ("triplet_0", "global", GLOBAL, "-"),
        ("triplet_1", "cooperative", COOPERATIVE, ":"),
    ):
        others.plot(log["epoch"], log[name], line, color=colour, label=f"triplet, {family}")
    others.set(title="Triplet loss and overlap of masks", ylabel="triplet loss", ylim=(0, None))
    shared = others.twinx()
    shared.plot(log["epoch"], log["overlap"], color=SCM, linestyle="--", label="overlap (right axis)")
    shared.set(ylabel="overlap, summed over a batch", ylim=(0, None))
    lines = [*others.get_lines(), *shared.get_lines()]
    others.legend(lines, [str(line.get_label()) for line in lines], fontsize="small", frameon=False, loc="lower right")
    rate.step(log["epoch"], log["learning_rate"], where="mid", color=PLAIN)
    rate.set(title="Learning rate", ylabel="learning rate", ylim=(0, None))
    for axes in (identity, others, rate):
        axes.set_xlabel("epoch")
        axes.spines["top"].set_visible(False)
    return figure


def _identity_losses(axes: Axes, log: pd.DataFrame) -> None:
    """The cross-entropy of each embedding; the competitive ones are told apart by their markers."""
    terms = [str(name) for name in log if str(name).startswith("cross_entropy_")]
    colours = embedding_colours(max(0, len(terms) - 3))
    if len(terms) == 2:  # a network without masks
        colours = {name: colour for name, colour in colours.items() if colour == GLOBAL}
    for i, (term, (name, colour)) in enumerate(zip(terms, colours.items(), strict=True)):
        marker = MARKERS[i % len(MARKERS)] if i > 2 else ""
        style: dict[str, Any] = {
            "color": colour,
            "linestyle": LINES[i % 3] if i < 3 else "-",
            "marker": marker,
            "markersize": 4,
        }
        axes.plot(log["epoch"], log[term], markevery=max(1, len(log) // 8), label=name, **style)
    axes.set(title="Cross-entropy of each embedding", ylabel="cross-entropy (nats)", ylim=(0, None))
    axes.legend(fontsize="small" if len(terms) < 8 else 5.5, frameon=False)


def draw_own_training(reference: Sequence[pd.DataFrame], own: pd.DataFrame, epochs: int, guessing: float) -> Figure:
    """A training while it runs, over the band of reference trainings: cross-entropy left, triplet loss right.

    Args:
        reference: logs of finished trainings that differ by their seeds; at least one.
        own: the log so far; empty before the first epoch.
        epochs: of the whole training.
        guessing: the cross-entropy of equal probabilities, the logarithm of the number of classes.
    """
    panels = {
        "cross_entropy_0": ("cross-entropy (nats)", guessing, "guessing"),
        "triplet_0": ("triplet loss", float(np.log(2)), "a tie"),
    }
    figure, said = new_figure(10, 3.6), []
    for axes, (name, (label, level, level_name)) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        x, values = reference[0]["epoch"], np.stack([log[name] for log in reference])  # (seeds, epochs)
        axes.fill_between(
            x, values.min(0), values.max(0), color=CONTROL, alpha=0.25, lw=0, label="reference, its range"
        )
        axes.plot(x, values.T, color=CONTROL, lw=0.8, ls=":")
        axes.axhline(level, color=CONTROL, ls=(0, (1, 3)))
        axes.annotate(level_name, (epochs, level), (0, 4), textcoords="offset points", ha="right", fontsize="small")
        told = f"{label}: reference {values[:, -1].min():.2f} to {values[:, -1].max():.2f} in its last epoch"
        if len(own):
            axes.plot(own["epoch"], own[name], color=SCM, lw=2, marker="o", ms=4, label="yours")
            told += f", yours {own[name].iloc[-1]:.2f} in epoch {own['epoch'].iloc[-1]:.0f}"
        said.append(told)
        top = max(float(values.max()), level, float(own[name].max()) if len(own) else 0.0)
        axes.set(xlabel="epoch", ylabel=label, xlim=(0.7, epochs + 0.3), ylim=(0, 1.15 * top))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        sns.despine(ax=axes)
    figure.set_label(f"A training of {epochs} epochs beside {len(reference)} reference trainings. {'; '.join(said)}.")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def draw_divergence(gaps: Mapping[str, Sequence[float]], unit: str = "epoch") -> Figure:
    """How far trainings move away from one that they should repeat, on a logarithmic scale.

    Args:
        gaps: by name, from before the first epoch on: the distance of the two networks' weights over their length.
        unit: of the horizontal axis.
    """
    said = "; ".join(f"{name} {values[0]:.0e} before and {values[-1]:.0e} after" for name, values in gaps.items())
    most = max(len(values) for values in gaps.values())
    figure = new_figure(9, 3.4, f"Distance of weights over {most - 1} {unit}s of training: {said}.")
    axes = figure.subplots()
    for i, ((name, values), colour) in enumerate(zip(gaps.items(), series(len(gaps)), strict=True)):
        style: dict[str, Any] = {"color": colour, "ls": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)]}
        axes.plot(range(len(values)), values, ms=5, markevery=max(1, len(values) // 12), label=name, **style)
    axes.set_yscale("symlog", linthresh=1e-8)  # zero has its place, too
    axes.set(xlabel=unit, ylabel="distance over length", ylim=(-1e-9, 10))
    axes.set_yticks([0, 1e-8, 1e-6, 1e-4, 1e-2, 1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_magnitudes(values: Floats, scale: float) -> Figure:
    """Sizes of numbers as a histogram, beside what half precision can hold; once as they are, once scaled.

    Args:
        values: any shape; zeros and signs are left out.
        scale: what they are multiplied by in the second panel.
    """
    sizes = np.log2(np.abs(values[values != 0], dtype=np.float64))
    low, high = -24.0, float(np.log2(np.finfo(np.float16).max))  # the smallest number above zero, the largest
    figure, said = new_figure(10, 3.3), []
    panels = figure.subplots(1, 2, sharey=True)
    for axes, factor in zip(panels, (1.0, scale), strict=True):
        moved = sizes + np.log2(factor)
        lost, over = float((moved < low - 1).mean()), float((moved > high).mean())
        title = "as they are" if factor == 1 else f"times {factor:,.0f}"
        said.append(f"{title}: {lost:.1%} become zero, {over:.1%} are too large")
        axes.axvspan(low - 1, high, color="0.85", lw=0, label="fp16 holds these")
        axes.hist(moved, bins=np.arange(np.floor(moved.min()), np.ceil(moved.max()) + 1), color=PLAIN, label="numbers")
        axes.set(title=f"{title}: {lost:.1%} lost", xlabel="size, as a power of 2", xlim=(-70, 30))
        sns.despine(ax=axes)
    panels[0].set_ylabel("how many")
    figure.set_label(f"Sizes of {len(sizes):,} numbers and what half precision holds. {'; '.join(said)}.")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def draw_schedule(lr: float, epochs: tuple[int, int], ema_ratio: float, ema_extra: int) -> Figure:
    """The learning rate of every epoch, and which epochs' weights are averaged.

    Args:
        lr: peak rate.
        epochs: (e0, E): the warm-up's length, and where the cosine would reach zero.
        ema_ratio: averaging starts at this share of E, and the rate is held from there; 1: no averaging.
        ema_extra: epochs after E.

    Raises:
        BadInput: a warm-up as long as the whole.
    """
    warm_up, last = epochs
    if not 0 < warm_up < last:
        raise BadInput(f"A warm-up of {warm_up} epochs doesn't fit before epoch {last}: make it shorter.")
    x = np.arange(1, last + ema_extra + 1)
    rate = np.array([learning_rate(int(e), lr=lr, epochs=epochs, ema_ratio=ema_ratio) for e in x])
    first = max(1, int(last * ema_ratio))
    averaged = int((x >= first).sum()) if ema_ratio < 1 else 0
    told = f"weights of {averaged} epochs averaged, from {first} on" if averaged else "no averaging: the last weights"
    figure = new_figure(
        7.5,
        3.2,
        f"Learning rate over {len(x)} epochs: up to {rate.max():.3g} in epoch {int(rate.argmax()) + 1}, "
        f"{rate[-1]:.3g} in the last; {told}.",
        layout="none",
    )
    axes = figure.add_axes((0.1, 0.16, 0.87, 0.73))
    axes.step(x, rate, where="mid", color=PLAIN, lw=2)
    axes.scatter(x[:warm_up], rate[:warm_up], marker="^", color=CONTROL, label=f"warm-up, {warm_up} epochs", zorder=3)
    if averaged:
        axes.axvspan(first - 0.5, x[-1] + 0.5, color=SCM, alpha=0.2, label=f"averaged, {averaged} epochs")
    axes.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None), xlim=(0.5, x[-1] + 0.5), title=told)
    axes.legend(frameon=False)
    sns.despine(ax=axes)
    return figure
