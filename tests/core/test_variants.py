from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.checkpoints import load_model, model_for
from scmlib.data.datasets import open_dataset
from scmlib.data.truth import PERSON, read_truth
from scmlib.errors import BadInput
from scmlib.inference import embed, masks_of
from scmlib.losses import scm_loss
from scmlib.model import SCM
from scmlib.settings import Settings
from scmlib.training import Trainer, train
from scmlib.variants import VARIANTS, GlobalOnly, build_model


def of(settings: Settings, variant: str) -> SCM:
    torch.manual_seed(0)
    return model_for(replace(settings, variant=variant), 5)


def batch(model: SCM, images: int = 4) -> Tensor:
    """Random pictures as the model reads them: the oracle's with masks of zeros and ones beside."""
    pictures = torch.rand(images, 3, *model.image_size)
    masks = torch.rand(images, 3, *model.image_size).round() if model.beside else pictures[:, :0]
    return torch.cat([pictures, masks], 1)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "global-only"])
def test_variants_differ_from_the_method_in_the_masks_alone(variant: str, quick: Settings) -> None:
    method, model = of(quick, "scm"), of(quick, variant)
    outside = {name: value for name, value in method.state_dict().items() if not name.startswith("scm.")}
    own = {name: value for name, value in model.state_dict().items() if not name.startswith("scm.")}
    assert list(own) == list(outside)
    assert all(torch.equal(own[name], outside[name]) for name in own)
    assert model.embedding_names == method.embedding_names
    output = model(batch(model))
    assert output.competitive.shape == (4, quick.num_part, *model.config.grid)
    assert 0 <= output.competitive.min() <= output.competitive.max() <= 1
    assert torch.allclose(output.competitive.sum(1, keepdim=True), output.cooperative)
    scm_loss(output, torch.tensor([0, 0, 1, 1]), kernel_size=2).total.backward()
    learned = {name: p for name, p in model.named_parameters() if name.startswith("scm.") and p.requires_grad}
    assert all(p.grad is not None and p.grad.any() for p in learned.values())


@pytest.mark.parametrize("variant", ["stripes", "uniform", "prior"])
def test_blind_masks_stay_whatever_the_image(variant: str, quick: Settings) -> None:
    masks = of(quick, variant).eval()(torch.rand(2, 3, *quick.image_size)).competitive
    assert torch.equal(masks[0], masks[1])


def test_stripes_lie_below_one_another_and_cover_all(quick: Settings) -> None:
    output = of(quick, "stripes").eval()(torch.rand(2, 3, *quick.image_size))
    assert (output.cooperative == 1).all()
    rows = output.competitive[0, :, :, 0]  # (P, h)
    assert rows[0, 0] == 1  # the first part lies on top
    assert rows[-1, -1] == 1
    assert (of(quick, "uniform")(torch.rand(2, 3, *quick.image_size)).competitive == 1).all()


def test_prior_starts_as_the_method_does_and_learns(quick: Settings) -> None:
    model = of(quick, "prior")
    start = model.get_parameter("scm.masks")
    assert torch.equal(start, of(quick, "scm").scm.learnable_masks)
    output = model(torch.rand(4, 3, *quick.image_size))
    scm_loss(output, torch.tensor([0, 0, 1, 1]), kernel_size=2).total.backward()
    assert start.grad is not None
    assert start.grad.any()


def test_no_walk_reads_the_part_vectors_themselves(quick: Settings) -> None:
    method, model = of(quick, "scm").eval(), of(quick, "no-walk").eval()
    images = torch.rand(2, 3, *quick.image_size)
    assert not torch.equal(method(images).competitive, model(images).competitive)
    with torch.no_grad():  # three parts with one vector: the walk has nothing to spread
        for net in (method, model):
            weight = next(value for name, value in net.named_parameters() if name.startswith("scm.proj_in."))
            weight.copy_(weight[: quick.reduce_num].repeat(quick.num_part, 1, 1, 1))
    assert torch.allclose(method(images).competitive, model(images).competitive, atol=1e-5)


def test_soft_masks_have_a_gradient_wherever_the_prior_is_open(quick: Settings) -> None:
    method, model = of(quick, "scm").scm, of(quick, "soft").scm
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in method.state_dict().items())
    maps = torch.linspace(-3, 3, 7)[None, :, None, None].requires_grad_()
    prior = torch.ones(1)
    assert method.masks(maps, prior).flatten().tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert torch.autograd.grad(method.masks(maps, prior).sum(), maps)[0].count_nonzero() < 7
    soft = model.masks(maps, prior)
    assert soft[0, 3] == 0.5
    slope = torch.autograd.grad(soft.sum(), maps)[0].flatten()
    assert (slope > 0).all()
    assert slope[3] == 1  # the clamp's
    assert torch.equal(model.masks(maps, torch.zeros(1)), torch.zeros_like(maps))


