"""From records to batches: reading, augmentation, identity-balanced sampling, random erasing.

Lesson: notebooks/01_data_preparation.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from scmlib.errors import BadInput
from scmlib.layouts import Layout
from scmlib.records import Record

Indices = NDArray[np.int64]

KEEP_BYTES = 2**30  # decoded images are kept in memory up to here


def read_image(path: Path, size: tuple[int, int] | None = None, margin: int = 0) -> Tensor:
    """An image file as RGB, (3, H, W) uint8, brought to `size` (height, width) if given.

    Resizing is bilinear without antialiasing, as in the released code. With a margin the image is resized to so many
    pixels more on either axis and its centre is cut out, the test framing of CUB200 and Cars.

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
    return centre(resize(image, wider(size, margin)), size) if size else image


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 3, H, W) to (..., 3, *size)."""
    resized: Tensor = v2.functional.resize(image, list(size), v2.InterpolationMode.BILINEAR, antialias=False)
    return resized


def wider(size: tuple[int, int], margin: int) -> tuple[int, int]:
    """A size with `margin` more pixels on either axis."""
    return size[0] + margin, size[1] + margin


def centre(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of an image, (..., 3, *size)."""
    cropped: Tensor = v2.functional.center_crop(image, list(size))
    return cropped


def to_float(images: Tensor) -> Tensor:
    """uint8 in [0, 255] to float32 in [0, 1], the model's input: no mean or deviation is taken out."""
    return images.float() / 255


class Augmentation:
    """What a data set's layout asks of training images: symmetric padding, random crop, mirror image in half the cases.

    With a margin (CUB200, Cars) a random crop of the larger image goes first; images of a view from above
    (University-1652's satellite) are turned by any angle before the crop.

    Args:
        layout: its `margin`, `pad` and `satellite` are used.
        size: (height, width) of the result in pixels.
    """

    def __init__(self, layout: Layout, size: tuple[int, int]):
        self.size, self.margin, self.satellite = size, layout.margin, layout.satellite
        self.pad = v2.Pad(layout.pad, padding_mode="symmetric")
        self.crop, self.mirror = v2.RandomCrop(list(size)), v2.RandomHorizontalFlip()
        self.turn = v2.RandomRotation(180, v2.InterpolationMode.BILINEAR)

    def prepare(self, path: Path) -> Tensor:
        """The part before anything random, as far as it goes: (3, H + m, W + m), or padded where there is no margin."""
        image = read_image(path, wider(self.size, self.margin))
        # Padding takes five times as long as crop and mirror together: once is enough where nothing comes before it.
        padded: Tensor = image if self.margin else self.pad(image)
        return padded

    def __call__(self, image: Tensor, view: str) -> Tensor:
        """The random part: a prepared image to (3, H, W)."""
        if self.margin:
            image = self.pad(self.crop(image))
        if self.satellite and view == self.satellite:
            image = self.turn(image)
        augmented: Tensor = self.mirror(self.crop(image))
        return augmented


class RecordImages(Dataset[tuple[Tensor, int]]):
    """Images of records at one size, with their training labels (-1 where there is none).

    Args:
        records: what to read.
        size: (height, width) in pixels.
        margin: the data set's, see `read_image`.
        augment: for training.
        keep: keep images as they are before anything random, up to `KEEP_BYTES`; for loading in one process.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        *,
        margin: int = 0,
        augment: Augmentation | None = None,
        keep: bool = False,
    ):
        self.records, self.size, self.margin, self.augment = records, size, margin, augment
        self.room = KEEP_BYTES if keep else 0
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        record, image = self.records[index], self.kept.get(index)
        if image is None:
            augment = self.augment
            image = augment.prepare(record.path) if augment else read_image(record.path, self.size, self.margin)
            if image.nbytes <= self.room:
                self.kept[index] = image
                self.room -= image.nbytes
        return self.augment(image, record.view) if self.augment else image, record.label


class IdentityBatches(Sampler[list[int]]):
    """P x K batches: K images each of batch_size / K identities.

    An epoch is floor(images / (identities * K)) rounds, at least one. A round shuffles the identities and takes K
    images of each, without replacement where it has K; where an identity has images of the satellite view, one of them
    and K - 1 others. The list is cut into batches; an incomplete last one is dropped.
    Every epoch's draw depends on the seed and the epoch's number alone, so that a resumed run sees the same batches.

    Args:
        records: training images with their labels.
        batch_size: images a batch.
        instances: K.
        seed: of the whole run.
        satellite: name of the view that gives one image, see `Layout`; none if empty.

    Raises:
        BadInput: fewer identities than a batch needs.
    """

    def __init__(self, records: Sequence[Record], batch_size: int, instances: int, seed: int, satellite: str = ""):
        labels = np.array([record.label for record in records])
        above = np.array([bool(satellite) and record.view == satellite for record in records])
        order = labels.argsort(kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.images = [(group[above[group]], group[~above[group]]) for group in groups]  # an identity each
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
        rng = np.random.default_rng((self.seed, self.epoch))
        order = [
            int(image)
            for _ in range(self.rounds)
            for identity in rng.permutation(len(self.images))
            for image in self.draw(rng, *self.images[identity])
        ]
        for batch in range(len(self)):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def draw(self, rng: np.random.Generator, above: Indices, others: Indices) -> Indices:
        """K images of one identity."""
        one = rng.choice(above, 1) if len(above) and len(others) else above[:0]
        rest = others if len(others) else above
        K = self.instances - len(one)
        return np.concatenate([one, rng.choice(rest, K, replace=len(rest) < K)])


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
