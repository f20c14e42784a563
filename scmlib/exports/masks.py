"""Masks as files for other programs: numbers as `.npz`, grey pictures as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from scmlib.files import write_atomically


def save_masks(path: Path, pictures: Sequence[Path], competitive: Tensor) -> None:
    """Write masks as an `.npz` with the keys path (N,), competitive (N, P, h, w) and cooperative (N, 1, h, w), float32.

    Args:
        path: of the file.
        pictures: what the masks are of.
        competitive: (N, P, h, w) in [0, 1]; their sum over P is the cooperative mask.
    """
    content = io.BytesIO()
    cooperative = competitive.sum(1, keepdim=True)
    path_column = np.array([str(picture) for picture in pictures])
    np.savez(content, path=path_column, competitive=competitive.numpy(), cooperative=cooperative.numpy())
    write_atomically(path, content.getvalue())


def save_mask_pictures(folder: Path, name: str, competitive: Tensor, size: tuple[int, int]) -> list[Path]:
    """Write each mask of one picture as an 8-bit grey PNG, a square of equal pixels for each cell of the grid.

    NAME_competitive_1.png and so on, where white is 1; NAME_cooperative.png, where white is P, the most it can reach.

    Args:
        folder: for the files.
        name: the picture's.
        competitive: (P, h, w) in [0, 1].
        size: (height, width) of the pictures in pixels; the model's image size lays each mask over what it read.

    Returns:
        The P + 1 files.
    """
    P = len(competitive)
    values = torch.cat([competitive, competitive.mean(0, keepdim=True)])  # (P + 1, h, w); sum / P is the mean
    grey = F.interpolate(values[None], size, mode="nearest")[0].mul(255).round().to(torch.uint8).numpy()
    paths = [folder / f"{name}_{mask}.png" for mask in (*(f"competitive_{i + 1}" for i in range(P)), "cooperative")]
    for path, picture in zip(paths, grey, strict=True):
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "PNG")
        write_atomically(path, content.getvalue())
    return paths
