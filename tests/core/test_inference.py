from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.folding import FusedBlock, folded
from scmlib.inference import WORTH_A_COPY, apply, branch_features, embed, masks_of, raw_embeddings
from scmlib.model import SCM
from scmlib.variants import build_model
from tests.conftest import rule_weights

SMALL: dict[str, Any] = {"image_size": (96, 48), "num_parts": 2, "reduce_num": 4, "feat_num": 8}


def trained(net: str, **config: Any) -> SCM:
    """A model whose BatchNorm layers have statistics of their own."""
    model = build_model(net, 7, **SMALL | config)
    model.load_state_dict(rule_weights(model.state_dict()))
    return model


@pytest.mark.parametrize(
    ("net", "variant"),
    [
        *(("regnet_y_tiny", variant) for variant in ("scm", "stripes", "global-only")),
        ("regnet_y_800mf", "scm"),
        ("torchvision:resnet18", "scm"),
        ("torchvision:resnet50", "scm"),
        ("torchvision:regnet_y_400mf", "scm"),
    ],
)
def test_inference_equals_plain_passes_of_the_model(net: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmlib.inference.WORTH_A_COPY", 1)
    model, images = trained(net, variant=variant).eval(), torch.rand(5, 3, 96, 48)
    with torch.no_grad():
        plain, mirrored = model(images), model(images.flip(3))
        features = model.branches(images)[1]
    raw = (plain.embeddings + mirrored.embeddings).flatten(1)
    assert torch.allclose(raw_embeddings(model, images, batch_size=3), raw, rtol=0, atol=1e-4 * float(raw.abs().max()))
    normalised = raw / raw.norm(dim=1, keepdim=True)
    assert np.abs(embed(model, images) - normalised.numpy()).max() < 1e-4
    assert (masks_of(model, images) - plain.competitive).abs().max() < 1e-4
    assert (branch_features(model, images) - features).abs().max() < 1e-4 * features.abs().max()


def test_every_convolution_takes_its_norm_in_and_the_model_stays_as_it_is() -> None:
    for net in ("regnet_y_tiny", "torchvision:resnet18"):
        model = trained(net).eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(model).modules())
        after = model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert before.keys() == after.keys()


@pytest.mark.parametrize("size", [(16, 16), (80, 48)], ids=str)
@pytest.mark.parametrize("fused", [True, False])
def test_the_copy_equals_the_model_fused_or_not(
    size: tuple[int, int], fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cell and an odd grid; a machine without oneDNN can't fuse."""
    if not fused:
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    elif not torch.backends.mkldnn.is_available():
        pytest.skip("torch has no oneDNN here")
    model, images = trained("regnet_y_800mf", image_size=size, num_parts=1).eval(), torch.rand(2, 3, *size)
    with torch.inference_mode():
        fast, plain, kept = folded(model), model(images), images.clone()
        assert any(isinstance(module, FusedBlock) for module in fast.modules()) == fused
        for given, wanted in zip(fast(images), plain, strict=True):
            assert (given - wanted).abs().max() < 1e-4 * wanted.abs().max().clamp(min=1)
        assert torch.equal(images, kept)


def test_only_many_pictures_are_worth_a_copy() -> None:
    model, used = trained("regnet_y_tiny"), []

    def what(one: SCM, images: torch.Tensor) -> torch.Tensor:
        used.append(one is model)
        return images.mean((1, 2, 3))

    for number in (1, WORTH_A_COPY):
        apply(model, torch.rand(number, 3, 96, 48), what)
    assert used == [True, False]


def test_new_weights_show_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmlib.inference.WORTH_A_COPY", 1)
    model, images = trained("regnet_y_tiny"), torch.rand(2, 3, 96, 48)
    before = embed(model, images)
    model.get_parameter("stem.norm.bias").data.add_(1)  # a change that no version counter sees
    assert np.abs(embed(model, images) - before).max() > 1e-3


def test_file_that_cannot_be_read_is_named_from_the_reading_thread(data_root: Path, tmp_path: Path) -> None:
    records = open_dataset("synthetic", data_root).query[:4]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(records[3].path.read_bytes()[:300])
    with pytest.raises(BadInput, match=r"broken\.jpg can't be read"):
        embed(trained("regnet_y_tiny"), [*records[:3], replace(records[3], path=broken)], batch_size=2)
