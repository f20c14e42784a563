"""Pictures: a file to a uint8 tensor of the wanted size, and that to the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from scmlib.data.records import Record
from scmlib.errors import BadInput


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


def read_pictures(records: Sequence[Record], size: tuple[int, int]) -> Tensor:
    """The pictures of records, each framed as its data set asks, (N, 3, H, W) uint8 at `size` (height, width).

    Raises:
        BadInput: as `read_image` does.
    """
    return torch.stack([read_image(record.path, size, record.margin) for record in records])


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
