"""SCM: two branches over one trunk, and 3 + P embeddings of what they see.

Shapes: B images of H x W pixels, grid h = H/16 by w = W/16, P parts, D values an embedding, C channels a branch.

Lesson: notebooks/02_training.ipynb.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.backbone import STRIDE, Backbone, build_backbone
from scmlib.errors import BadInput
from scmlib.mask import SpectralClusteringMask


def embedding_names(parts: int) -> list[str]:
    """What each of the 3 + P embeddings is of, in their order."""
    return ["global mean", "cooperative mean", "global max", *(f"competitive {i + 1} max" for i in range(parts))]


class RandomErasing(nn.Module):
    """Blackens a random box in about half of the images of a batch, in training mode (Zhong et al., 2017).

    Args:
        largest: upper bound of the box's share of the image, at least 0.02; 0 switches it off.
    """

    def __init__(self, largest: float, *, smallest: float = 0.02, aspect: float = 0.3, probability: float = 0.5):
        super().__init__()
        self.largest, self.smallest, self.aspect, self.probability = largest, smallest, aspect, probability

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in, the same shape out; all boxes are drawn at once."""
        if not self.training or self.largest == 0:
            return images
        B, _, H, W = images.shape
        draw = torch.rand(5, B, device=images.device)
        area = (self.smallest + (self.largest - self.smallest) * draw[1]) * H * W
        aspect = self.aspect + (1 / self.aspect - self.aspect) * draw[2]
        width = (area * aspect).sqrt().round().clamp(1, W)
        height = (area / width).round().clamp(1, H)
        top = (draw[3] * (H - height + 1)).floor()
        left = (draw[4] * (W - width + 1)).floor()
        y, x = torch.arange(H, device=images.device), torch.arange(W, device=images.device)
        rows = (y >= top[:, None]) & (y < (top + height)[:, None])  # (B, H)
        columns = (x >= left[:, None]) & (x < (left + width)[:, None])  # (B, W)
        box = rows[:, :, None] & columns[:, None, :] & (draw[0] < self.probability)[:, None, None]
        return images.masked_fill(box[:, None], 0)


class SCMOutput(NamedTuple):
    """What one forward pass gives, in training and in evaluation alike."""

    embeddings: Tensor  # (B, 3 + P, D): global mean, cooperative mean, global max, P x competitive max
    logits: Tensor  # (B, 3 + P, num_classes)
    competitive: Tensor  # (B, P, h, w) in [0, 1]
    cooperative: Tensor  # (B, 1, h, w) in [0, P], the sum of the competitive masks


