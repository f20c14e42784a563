"""Backbones: the paper's RegNetY, a laptop-sized one of the same family, and torchvision's.

Every backbone is handed over in the same parts (`Backbone`): a stem, three shared stages, and a last stage with its
head that SCM builds twice. The last stage keeps stride 1 (Luo et al., 2019: Bag of Tricks and a Strong Baseline for
Deep Person Re-identification), so all of them map (B, 3, H, W) to (B, width, H/16, W/16).

Sources: Radosavovic et al., 2020: Designing Network Design Spaces (RegNetY); Hu et al., 2018: Squeeze-and-Excitation
Networks; Huang et al., 2016: Deep Networks with Stochastic Depth. Widths, skip paths and drop rates are those of the
SCM paper's released code, not torchvision's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, nn

from scmlib.errors import BadInput

STRIDE = 16  # pixels per grid cell, in both directions


@dataclass(frozen=True)
class Backbone:
    """A network cut where SCM branches."""

    stem: nn.Module
    stages: tuple[nn.Module, nn.Module, nn.Module]
    branches: tuple[nn.Sequential, nn.Sequential]  # (stage 4, head), twice, same initial weights
    width: int  # channels that each branch gives


class Unit(nn.Sequential):
    """Convolution without bias, BatchNorm and, unless told otherwise, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, relu: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        if relu:
            self.relu = nn.ReLU(inplace=True)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channels' means (Hu et al., 2018)."""

    def __init__(self, channels: int):
        super().__init__()
        squeezed = max(8, channels // 8)
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) in and out."""
        gate: Tensor = self.se(x)
        return x * gate


class DropPath(nn.Module):
    """Drops the residual branch of some samples while training, and scales what stays (Huang et al., 2016).

    Args:
        rate: probability that a sample's branch is dropped, in [0, 1).
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) in and out."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.rate)
        return x * kept.div_(1 - self.rate)


