"""From records to training batches: augmentation and identity-balanced sampling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from scmlib.data.images import pad_symmetric, read_image, wider
from scmlib.data.layouts import Layout
from scmlib.data.records import Record
from scmlib.errors import BadInput

Indices = NDArray[np.int64]

KEEP_BYTES = 2**30  # decoded images are kept in memory up to here


class Augmentation:
    """What a data set's layout asks of training images: symmetric padding, random crop, mirror image in half the cases.

    With a margin (CUB200, Cars) a random crop of the larger image goes first; images of a view from above
    (University-1652's satellite) are turned by any angle before the crop.

    Args:
        layout: its `margin`, `pad` and `satellite` are used.
        size: (height, width) of the result in pixels.
    """

    def __init__(self, layout: Layout, size: tuple[int, int]):
        self.size, self.margin, self.pad, self.satellite = size, layout.margin, layout.pad, layout.satellite

    def prepare(self, path: Path, beside: str = "") -> Tensor:
        """The part before anything random, as far as it goes: (3, H + m, W + m), or padded where there is no margin."""
        image = read_image(path, wider(self.size, self.margin), beside=beside)
        # Padding takes longer than crop and mirror together: once is enough where nothing comes before it.
        return image if self.margin else pad_symmetric(image, self.pad)

    def __call__(self, image: Tensor, view: str) -> Tensor:
        """The random part: a prepared image to (3, H, W)."""
        if self.margin:
            image = pad_symmetric(self.crop(image), self.pad)
        if self.satellite and view == self.satellite:
            image = turn(image)
        image = self.crop(image)
        return image.flip(2) if float(torch.rand(())) < 0.5 else image

    def crop(self, image: Tensor) -> Tensor:
        """A part of the image, (3, H, W), at a place drawn at random."""
        room = (there - wanted + 1 for there, wanted in zip(image.shape[1:], self.size, strict=True))
        top, left = (int(torch.randint(places, ())) for places in room)
        return image[:, top : top + self.size[0], left : left + self.size[1]]


def turn(image: Tensor) -> Tensor:
    """An image turned by any angle, bilinear; what comes in from outside is black."""
    from torchvision.transforms import v2  # here, since it takes long to import, and one data set alone turns images

    turned: Tensor = v2.RandomRotation(180, v2.InterpolationMode.BILINEAR)(image)
    return turned


class RecordImages(Dataset[tuple[Tensor, int]]):
    """Images of records at one size, with their training labels (-1 where there is none).

    Args:
        records: what to read.
        size: (height, width) in pixels.
        augment: for training.
        keep: keep images as they are before anything random, up to `KEEP_BYTES`; for loading in one process.
        beside: further channels that the model asks for, see `read_image`.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        *,
        augment: Augmentation | None = None,
        keep: bool = False,
        beside: str = "",
    ):
        self.records, self.size, self.augment, self.beside = records, size, augment, beside
        self.room = KEEP_BYTES if keep else 0
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        record, image = self.records[index], self.kept.get(index)
        if image is None:
            augment, beside = self.augment, self.beside
            image = (
                augment.prepare(record.path, beside)
                if augment
                else read_image(record.path, self.size, record.margin, beside=beside)
            )
            if image.nbytes <= self.room:
                self.kept[index] = image
                self.room -= image.nbytes
        return self.augment(image, record.view) if self.augment else image, record.label


class PKSampler(Sampler[list[int]]):
    """The PK sampler: batches of K images each of P = batch_size / K identities (Hermans et al., 2017).

    An epoch is floor(images / (identities * K)) rounds, at least one. A round shuffles the identities and takes K
    images of each, without replacement where it has K; where an identity has images of the satellite view, one of them
    and K - 1 others. The list is cut into batches; an incomplete last one is dropped.
    Every epoch's draw depends on the seed and the epoch's number alone, so that a resumed run sees the same batches.
    Of several processes each is given its own identities of the very batches that one process would see.

    Args:
        records: training images with their labels.
        batch_size: images a batch.
        instances: K.
        seed: of the whole run.
        satellite: name of the view that gives one image, see `Layout`; none if empty.
        process: which of several processes samples, from 0.
        processes: how many there are.

    Raises:
        BadInput: a batch of one identity or of a broken group, fewer identities than a batch needs, or identities that
            the processes can't share evenly.
    """

    def __init__(
        self,
        records: Sequence[Record],
        batch_size: int,
        instances: int,
        seed: int,
        satellite: str = "",
        *,
        process: int = 0,
        processes: int = 1,
    ):
        labels = np.array([record.label for record in records])
        above = np.array([bool(satellite) and record.view == satellite for record in records])
        order = labels.argsort(kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
        self.images = [(group[above[group]], group[~above[group]]) for group in groups]  # an identity each
        self.batch_size, self.instances, self.seed = batch_size, instances, seed
        self.rounds = max(1, len(labels) // (len(self.images) * instances))
        self.epoch = 1
        self.own = slice(batch_size * process // processes, batch_size * (process + 1) // processes)
        needed = batch_size // instances
        if batch_size % instances or needed < 2:
            least = 2 * instances
            below = batch_size // instances * instances
            fits = sorted({max(least, below), max(least, below + instances * (batch_size % instances > 0))})
            raise BadInput(
                f"--batch-size {batch_size} doesn't go with --instance-num {instances}: a batch holds so many images "
                f"of each of two identities or more, so give --batch-size {' or '.join(map(str, fits))}."
            )
        if len(self.images) < needed:
            raise BadInput(
                f"A batch of {batch_size} with {instances} images each needs {needed} identities, but the training set "
                f"has {len(self.images)}: give --batch-size {len(self.images) * instances} or less, or more identities."
            )
        if needed % processes:
            more = -(-needed // processes) * processes
            choices = [n * instances for n in (more - processes, more) if n]
            raise BadInput(
                f"The {needed} identities of --batch-size {batch_size} can't be shared evenly by {processes} "
                f"processes: give --batch-size {' or '.join(map(str, choices))}, or start other processes."
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
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size][self.own]

    def draw(self, rng: np.random.Generator, above: Indices, others: Indices) -> Indices:
        """K images of one identity."""
        one = rng.choice(above, 1) if len(above) and len(others) else above[:0]
        rest = others if len(others) else above
        K = self.instances - len(one)
        return np.concatenate([one, rng.choice(rest, K, replace=len(rest) < K)])
