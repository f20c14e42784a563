"""A trained model applied to pictures: embeddings, masks and features, all by one forward loop.

For many pictures the loop runs a copy of the model made for speed (`scmlib.folding`); it reads the next ones while it
computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from tqdm.auto import tqdm

from scmlib.data.images import to_float
from scmlib.data.loading import RecordImages
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.folding import folded
from scmlib.launch import first
from scmlib.model import SCM
from scmlib.processes import own_part, whole

Pictures = Tensor | Sequence[Record] | Sequence[Path] | Sequence[str]

WORTH_A_COPY = 16  # pictures; making the copy takes as long as one or two of them

CPU_PIXELS = 400_000  # at once on a CPU: with more, what one layer gives has left the cache when the next one reads it

_images_at_once: ContextVar[int] = ContextVar("_images_at_once", default=0)


@contextmanager
def batches_of(size: int) -> Iterator[None]:
    """Every forward loop inside takes so many images at once, whatever its caller says: for a small memory, or a large.

    Args:
        size: images at once; 0 leaves it to the callers.
    """
    before = _images_at_once.set(size)
    try:
        yield
    finally:
        _images_at_once.reset(before)


def images_at_once(usual: int = 64) -> int:
    """How many images a forward loop takes at once: what `batches_of` says, else `usual`."""
    return _images_at_once.get() or usual


def as_images(pictures: Pictures, size: tuple[int, int], beside: str = "") -> Dataset[Any]:
    """Pictures of any kind as what a loader reads.

    Args:
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        size: (height, width) in pixels to read at.
        beside: further channels to read with records and paths, see `read_image`.

    Raises:
        BadInput: no pictures, or a tensor of another shape.
    """
    if isinstance(pictures, Tensor) and (pictures.ndim != 4 or pictures.shape[1] != 3):
        raise BadInput(f"Pictures of shape {list(pictures.shape)} don't fit: give (N, 3, H, W), a single one as N = 1.")
    if len(pictures) == 0:
        raise BadInput("There are no pictures: give at least one.")
    if isinstance(pictures, Tensor):
        return TensorDataset(pictures)
    records = [p if isinstance(p, Record) else Record(Path(p), -1, -1) for p in pictures]
    return RecordImages(records, size, beside=beside)


def ahead(batches: Iterable[list[Tensor]]) -> Iterator[list[Tensor]]:
    """The same batches, the next one read by a thread while the caller works on this one."""
    with ThreadPoolExecutor(1) as thread:
        source = iter(batches)
        coming = thread.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield batch


@torch.inference_mode()
def apply(
    model: SCM,
    pictures: Pictures,
    what: Callable[[SCM, Tensor], Tensor],
    *,
    batch_size: int = 64,
    workers: int = 0,
    progress: str = "",
) -> Tensor:
    """What a function of the model gives for every picture: evaluation mode, batches, device, and all joined.

    Several processes share the pictures out, see `scmlib.processes.sharing`.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        what: called with the model, or its fast copy, and (B, 3, H, W) float images in [0, 1] on its device; gives
            (B, ...).
        batch_size: pictures at once, at most; a CPU is quicker with few.
        workers: processes that read records.
        progress: label of a progress bar; none if empty.

    Returns:
        (N, ...) float32 on the CPU.

    Raises:
        BadInput: no pictures, or one that can't be read.
    """
    model.eval()
    fast = folded(model) if len(pictures) >= WORTH_A_COPY else model
    device = next(fast.parameters()).device
    images = as_images(pictures[own_part(len(pictures))], model.image_size, model.beside)
    at_once = images_at_once(batch_size)
    if device.type == "cpu":
        at_once = min(at_once, max(1, CPU_PIXELS // math.prod(model.image_size)))
    loader = DataLoader(images, at_once, num_workers=workers)
    found = []
    for pixels, *_ in tqdm(ahead(loader), progress, len(loader), unit="batch", disable=not (progress and first())):
        batch = pixels.to(device)
        found.append(what(fast, to_float(batch) if batch.dtype == torch.uint8 else batch).float().cpu())
    return whole(torch.cat(found), len(pictures))


def embed(
    model: SCM, images_or_records: Pictures, *, batch_size: int = 64, workers: int = 0, progress: str = ""
) -> NDArray[np.float32]:
    """Retrieval embeddings: those of the image and of its mirror image added, then L2-normalised.

    Args:
        model: is switched to evaluation mode; stays where it is.
        images_or_records: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        batch_size: images at once.
        workers: processes that read records.
        progress: label of a progress bar; none if empty.

    Returns:
        (N, (3 + P) * D) float32, each row L2-normalised.
    """
    raw = raw_embeddings(model, images_or_records, batch_size=batch_size, workers=workers, progress=progress)
    return F.normalize(raw, dim=1).numpy()


def raw_embeddings(
    model: SCM, images_or_records: Pictures, *, batch_size: int = 64, workers: int = 0, progress: str = ""
) -> Tensor:
    """What `embed` gives, before its L2 normalisation: (N, (3 + P) * D) float32 on the CPU."""

    def both(fast: SCM, images: Tensor) -> Tensor:
        embeddings = fast(torch.cat([images, images.flip(3)])).embeddings  # (2B, 3 + P, D)
        images_and_mirrored: Tensor = embeddings.flatten(1).unflatten(0, (2, -1))
        return images_and_mirrored.sum(0)

    return apply(model, images_or_records, both, batch_size=batch_size, workers=workers, progress=progress)


def masks_of(model: SCM, pictures: Pictures, *, batch_size: int = 64) -> Tensor:
    """The competitive masks of pictures, (N, P, h, w) in [0, 1] on the CPU; their sum is the cooperative mask.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        batch_size: pictures at once.
    """
    return apply(model, pictures, lambda fast, images: fast(images).competitive, batch_size=batch_size)


def branch_features(model: SCM, pictures: Pictures, *, batch_size: int = 64) -> Tensor:
    """The masked branch's feature maps, which the mask module sees: (N, C, h, w) on the CPU, not negative.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        batch_size: pictures at once.
    """
    return apply(model, pictures, lambda fast, images: fast.branches(images)[1], batch_size=batch_size)
