from __future__ import annotations

import numpy as np
import pytest
import torch

from scmlib import figures
from scmlib.figures.occlusion import FALLS
from tests.figures.examples import pictures, sweep

PICTURES = pictures(2, 40, 20)


def test_curves_of_a_sweep_differ_by_more_than_colour() -> None:
    figure = figures.draw_sweep(sweep(["block", "person"], ["random", "top"], [0, 0.5]))
    assert len(figure.axes) == 4
    assert "80 queries" in figures.alt_text(figure)
    assert "Nothing hidden: mAP 80.0%" in figures.alt_text(figure)
    for axes in figure.axes:
        assert axes.get_ylabel()
        lines = axes.get_lines()
        assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 2
    assert all(axes.get_xlabel() for axes in figure.axes[2:])


def test_growing_occluder_says_how_much_of_the_mask_lies_on_it() -> None:
    occluders = torch.zeros(2, 40, 20, dtype=torch.bool)
    occluders[1, 20:] = True
    masks = torch.ones(2, 4, 2)
    masks[:, :2] = 3
    figure = figures.draw_growing_occluder(PICTURES, occluders, masks, [0, 0.5])
    assert "0% at 0%, 25% at 50%" in figures.alt_text(figure)
    assert [axes.get_xlabel() for axes in figure.axes[2:4]] == ["0% of the mask on it", "25% of the mask on it"]


def test_sensitivity_beside_the_mask() -> None:
    falls = np.arange(16, dtype=np.float32).reshape(2, 4, 2) / 100
    masks = torch.from_numpy(np.stack([falls[0], -falls[1]]))
    figure = figures.draw_sensitivity(PICTURES, falls, masks, ["first", "second"])
    assert "1.00, -1.00" in figures.alt_text(figure)
    assert "0.150" in figures.alt_text(figure)
    assert [axes.get_xlabel() for axes in figure.axes[3:5]] == ["second", "Spearman -1.00"]
    scales = [image.get_clim() for axes in figure.axes for image in axes.images if image.get_cmap().name == FALLS]
    assert len(scales) == 2
    assert all(scale == pytest.approx((-0.15, 0.15)) for scale in scales)
