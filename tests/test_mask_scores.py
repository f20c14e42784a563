from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.datasets import OCCLUDER, PERSON, REGIONS
from scmlib.errors import BadInput
from scmlib.mask_scores import lift, read_truth, region_share, score_masks

HEAD = REGIONS.index("head")

# Eight by four pixels on a grid of four by two: a person in the left half, hidden below.
TRUTH = np.zeros((1, 8, 4), dtype=np.uint8)
TRUTH[:, :4, :2] = HEAD
TRUTH[:, 4:, :] = OCCLUDER


def test_share_of_each_cell() -> None:
    truth = np.zeros((1, 4, 4), dtype=np.uint8)
    truth[0, 0, 0] = HEAD
    truth[0, 2:, 2:] = HEAD
    assert region_share(truth, PERSON, (2, 2)).tolist() == [[[0.25, 0], [0, 1]]]


def test_lift_of_masks_with_known_answers() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))
    assert lift(torch.ones(1, 4, 2), person) == pytest.approx(1)  # uniform: blind
    assert lift(person, person) == pytest.approx(4)  # the person alone, a quarter of the area
    assert lift(1 - person, person) == 0
    assert lift(torch.zeros(1, 4, 2), person) == pytest.approx(1)  # an empty mask says nothing
    assert np.isnan(lift(torch.ones(1, 4, 2), torch.zeros(1, 4, 2)))


def test_images_without_the_region_do_not_count() -> None:
    both = np.concatenate([TRUTH, np.zeros_like(TRUTH)])
    person = region_share(both, PERSON, (4, 2))
    mask = torch.stack([person[0], torch.ones(4, 2)])
    assert lift(mask, person) == pytest.approx(4)


def test_scores_of_every_mask() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))
    hidden = region_share(TRUTH, (OCCLUDER,), (4, 2))
    table = score_masks(torch.stack([person, hidden], 1), TRUTH).pivot(index="mask", columns="score", values="value")
    assert table.loc["competitive 1"].to_dict() == pytest.approx({"person": 4, "occluder": 0})
    assert table.loc["competitive 2"].to_dict() == pytest.approx({"person": 0, "occluder": 2})
    # Two cells of the person and four of the occluder, weighted alike.
    assert table.loc["cooperative"].to_dict() == pytest.approx({"person": 4 / 3, "occluder": 4 / 3})


def test_image_without_known_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.jpg has no index map"):
        read_truth([tmp_path / "query" / "a.jpg"])
