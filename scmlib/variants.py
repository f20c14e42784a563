"""The method with one thing exchanged, to learn what that thing is worth; and `build_model`, which builds all of them.

The paper's model is `scm`. Every other variant is a control: it stands beside the method, never in its place. A run's
settings, its folder and its weights' header name the variant, so that a run always opens as the model that it trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.backbone import Backbone, build_backbone
from scmlib.errors import BadInput
from scmlib.mask import SpectralClusteringMask, clamp_unit, striped_prior
from scmlib.model import SCM, ModelConfig, SCMOutput, masked_pools, max_pool

Masks = tuple[Tensor, Tensor]  # competitive (B, P, h, w) and their sum, cooperative (B, 1, h, w)

STEEPNESS = 4.0  # of the sigmoid in place of the clamp: as steep at its middle as the clamp is

TEACHING = 40.0  # weight of the true masks beside the method's loss, whose terms have a mean weight of 1


class BlindMasks(nn.Module):
    """In place of the mask module: the same masks whatever the image shows.

    Args:
        start: (1, P, h, w) in [0, 1].
        learned: whether training moves them; they are clamped to [0, 1] then.
    """

    def __init__(self, start: Tensor, *, learned: bool):
        super().__init__()
        self.masks = nn.Parameter(start, requires_grad=learned)

    def forward(self, x: Tensor) -> Masks:
        """Of features (B, C, h, w), only the number of images counts."""
        competitive = clamp_unit(self.masks).expand(x.shape[0], -1, -1, -1)
        return competitive, competitive.sum(1, keepdim=True)


class AttentionMasks(nn.Module):
    """In place of the mask module: plain attention, a sigmoid of one 1x1 convolution for each part."""

    def __init__(self, channels: int, parts: int):
        super().__init__()
        self.read = nn.Conv2d(channels, parts, 1)

    def forward(self, x: Tensor) -> Masks:
        """Masks of features (B, C, h, w), strictly between 0 and 1."""
        competitive = self.read(x).sigmoid()
        return competitive, competitive.sum(1, keepdim=True)


class SoftMasks(SpectralClusteringMask):
    """The mask module with a sigmoid in place of the clamp: no map is so large or small that its gradient stops."""

    def masks(self, maps: Tensor, prior: Tensor) -> Tensor:
        """As in the method; the prior alone is clamped, after the sigmoid."""
        return (STEEPNESS * maps).sigmoid() * clamp_unit(prior)


class NoWalk(SCM):
    """The part vectors of a cell are read out as they are, without the step of diffusion."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.scm.att = nn.Identity()  # type: ignore[assignment]


class Soft(SCM):
    """A sigmoid of the maps, times the prior, for masks; the method multiplies first and clamps."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        soft = SoftMasks(backbone.width, config.grid, config.num_parts, config.reduce_num, config.mask_part)
        soft.load_state_dict(self.scm.state_dict())  # the method's first weights
        self.scm = soft


class Attention(SCM):
    """Plain attention for masks: no prior, no part vectors, no walk."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.scm = AttentionMasks(backbone.width, config.num_parts)  # type: ignore[assignment]


class Prior(SCM):
    """The learned prior alone for masks: it starts as SCM's does and never sees an image."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        prior = striped_prior(config.num_parts, *config.grid, config.mask_part)
        self.scm = BlindMasks(prior, learned=True)  # type: ignore[assignment]


class Stripes(SCM):
    """Fixed stripes for masks: part i sees the i-th of P equal stripes of rows."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        stripes = 1 - striped_prior(config.num_parts, *config.grid, mask_part=1)
        self.scm = BlindMasks(stripes, learned=False)  # type: ignore[assignment]


class Uniform(SCM):
    """Ones everywhere for masks: two branches and as many embeddings, but nothing is masked."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.scm = BlindMasks(torch.ones(1, config.num_parts, *config.grid), learned=False)  # type: ignore[assignment]


class Told(SCM):
    """A variant that reads the true parts of the visible person beside each picture.

    Images are (B, 3 + P, H, W): the last channels say where each part is visible. Random erasing hides the person as an
    occluder would, so it blackens these channels too.
    """

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        if config.num_parts != 3:
            raise BadInput(f"num-part {config.num_parts}: the true masks are of 3 parts, so take 3 for this variant.")

    @property
    def beside(self) -> str:
        """The true parts."""
        return "parts"

    def parts(self, images: Tensor) -> Tensor:
        """The share of each cell that each part covers, (B, P, h, w)."""
        return F.adaptive_avg_pool2d(images[:, 3:], self.config.grid)

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Feature maps of the picture alone."""
        if self.beside and images.shape[1] != 3 + self.config.num_parts:
            raise BadInput(
                f"The variant '{self.config.variant}' reads the true masks beside each picture: give it the records of "
                f"a drawn world, not pictures of {images.shape[1]} channels."
            )
        return super().branches(images[:, :3])


class Oracle(Told):
    """The true parts of the visible person for masks: what masks could be worth at best."""

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__(config, num_classes, backbone)
        self.scm = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: Tensor) -> SCMOutput:
        """As SCM does, with masks from the images' last channels."""
        images = self.erase(images)
        x1, x2 = self.branches(images)
        competitive = self.parts(images)
        cooperative = competitive.sum(1, keepdim=True)
        return self.read_out(masked_pools(x1, x2, competitive, cooperative), competitive, cooperative)


class NoisyOracle(Oracle):
    """The oracle with masks as a body parser might give them, see `scmlib.data.truth.misread`."""

    @property
    def beside(self) -> str:
        """The true parts, misread."""
        return "misread parts"


class Taught(Told):
    """The method, told the true parts while it trains; afterwards it sees the picture alone, as the method does.

    Its maps are pulled towards the true masks before the clamp, which would stop the pull's gradient.
    """

    distance: Tensor  # of the last forward pass's maps to the true masks, a scalar

    @property
    def beside(self) -> str:
        """The true parts, in training mode alone."""
        return super().beside if self.training else ""

    def forward(self, images: Tensor) -> SCMOutput:
        """Images (B, 3 + P, H, W) in training mode, (B, 3, H, W) in evaluation mode."""
        images = self.erase(images)
        x1, x2 = self.branches(images)
        maps = self.scm.maps(x2)
        if self.training:
            self.distance = F.smooth_l1_loss((maps * self.scm.learnable_masks).float(), self.parts(images).float())
        competitive = self.scm.masks(maps, self.scm.learnable_masks)
        cooperative = competitive.sum(1, keepdim=True)
        return self.read_out(masked_pools(x1, x2, competitive, cooperative), competitive, cooperative)

    def extra_loss(self) -> Tensor:
        """The pull of the last forward pass."""
        return TEACHING * self.distance


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
        none = x1.new_zeros(x1.shape[0], self.config.num_parts, *x1.shape[2:])
        return self.read_out([x1.mean((2, 3)), max_pool(x1)], none, none[:, :1])


VARIANTS: dict[str, type[SCM]] = {
    "scm": SCM,
    "no-walk": NoWalk,
    "soft": Soft,
    "attention": Attention,
    "prior": Prior,
    "stripes": Stripes,
    "uniform": Uniform,
    "oracle": Oracle,
    "noisy-oracle": NoisyOracle,
    "taught": Taught,
    "global-only": GlobalOnly,
}


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
