from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.analysis.mask_scores import coverage, lift, mass_on, part_agreement, score_masks, shrink, soft_iou
from scmlib.data.truth import OCCLUDER, PERSON, REGIONS, read_truth, region_share
from scmlib.errors import BadInput

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


def test_mass_on_a_region_by_hand() -> None:
    mask = torch.tensor([[[1.0, 3.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    right = torch.zeros(2, 4, 4, dtype=torch.bool)
    right[:, :, 3] = True  # pixels: half of both cells on the right
    assert mass_on(mask, right).tolist() == [(0.5 * 3 + 0.5 * 4) / 8, 0.25]  # an empty mask counts as uniform
    cells = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]]).expand(2, 2, 2)
    assert mass_on(mask, cells).tolist() == [3 / 8, 0.25]


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


def test_coverage_of_masks_with_known_answers() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))  # the two upper cells on the left
    assert coverage(person, person) == 1
    assert coverage(0.3 * torch.ones(1, 4, 2), person) == pytest.approx(1)  # the mask's strength doesn't matter
    upper, spike = torch.zeros(1, 4, 2), torch.full((1, 4, 2), 0.1)
    upper[:, 0] = spike[:, 3] = 1
    assert coverage(upper, person) == pytest.approx(0.5)
    assert coverage(spike, person) == pytest.approx(0.1)  # strong elsewhere, so weak on the person
    assert coverage(1 - person, person) == coverage(torch.zeros(1, 4, 2), person) == 0
    assert np.isnan(coverage(person, torch.zeros(1, 4, 2)))


def test_coverage_sums_the_area_of_all_images() -> None:
    person = torch.tensor([[[1.0, 1.0, 1.0]], [[1.0, 0.0, 0.0]]])
    mask = torch.tensor([[[0.4, 0.4, 0.4]], [[0.0, 1.0, 1.0]]])
    assert coverage(mask, person) == pytest.approx(3 / 4)


def bands(*rows: list[float]) -> torch.Tensor:
    """Masks or parts (1, P, h, 2), constant along each of the h rows."""
    return torch.tensor(rows)[None, :, :, None].expand(-1, -1, -1, 2)


def test_agreement_with_the_parts() -> None:
    body = bands([1, 1, 0, 0], [0, 0, 1, 1])
    assert part_agreement(body, body) == pytest.approx(1)
    assert part_agreement(body.flip(1), body) == pytest.approx(1)  # which mask goes with which part is left open
    assert part_agreement(0.1 * body, body) == pytest.approx(1)
    assert part_agreement(bands([0.2, 0.2, 0, 0], [0, 0, 0, 0]), body) == pytest.approx(1)  # unclaimed: a group too
    assert part_agreement(torch.ones_like(body), body) == 0
    assert part_agreement(bands([1, 0, 1, 0], [0, 1, 0, 1]), body) < 0  # worse than chance
    assert np.isnan(part_agreement(body, body[:, :1]))


def test_agreement_asks_only_cells_that_mostly_show_the_body() -> None:
    body = bands([1, 0.3, 0, 0.5], [0, 0.3, 0.6, 0])  # the last row shows no more than half
    masks = bands([1, 1, 0, 0], [0, 0, 1, 1])
    assert part_agreement(masks, body) == pytest.approx(1)
    assert part_agreement(bands([1, 1, 0, 1], [0, 0, 1, 0]), body) == pytest.approx(1)


def test_overlap_of_two_masks() -> None:
    a, b = torch.tensor([1.0, 0.5, 0, 0]), torch.tensor([0, 0.5, 0, 1.0])
    assert soft_iou(a, a) == 1
    assert soft_iou(a, a / 2) == pytest.approx(0.5)
    assert soft_iou(a, b) == pytest.approx(0.5 / 2.5)
    assert soft_iou(torch.tensor([1.0, 0]), torch.tensor([0, 1.0])) == 0
    assert np.isnan(soft_iou(torch.zeros(2), torch.zeros(2)))


