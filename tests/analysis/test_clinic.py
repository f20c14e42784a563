from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scmlib.analysis.clinic import FAULTS, Side, Specimen, collapsed, right, specimen_of
from scmlib.checkpoints import load_model
from scmlib.data.datasets import open_dataset
from scmlib.evaluation import evaluate


@pytest.fixture
def specimen() -> Specimen:
    """Fair embeddings of ten people for training and ten for testing; each camera's background is in them."""
    torch.manual_seed(0)

    def side(people: range, images: int) -> Side:
        ids = torch.tensor([i for i in people for _ in range(images)])
        cameras = torch.arange(len(ids)) % 3
        who = torch.nn.functional.one_hot(ids, 24).float()
        where = torch.nn.functional.one_hot(cameras, 3).float()
        return Side(torch.cat([2 * who, where, 0.5 * torch.randn(len(ids), 24)], 1), ids, cameras)

    train = side(range(10, 20), 6)
    # Trained on: what tells these people apart is much stronger.
    train = replace(train, embeddings=train.embeddings * torch.tensor([4.0] * 24 + [1.0] * 27))
    return Specimen(train, side(range(10), 3), side(range(10), 9))


def scores(specimen: Specimen, fault: str) -> tuple[float, float]:
    """mAP with the fault and without it."""
    return FAULTS[fault].broken(specimen).mAP, FAULTS[fault].sound(specimen).mAP


def test_each_fault_shows_as_it_says(specimen: Specimen) -> None:
    for flatters in ("same-camera matches kept", "identities leaked", "optimistic ties"):
        wrong, sound = scores(specimen, flatters)
        assert wrong > sound + 0.02, flatters
    wrong, sound = scores(specimen, "gallery shuffled")
    assert wrong < sound / 2


def test_query_in_the_gallery_finds_itself_whatever_the_model(specimen: Specimen) -> None:
    noise = replace(specimen, query=replace(specimen.query, embeddings=torch.randn_like(specimen.query.embeddings)))
    assert FAULTS["query left in the gallery"].broken(noise).cmc[0] == 1
    assert right(noise).cmc[0] < 0.5


def test_optimistic_ties_make_a_collapsed_model_perfect(specimen: Specimen) -> None:
    assert FAULTS["optimistic ties"].broken(specimen).mAP == pytest.approx(1)
    assert FAULTS["optimistic ties"].sound(specimen).cmc[0] == 0
    assert len(collapsed(specimen)[0].embeddings.unique()) == 1


def test_long_embeddings_spoil_what_is_not_normalised(specimen: Specimen) -> None:
    long = specimen.gallery.embeddings.clone()
    long[:10] *= 50
    spoilt = replace(specimen, gallery=replace(specimen.gallery, embeddings=long))
    wrong, sound = scores(spoilt, "embeddings not normalised")
    assert sound == pytest.approx(right(specimen).mAP)  # lengths don't matter where they are taken out
    assert wrong < sound - 0.05


def test_sound_evaluation_is_the_real_one(run: Path, data_root: Path) -> None:
    model, _ = load_model(run)
    data = open_dataset("synthetic", data_root)
    assert right(specimen_of(model, data)).mAP == pytest.approx(evaluate(model, data).ranking.mAP, abs=1e-6)
