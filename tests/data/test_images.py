from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from scmlib.data.images import read_image, resize, to_float
from scmlib.data.layouts import LAYOUTS
from scmlib.data.loading import Augmentation, PKSampler, RecordImages
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.model import RandomErasing
from scmlib.settings import Settings, published_recipes

PERSONS = LAYOUTS["market1501"]


def records_of(labels: list[int], views: list[str] | None = None) -> list[Record]:
    return [
        Record(Path(f"{i}.jpg"), label, 1, label, view)
        for i, (label, view) in enumerate(zip(labels, views or [""] * len(labels), strict=True))
    ]


def save(path: Path, height: int = 32, width: int = 16) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_image_is_rgb_whatever_the_file_holds(tmp_path: Path) -> None:
    for mode, name in (("L", "a.png"), ("RGBA", "b.png"), ("P", "c.png"), ("CMYK", "d.jpg")):
        Image.new(mode, (8, 4)).save(tmp_path / name)
        assert read_image(tmp_path / name).shape == (3, 4, 8)
    assert read_image(save(tmp_path / "e.tif"), (48, 24)).shape == (3, 48, 24)


def test_resizing_does_not_antialias() -> None:
    x = torch.zeros(3, 1, 8, dtype=torch.uint8)
    x[..., 0] = 255
    # Bilinear at a quarter of the width looks at pixels 1 and 2 alone; antialiasing would mix pixel 0 in.
    assert resize(x, (1, 2)).max() == 0


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0001_c1s1_000001_00.jpg"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"0001_c1s1_000001_00\.jpg can't be read"):
        read_image(path)


def test_truncated_file_is_named_through_a_loader_process_too(tmp_path: Path) -> None:
    path = save(tmp_path / "0001_c1.jpg", 64, 64)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadInput, match=r"0001_c1\.jpg can't be read"):
        read_image(path)
    with pytest.raises(BadInput, match=r"^\S*0001_c1.jpg can't be read"):
        list(DataLoader(RecordImages([Record(path, 1, 1, 0)], (16, 16)), num_workers=1))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.jpg is missing"):
        read_image(tmp_path / "gone.jpg")


def test_kept_images_equal_those_read_again(tmp_path: Path) -> None:
    records = [Record(save(tmp_path / f"{i}.png"), i, 1, i) for i in range(3)]
    keeping = RecordImages(records, (32, 16), keep=True)
    first = [keeping[i][0] for i in range(3)]
    assert len(keeping.kept) == 3
    assert all(torch.equal(keeping[i][0], first[i]) for i in range(3))
    assert keeping[2][1] == 2


def test_augmentation_keeps_size_and_range() -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, 48, 32), dtype=torch.uint8)
    outcomes = [Augmentation(PERSONS, (32, 16))(image, "") for _ in range(20)]
    assert {tuple(x.shape) for x in outcomes} == {(3, 32, 16)}
    assert len({x.numpy().tobytes() for x in outcomes}) > 10
    assert to_float(image).max() <= 1


@pytest.mark.parametrize(("name", "prepared"), [("market1501", 48), ("cub200", 64), ("university1652", 56)])
def test_each_data_set_is_framed_by_its_own_rule(tmp_path: Path, name: str, prepared: int) -> None:
    """Persons pad by 8, University-1652 by 12; CUB200 and Cars resize to 32 more and pad after a first crop."""
    path, augment = save(tmp_path / "a.png", 40, 40), Augmentation(LAYOUTS[name], (32, 32))
    image = augment.prepare(path)
    assert image.shape == (3, prepared, prepared)
    assert augment(image, "satellite").shape == (3, 32, 32)