# Four images of two cells: the first part shows in two of them, a trace of it in the third, nothing in the fourth.
FIRST, SECOND = torch.tensor([1.0, 1, 0.09, 0]), torch.tensor([0, 0.5, 0.5, 0.5])
NONE = torch.zeros(4)
PARTS = torch.stack([torch.stack([FIRST, NONE], 1), torch.stack([NONE, SECOND], 1)], 1)[:, :, None]  # (4, 2, 1, 2)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([[1, 0], [1, 0], [0, 0], [0, 0]], 1),  # the mask vanishes with its part
        ([[1, 0], [1, 0], [1, 0], [1, 0]], 0),
        ([[1, 0], [1, 0], [0.5, 0], [0.5, 0]], 0.5),
        ([[0.5, 0], [0.5, 0], [1, 0], [1, 0]], -1),
        ([[0, 0], [0, 1], [0, 1], [0, 1]], 1),  # the second part's mask: that part is hidden in the first image
    ],
)
def test_shrinking_of_a_mask_whose_part_is_hidden(cells: list[list[float]], expected: float) -> None:
    assert shrink(torch.tensor(cells).float()[:, None], PARTS) == pytest.approx(expected)


def test_shrinking_needs_images_with_and_without_the_part() -> None:
    mask = torch.ones(2, 1, 2)
    assert np.isnan(shrink(mask, PARTS[:2, :1]))  # never hidden
    assert np.isnan(shrink(mask, torch.zeros(2, 1, 1, 2)))  # never shown
    assert np.isnan(shrink(torch.zeros(4, 1, 2), PARTS))
    assert np.isnan(shrink(torch.tensor([0.0, 0, 1, 1])[:, None, None].expand(4, 1, 2), PARTS[:, :1]))


def test_scores_of_every_mask() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))
    hidden = region_share(TRUTH, (OCCLUDER,), (4, 2))
    table = score_masks(torch.stack([person, hidden], 1), TRUTH).pivot(index="mask", columns="score", values="value")
    found = {mask: row.dropna().to_dict() for mask, row in table.iterrows()}
    # The cooperative mask holds two cells of the person and four of the occluder, weighted alike. One image with one
    # body part shows no agreement of parts and no shrinking.
    assert found == {
        "competitive 1": pytest.approx({"person": 4, "occluder": 0, "coverage": 1}),
        "competitive 2": pytest.approx({"person": 0, "occluder": 2, "coverage": 0}),
        "competitive 1 and 2": {"overlap": 0},
        "competitive, strongest": {},
        "cooperative": pytest.approx({"person": 4 / 3, "occluder": 4 / 3, "coverage": 1}),
    }


def test_scores_of_a_world_with_two_parts() -> None:
    legs = REGIONS.index("legs")
    truth = np.zeros((2, 8, 4), dtype=np.uint8)
    truth[:, :4] = HEAD
    truth[0, 4:] = legs
    truth[1, 4:] = OCCLUDER
    masks = torch.stack([region_share(truth, (part,), (4, 2)) for part in (HEAD, legs)], 1)
    table = score_masks(masks, truth).set_index(["score", "mask"])["value"]
    assert table["parts", "competitive, strongest"] == pytest.approx(1)
    assert np.isnan(table["shrink", "competitive 1"])  # the head is always there
    assert table["shrink", "competitive 2"] == 1


def test_a_bag_is_no_part_of_the_body() -> None:
    truth = np.full((1, 4, 4), REGIONS.index("carried"), dtype=np.uint8)
    truth[:, :2] = HEAD
    scores = score_masks(torch.rand(1, 2, 4, 4), truth).set_index("score")["value"]
    assert np.isnan(scores["parts"])


def test_masks_and_maps_of_other_images() -> None:
    with pytest.raises(BadInput, match="2 images came with 1 index maps"):
        score_masks(torch.ones(2, 3, 4, 2), TRUTH)


def test_image_without_known_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.jpg has no index map"):
        read_truth([tmp_path / "query" / "a.jpg"])