class SCM(nn.Module):
    """The whole model; attribute names are the released ones, so that released checkpoints fit as they are."""

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        grid: tuple[int, int],
        num_parts: int,
        reduce_num: int,
        feat_num: int,
        mask_part: int,
        erasing: float,
    ):
        super().__init__()
        embeddings, length = 3 + num_parts, feat_num or backbone.width
        self.erase = RandomErasing(erasing)
        self.stem = backbone.stem
        self.layer1, self.layer2, self.layer3 = backbone.stages
        self.branch_1, self.branch_2 = backbone.branches
        self.scm = SpectralClusteringMask(backbone.width, grid, num_parts, reduce_num, mask_part)
        self.feat_list = nn.ModuleList(
            nn.Linear(backbone.width, feat_num, bias=False) if feat_num else nn.Identity() for _ in range(embeddings)
        )
        self.bn_list = nn.ModuleList(nn.BatchNorm1d(length) for _ in range(embeddings))
        self.class_list = nn.ModuleList(nn.Linear(length, num_classes, bias=False) for _ in range(embeddings))
        for name, parameter in self.named_parameters():
            if name.startswith("feat_list."):
                nn.init.kaiming_normal_(parameter)
            elif name.startswith("bn_list."):
                nn.init.normal_(parameter, float(name.endswith(".weight")), 0.1)
            elif name.startswith("class_list."):
                nn.init.normal_(parameter, 0, 0.001)
        for norm in list(self.bn_list)[2:]:
            norm.bias.requires_grad_(False)  # as released; the first two meet the triplet loss

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels that the model was built for."""
        h, w = self.scm.learnable_masks.shape[2:]
        return h * STRIDE, w * STRIDE

    def forward(self, images: Tensor) -> SCMOutput:
        """Images (B, 3, H, W), RGB in [0, 1]; erased at random in training mode."""
        x = self.stem(self.erase(images))
        x = self.layer3(self.layer2(self.layer1(x)))  # (B, _, h, w)
        x1, x2 = self.branch_1(x), self.branch_2(x)  # (B, C, h, w) each
        competitive, cooperative = self.scm(x2)
        pooled = [
            x1.mean((2, 3)),
            torch.einsum("bchw,bhw->bc", x2, cooperative[:, 0]) / cooperative[0, 0].numel(),
            max_pool(x1),
            *(max_pool(x2 * mask) for mask in competitive.split(1, dim=1)),
        ]
        embeddings = [norm(reduce(x)) for x, reduce, norm in zip(pooled, self.feat_list, self.bn_list, strict=True)]
        logits = [classify(e) for e, classify in zip(embeddings, self.class_list, strict=True)]
        return SCMOutput(torch.stack(embeddings, 1), torch.stack(logits, 1), competitive, cooperative)


def max_pool(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C). A max-pool layer sends its gradient to one cell; `amax` would split it over ties."""
    return F.adaptive_max_pool2d(x, 1).flatten(1)


def build_model(
    net: str,
    num_classes: int,
    *,
    image_size: tuple[int, int] = (384, 128),
    num_parts: int = 3,
    reduce_num: int = 32,
    feat_num: int = 256,
    mask_part: int = 1,
    erasing: float = 0.0,
    imagenet: bool = False,
) -> SCM:
    """The model for `num_classes` training identities.

    Args:
        net: `regnet_y_800mf` or `regnet_y_1_6gf` (the paper's), `regnet_y_tiny` (for a laptop CPU), or
            `torchvision:NAME` (a ResNet or RegNet of torchvision).
        num_classes: identities to classify while training.
        image_size: (height, width) in pixels, multiples of 16.
        num_parts: P, at least 1.
        reduce_num: R, length of a part's vector in the mask module.
        feat_num: D, length of an embedding; 0 keeps the branch's channels.
        mask_part: chunks of rows that each part's prior starts blind to; 0 for none.
        erasing: largest share of an image that random erasing may take; 0 for none.
        imagenet: `torchvision:` nets only: start from torchvision's ImageNet weights, downloaded once.

    Raises:
        BadInput: an unknown net, a size that isn't a multiple of 16, or weights that can't be had.
    """
    height, width = image_size
    if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
        raise BadInput(f"Image size {height} x {width} doesn't fit: height and width must be multiples of {STRIDE}.")
    if num_parts < 1 or reduce_num < 1 or feat_num < 0 or mask_part < 0 or not 0 <= erasing <= 1:
        raise BadInput(
            f"num-part {num_parts}, reduce-num {reduce_num}, feat-num {feat_num}, mask-part {mask_part}, erasing "
            f"{erasing}: parts and reduce-num start at 1, feat-num and mask-part at 0, and erasing lies in [0, 1]."
        )
    grid = (height // STRIDE, width // STRIDE)
    if num_parts + mask_part - 1 > grid[0]:
        raise BadInput(
            f"num-part {num_parts} with mask-part {mask_part} needs {num_parts + mask_part - 1} rows, but an image "
            f"{height} pixels high has {grid[0]}: take fewer parts or a larger image."
        )
    return SCM(
        build_backbone(net, imagenet=imagenet),
        num_classes,
        grid=grid,
        num_parts=num_parts,
        reduce_num=reduce_num,
        feat_num=feat_num,
        mask_part=mask_part,
        erasing=erasing,
    )
