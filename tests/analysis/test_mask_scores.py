from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from scmlib.analysis.mask_scores import (
    Pairs,
    Shares,
    agreement_ceiling,
    ceilings,
    coverage,
    detection,
    equal_mass,
    lift,
    lift_ceiling,
    mass_on,
    match_parts,
    part_agreement,
    picture_dependent,
    score_changes,
    score_masks,
    soft_iou,
)
from scmlib.analysis.statistics import bootstrap_bands
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
    return torch.tensor(rows).float()[None, :, :, None].expand(-1, -1, -1, 2)


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


@pytest.mark.parametrize("seed", range(3))
def test_detection_is_that_of_the_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((3, 12, 8)) < rng.random((3, 12, 8))).astype(np.uint8) * HEAD
    mask = torch.from_numpy(rng.integers(0, 4, (3, 3, 2))).float()  # few values: many ties
    auc, ap = detection(mask, region_share(truth, PERSON, (3, 2)))
    for i, pixels in enumerate(truth == HEAD):
        enlarged = mask[i].repeat_interleave(4, 0).repeat_interleave(4, 1).numpy()
        assert auc[i] == pytest.approx(roc_auc_score(pixels.ravel(), enlarged.ravel()))
        assert ap[i] == pytest.approx(average_precision_score(pixels.ravel(), enlarged.ravel()))


def test_detection_by_hand() -> None:
    person = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])  # six pixels of sixteen, say
    auc, ap = detection(torch.tensor([[[3.0, 2.0], [1.0, 1.0]]]), person)
    # Of the other pixels a fifth ties with a third of the person's; the rest lies below. Precision 1 up to two thirds
    # of the recall, then 6 pixels of 8.
    assert auc.tolist() == pytest.approx([1 - 1 / 5 / 3 / 2])
    assert ap.tolist() == pytest.approx([2 / 3 + 1 / 3 * 6 / 8])
    blind, share = detection(torch.ones(1, 2, 2), person)
    assert (blind.item(), share.item()) == pytest.approx((0.5, 6 / 16))
    none, whole = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    assert all(values.isnan().all() for region in (none, whole) for values in detection(whole, region))


def test_squaring_a_mask_raises_its_lift_and_leaves_detection_as_it_is() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))
    mask = 0.2 + 0.6 * person + 0.1 * torch.rand(1, 4, 2, generator=torch.Generator().manual_seed(0))
    assert lift(mask.square(), person) > 1.2 * lift(mask, person)
    assert all(
        torch.equal(a, b) for a, b in zip(detection(mask.square(), person), detection(mask, person), strict=True)
    )


def test_no_lift_exceeds_its_ceiling() -> None:
    region = torch.rand(20, 4, 2, generator=torch.Generator().manual_seed(0))
    ceiling = lift_ceiling(region)
    assert ceiling == pytest.approx(float(region.amax((1, 2)).mean() / region.mean()))
    assert lift(region**50, region) < ceiling


def test_values_above_one_cover_no_more_than_one() -> None:
    person = torch.ones(1, 1, 2)
    assert coverage(torch.tensor([[[3.0, 1.0]]]), person) == 1
    assert coverage(torch.tensor([[[3.0, 0.5]]]), person) == pytest.approx(0.75)


def test_scale_of_a_part_says_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    masks, body = torch.rand(9, 3, 5, 4, generator=generator), torch.rand(9, 4, 5, 4, generator=generator)
    body[:, 0] += 0.3
    scaled = masks * torch.tensor([0.01, 1, 5])[:, None, None]
    assert part_agreement(scaled, body) == pytest.approx(part_agreement(masks, body))
    order, overlaps = match_parts(scaled, masks)
    assert order == [0, 1, 2]
    assert overlaps == pytest.approx([1, 1, 1], abs=1e-5)
    assert equal_mass(torch.zeros(1, 2, 1, 1)).tolist() == [[[[0]], [[0]]]]


def test_ceiling_of_the_agreement_is_the_best_grouping() -> None:
    body = bands([1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1])
    assert agreement_ceiling(body, 3) == agreement_ceiling(body, 2) == pytest.approx(1)  # unclaimed: a group too
    one = agreement_ceiling(body, 1)
    found = [part_agreement(bands([float(x) for x in rows]), body) for rows in product((0, 1), repeat=4)]
    assert one == pytest.approx(max(found))
    assert 0 < one < 1


def test_parts_of_two_runs_are_paired_by_overlap() -> None:
    masks = torch.rand(4, 3, 5, 2, generator=torch.Generator().manual_seed(1))
    masks[:, 1] = masks[:, 1].square()
    order, overlaps = match_parts(masks, masks[:, [2, 0, 1]] * 0.3)
    assert order == [1, 2, 0]
    assert overlaps == pytest.approx([1, 1, 1], abs=1e-5)
    other = torch.rand(4, 3, 5, 2, generator=torch.Generator().manual_seed(2))
    a, b = equal_mass(masks), equal_mass(other)
    every = [np.mean([soft_iou(a[:, i], b[:, j]) for i, j in enumerate(p)]) for p in permutations(range(3))]
    assert np.mean(match_parts(masks, other)[1]) == pytest.approx(max(every))


