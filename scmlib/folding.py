"""A copy of a model made for fast inference, equal to it up to rounding.

What it saves is passes over memory: each BatchNorm goes into the weights of the convolution before it, and on a CPU
ReLU, gate and skip path are done where the numbers lie. The method's own modules stay as they are.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from scmlib.backbone import Block, SqueezeExcite, Unit, wants_channels_last
from scmlib.model import SCM

REGISTER = 8  # float32 numbers in a vector register of most CPUs


def folded(model: SCM) -> SCM:
    """A copy of a model in evaluation mode for fast inference, without gradients.

    On a CPU the copy is channels-last where that is safe, and narrow groups are joined. It shares the tensors that it
    doesn't change with the model. Making it takes about as long as a picture; make it anew when weights have changed.
    """
    parameter = next(model.parameters())
    fast = copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})
    for module in fast.modules():
        for (_, convolution), (after, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                take_in(convolution, norm)
                setattr(module, after, nn.Identity())
    if parameter.device.type != "cpu":
        return fast
    channels_last = wants_channels_last(fast)
    for module in fast.modules():
        if isinstance(module, nn.Conv2d):
            join_groups(module)
            if channels_last:
                module.weight = nn.Parameter(module.weight.contiguous(memory_format=torch.channels_last))
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if channels_last and parameter.dtype == torch.float32 and has_onednn:
        fuse(fast)
    return fast


def take_in(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Give a convolution the weights with which it does what its BatchNorm does after it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def join_groups(convolution: nn.Conv2d) -> None:
    """Make one group of two where a group fills half a `REGISTER`, with zeros between them: the result stays the same.

    Groups of 4, the paper's width, would leave half of each register empty.
    """
    weight, groups, half = convolution.weight, convolution.groups, REGISTER // 2
    if weight.shape[:2] != (half * groups, half) or groups % 2:
        return
    pairs = weight.view(groups // 2, 2, half, half, *weight.shape[2:])  # (group, half, out, in, kernel)
    joined = torch.einsum("ghoiyx,hk->ghokiyx", pairs, torch.eye(2, dtype=weight.dtype))
    convolution.weight = nn.Parameter(joined.reshape(half * groups, REGISTER, *weight.shape[2:]))
    convolution.groups = groups // 2


def fuse(module: nn.Module) -> None:
    """Put the fused forms below in the place of units and blocks whose norms are taken in."""
    for name, child in list(module.named_children()):
        fuse(child)
        if isinstance(child, Unit):
            setattr(module, name, FusedUnit(child))
        elif isinstance(child, Block):
            setattr(module, name, FusedBlock(child))


class FusedUnit(nn.Module):
    """A `Unit` in one pass over memory, by oneDNN."""

    def __init__(self, unit: Unit):
        super().__init__()
        convolution = unit.conv
        self.weight, self.bias = convolution.weight, convolution.bias
        self.form = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        self.after = "relu" if hasattr(unit, "relu") else "none"

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, h, w) to (B, c_out, h / stride, w / stride)."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.form, self.after, [], "")
        return out

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """What the unit, one without ReLU, gives for x, added to `total` in place."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            total, x, self.weight, self.bias, *self.form, "add", None, None, [], None
        )
        return out


class FusedBlock(nn.Module):
    """A `Block` that gates and adds in place; it overwrites its input, which no other module needs."""

    def __init__(self, block: Block):
        super().__init__()
        narrow, wide, gate, last = block.main
        assert isinstance(gate, SqueezeExcite)
        assert isinstance(last, FusedUnit)
        self.main, self.gate, self.last, self.skip = nn.Sequential(narrow, wide), gate.se, last, block.skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, h, w) to (B, c_out, h / stride, w / stride)."""
        inner: Tensor = self.main(x)
        return self.last.add_to(self.skip(x), inner.mul_(self.gate(inner)))