class Block(nn.Module):
    """RegNetY's residual block in the authors' form: a first block's skip is 3x3 then 1x1, and no ReLU ends it."""

    def __init__(self, c_in: int, c_out: int, stride: int, group_width: int, drop_path: float, *, first: bool):
        super().__init__()
        self.main = nn.Sequential(
            Unit(c_in, c_out),
            Unit(c_out, c_out, 3, stride, c_out // group_width),
            SqueezeExcite(c_out),
            Unit(c_out, c_out, relu=False),
        )
        self.drop_path = DropPath(drop_path)
        self.skip = (
            nn.Sequential(
                Unit(c_in, c_in, 3, stride, max(1, c_in // group_width), relu=False), Unit(c_in, c_out, relu=False)
            )
            if first
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, h, w) to (B, c_out, h / stride, w / stride)."""
        out: Tensor = self.drop_path(self.main(x))
        return out.add_(self.skip(x))  # in place: what `main` ends with doesn't need its output again


@dataclass(frozen=True)
class RegNetY:
    """The numbers that tell one member of the family from another."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    drop_path: float  # rate of the last block; it rises linearly from 0 over all blocks
    group_width: int = 4
    head: int = 1024

    def stage(self, index: int, stride: int = 2) -> nn.Sequential:
        """Stage `index` (1 to 4); its first block has the stride."""
        depth, c_out = self.depths[index - 1], self.widths[index - 1]
        c_in = self.widths[index - 2] if index > 1 else self.widths[0] // 2
        done = sum(self.depths[: index - 1])
        rates = [self.drop_path * (done + i) / (sum(self.depths) - 1) for i in range(depth)]
        return nn.Sequential(
            *(
                Block(c_out if i else c_in, c_out, 1 if i else stride, self.group_width, rate, first=i == 0)
                for i, rate in enumerate(rates)
            )
        )

    def build(self) -> Backbone:
        """The network with fresh weights."""
        head = max(self.head, self.widths[3])
        backbone = Backbone(
            stem=Unit(3, self.widths[0] // 2, 3, 2),
            stages=(self.stage(1), self.stage(2), self.stage(3)),
            branches=tuple(nn.Sequential(self.stage(4, stride=1), Unit(self.widths[3], head)) for _ in range(2)),  # type: ignore[arg-type]
            width=head,
        )
        for part in (backbone.stem, *backbone.stages, *backbone.branches):
            initialise(part)
        return backbone


REGNETS = {
    "regnet_y_800mf": RegNetY((48, 96, 192, 384), (5, 10, 23, 5), 0.05),
    "regnet_y_1_6gf": RegNetY((64, 128, 256, 512), (6, 12, 27, 6), 0.10),
    # For a CPU: shallow, and few wide groups, since many narrow ones leave a CPU's vector units idle.
    "regnet_y_tiny": RegNetY((16, 32, 64, 128), (1, 1, 3, 1), 0.0, group_width=16, head=512),
}


def initialise(part: nn.Module) -> None:
    """Give from-scratch weights: Kaiming-normal, and residual branches at zero, so that a block starts as its skip."""
    for module in part.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in part.modules():
        if isinstance(module, Block):
            last = module.main[3]
            assert isinstance(last, Unit)
            nn.init.zeros_(last.norm.weight)


def build_backbone(net: str, *, imagenet: bool = False) -> Backbone:
    """A backbone by name.

    Args:
        net: a name of `REGNETS`, or `torchvision:NAME` for a ResNet or RegNet of torchvision.
        imagenet: torchvision only: start from its ImageNet weights (downloaded once, then kept by torchvision).

    Raises:
        BadInput: an unknown name, a torchvision network of another family, or weights that can't be had.
    """
    family, _, name = net.rpartition(":")
    if family == "torchvision":
        backbone = cut_torchvision(name, imagenet=imagenet)
    elif net in REGNETS:
        if imagenet:
            raise BadInput(f"{net} has no weights to download: give the authors' file with --weights FILE.")
        backbone = REGNETS[net].build()
    else:
        known = ", ".join(REGNETS)
        raise BadInput(f"Unknown backbone '{net}': choose one of {known}, or torchvision:NAME.")
    # Both branches leave from the same point: what they learn apart is theirs alone.
    backbone.branches[1].load_state_dict(backbone.branches[0].state_dict())
    return backbone


def cut_torchvision(name: str, *, imagenet: bool) -> Backbone:
    """Torchvision's ResNet or RegNet `name`, cut into a `Backbone`; the last stage's strides become 1."""
    import torchvision  # here, since it takes as long to import as torch, and the paper's networks don't need it
    from torchvision.transforms import v2

    if name not in torchvision.models.list_models(module=torchvision.models):
        raise BadInput(f"torchvision has no network '{name}': try torchvision:resnet50 or torchvision:regnet_y_800mf.")
    weights = torchvision.models.get_model_weights(name).DEFAULT if imagenet else None
    try:
        model = torchvision.models.get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:  # no network, or a file cut short
        raise BadInput(
            f"torchvision's ImageNet weights for '{name}' could not be downloaded ({error}): "
            "connect to the network once, or leave --weights out to start from scratch."
        ) from error
    if isinstance(model, torchvision.models.ResNet):
        stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
        stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    elif isinstance(model, torchvision.models.RegNet):
        stem, stages = model.stem, list(model.trunk_output.children())
    else:
        raise BadInput(f"torchvision's '{name}' can't be cut into four stages: choose a resnet, resnext or regnet.")
    # What torchvision's networks expect, with its weights or without, so that a trained model loads either way; our
    # images stay in [0, 1] for every network.
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    stem = nn.Sequential(v2.Normalize(preset.mean, preset.std), stem)
    for module in stages[3].modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    width = [m.num_features for m in stages[3].modules() if isinstance(m, nn.BatchNorm2d)][-1]
    branches = (nn.Sequential(stages[3], nn.Identity()), nn.Sequential(copy.deepcopy(stages[3]), nn.Identity()))
    return Backbone(stem, (stages[0], stages[1], stages[2]), branches, width)


def wants_channels_last(model: nn.Module) -> bool:
    """Whether channels-last is safe for this network (and then faster: up to 1.5 times for grouped convolutions).

    Strided 1x1 convolutions (torchvision's skip paths) can crash in oneDNN's channels-last backward pass on CPUs.
    """
    return not any(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1) for m in model.modules())
