"""The training made of pieces: its step is torch's, its forward pass the model's, and every piece is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from scmlib.course import check
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.losses import batch_hard_triplet, scm_loss
from scmlib.mask import PartAffinity, clamp_unit
from scmlib.model import SCM, masked_pools
from scmlib.pieces import (
    Pieces,
    assemble,
    computing,
    few_people,
    few_settings,
    forward,
    pk_batch,
    rate,
    stripes,
    through_a_stop,
    train_pieces,
    training_step,
    with_gradient,
    with_movement,
)
from scmlib.training import Trainer


@pytest.fixture(scope="module")
def few(data_root: Any) -> ReidDataset:
    return few_people(open_dataset("synthetic", data_root), 6, 2)


def test_a_step_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    weights, x = list(ours.parameters()), torch.randn(7, 5)
    velocities = [torch.zeros_like(weight) for weight in weights]
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for _ in range(5):
        training_step(ours(x).square().sum(), weights, velocities, 0.1)
        optimizer.zero_grad()
        theirs(x).square().sum().backward()
        optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5)


def test_a_training_of_the_librarys_pieces_is_the_librarys(few: ReidDataset, tmp_path: Any) -> None:
    settings = replace(few_settings(few, quick=True), seed=3)
    trainer = Trainer(settings, few, tmp_path)
    model = assemble(Pieces(), settings, few.num_classes)
    model.load_state_dict(trainer.model.state_dict())
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.05
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    velocities = [torch.zeros_like(weight) for weight in weights]
    weighing: dict[str, Any] = {k: getattr(settings, k) for k in ("triplet_weight", "mask_weight", "kernel_size")}
    for step, (images, labels) in zip(range(3), trainer.images_and_labels(), strict=False):
        torch.manual_seed(step)  # of erasing and dropped paths
        theirs = trainer.step(images, labels).total
        torch.manual_seed(step)
        loss = scm_loss(forward(Pieces(), model.train(), images), labels, **weighing).total
        training_step(loss, weights, velocities, 0.05)
        assert torch.allclose(loss, theirs, rtol=1e-3)
    state = trainer.model.state_dict()
    for name, value in model.state_dict().items():
        assert torch.allclose(value.float(), state[name].float(), rtol=1e-2, atol=1e-3), name


def spy(piece: Callable[..., Any], seen: set[str], name: str) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        seen.add(name)
        return piece(*arguments)

    return called


def test_every_piece_is_used(few: ReidDataset) -> None:
    seen: set[str] = set()
    pieces = Pieces(**{name: spy(piece, seen, name) for name, piece in Pieces()._asdict().items()})
    settings, calls = few_settings(few, quick=True), []
    model, log = train_pieces(pieces, settings, few, lambda model, log: calls.append((model, len(log))))
    assert seen == set(Pieces._fields)
    assert [epochs for _, epochs in calls] == [0, 1, 2]
    assert calls[0][0] is model
    assert not model.training
    assert list(log["epoch"]) == [1, 2]
    again, same = train_pieces(Pieces(), settings, few, lambda *_: torch.rand(3))
    pd.testing.assert_frame_equal(log, same)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_other_pieces_make_another_training(few: ReidDataset) -> None:
    settings = few_settings(few, quick=True)
    logs = [
        train_pieces(pieces, settings, few)[1]["loss"].tolist()
        for pieces in (
            Pieces(),
            Pieces(PartAffinity=lambda parts: nn.Identity()),
            Pieces(rate=lambda *_: 0.0),
            Pieces(striped_prior=lambda parts, h, w: torch.ones(parts, h, w)),
            Pieces(clamp_unit=lambda x: x.sigmoid()),
        )
    ]
    assert len({tuple(log) for log in logs}) == len(logs)


def test_the_forward_pass_is_the_models(few: ReidDataset) -> None:
    model: SCM = assemble(Pieces(), few_settings(few, quick=True), few.num_classes).eval()
    images = torch.rand(2, 3, *model.image_size)
    with torch.no_grad():
        for ours, theirs in zip(forward(Pieces(), model, images), model(images), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)


def test_few_people_keep_their_pictures(data_root: Any) -> None:
    data = open_dataset("synthetic", data_root)
    some = few_people(data, 5, 2)
    assert {record.label for record in some.train} == set(range(5))
    assert some.num_classes == 5
    assert len({record.identity for record in some.query}) == 5
    assert {record.identity for record in some.query} == {record.identity for record in some.gallery}
    assert len(few_people(data, 10_000, 2).train) == len(data.train)
    alike = replace(data, gallery=data.query)
    assert (kept := few_people(alike, 3, 2)).query is kept.gallery
    scarce = [record for record in data.train if record.label != 0 or record is data.train[0]]  # one picture of 0
    assert data.train[0].identity not in {
        record.identity for record in few_people(replace(data, train=scarce), 5, 2).train
    }


def test_a_batch_repeats_pictures_only_of_people_who_have_too_few() -> None:
    batch = pk_batch(np.array([0, 0, 0, 1]), 2, 2, np.random.default_rng(0))
    assert sorted(batch)[-2:] == [3, 3]
    assert len(set(batch)) == 3


def test_what_a_loss_gives_is_its_value_and_its_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    x, labels = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])

    def rooted(embeddings: Tensor, labels: Tensor) -> Tensor:
        unit = nn.functional.normalize(embeddings, dim=1)
        distance = (unit[:, None] - unit).square().sum(-1).sqrt()
        same = labels[:, None] == labels
        farthest = distance.masked_fill(~same, -1).amax(1)
        return nn.functional.softplus(farthest - distance.masked_fill(same, 9).amin(1)).mean()

    def told(loss: Callable[..., Any]) -> str:
        check(loss, batch_hard_triplet, [(x, labels)], {"The root.": rooted}, with_gradient)
        return capsys.readouterr().out

    assert "✓" in told(batch_hard_triplet)
    assert "gave nan there" in (said := told(rooted))
    assert "The root." in said
    assert "gave nothing" in told(lambda embeddings, labels: None)
    assert "no gradient: use torch's" in told(lambda embeddings, labels: batch_hard_triplet(embeddings, labels).item())
    assert "take the mean" in told(lambda embeddings, labels: embeddings.sum(1))


def test_what_a_step_does_is_how_far_it_moves() -> None:
    inputs, targets = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.tensor([0.0, 0.0])
    moved = with_movement(training_step)(inputs, targets, [0.1, 0.1])
    assert moved[0] < -0.5
    assert -4e-4 < float(moved[1]) < 0  # decay alone
    plain = with_movement(training_step)(inputs, targets, [0.1], 0, 0)  # neither momentum nor decay
    assert plain.tolist() == pytest.approx([-0.8, 0, -0.5])  # a tenth of the gradients 8 and 0, and 5 for the constant
    with pytest.raises(ValueError, match="the weights stay"):
        with_movement(lambda *_: None)(inputs, targets, [0.1])


def test_the_pieces_are_the_librarys_own() -> None:
    pieces = Pieces()
    assert (pieces.PartAffinity, pieces.clamp_unit, pieces.masked_pools) == (PartAffinity, clamp_unit, masked_pools)
    assert rate(1, 0.3, 2, 10, 1.0) < rate(2, 0.3, 2, 10, 1.0) == pytest.approx(0.3)
    assert stripes(3, 6, 2)[0, :2].sum() == 0


def test_a_snapshot_of_everything_goes_on_as_if_nothing_had_stopped() -> None:
    def keeping(*names: str, copied: Callable[[Any], Any] = deepcopy) -> Any:
        def keep(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
            states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
            return {name: copied(states[name]) for name in names}

        return keep

    whole = ("model", "optimizer", "random")
    unbroken = through_a_stop(keeping(*whole))(7, 0, 0)
    assert unbroken is not None
    resumed = through_a_stop(keeping(*whole))(3, 2, 4)
    assert resumed is not None
    assert torch.equal(resumed, unbroken)
    lacking = [keeping(*(name for name in whole if name != lost)) for lost in whole]
    for keep in [*lacking, keeping(*whole, copied=lambda state: state)]:
        other = through_a_stop(keep)(3, 2, 4)
        assert other is not None
        assert not torch.allclose(other, unbroken, rtol=1e-2)
    assert through_a_stop(lambda model, optimizer: None)(1, 1, 1) is None


def test_threads_and_routines_are_put_back() -> None:
    def now() -> tuple[int, bool]:
        return torch.get_num_threads(), bool(torch.backends.mkldnn.enabled)

    before = now()
    with warnings.catch_warnings(action="error"), computing(before[0] + 1, onednn=False):
        assert now() == (before[0] + 1, False)
    assert now() == before
