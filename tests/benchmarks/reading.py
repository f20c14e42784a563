"""Files to batches: reading and augmenting against PIL with torchvision's transforms, on one core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from scmlib.data.images import to_float
from scmlib.data.layouts import LAYOUTS
from scmlib.data.loading import Augmentation, RecordImages
from scmlib.data.records import Record
from tests.benchmarks.harness import Growth, Job, Work

COUNT, BATCH = 96, 24
LAYOUT = LAYOUTS["market1501"]


def reading(file: tuple[int, int], size: tuple[int, int]) -> tuple[Job, Job]:
    """An epoch of JPEG files of one size, (height, width), to augmented float batches of another."""
    folder = TemporaryDirectory()  # kept by the jobs below, and gone with them
    records = [Record(Path(folder.name) / f"{i}.jpg", i, 1, i) for i in range(COUNT)]
    rng = np.random.default_rng(0)
    for record in records:  # smooth pictures: noise would make files that no camera makes
        coarse = rng.integers(0, 256, (file[0] // 8, file[1] // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((file[1], file[0]), Image.Resampling.BICUBIC).save(record.path, quality=92)
    augmented = RecordImages(records, size, augment=Augmentation(LAYOUT, size))
    chain = v2.Compose(
        [
            v2.Resize(list(size)),
            v2.Pad(LAYOUT.pad, padding_mode="symmetric"),
            v2.RandomCrop(list(size)),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )

    def ours() -> None:
        for batch, _ in DataLoader(augmented, BATCH):
            to_float(batch)

    def plain() -> None:
        pictures = []
        for record in records:
            with Image.open(record.path) as picture:
                pictures.append(chain(picture.convert("RGB")))
        for start in range(0, COUNT, BATCH):
            torch.stack(pictures[start : start + BATCH])

    def one_thread(job: Job) -> Job:
        def run() -> None:
            assert folder
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            job()
            torch.set_num_threads(threads)

        return run

    return one_thread(ours), one_thread(plain)


def work(file: tuple[int, int], size: tuple[int, int]) -> Work:
    """A row of the table."""
    words = f"{COUNT} JPEG files of {file[0]} x {file[1]}, to {size[0]} x {size[1]}, one core"
    return Work("reading and augmenting", words, partial(reading, file, size), "at most 0.67 x (1.5 times as fast)")


GROWTHS: list[Growth] = []

WORKS = [work((128, 64), (128, 64)), work((128, 64), (384, 128)), work((384, 128), (384, 128))]
