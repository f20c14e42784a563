"""From records to batches: reading, augmentation, identity-balanced sampling, random erasing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from scmlib.datasets import Record
from scmlib.errors import BadInput

KEEP_BYTES = 2**30  # decoded images are kept in memory up to here


def read_image(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """An image file as RGB, (3, H, W) uint8, resized to `size` (height, width) if given.

    Resizing is bilinear without antialiasing, as in the released code.

    Raises:
        BadInput: the file is missing, no image, or cut short.
    """
    try:
        with Image.open(path) as file:
            image: Tensor = v2.functional.pil_to_tensor(file.convert("RGB"))
    except FileNotFoundError as error:
        raise BadInput(f"{path} is missing: check the path.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} can't be read as an image ({error}): replace or remove the file.") from error
    return resize(image, size) if size else image


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 3, H, W) to (..., 3, *size)."""
    resized: Tensor = v2.functional.resize(image, list(size), v2.InterpolationMode.BILINEAR, antialias=False)
    return resized


def to_float(images: Tensor) -> Tensor:
    """uint8 in [0, 255] to float32 in [0, 1], the model's input: no mean or deviation is taken out."""
    return images.float() / 255


def padded(image: Tensor, pad: int = 8) -> Tensor:
    """Symmetric padding, the part of the training augmentation that isn't random: (3, H, W) to (3, H + 2p, W + 2p)."""
    border: Tensor = v2.functional.pad(image, [pad] * 4, padding_mode="symmetric")
    return border


def augmentation(size: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """The random part, for persons and vehicles: crop of the padded image, mirror image in half of the cases."""
    transform: Callable[[Tensor], Tensor] = v2.Compose([v2.RandomCrop(list(size)), v2.RandomHorizontalFlip()])
    return transform


class RecordImages(Dataset[tuple[Tensor, int]]):
    """Images of records, resized, with their training labels (-1 where there is none).

    Args:
        records: what to read.
        size: (height, width) in pixels.
        training: pad, crop and mirror, see `padded` and `augmentation`.
        keep: keep images as they are before anything random, up to `KEEP_BYTES`; for loading in one process.
    """

    def __init__(self, records: Sequence[Record], size: tuple[int, int], *, training: bool = False, keep: bool = False):
        self.records, self.size = records, size
        self.augment = augmentation(size) if training else None
        self.room = KEEP_BYTES if keep else 0
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.kept.get(index)
        if image is None:
            image = read_image(self.records[index].path, self.size)
            if self.augment:
                image = padded(image)  # before keeping: padding takes five times as long as crop and mirror together
            if image.nbytes <= self.room:
                self.kept[index] = image
                self.room -= image.nbytes
        return self.augment(image) if self.augment else image, self.records[index].label


class IdentityBatches(Sampler[list[int]]):
    """P x K batches: K images each of batch_size / K identities.

    An epoch is floor(images / (identities * K)) rounds, at least one. A round shuffles the identities and takes K
    images of each, without replacement where it has K. The list is cut into batches; an incomplete last one is dropped.
    Every epoch's draw depends on the seed and the epoch's number alone, so that a resumed run sees the same batches.

    Args:
        labels: training label of every image.
        batch_size: images a batch.
        instances: K.
        seed: of the whole run.

    Raises:
        BadInput: fewer identities than a batch needs.
    """

    def __init__(self, labels: Sequence[int], batch_size: int, instances: int, seed: int):
        self.images = [np.flatnonzero(np.asarray(labels) == label) for label in np.unique(labels)]
        self.batch_size, self.instances, self.seed = batch_size, instances, seed
        self.rounds = max(1, len(labels) // (len(self.images) * instances))
        self.epoch = 1
        needed = -(-batch_size // instances)
        if len(self.images) < needed:
            raise BadInput(
                f"A batch of {batch_size} with {instances} images each needs {needed} identities, but the training set "
                f"has {len(self.images)}: give --batch-size {len(self.images) * instances} or less, or more identities."
            )

    def __len__(self) -> int:
        return self.rounds * len(self.images) * self.instances // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        rng, K = np.random.default_rng((self.seed, self.epoch)), self.instances
        order = [
            int(image)
            for _ in range(self.rounds)
            for identity in rng.permutation(len(self.images))
            for image in rng.choice(self.images[identity], K, replace=len(self.images[identity]) < K)
        ]
        for batch in range(len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size]


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
