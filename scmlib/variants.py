"""The method with one thing exchanged, to learn what that thing is worth; and `build_model`, which builds all of them.

The paper's model is `scm`. Every other variant is a control: it stands beside the method, never in its place. A run's
settings, its folder and its weights' header name the variant, so that a run always opens as the model that it trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scmlib.backbone import Backbone, build_backbone
from scmlib.errors import BadInput
from scmlib.mask import striped_prior
from scmlib.model import SCM, ModelConfig, SCMOutput, max_pool


class FixedStripes(nn.Module):
    """In place of the learned masks: part i sees the i-th of P equal stripes of rows, whatever the image shows."""

    def __init__(self, parts: int):
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) to stripes (B, P, h, w) and their sum (B, 1, h, w), ones everywhere."""
        stripes = 1 - striped_prior(self.parts, x.shape[2], x.shape[3], 1).to(x)
        return stripes.expand(len(x), -1, -1, -1), torch.ones_like(x[:, :1])


class StripedSCM(SCM):
    """SCM with fixed stripes for masks; all else alike."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.scm = FixedStripes(config.num_parts)  # type: ignore[assignment]


class GlobalOnly(SCM):
    """The first branch alone: mean and max over the whole image, both with identity and triplet loss, and no masks."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.branch_2 = self.scm = nn.Identity()  # type: ignore[assignment]

    @property
    def embedding_names(self) -> list[str]:
        """Those of the global branch alone."""
        return [name for name in super().embedding_names if name.startswith("global")]

    def forward(self, images: Tensor) -> SCMOutput:
        """Two embeddings (B, 2, D); the masks are zero."""
        x1, _ = self.branches(self.erase(images))
        none = x1.new_zeros(len(x1), self.config.num_parts, *x1.shape[2:])
        return self.read_out([x1.mean((2, 3)), max_pool(x1)], none, none[:, :1])


VARIANTS: dict[str, type[SCM]] = {"scm": SCM, "stripes": StripedSCM, "global-only": GlobalOnly}


def build_model(net: str, num_classes: int, *, imagenet: bool = False, **config: Any) -> SCM:
    """A model with fresh weights for `num_classes` training identities.

    Args:
        net: `regnet_y_800mf` or `regnet_y_1_6gf` (the paper's), `regnet_y_tiny` (for a laptop CPU), or
            `torchvision:NAME` (a ResNet or RegNet of torchvision).
        num_classes: identities to classify while training.
        imagenet: `torchvision:` nets only: start from torchvision's ImageNet weights, downloaded once.
        config: any other field of `ModelConfig`: image_size, num_parts, reduce_num, feat_num, mask_part, erasing,
            variant.

    Raises:
        BadInput: an unknown net or variant, a number out of range, or weights that can't be had.
    """
    architecture = ModelConfig(net, **config)
    if architecture.variant not in VARIANTS:
        raise BadInput(f"Unknown variant '{architecture.variant}': choose one of {', '.join(VARIANTS)}.")
    return VARIANTS[architecture.variant](architecture, num_classes, build_backbone(net, imagenet=imagenet))
