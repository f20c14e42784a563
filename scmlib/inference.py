"""One forward loop: a trained model's embeddings, masks and features of any number of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
from tqdm.auto import tqdm

from scmlib.data.images import to_float
from scmlib.data.loading import RecordImages
from scmlib.data.records import Record
from scmlib.model import SCM


def embed(
    model: SCM,
    images_or_records: Tensor | Sequence[Record],
    *,
    margin: int = 0,
    batch_size: int = 64,
    workers: int = 0,
    progress: str = "",
) -> NDArray[np.float32]:
    """Retrieval embeddings: those of the image and of its mirror image added, L2-normalised.

    Args:
        model: is switched to evaluation mode; stays where it is.
        images_or_records: (N, 3, H, W) float images in [0, 1], or records to read at the model's own image size.
        margin: of records' images, see `read_image`; a data set's layout says it.
        batch_size: images at once.
        workers: processes that read records.
        progress: label of a progress bar; none if empty.

    Returns:
        (N, (3 + P) * D) float32, rows of length 1.
    """
    raw = raw_embeddings(
        model, images_or_records, margin=margin, batch_size=batch_size, workers=workers, progress=progress
    )
    return F.normalize(raw, dim=1).numpy()


@torch.no_grad()
def raw_embeddings(
    model: SCM,
    images_or_records: Tensor | Sequence[Record],
    *,
    margin: int = 0,
    batch_size: int = 64,
    workers: int = 0,
    progress: str = "",
) -> Tensor:
    """What `embed` gives, before it is brought to length 1: (N, (3 + P) * D) float32 on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    images: Dataset[Any] = (
        TensorDataset(images_or_records)
        if isinstance(images_or_records, Tensor)
        else RecordImages(images_or_records, model.image_size, margin=margin)
    )
    rows = []
    for batch in tqdm(
        DataLoader(images, batch_size, num_workers=workers), progress, unit="batch", disable=not progress
    ):
        pixels = batch[0].to(device)
        if pixels.dtype == torch.uint8:
            pixels = to_float(pixels)
        both = model(pixels).embeddings + model(pixels.flip(3)).embeddings  # (B, 3 + P, D)
        rows.append(both.flatten(1).float().cpu())
    return torch.cat(rows)


@torch.no_grad()
def masks_of(model: SCM, pictures: Tensor, batch_size: int = 64) -> Tensor:
    """Competitive masks (N, P, h, w), on the CPU, of uint8 pictures (N, 3, H, W) at the model's image size."""
    model.eval()
    device = next(model.parameters()).device
    batches = DataLoader(TensorDataset(pictures), batch_size)
    return torch.cat([model(to_float(batch.to(device))).competitive.cpu() for (batch,) in batches])


@torch.no_grad()
def branch_features(model: SCM, pictures: Tensor, batch_size: int = 64) -> Tensor:
    """Branch 2's feature maps, which the mask module sees: (N, C, h, w), on the CPU, not negative (a ReLU is last).

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: (N, 3, H, W) uint8 at the model's image size.
        batch_size: pictures at once.
    """
    model.eval()
    device = next(model.parameters()).device
    trunk = nn.Sequential(model.stem, model.layer1, model.layer2, model.layer3, model.branch_2)
    return torch.cat([trunk(to_float(batch.to(device))).cpu() for batch in torch.split(pictures, batch_size)])
