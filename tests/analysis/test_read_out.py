"""Where the read-out lies with respect to the clamp's bounds, and what it varies with."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import torch

from scmlib.analysis import read_out
from scmlib.analysis.mask_baselines import with_statistics
from scmlib.analysis.read_out import read_out_maps, read_out_table
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.mask import clamp_unit
from scmlib.variants import build_model

SIZE = (96, 48)


def pictures(number: int) -> torch.Tensor:
    return torch.randint(0, 256, (number, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_masks_are_the_maps_times_the_prior_clamped() -> None:
    torch.manual_seed(0)
    model, seen = build_model("regnet_y_tiny", 4, image_size=SIZE).eval(), pictures(3)
    with torch.no_grad():
        masks = clamp_unit(read_out_maps(model, seen) * model.scm.learnable_masks)
        torch.testing.assert_close(masks, model(to_float(seen)).competitive)


def test_shares_and_deviations_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("regnet_y_tiny", 4, image_size=(32, 16), num_parts=2, mask_part=0)  # 2 x 1 cells
    prior = torch.tensor([[[1.0], [2.0]], [[0.05], [0.5]]])
    model.scm.learnable_masks.data.copy_(prior)
    # pictures (-1, 0.2) and (2, 0.6) in the first part; in the second its first cell is dead
    maps = torch.tensor([[[[-1.0], [0.2]], [[9.0], [1.0]]], [[[2.0], [0.6]], [[-9.0], [4.0]]]])
    monkeypatch.setattr(read_out, "read_out_maps", lambda model, pictures: maps)
    first, second = read_out_table(model, maps).to_dict("records")
    assert first == pytest.approx(
        {
            "part": 1,
            "alive": 1,
            "below": 1 / 4,  # -1
            "above": 2 / 4,  # 2 and 2 * 0.6
            "stuck": 1 / 2,  # the first cell, below 0 in one picture and above 1 in the other
            "position": np.std([0.5, 0.4]),
            "picture": np.sqrt((1.5**2 + 0.2**2) / 2),
        }
    )
    assert second == pytest.approx(
        {"part": 2, "alive": 0.5, "below": 0, "above": 0.5, "stuck": 0, "position": 0, "picture": 1.5}
    )


def test_before_training_the_values_are_those_of_a_normal_distribution() -> None:
    torch.manual_seed(0)
    seen = pictures(64)
    fresh = with_statistics(build_model("regnet_y_tiny", 4, image_size=SIZE), seen)
    table = read_out_table(fresh, seen)
    assert table["below"].mean() == pytest.approx(0.5, abs=0.1)
    assert table["above"].mean() == pytest.approx(1 - NormalDist().cdf(1), abs=0.05)
    assert table["stuck"].max() < 0.1
    assert table["alive"].tolist() == pytest.approx([2 / 3] * 3)


def test_no_living_cell_is_not_a_number_and_no_module_is_one_sentence() -> None:
    model = build_model("regnet_y_tiny", 4, image_size=SIZE)
    model.scm.learnable_masks.data.zero_()
    table = read_out_table(model, pictures(2))
    assert (table["alive"] == 0).all()
    assert pd.isna(table[["below", "stuck", "position", "picture"]]).all(axis=None)
    with pytest.raises(BadInput, match="'stripes' has no read-out"):
        read_out_table(build_model("regnet_y_tiny", 4, image_size=SIZE, variant="stripes"), pictures(2))
