from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.world import KINDS, PRESETS, World, render, render_pair, rendering
from data_prep.world.layers import Array, Layer
from data_prep.world.pedestrian import draw_pedestrian
from scmlib.data.truth import OCCLUDER, PERSON, REGION_COLOURS, REGIONS
from scmlib.errors import BadInput
from tests.data_prep.world.conftest import LOOSE, QUICK


@pytest.mark.parametrize("kind", KINDS)
def test_every_occluder_hides_within_the_limits(kind: str) -> None:
    world = World()
    image, regions, facts = render(world, "query", identity=150, occluder=kind)
    assert image.shape == (192, 96, 3)
    assert image.dtype == regions.dtype == np.uint8
    assert world.hidden[0] <= facts["hidden"] <= world.hidden[1]
    assert facts["occluder"] in (kind, "sign")  # where a pole is too thin, a sign stands in
    whole = render(world, "query", identity=150, occluder="")
    assert whole[2]["visible"] == 1
    assert not (whole[1] == OCCLUDER).any()


def middle_rows(world: World, region: str) -> Array:
    """Where a region's middle lies from the top, as a share of the height, on images that show it whole or in part."""
    maps = [render(world, "train", k % 20 + 1, k // 20, occluder="")[1] for k in range(40)]
    return np.array([np.nonzero(m == REGIONS.index(region))[0].mean() / world.height for m in maps])


def test_loose_boxes_move_the_parts_to_other_rows() -> None:
    for region in ("head", "upper body", "legs"):
        assert middle_rows(LOOSE, region).std() > 2 * middle_rows(World(), region).std()


def test_loose_boxes_change_nothing_but_where_the_person_is() -> None:
    for k in range(10):
        close, loose = (render(world, "gallery", 101 + k, k, occluder="") for world in (World(), LOOSE))
        assert close[2] == loose[2]
        assert (close[1] != loose[1]).any()
        empty = (close[1] == 0) & (loose[1] == 0)
        assert (close[0] == loose[0]).all(2)[empty].mean() > 0.7  # the rest lies in a shadow or at an outline


def test_loose_maps_show_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = np.array(REGION_COLOURS, np.float32)

    def painted(*args: object, **settings: object) -> Layer:
        layer = draw_pedestrian(*args, **settings)  # type: ignore[arg-type]
        return layer._replace(colour=colours[layer.regions] * layer.alpha[..., None])

    monkeypatch.setattr(rendering, "draw_pedestrian", painted)
    monkeypatch.setattr(rendering, "take", lambda picture, *_: picture)
    for identity in range(1, 21):
        picture, regions, _ = render(LOOSE, "train", identity, occluder="")
        far = np.abs(picture[:, :, None] - colours).max(3)  # (H, W, regions)
        assert np.mean(far.argmin(2)[regions > 0] == regions[regions > 0]) > 0.9  # outlines mix with what is behind
        assert far[regions == 0][:, PERSON].min() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loose", [0.3, 0.5])
def test_occluders_keep_the_limits_in_loose_boxes(kind: str, loose: float) -> None:
    world = replace(World(), loose=loose)
    for identity in range(101, 111):
        _, regions, facts = render(world, "query", identity, occluder=kind)
        _, whole, _ = render(world, "query", identity, occluder="")
        hidden = ((whole > 0) & (regions == OCCLUDER)).sum() / (whole > 0).sum()
        assert world.hidden[0] <= hidden <= world.hidden[1]
        assert facts["hidden"] == pytest.approx(hidden, abs=1e-4)
        assert np.array_equal(whole[regions != OCCLUDER], regions[regions != OCCLUDER])


def test_values_that_do_not_exist_are_named() -> None:
    for values, said in (
        ({"split": "test"}, "split is 'test', but must be one of"),
        ({"identity": 0}, "identity is 0, but"),
        ({"camera": 7}, "camera is 7, but"),
        ({"view": "above"}, "view is 'above', but must be one of"),
        ({"pose": "lying"}, "pose is 'lying'"),
        ({"occluder": "cloud"}, "occluder is 'cloud'"),
    ):
        with pytest.raises(BadInput, match=said):
            render(World(), **values)


# ---- pairs


def grown(mask: Array, pixels: int) -> Array:
    """A mask with all pixels that are so near to it, across, down or both."""
    padded = np.pad(mask, pixels)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(windows.any((2, 3)))


@pytest.mark.parametrize("world", [QUICK, World(), LOOSE], ids=["quick", "default", "loose"])
def test_pair_differs_only_around_the_occluder(world: World) -> None:
    first = world.train_identities + 1
    reach = round(5 * world.height / 192) + 1  # of the blur, and half a pixel of the outline
    for identity in range(first, first + 6):
        image, regions, facts = render(world, "query", identity)
        pair = render_pair(world, "query", identity, 0)
        assert np.array_equal(pair.image_with, image)
        assert np.array_equal(pair.regions_with, regions)
        front = pair.regions_with == OCCLUDER
        changed = (pair.image_with != pair.image_without).any(2)
        assert not changed[~grown(front, reach)].any()
        assert changed[front].mean() > 0.8  # an occluder that isn't of the colour behind it
        assert np.array_equal(pair.regions_without[~front], pair.regions_with[~front])
        assert not (pair.regions_without == OCCLUDER).any()
        person = pair.regions_without > 0
        assert (front & person).sum() / person.sum() == pytest.approx(facts["hidden"], abs=1e-4)


def test_image_without_an_occluder_has_no_pair() -> None:
    world = replace(QUICK, occluded_gallery=0.0)
    with pytest.raises(BadInput, match="Image 1 of identity 13 in gallery has no occluder to take away"):
        render_pair(world, "gallery", 13, 1)


def test_kinds_kept_out_of_training_stand_only_in_the_test() -> None:
    world = replace(QUICK, train_kinds=("pole", "sign"), test_kinds=("plant",), occluded_train=1.0)
    drawn = {
        split: {render(world, split, identity, k)[2]["occluder"] for identity in people for k in range(2)}
        for split, people in (("train", range(1, 9)), ("query", range(13, 17)))
    }
    assert drawn == {"train": {"pole", "sign"}, "query": {"plant"}}


def test_unaligned_world_can_be_drawn() -> None:
    world = replace(PRESETS["unaligned"], height=96, width=48)
    for identity in range(101, 111):
        _, regions, facts = render(world, "query", identity)
        assert facts["occluder"] in world.test_kinds
        assert world.hidden[0] <= facts["hidden"] <= world.hidden[1]
        assert np.isin(regions, PERSON).any()
