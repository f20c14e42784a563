from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from scmlib.backbone import REGNETS, DropPath
from scmlib.errors import BadInput
from scmlib.losses import scm_loss
from scmlib.model import SCM
from scmlib.variants import build_model
from tests.conftest import ORACLE, error, oracle, rule_weights


def images(seed: int, count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 3, 384, 128), dtype=np.float32))


@pytest.mark.parametrize(("net", "seed", "case"), [("regnet_y_800mf", 31, "800mf"), ("regnet_y_1_6gf", 32, "1_6gf")])
def test_released_network(net: str, seed: int, case: str) -> None:
    model = build_model(net, 702)
    with (ORACLE / f"released_state_{net}.csv").open() as file:
        released = {row["name"]: row["shape"] for row in csv.DictReader(file)}
    ours = {k: "x".join(map(str, v.shape)) or "scalar" for k, v in model.state_dict().items()}
    assert ours == released

    model.load_state_dict(rule_weights(model.state_dict()))
    with torch.no_grad():
        output = model.eval()(images(seed, 2))
    for name, theirs in oracle(f"forward_{case}").items():
        assert error(getattr(output, name), theirs) < 1e-4, name


@pytest.mark.parametrize(("case", "seed", "fresh_prior"), [("train_800mf", 41, False), ("train_fresh_prior", 61, True)])
def test_released_training_steps(case: str, seed: int, fresh_prior: bool) -> None:
    model = build_model("regnet_y_800mf", 20)
    prior = model.scm.learnable_masks.detach().clone()
    model.load_state_dict(rule_weights(model.state_dict()))
    if fresh_prior:
        model.scm.learnable_masks.data = prior
    for module in model.modules():
        if isinstance(module, DropPath):
            module.rate = 0.0
    model.double().train()
    model.stem.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    watched = ["layer1.0.main.0.conv.weight", "branch_1.1.conv.weight", "branch_2.1.conv.weight"]
    watched += ["scm.proj_in.conv.weight", "scm.learnable_masks", "scm.att.logit_scale", "class_list.5.weight"]
    labels, expected = torch.tensor([0] * 4 + [1] * 4), oracle(case)
    for step, row in enumerate(expected["rows"]):
        loss = scm_loss(model(images(seed + step, 8).double()), labels)
        optimizer.zero_grad()
        loss.total.backward()
        if step == 0:
            assert error(model.scm.learnable_masks.grad, expected["prior_gradient"]) < 1e-6
        gradients = [float(torch.linalg.vector_norm(model.get_parameter(name).grad)) for name in watched]
        terms = torch.stack([loss.total, *loss.cross_entropy, *loss.triplet, loss.overlap]).detach()
        assert np.allclose([*terms, *gradients], row, rtol=1e-5 if step else 1e-6, atol=0)
        optimizer.step()


@pytest.mark.parametrize("net", ["regnet_y_tiny", "torchvision:regnet_y_400mf", "torchvision:resnet18"])
def test_shapes_alike_in_training_and_evaluation(net: str) -> None:
    model = build_model(net, 7, image_size=(96, 48), num_parts=2, reduce_num=4, feat_num=8, erasing=0.4)
    for mode in (True, False):
        output = model.train(mode)(torch.rand(4, 3, 96, 48))
        assert output.embeddings.shape == (4, 5, 8)
        assert output.logits.shape == (4, 5, 7)
        assert output.competitive.shape == (4, 2, 6, 3)
        assert output.cooperative.shape == (4, 1, 6, 3)
        assert torch.allclose(output.cooperative[:, 0], output.competitive.sum(1))
    assert model.image_size == (96, 48)


def test_branches_start_alike_and_bias_of_later_embeddings_is_fixed() -> None:
    model = build_model("regnet_y_tiny", 5, image_size=(64, 32), feat_num=0)
    first, second = model.branch_1.state_dict(), model.branch_2.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [norm.bias.requires_grad for norm in model.bn_list] == [True, True, False, False, False, False]
    assert model(torch.rand(2, 3, 64, 32)).embeddings.shape == (2, 6, REGNETS["regnet_y_tiny"].head)


def test_max_pooling_sends_its_gradient_to_one_cell() -> None:
    from scmlib.model import max_pool

    x = torch.zeros(1, 1, 3, 3, requires_grad=True)
    max_pool(x).sum().backward()
    assert x.grad is not None
    assert sorted(x.grad.flatten().tolist()) == [0.0] * 8 + [1.0]


@pytest.mark.parametrize(
    ("net", "settings", "said"),
    [
        ("regnet_y_9gf", {}, "Unknown backbone 'regnet_y_9gf'"),
        ("torchvision:nothing", {}, "no network 'nothing'"),
        ("torchvision:vgg11", {}, "can't be cut"),
        ("regnet_y_tiny", {"image_size": (100, 48)}, "100 x 48"),
        ("regnet_y_tiny", {"image_size": (32, 32), "num_parts": 3}, "needs 3 rows"),
        ("regnet_y_tiny", {"erasing": 1.5}, "erasing 1.5"),
        ("regnet_y_tiny", {"imagenet": True}, "no weights to download"),
    ],
)
def test_bad_settings_are_named(net: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        build_model(net, 5, **settings)  # type: ignore[arg-type]


def test_erasing_is_off_in_evaluation() -> None:
    model = build_model("regnet_y_tiny", 5, image_size=(64, 32), erasing=0.4).eval()
    assert isinstance(model, SCM)
    x = torch.rand(2, 3, 64, 32)
    assert torch.equal(model(x).embeddings, model(x).embeddings)
