"""SCM: two branches over one trunk, and 3 + P embeddings of what they see.

The method of *Occluded Person Re-identification with Spectral Clustering Mask*, as its authors released it
(https://github.com/xiaolai-sqlai/SCM-ReID; the release names neither venue nor year). Retrieval uses the embeddings
after BatchNorm, the classifiers sit on top of them: the BNNeck of Luo et al., 2019 (Bag of Tricks and a Strong Baseline
for Deep Person Re-identification).

Shapes: B images of H x W pixels, grid h = H/16 by w = W/16, P parts, D values an embedding, C channels a branch.

Lesson: notebooks/02_the_method.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.backbone import STRIDE, Backbone
from scmlib.errors import BadInput
from scmlib.mask import SpectralClusteringMask


def embedding_names(parts: int) -> list[str]:
    """What each of the 3 + P embeddings is of, in their order."""
    return ["global mean", "cooperative mean", "global max", *(f"competitive {i + 1} max" for i in range(parts))]


class RandomErasing(nn.Module):
    """Blackens a random box in about half of the images of a batch, in training mode.

    Zhong et al., 2020: Random Erasing Data Augmentation.

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


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a model's architecture, from the settings of a run to `SCM`.

    Raises:
        BadInput: an image size that isn't a multiple of 16, a number out of range, or more parts than rows.
    """

    net: str  # backbone, see `build_backbone`
    image_size: tuple[int, int] = (384, 128)  # (height, width) in pixels, multiples of 16
    num_parts: int = 3  # P, at least 1
    reduce_num: int = 32  # R, length of a part's vector in the mask module
    feat_num: int = 256  # D, length of an embedding; 0 keeps the branch's channels
    mask_part: int = 1  # chunks of rows that each part's prior starts blind to; 0 for none
    erasing: float = 0.0  # largest share of an image that random erasing may take; 0 for none
    variant: str = "scm"  # the paper's model, or a control, see `scmlib.variants`

    def __post_init__(self) -> None:
        height, width = self.image_size
        if height < STRIDE or width < STRIDE or height % STRIDE or width % STRIDE:
            raise BadInput(
                f"Image size {height} x {width} doesn't fit: height and width must be multiples of {STRIDE}."
            )
        if min(self.num_parts, self.reduce_num) < 1 or min(self.feat_num, self.mask_part) < 0:
            raise BadInput(
                f"num-part {self.num_parts}, reduce-num {self.reduce_num}, feat-num {self.feat_num}, mask-part "
                f"{self.mask_part}: the first two start at 1, the others at 0."
            )
        if not 0 <= self.erasing <= 1:
            raise BadInput(f"erasing {self.erasing} is out of range: it is a share of the image, from 0 to 1.")
        chunks = self.num_parts + self.mask_part - 1
        if chunks > self.grid[0]:
            raise BadInput(
                f"num-part {self.num_parts} with mask-part {self.mask_part} needs {chunks} rows, but an image "
                f"{height} pixels high has {self.grid[0]}: take fewer parts or a larger image."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w), the cells of the feature grid."""
        return self.image_size[0] // STRIDE, self.image_size[1] // STRIDE


class SCM(nn.Module):
    """The whole model; attribute names are the released ones, so that released checkpoints fit as they are.

    Args:
        config: its architecture.
        num_classes: training identities.
        backbone: what `config.net` names.
    """

    def __init__(self, config: ModelConfig, num_classes: int, backbone: Backbone):
        super().__init__()
        self.config = config
        feat_num, length = config.feat_num, config.feat_num or backbone.width
        embeddings = len(self.embedding_names)
        self.erase = RandomErasing(config.erasing)
        self.stem = backbone.stem
        self.layer1, self.layer2, self.layer3 = backbone.stages
        self.branch_1, self.branch_2 = backbone.branches
        self.scm = SpectralClusteringMask(
            backbone.width, config.grid, config.num_parts, config.reduce_num, config.mask_part
        )
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
        return self.config.image_size

    @property
    def embedding_names(self) -> list[str]:
        """What each embedding is of, in their order."""
        return embedding_names(self.config.num_parts)

    @property
    def beside(self) -> str:
        """What a variant reads beside the pictures of records, see `scmlib.data.truth.READERS`; the method nothing."""
        return ""

    def extra_loss(self) -> Tensor | None:
        """What a variant adds to the method's loss, of its last forward pass; the method nothing."""
        return None

    def branches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Feature maps of the global and of the masked branch, (B, C, h, w) each, of images (B, 3, H, W)."""
        x = self.layer3(self.layer2(self.layer1(self.stem(images))))
        return self.branch_1(x), self.branch_2(x)

    def forward(self, images: Tensor) -> SCMOutput:
        """Images (B, 3, H, W), RGB in [0, 1]; erased at random in training mode."""
        x1, x2 = self.branches(self.erase(images))  # (B, C, h, w) each
        competitive, cooperative = self.scm(x2)  # (B, P, h, w), (B, 1, h, w)
        return self.read_out(masked_pools(x1, x2, competitive, cooperative), competitive, cooperative)

    def read_out(self, pooled: Sequence[Tensor], competitive: Tensor, cooperative: Tensor) -> SCMOutput:
        """Pooled features (B, C), one for each embedding, to embeddings and logits."""
        embeddings = [norm(reduce(x)) for x, reduce, norm in zip(pooled, self.feat_list, self.bn_list, strict=True)]
        logits = [classify(e) for e, classify in zip(embeddings, self.class_list, strict=True)]
        return SCMOutput(torch.stack(embeddings, 1), torch.stack(logits, 1), competitive, cooperative)


def masked_pools(x1: Tensor, x2: Tensor, competitive: Tensor, cooperative: Tensor) -> list[Tensor]:
    """Features of both branches, (B, C, h, w) each, pooled with and without masks: 3 + P tensors (B, C)."""
    cells = cooperative[0].numel()
    return [
        x1.mean((2, 3)),
        torch.einsum("bchw,bhw->bc", x2, cooperative[:, 0] / cells),  # divided first: half precision overflows
        max_pool(x1),
        *(max_pool(x2 * mask[:, None]) for mask in competitive.unbind(1)),
    ]


def max_pool(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C). A max-pool layer sends its gradient to one cell; `amax` would split it over ties."""
    return F.adaptive_max_pool2d(x, 1).flatten(1)
