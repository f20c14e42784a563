"""Figures of what matches rest on: maps over pictures, insertion and deletion curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lazy_loader
import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from scmlib.analysis.explanation import CONTROLS
from scmlib.analysis.insertion import CURVES, areas
from scmlib.analysis.statistics import Map
from scmlib.figures.grids import picture_grid
from scmlib.figures.masks import overlay
from scmlib.figures.style import CONTROL, LINES, MARKERS, SCM, new_figure, series, to_array

sns = lazy_loader.load("seaborn")  # loads when first drawn with: it takes as long to import as torch


def draw_explanation(pictures: Tensor, maps: Mapping[str, Map]) -> Figure:
    """A row a query: the picture, then each map over it, on a scale of its own from 0 to its largest value.

    Args:
        pictures: (N, 3, H, W) uint8.
        maps: by name, (N, h, w) each; below 0 counts as 0.
    """
    N, _, H, W = pictures.shape
    named = ", ".join(maps)
    alt = f"{N} queries, each beside maps of what its match rests on: {named}. Bright: the map's largest values."
    figure, grid = picture_grid(alt, (N, 1 + len(maps)), H / W, heads=["query", *maps])
    for i, row in enumerate(grid):
        row[0].imshow(to_array(pictures[i]))
        for axes, drawn in zip(row[1:], maps.values(), strict=True):
            mask = torch.from_numpy(drawn[i].clip(0))
            overlay(axes, pictures[i], mask, float(mask.max()) or 1.0)
    return figure


def draw_insertion(curves: Map, names: Sequence[str]) -> Figure:
    """Mean insertion and deletion curves of several maps; the legends give the areas.

    The method's mask is green, controls are grey and dashed.

    Args:
        curves: (N, K, 2, S + 1), see `insertion_deletion`.
        names: of the K maps.
    """
    share = np.linspace(0, 1, curves.shape[-1])
    means, found = curves.mean(0), areas(curves).mean(0)  # (K, 2, S + 1), (K, 2)
    others = [name for name in names if name not in (*CONTROLS, "cooperative")]
    colours = {"cooperative": SCM} | dict(zip(others, series(len(others)), strict=True))
    styles = [(CONTROL, LINES[1]) if name in CONTROLS else (colours[name], LINES[0]) for name in names]
    told = {
        "insertion": ("large", "put back into the blurred picture"),
        "deletion": ("small", "made grey"),
    }
    figure = new_figure(10, 4.2)
    said = []
    for at, (axes, curve) in enumerate(zip(figure.subplots(1, 2, sharey=True), CURVES, strict=True)):
        for k, (colour, line) in enumerate(styles):
            label = f"{names[k]}: {found[k, at]:.2f}"
            axes.plot(share, means[k, at], color=colour, ls=line, marker=MARKERS[k % len(MARKERS)], ms=5, label=label)
        said.append(f"{curve}: " + ", ".join(f"{name} {found[k, at]:.2f}" for k, name in enumerate(names)))
        wanted, changed = told[curve]
        axes.set(title=f"{curve}: a {wanted} area is good", xlabel=f"share of the cells {changed}")
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
        axes.legend(title="area", frameon=False, fontsize="small")
        sns.despine(ax=axes)
    figure.axes[0].set_ylabel(f"similarity to the true matches, mean of {len(curves)} queries")
    figure.set_label(
        f"Similarity of {len(curves)} queries as cells are changed, areas below the curves. {'; '.join(said)}."
    )
    return figure
