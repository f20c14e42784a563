"""A trained model applied to pictures: embeddings, masks and features, all by one forward loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from scmlib.model import SCM

Pictures = Tensor | Sequence[Record] | Sequence[Path] | Sequence[str]

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


def as_images(pictures: Pictures, size: tuple[int, int]) -> Dataset[Any]:
    """Pictures of any kind as what a loader reads.

    Args:
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        size: (height, width) in pixels to read at.

    Raises:
        BadInput: no pictures, or a tensor of another shape.
    """
    if isinstance(pictures, Tensor) and (pictures.ndim != 4 or pictures.shape[1] != 3):
        raise BadInput(f"Pictures of shape {list(pictures.shape)} don't fit: give (N, 3, H, W), a single one as N = 1.")
    if len(pictures) == 0:
        raise BadInput("There are no pictures: give at least one.")
    if isinstance(pictures, Tensor):
        return TensorDataset(pictures)
    return RecordImages([p if isinstance(p, Record) else Record(Path(p), -1, -1) for p in pictures], size)


@torch.inference_mode()
def apply(
    model: SCM,
    pictures: Pictures,
    what: Callable[[Tensor], Tensor],
    *,
    batch_size: int = 64,
    workers: int = 0,
    progress: str = "",
) -> Tensor:
    """What a function of the model gives for every picture: evaluation mode, batches, device, and all joined.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        what: called with (B, 3, H, W) float images in [0, 1] on the model's device; gives (B, ...).
        batch_size: pictures at once.
        workers: processes that read records.
        progress: label of a progress bar; none if empty.

    Returns:
        (N, ...) float32 on the CPU.

    Raises:
        BadInput: no pictures, or one that can't be read.
    """
    model.eval()
    device = next(model.parameters()).device
    images = as_images(pictures, model.image_size)
    loader = DataLoader(images, images_at_once(batch_size), num_workers=workers)
    found = []
    for batch in tqdm(loader, progress, unit="batch", disable=not progress):
        pixels = batch[0].to(device)
        found.append(what(to_float(pixels) if pixels.dtype == torch.uint8 else pixels).float().cpu())
    return torch.cat(found)


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

    def both(images: Tensor) -> Tensor:
        embeddings: Tensor = model(images).embeddings + model(images.flip(3)).embeddings  # (B, 3 + P, D)
        return embeddings.flatten(1)

    return apply(model, images_or_records, both, batch_size=batch_size, workers=workers, progress=progress)


def masks_of(model: SCM, pictures: Pictures, *, batch_size: int = 64) -> Tensor:
    """The competitive masks of pictures, (N, P, h, w) in [0, 1] on the CPU; their sum is the cooperative mask.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        batch_size: pictures at once.
    """
    return apply(model, pictures, lambda images: model(images).competitive, batch_size=batch_size)


def branch_features(model: SCM, pictures: Pictures, *, batch_size: int = 64) -> Tensor:
    """The masked branch's feature maps, which the mask module sees: (N, C, h, w) on the CPU, not negative.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W), uint8 or float in [0, 1], or records or paths to read.
        batch_size: pictures at once.
    """
    return apply(model, pictures, lambda images: model.branches(images)[1], batch_size=batch_size)