def test_share_of_the_variance_that_depends_on_the_picture() -> None:
    masks = torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]]])[:, None]  # (2, 1, 1, 2): one pattern in both pictures
    assert picture_dependent(masks) == [0, 0]
    assert picture_dependent(masks.flip(3).where(torch.tensor([True, False])[:, None, None, None], masks)) == [1, 1]
    mixed = torch.tensor([[[0.0, 1.0]], [[0.0, 0.5]]])[:, None]
    within, whole = 0.25**2 / 2, float(mixed.var(unbiased=False))
    assert picture_dependent(mixed)[0] == pytest.approx(within / whole)
    assert picture_dependent(torch.ones(3, 2, 2, 2)) == [0, 0, 0]


# Two pairs of one row of four cells: the person hidden in the first cell, visible in the second, then background and an
# occluder on background.
FREE = np.repeat([[HEAD, HEAD, 0, 0]], 2, 0).astype(np.uint8)[:, None]
PAIRS = Pairs(
    torch.zeros(2, 3, 1, 4, dtype=torch.uint8),
    torch.zeros(2, 3, 1, 4, dtype=torch.uint8),
    np.repeat([[OCCLUDER, HEAD, 0, OCCLUDER]], 2, 0).astype(np.uint8)[:, None],
    FREE,
    np.array([1, 2]),
)


def test_changes_behind_an_occluder_by_hand() -> None:
    before = torch.tensor([[0.5, 0.4, 0.2, 0.1], [1.0, 0.4, 0.2, 0.1]])[:, None, None]  # (2, 1, 1, 4)
    after = torch.tensor([[0.1, 0.4, 0.1, 0.9], [0.8, 0.6, 0.2, 0.9]])[:, None, None]
    table = score_changes(after, before, PAIRS).set_index(["mask", "score"])
    for mask in ("cooperative", "competitive 1"):
        assert table.loc[(mask, "hidden"), "value"] == pytest.approx(0.9 / 1.5 - 1)
        assert table.loc[(mask, "visible"), "value"] == pytest.approx(1.0 / 0.8 - 1)
        assert table.loc[(mask, "background"), "value"] == pytest.approx(0.3 / 0.4 - 1)
    # Two identities: a resample holds either twice, or both.
    low, high = table.loc[("cooperative", "hidden"), ["low", "high"]]
    assert (low, high) == pytest.approx((0.1 / 0.5 - 1, 0.8 / 1.0 - 1))
    assert score_changes(after, 0 * before, PAIRS)[["value", "low", "high"]].isna().to_numpy().all()


def test_a_mask_of_the_visible_person_leaves_what_is_hidden() -> None:
    occluded, free = (region_share(truth, PERSON, (1, 4))[:, None] for truth in (PAIRS.truth, PAIRS.truth_free))
    value = score_changes(occluded, free, PAIRS).set_index(["mask", "score"])["value"]
    assert (value["cooperative", "hidden"], value["cooperative", "visible"]) == (-1, 0)
    assert np.isnan(value["cooperative", "background"])


def test_scores_of_every_mask() -> None:
    person = region_share(TRUTH, PERSON, (4, 2))
    hidden = region_share(TRUTH, (OCCLUDER,), (4, 2))
    table = score_masks(torch.stack([person, hidden], 1), TRUTH).pivot(index="mask", columns="score", values="value")
    found = {mask: row.dropna().to_dict() for mask, row in table.iterrows()}
    # The cooperative mask holds two cells of the person and four of the occluder, weighted alike: four of the six other
    # cells tie with the person's. One image with one body part shows no agreement of parts; of one image nothing varies
    # with the picture.
    assert found == {
        "competitive 1": pytest.approx(
            {"auc": 1, "ap": 1, "person": 4, "occluder": 0, "coverage": 1, "picture_dependent": 0}
        ),
        "competitive 2": pytest.approx(
            {"auc": 1 / 6, "ap": 1 / 4, "person": 0, "occluder": 2, "coverage": 0, "picture_dependent": 0}
        ),
        "competitive 1 and 2": {"overlap": 0},
        "competitive, strongest": {},
        "cooperative": pytest.approx(
            {"auc": 2 / 3, "ap": 1 / 3, "person": 4 / 3, "occluder": 4 / 3, "coverage": 1, "picture_dependent": 0}
        ),
    }


def test_bands_of_detection_are_over_identities() -> None:
    truth = np.concatenate([TRUTH] * 4)
    masks = torch.rand(4, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    person = region_share(truth, PERSON, (4, 2))
    table = score_masks(masks, truth, [1, 1, 2, 3])
    row = table[(table["mask"] == "cooperative") & (table["score"] == "auc")].iloc[0]
    auc = detection(masks[:, 0], person)[0].numpy()
    assert row["value"] == pytest.approx(auc.mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(bootstrap_bands(auc, [1, 1, 2, 3])))


def test_scores_of_a_world_with_two_parts() -> None:
    legs = REGIONS.index("legs")
    truth = np.zeros((2, 8, 4), dtype=np.uint8)
    truth[:, :4] = HEAD
    truth[0, 4:] = legs
    truth[1, 4:] = OCCLUDER
    masks = torch.stack([region_share(truth, (part,), (4, 2)) for part in (HEAD, legs)], 1)
    table = score_masks(masks, truth).set_index(["score", "mask"])["value"]
    assert table["parts", "competitive, strongest"] == pytest.approx(1)
    assert ceilings(Shares.of(truth, (4, 2)), 2) == pytest.approx({"person": 4 / 3, "parts": 1})


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