def test_taught_masks_are_pulled_to_the_truth_and_then_see_the_picture_alone(quick: Settings) -> None:
    model = of(quick, "taught").train()
    images = batch(model, 8)
    optimizer = torch.optim.SGD(model.scm.parameters(), 0.02)
    pulls = []
    for _ in range(20):
        model(images)
        loss = model.extra_loss()
        assert loss is not None
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pulls.append(loss.item())
    assert pulls[-1] < 0.7 * pulls[0]
    with pytest.raises(BadInput, match="'taught' reads the true masks beside each picture"):
        model(images[:, :3])
    model.eval()
    assert model.beside == ""
    assert torch.equal(model(images[:, :3]).embeddings, model(images).embeddings)


def test_training_adds_the_variants_loss(quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_dataset("synthetic", quick.dataset_root)
    short = replace(quick, variant="taught", epochs=(1, 2), ema_ratio=1.0, ema_extra=0)

    def prior(teaching: float) -> Tensor:
        monkeypatch.setattr("scmlib.variants.TEACHING", teaching)
        train(short, tmp_path / str(teaching), dataset=data, progress=False)
        return load_model(tmp_path / str(teaching))[0].scm.learnable_masks

    assert not torch.allclose(prior(0.0), prior(20.0))


def test_oracle_takes_the_masks_that_come_with_the_picture(quick: Settings) -> None:
    model = of(quick, "oracle").eval()
    images = batch(model, 2)
    output = model(images)
    cells = images[:, 3:].unfold(2, 16, 16).unfold(3, 16, 16).mean((4, 5))
    assert torch.allclose(output.competitive, cells)
    assert torch.allclose(model(images.flip(3)).competitive, cells.flip(3))
    blind = torch.cat([images[:, :3], torch.zeros_like(images[:, 3:])], 1)
    same = (model(blind).embeddings == output.embeddings).all(2).all(0)
    assert same.tolist() == [name.startswith("global") for name in model.embedding_names]
    with pytest.raises(BadInput, match="give it the records of a drawn world, not pictures of 3 channels"):
        model(images[:, :3])
    with pytest.raises(BadInput, match="num-part 2: the true masks are of 3 parts"):
        model_for(replace(quick, variant="oracle", num_part=2), 5)


def test_oracle_loses_what_is_erased(quick: Settings) -> None:
    model = of(replace(quick, erasing=0.4), "oracle").train()
    images = torch.ones(16, 6, *quick.image_size)
    seen = model(images).competitive
    assert 0 < seen.mean() < 1
    assert torch.equal(seen[:, 0], seen[:, 2])


def test_oracle_sees_the_masks_of_records(quick: Settings) -> None:
    data = open_dataset("synthetic", quick.dataset_root)
    records = data.query[:4]
    truth = torch.from_numpy(np.isin(read_truth([record.path for record in records]), PERSON)).float()
    shares = F.adaptive_avg_pool2d(truth[:, None], of(quick, "oracle").config.grid)[:, 0]
    assert torch.allclose(masks_of(of(quick, "oracle"), records).sum(1), shares, atol=1e-6)
    noisy = masks_of(of(quick, "noisy-oracle"), records)
    assert torch.equal(noisy, masks_of(of(quick, "noisy-oracle"), records))
    assert not torch.allclose(noisy.sum(1), shares, atol=0.01)


def test_global_embeddings_know_nothing_of_the_second_branch(quick: Settings) -> None:
    model = model_for(replace(quick, variant="global-only"), 5)
    assert isinstance(model, GlobalOnly)
    output = model(torch.rand(4, 3, *quick.image_size))
    assert output.embeddings.shape[1] == output.logits.shape[1] == len(model.embedding_names) == 2
    assert output.competitive.sum() == 0
    scm_loss(output, torch.tensor([0, 0, 1, 1]), kernel_size=2).total.backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "branch_1" in moved
    assert not any(name.startswith(("branch_2", "scm")) for name in model.state_dict())


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(BadInput, match="Unknown variant 'stripe': choose one of scm, no-walk"):
        build_model("regnet_y_tiny", 5, variant="stripe")


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_opens_as_the_variant_that_it_trained(variant: str, quick: Settings, tmp_path: Path) -> None:
    settings = replace(quick, variant=variant, epochs=(1, 2), ema_ratio=1.0, ema_extra=0)
    data = open_dataset("synthetic", quick.dataset_root)
    trained = Trainer.finish
    kept = []

    def finish(self: Trainer, *args: object, **kwargs: object) -> None:
        trained(self, *args, **kwargs)  # type: ignore[arg-type]
        kept.append(embed(self.model, data.query[:8]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "finish", finish)
        train(settings, tmp_path / "run", dataset=data, progress=False)
    for source in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        model, said = load_model(source)
        assert type(model) is VARIANTS[variant]
        assert said.variant == variant
        assert np.allclose(embed(model, data.query[:8]), kept[0], atol=1e-5)
