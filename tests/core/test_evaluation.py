from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scmlib.data.datasets import open_dataset
from scmlib.data.images import read_image, to_float
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate, ranked_gallery
from scmlib.inference import Pictures, batches_of, embed, masks_of
from scmlib.model import SCM
from scmlib.variants import build_model


@pytest.fixture(scope="module")
def model() -> SCM:
    torch.manual_seed(0)
    return build_model("regnet_y_tiny", 5, image_size=(96, 48))


def test_embedding_of_an_image_and_of_its_mirror_image_are_one(model: SCM) -> None:
    images = torch.rand(5, 3, 96, 48)
    ours = embed(model.train(), images, batch_size=2)
    assert ours.shape == (5, 6 * 256)
    assert ours.dtype == np.float32
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert np.allclose(ours, embed(model, images.flip(3)), atol=1e-5)
    assert np.allclose(ours, embed(model, images), atol=1e-5)


def test_records_are_read_at_the_size_of_the_model(model: SCM, data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    images = torch.stack([to_float(read_image(r.path, (96, 48))) for r in data.query[:3]])
    assert np.allclose(embed(model, data.query[:3]), embed(model, images), atol=1e-6)


def test_paths_are_read_like_records(model: SCM, data_root: Path) -> None:
    records = open_dataset("synthetic", data_root).query[:3]
    ours = embed(model, [record.path for record in records])
    assert np.array_equal(ours, embed(model, records))
    assert np.array_equal(ours, embed(model, [str(record.path) for record in records]))


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([], "There are no pictures: give at least one"),
        (torch.zeros(0, 3, 96, 48), "There are no pictures"),
        (torch.zeros(3, 96, 48), r"shape \[3, 96, 48\] don't fit: give \(N, 3, H, W\)"),
        (torch.zeros(2, 96, 48, 3), r"shape \[2, 96, 48, 3\] don't fit"),
        ([Path("no.jpg")], r"no\.jpg is missing"),
    ],
    ids=str,
)
def test_what_are_no_pictures_is_named(model: SCM, pictures: Pictures, said: str) -> None:
    for function in (embed, masks_of):
        with pytest.raises(BadInput, match=said):
            function(model, pictures)


def test_images_at_once_are_what_the_caller_around_says(model: SCM, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    branches = SCM.branches

    def counted(self: SCM, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(images))
        return branches(self, images)

    monkeypatch.setattr(SCM, "branches", counted)
    images = torch.rand(5, 3, 96, 48)
    with batches_of(2):
        inside = masks_of(model, images, batch_size=4)
    assert sizes == [2, 2, 1]
    assert torch.allclose(masks_of(model, images, batch_size=4), inside, atol=1e-6)
    assert sizes[3:] == [4, 1]


def test_masks_of_pictures(model: SCM, data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    pictures = torch.stack([read_image(r.path, (96, 48)) for r in data.query[:3]])
    masks = masks_of(model, pictures, batch_size=2)
    assert masks.shape == (3, 3, 6, 3)
    assert torch.allclose(masks, model(to_float(pictures)).competitive, atol=1e-6)


def test_evaluation_of_a_data_set(model: SCM, data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    evaluation = evaluate(model, data)
    assert evaluation.ranking.num_valid == len(data.query)
    assert set(evaluation.ranking.metrics()) == {"top1", "top5", "top10", "mAP"}
    head, right = ranked_gallery(evaluation.query[0] @ evaluation.gallery.T, data.query[0], data.gallery, 5)
    assert len(head) == len(right) == 5
    junk = (data.query[0].identity, data.query[0].camera)
    assert all((data.gallery[i].identity, data.gallery[i].camera) != junk for i in head)
    position = evaluation.ranking.first_match[0]
    assert right.index(True) == position if True in right else position >= 5
