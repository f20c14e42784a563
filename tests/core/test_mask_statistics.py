"""What a run's log says about its masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from scmlib.mask_statistics import MaskStatistics


def test_statistics_of_batches_are_those_of_all_pictures() -> None:
    masks = (torch.rand(10, 3, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.3).clamp(min=0)
    masks[:, 1] = 0
    found = MaskStatistics().add(masks[:7]).add(masks[7:])
    assert found.pictures == 10
    assert found.mass == pytest.approx(masks.mean((0, 2, 3)).tolist())
    assert found.zero_share == pytest.approx((masks == 0).float().mean((0, 2, 3)).tolist())
    for mask, i in ((masks.sum(1), 0), (masks[:, 0], 1), (masks[:, 2], 3)):
        share, cells = found.picture_dependent[i], mask.double().flatten(1).numpy()  # (N, cells)
        assert share == pytest.approx(np.mean([cells[:, cell].var() for cell in range(8)]) / cells.var())
    assert found.picture_dependent[2] == 0  # never varies
    columns = ["mass_1", "mass_2", "mass_3", "zero_1", "zero_2", "zero_3"]
    assert list(found.log_row()) == ["picture_dependent", *columns]


def test_half_precision_is_summed_exactly() -> None:
    masks = torch.full((64, 2, 12, 6), 0.1, dtype=torch.float16)
    found = MaskStatistics().add(masks)
    assert found.mass == pytest.approx([float(masks[0, 0, 0, 0])] * 2, rel=1e-9)
    assert found.picture_dependent == [0, 0, 0]


def test_log_of_a_run_has_a_row_of_its_masks_an_epoch(run: Path) -> None:
    log = pd.read_csv(run / "log.csv")
    assert log["picture_dependent"].between(0, 1).all()
    parts = log.filter(regex="^(mass|zero)_").to_numpy()
    assert parts.shape == (len(log), 6)
    assert ((parts >= 0) & (parts <= 1)).all()
