from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scmlib.data.datasets import open_dataset
from scmlib.data.images import read_image
from scmlib.data.layouts import LAYOUTS
from scmlib.data.loading import Augmentation, RecordImages
from scmlib.data.records import Record
from scmlib.data.truth import OCCLUDER, PARTS, PERSON, READERS, misread, part_maps, read_truth, truth_path
from scmlib.errors import BadInput


def test_parts_are_the_person_without_gap_or_overlap() -> None:
    assert sorted(region for part in PARTS for region in part) == list(PERSON)
    maps = part_maps(np.arange(8, dtype=np.uint8)[None])
    assert maps[:, 0].tolist() == [[255 * (region in part) for region in range(8)] for part in PARTS]


def test_misread_as_well_as_a_parser_reads(data_root: Path) -> None:
    truth = read_truth([record.path for record in open_dataset("synthetic", data_root).query])
    read = np.stack([misread(regions, seed) for seed, regions in enumerate(truth)])
    assert np.array_equal(read[3], misread(truth[3], 3))
    overlaps = []
    for part in PARTS:
        a, b = np.isin(truth, part), np.isin(read, part)
        shown = a.any((1, 2))
        overlaps.append(((a & b).sum((1, 2)) / (a | b).sum((1, 2)).clip(1))[shown].mean())
    assert np.mean(overlaps) == pytest.approx(0.6, abs=0.08)
    assert (np.isin(read, PERSON) & (truth == OCCLUDER)).any()


def test_what_is_known_moves_with_the_picture(tmp_path: Path) -> None:
    head = np.zeros((32, 16), np.uint8)
    head[3:9, 2:7] = PARTS[0][0]
    image = tmp_path / "bounding_box_train" / "0001_c1s1_000001_00.png"
    for path, pixels in ((image, np.repeat(255 * (head > 0)[..., None], 3, 2)), (truth_path(image), head)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    layout = LAYOUTS["synthetic"]
    for size in ((32, 16), (48, 32)):
        images = RecordImages([Record(image, 1, 1, 0)], size, augment=Augmentation(layout, size), beside="parts")
        drawn = [images[0][0] for _ in range(8)]
        assert all(torch.equal(picture[0], picture[3]) for picture in drawn)
        assert not all(torch.equal(picture, drawn[0]) for picture in drawn)
    assert torch.equal(read_image(image, beside="parts")[:3], read_image(image))


@pytest.mark.parametrize("beside", READERS)
def test_picture_of_which_nothing_is_known_is_named(beside: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(BadInput, match="only the synthetic world comes with known answers"):
        read_image(path, beside=beside)