@pytest.mark.parametrize("name", ["market1501", "cub200", "university1652"])
@pytest.mark.parametrize("size", [(77, 50), (32, 16), (64, 32)])
def test_reading_and_augmenting_equal_torchvision(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    """To the pixel and to the random number."""
    path, layout, wanted = save(tmp_path / "a.png", *size), LAYOUTS[name], (64, 32)
    augment, bilinear = Augmentation(layout, wanted), v2.InterpolationMode.BILINEAR
    pad, crop = v2.Pad(layout.pad, padding_mode="symmetric"), v2.RandomCrop(list(wanted))
    larger = [wanted[0] + layout.margin, wanted[1] + layout.margin]
    with Image.open(path) as file:
        framed = v2.functional.resize(v2.functional.pil_to_tensor(file), larger, bilinear, antialias=False)
    prepared = framed if layout.margin else pad(framed)
    assert torch.equal(augment.prepare(path), prepared)
    assert torch.equal(read_image(path, wanted, layout.margin), v2.functional.center_crop(framed, list(wanted)))
    turns = [v2.RandomRotation(180, bilinear)] if layout.satellite else []
    chain = v2.Compose([*([crop, pad] if layout.margin else []), *turns, crop, v2.RandomHorizontalFlip()])
    for seed in range(4):
        torch.manual_seed(seed)
        theirs = chain(prepared)
        torch.manual_seed(seed)
        assert torch.equal(augment(augment.prepare(path), "satellite"), theirs)


def test_padding_mirrors_the_border(tmp_path: Path) -> None:
    wide = Augmentation(PERSONS, (32, 16)).prepare(save(tmp_path / "a.png"))
    assert torch.equal(wide[:, 7], wide[:, 8])
    assert torch.equal(wide[:, :, 0], wide[:, :, 15])


def test_only_satellite_images_turn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.full((3, 56, 56), 255, dtype=torch.uint8)  # a turn brings black corners in
    augment = Augmentation(LAYOUTS["university1652"], (32, 32))
    assert all(augment(image, "drone").min() == 255 for _ in range(20))
    assert any(augment(image, "satellite").min() == 0 for _ in range(20))


def test_test_images_of_fine_grained_sets_are_cut_from_the_centre(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", 64, 64)
    assert torch.equal(read_image(path, (32, 32), margin=32), read_image(path)[:, 16:48, 16:48])
    images = RecordImages([Record(path, 1, 1, margin=32)], (32, 32))
    assert torch.equal(images[0][0], read_image(path, (32, 32), margin=32))


def test_training_images_are_augmented_and_kept_before_that(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = RecordImages(
        [Record(save(tmp_path / "a.png"), 1, 1, 0)], (32, 16), augment=Augmentation(PERSONS, (32, 16)), keep=True
    )
    seen = {images[0][0].numpy().tobytes() for _ in range(8)}
    assert len(seen) > 4
    assert images[0][0].shape == (3, 32, 16)
    assert images.kept[0].shape == (3, 48, 32)


def test_no_more_is_kept_than_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmlib.data.loading.KEEP_BYTES", 2 * 3 * 32 * 16)
    images = RecordImages([Record(save(tmp_path / f"{i}.png"), i, 1, i) for i in range(3)], (32, 16), keep=True)
    assert [images[i][1] for i in range(3)] == [0, 1, 2]
    assert len(images.kept) == 2


def test_batches_hold_k_images_of_each_identity() -> None:
    labels = [0] * 4 + [1] * 9 + [2] * 5 + [3] * 6
    batches = PKSampler(records_of(labels), 8, 4, seed=0)
    drawn = list(batches)
    assert len(drawn) == len(batches) == 2  # 24 images make one round of 16
    for batch in drawn:
        assert sorted(Counter(labels[i] for i in batch).values()) == [4, 4]
        assert len(set(batch)) == 8  # without replacement where an identity has K
    assert sorted(labels[i] for batch in drawn for i in batch) == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_identity_with_fewer_than_k_images_is_drawn_with_replacement() -> None:
    (batch,) = PKSampler(records_of([0, 1, 1, 1, 1]), 8, 4, seed=0)
    assert batch.count(0) == 4


def test_each_identity_gives_one_satellite_image_and_drone_images() -> None:
    """University-1652; an identity without the one kind gives K of the other."""
    labels, views = [0] * 6 + [1] * 6 + [2] * 5, ["satellite", *["drone"] * 5] * 2 + ["drone"] * 5
    batches = PKSampler(records_of(labels, views), 9, 3, 0, "satellite")
    (batch,) = list(batches)
    seen = Counter((labels[i], views[i]) for i in batch)
    assert seen == {(0, "satellite"): 1, (0, "drone"): 2, (1, "satellite"): 1, (1, "drone"): 2, (2, "drone"): 3}
    assert len(set(batch)) == 9


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    def draw(seed: int, epoch: int) -> list[list[int]]:
        batches = PKSampler(records_of([0] * 8 + [1] * 8 + [2] * 8), 4, 2, seed)
        batches.epoch = epoch
        return list(batches)

    assert draw(0, 1) == draw(0, 1)
    assert draw(0, 1) != draw(0, 2)
    assert draw(0, 1) != draw(1, 1)


def test_fewer_identities_than_a_batch_needs() -> None:
    with pytest.raises(BadInput, match=r"needs 6 identities, but the training set has 2.*--batch-size 8"):
        PKSampler(records_of([0, 0, 1, 1]), 24, 4, seed=0)


@pytest.mark.parametrize(
    ("batch_size", "instances", "fits"), [(4, 4, "8"), (8, 3, "6 or 9"), (2, 4, "8"), (7, 4, "8"), (3, 3, "6")]
)
def test_batch_of_one_identity_or_of_a_broken_group_is_refused(batch_size: int, instances: int, fits: str) -> None:
    records = records_of([label for label in range(8) for _ in range(4)])
    with pytest.raises(BadInput, match=rf"so give --batch-size {fits}\.$"):
        PKSampler(records, batch_size, instances, seed=0)
    for size in map(int, fits.split(" or ")):
        assert all(len(batch) == size for batch in PKSampler(records, size, instances, seed=0))


@pytest.mark.parametrize("settings", published_recipes(), ids=lambda s: f"{s.dataset}-{s.net}")
def test_batches_of_all_recipes_hold_whole_groups(settings: Settings) -> None:
    records = records_of([label for label in range(64) for _ in range(4)])
    (first, *_) = PKSampler(records, settings.batch_size, settings.instance_num, seed=0)
    assert len({records[i].label for i in first}) == settings.batch_size // settings.instance_num


def test_erased_boxes_have_the_sizes_drawn() -> None:
    torch.manual_seed(0)
    images = torch.ones(4000, 3, 64, 32)
    erased = RandomErasing(0.4).train()(images)
    hit = (erased == 0).all(1)  # (B, H, W)
    share = hit.float().mean((1, 2))
    assert 0.45 < float((share > 0).float().mean()) < 0.55
    assert float(share[share > 0].min()) > 0.01
    assert float(share.max()) <= 0.45
    assert 0.16 < float(share[share > 0].mean()) < 0.22  # uniform on [0.02, 0.4], a little cut at the border
    boxes = hit.any(2).sum(1) * hit.any(1).sum(1)
    assert torch.equal(boxes, hit.sum((1, 2)))  # one full rectangle each
    assert torch.equal(erased[:, 0], erased[:, 1])


def test_no_erasing_in_evaluation_or_at_zero() -> None:
    images = torch.ones(50, 3, 16, 16)
    assert torch.equal(RandomErasing(0.4).eval()(images), images)
    assert torch.equal(RandomErasing(0.0).train()(images), images)
