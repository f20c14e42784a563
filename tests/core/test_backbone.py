from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scmlib.backbone import REGNETS, Block, DropPath, SqueezeExcite, build_backbone, wants_channels_last
from scmlib.errors import BadInput
from scmlib.variants import build_model

NETS = ("regnet_y_tiny", "regnet_y_800mf", "torchvision:resnet18")


@pytest.mark.parametrize("net", NETS)
def test_both_branches_keep_the_grid_and_start_alike(net: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(net)
    x = torch.rand(2, 3, 64, 32)
    for part in (backbone.stem, *backbone.stages, *backbone.branches):
        part.eval()
    for part in (backbone.stem, *backbone.stages):
        x = part(x)
    one, two = (branch(x) for branch in backbone.branches)
    assert one.shape == (2, backbone.width, 64 // 16, 32 // 16)
    assert torch.equal(one, two)
    shared = set(backbone.branches[0].parameters()) & set(backbone.branches[1].parameters())
    assert not shared  # alike at the start, but free to differ


def test_a_fresh_block_is_its_skip() -> None:
    backbone = build_backbone("regnet_y_tiny")
    blocks = [module for module in backbone.stages[2].modules() if isinstance(module, Block)]
    x = torch.rand(1, REGNETS["regnet_y_tiny"].widths[2], 8, 4)
    assert torch.equal(blocks[1].eval()(x), x)


def test_squeeze_and_excitation_by_hand() -> None:
    gate, x = SqueezeExcite(16), torch.rand(2, 16, 3, 2)
    squeeze, excite = gate.se[1], gate.se[3]
    means = x.mean((2, 3))
    hidden = torch.relu(means @ squeeze.weight[:, :, 0, 0].T + squeeze.bias)  # type: ignore[operator, index]
    wanted = torch.sigmoid(hidden @ excite.weight[:, :, 0, 0].T + excite.bias)  # type: ignore[operator, index]
    assert torch.allclose(gate(x), x * wanted[:, :, None, None], atol=1e-6)
    assert len(squeeze.bias) == 8  # type: ignore[arg-type]


def test_stages_have_their_widths_and_depths() -> None:
    for net in ("regnet_y_800mf", "regnet_y_1_6gf"):
        backbone, numbers = build_backbone(net), REGNETS[net]
        assert tuple(len(stage) for stage in backbone.stages) == numbers.depths[:3]  # type: ignore[arg-type]
        assert backbone.width == 1024


def test_unknown_network_is_named_with_the_way_out() -> None:
    with pytest.raises(BadInput, match="Unknown backbone 'resnet': choose one of regnet_y_800mf"):
        build_backbone("resnet")


def test_drop_path_rises_linearly_to_the_full_rate_in_both_branches() -> None:
    backbone = build_backbone("regnet_y_800mf")
    for branch in backbone.branches:
        parts = [backbone.stem, *backbone.stages, branch]
        rates = [m.rate for part in parts for m in part.modules() if isinstance(m, DropPath)]
        assert np.allclose(rates, np.linspace(0, 0.05, 43))


def test_channels_last_only_where_no_strided_pointwise_convolution() -> None:
    assert wants_channels_last(build_model("regnet_y_tiny", 2))
    assert not wants_channels_last(build_model("torchvision:resnet18", 2))


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 1, 1)
    out = drop(x)
    assert {round(float(value), 4) for value in out.unique()} == {0.0, round(1 / 0.75, 4)}
    assert (out[:, 0] == out[:, 1]).all()
    assert float(out.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_imagenet_weights_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models.get_model", refuse)
    with pytest.raises(BadInput, match=r"could not be downloaded.*no route to host"):
        build_model("torchvision:resnet18", 5, imagenet=True)
