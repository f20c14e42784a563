"""Pictures: a file to a uint8 tensor of the wanted size, and that to the model's input.

Every picture is read here, whatever wrote it: turned as its EXIF orientation says, its values brought to 8 bits where
their range is known, transparent pixels black, and of several frames or pages the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn import functional as F

from scmlib.data.records import Record
from scmlib.data.truth import READERS
from scmlib.errors import BadImage, BadInput

# Formats that Pillow decodes safely, by their content; PostScript, PDF, icons and rarities are not among them.
SAFE_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF")

MOST_PIXELS = 100_000_000  # of a picture; a small file may claim any number, and fill the memory when it is decoded

Image.init()
FORMATS = tuple(name for name in SAFE_FORMATS if name in Image.OPEN)  # an older Pillow lacks AVIF

# What brings a picture upright, by its EXIF orientation (EXIF 2.3, tag 0x0112); 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of a TIFF file


def read_image(path: Path, size: tuple[int, int] | None = None, margin: int = 0, *, beside: str = "") -> Tensor:
    """An image file as RGB, (3, H, W) uint8, brought to `size` (height, width) if given.

    Resizing is bilinear without antialiasing, as in the released code. With a margin the image is resized to so many
    pixels more on either axis and its centre is cut out, the test framing of CUB200 and Cars.

    With `beside`, one of `scmlib.data.truth.READERS`, what is known of the image follows as further channels,
    (3 + K, H, W): whatever moves, cuts or mirrors the picture then does the same to them.

    Raises:
        BadInput: the file is missing, no image, cut short, or of a range that the file doesn't say; or nothing is known
            of it where `beside` asks.
    """
    with open_picture(path) as file:
        image = torch.from_numpy(np.array(upright_rgb(file))).permute(2, 0, 1)
    if beside:
        image = torch.cat([image, READERS[beside](path)])
    return centre(resize(image, wider(size, margin)), size) if size else image


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """An image file, opened to look at and to decode; whatever goes wrong with it inside becomes one sentence.

    Raises:
        BadInput: the file is missing, no image, or cut short.
    """
    try:
        with Image.open(path, formats=FORMATS) as file:
            if file.width * file.height > MOST_PIXELS:
                raise BadImage(
                    f"{path} has {file.width:,} x {file.height:,} pixels, more than {MOST_PIXELS:,}: if it is what it "
                    "should be, save it smaller."
                )
            yield file
    except BadInput:
        raise
    except FileNotFoundError as error:
        raise BadImage(f"{path} is missing: check the path.") from error
    except Exception as error:  # whatever a damaged file makes a decoder raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise BadImage(f"{path} can't be read as an image ({reason}): replace or remove the file.") from error


def orientation(file: Image.Image) -> int:
    """The EXIF orientation of an opened picture, 1 to 8; 1, upright, where it has none that can be read."""
    try:
        value = file.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata say nothing about the pixels
        return 1
    return value if value in TURNS else 1


def upright_rgb(file: Image.Image) -> Image.Image:
    """The first frame of an opened picture as 8-bit RGB, upright, transparent pixels blended into black.

    Raises:
        BadInput: its values have a range that the file doesn't say, as 32-bit integers and floats.
    """
    file.load()
    turn = TURNS.get(orientation(file))  # asked after loading: Pillow turns TIFF files by itself, then says 1
    image = eight_bits(file) if file.mode.startswith("I") or file.mode == "F" else file
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    image = image.convert("RGB")
    return image.transpose(turn) if turn is not None else image


def eight_bits(file: Image.Image) -> Image.Image:
    """A grey picture of more than 8 bits with its full range, 0 to `white`, brought to 0 to 255 and rounded.

    Raises:
        BadInput: the file doesn't say which value is white.
    """
    values, tags = np.asarray(file), getattr(file, "tag_v2", {})
    if file.mode.startswith("I;16"):
        white = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    elif file.mode == "I" and file.format in ("PNG", "PPM"):  # Pillow's mode for their 16 bits
        white = 2**16 - 1
    else:
        kind = "floats" if file.mode == "F" else "long integers"
        raise BadImage(
            f"{getattr(file, 'filename', 'The picture')} holds {kind} (mode {file.mode}, {values.min():g} to "
            f"{values.max():g}) and nothing says which value is white: save it with 8 or 16 bits."
        )
    if tags.get(PHOTOMETRIC) == 0:  # white is zero, which Pillow heeds in 8 bits alone
        values = white - values
    values = np.where(values == file.info.get("transparency", -1), 0, values)  # a PNG's one transparent grey
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def read_pictures(records: Sequence[Record], size: tuple[int, int]) -> Tensor:
    """The pictures of records, each framed as its data set asks, (N, 3, H, W) uint8 at `size` (height, width).

    Raises:
        BadInput: as `read_image` does.
    """
    return torch.stack([read_image(record.path, size, record.margin) for record in records])


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) uint8 to (3, *size); bilinear without antialiasing."""
    return F.interpolate(image[None], size, mode="bilinear")[0] if image.shape[1:] != size else image


def wider(size: tuple[int, int], margin: int) -> tuple[int, int]:
    """A size with `margin` more pixels on either axis."""
    return size[0] + margin, size[1] + margin


def centre(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of an image, (3, *size)."""
    top, left = (round((there - wanted) / 2) for there, wanted in zip(image.shape[1:], size, strict=True))
    return image[:, top : top + size[0], left : left + size[1]]


def pad_symmetric(image: Tensor, pad: int) -> Tensor:
    """(3, H, W) to (3, H + 2 pad, W + 2 pad): the border mirrored outwards, its own pixels first."""
    _, H, W = image.shape
    pixels = image.permute(1, 2, 0)  # as they lie in memory, which halves the time
    pixels = torch.cat([pixels[:pad].flip(0), pixels, pixels[H - pad :].flip(0)])
    pixels = torch.cat([pixels[:, :pad].flip(1), pixels, pixels[:, W - pad :].flip(1)], 1)
    return pixels.permute(2, 0, 1)


def to_float(images: Tensor) -> Tensor:
    """uint8 in [0, 255] to float32 in [0, 1], the model's input: no mean or deviation is taken out."""
    return images.float().div_(255)
