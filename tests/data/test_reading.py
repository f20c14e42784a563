"""Reading pictures as people have them: turned, deep, transparent, animated, of any format; never silently wrong."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

from scmlib.analysis.colours import stripe_histograms
from scmlib.data.images import FORMATS, SAFE_FORMATS, open_picture, orientation, read_image
from scmlib.data.inspection import examine
from scmlib.data.layouts import LAYOUTS
from scmlib.data.loading import Augmentation, RecordImages
from scmlib.data.records import SUFFIXES, Record, is_image
from scmlib.errors import BadInput

GREY = np.random.default_rng(0).integers(0, 256, (24, 40), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def written(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) as the library reads a file."""
    return read_image(path).permute(1, 2, 0).numpy()


def grey(path: Path) -> NDArray[np.uint8]:
    """(H, W) of a picture whose three channels are the same."""
    pixels = pixels_of(path)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


# ---- orientation

# What a camera stores of an upright picture, by the EXIF standard: 6 says that the stored row 0 is the right-hand side.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


def exif(value: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = value
    return tags


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "lzw.tif", "a.webp"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_read_upright(value: int, name: str, tmp_path: Path) -> None:
    every: dict[str, dict[str, Any]] = {"lzw.tif": {"compression": "tiff_lzw"}, "a.webp": {"lossless": True}}
    options = every.get(name, {})
    path = written(tmp_path / name, np.ascontiguousarray(STORED[value](COLOUR)), exif=exif(value), **options)
    assert (pixels_of(path) == COLOUR).all()
    with open_picture(path) as file:
        assert orientation(file) == value
    seen = examine(path)
    assert (seen.width, seen.height, seen.orientation) == (40, 24, value)
    assert seen.digest == examine(written(tmp_path / "upright.png", COLOUR)).digest


@pytest.mark.parametrize("value", range(1, 9))
def test_turned_photographs_are_upright_wherever_they_are_read(value: int, tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(COLOUR[:3, :5]).resize((80, 160), Image.Resampling.BICUBIC))
    upright = written(tmp_path / "upright.jpg", smooth, quality=95)
    turned = written(tmp_path / "turned.jpg", np.ascontiguousarray(STORED[value](smooth)), quality=95, exif=exif(value))
    records = [Record(path, 1, 1, 0) for path in (upright, turned)]

    def same(pair: list[Tensor]) -> bool:
        return pair[0].shape == pair[1].shape and float((pair[0].float() - pair[1].float()).abs().mean()) < 2

    augment = Augmentation(LAYOUTS["market1501"], (64, 32))
    assert same([read_image(record.path, (64, 32)) for record in records])  # evaluation, masks, explorers
    assert same([RecordImages(records, (64, 32))[i][0] for i in (0, 1)])
    assert same([augment.prepare(record.path) for record in records])  # training
    one, other = stripe_histograms(records)
    assert np.allclose(one, other, atol=0.2)


def test_damaged_metadata_leave_a_picture_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", COLOUR, exif=b"Exif\0\0 no metadata at all")
    assert (pixels_of(path) == COLOUR).all()
    assert (pixels_of(written(tmp_path / "b.png", COLOUR, exif=exif(9))) == COLOUR).all()


# ---- depth and modes


def png16(path: Path, values: NDArray[np.integer[Any]]) -> Path:
    """A PNG of 16 bits: (H, W) grey, or (H, W, C) with 2 channels for grey and alpha, 3 for RGB, 4 for RGBA."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def tiff(path: Path, values: NDArray[Any], *, order: str = "<", photometric: int = 1, bits: int = 0) -> Path:
    """An uncompressed TIFF of one strip, with tags that Pillow's own writer doesn't offer."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    data = values.tobytes() if bits else values.astype(values.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    width = values.shape[1] * values.dtype.itemsize * 8 // bits if bits else values.shape[1]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    depth = bits or values.dtype.itemsize * 8
    first = 8 + 2 + 10 * 12 + 4
    tags = [(256, 1, width), (257, 1, values.shape[0]), (258, channels, depth), (259, 1, 1), (262, 1, photometric)]
    tags += [(273, 1, first + 4 * channels), (277, 1, channels), (278, 1, values.shape[0]), (279, 1, len(data))]
    tags += [(339, channels, kind)]
    entries, several = b"", b""
    for tag, count, value in tags:
        if count > 1:  # three or more shorts stand elsewhere
            entries += struct.pack(f"{order}HHII", tag, 3, count, first + len(several))
            several += struct.pack(f"{order}{count}H", *[value] * count)
        elif tag in (258, 262, 259, 277, 339):
            entries += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
        else:
            entries += struct.pack(f"{order}HHII", tag, 4, 1, value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    path.write_bytes(head + entries + struct.pack(f"{order}I", 0) + several.ljust(4 * channels, b"\0") + data)
    return path


def test_16_bit_grey_is_read_as_8_bit_grey(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 257
    assert (grey(png16(tmp_path / "a.png", deep)) == GREY).all()
    assert (grey(written(tmp_path / "b.png", deep)) == GREY).all()
    assert (grey(written(tmp_path / "a.tif", deep)) == GREY).all()
    assert (grey(tiff(tmp_path / "little.tif", deep)) == GREY).all()
    assert (grey(tiff(tmp_path / "big.tif", deep, order=">")) == GREY).all()
    assert (grey(tiff(tmp_path / "white_is_zero.tif", 65535 - deep, photometric=0)) == GREY).all()
    assert (grey(written(tmp_path / "a.jp2", deep)) == GREY).all()


def test_16_bit_grey_is_rounded(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 32767, 32768, 65406, 65407, 65535]], np.uint16)
    assert grey(written(tmp_path / "a.png", values)).tolist() == [[0, 0, 1, 127, 128, 254, 255, 255]]


def test_12_bits_have_their_own_white(tmp_path: Path) -> None:
    packed = np.tile(np.array([[0xFF, 0xF0, 0x00]], np.uint8), (24, 8))  # twelve ones, twelve zeros
    values = grey(tiff(tmp_path / "a.tif", packed, bits=12))
    assert values.shape == (24, 16)
    assert values[0].tolist() == [255, 0] * 8


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_keeps_its_upper_half(order: str, tmp_path: Path) -> None:
    deep = COLOUR.astype(np.uint16) * 257
    assert (pixels_of(tiff(tmp_path / "a.tif", deep, order=order, photometric=2)) == COLOUR).all()
    assert (pixels_of(png16(tmp_path / "a.png", deep)) == COLOUR).all()
    opaque = np.dstack([deep, np.full_like(deep[..., 0], 65535)])
    assert (pixels_of(png16(tmp_path / "b.png", opaque)) == COLOUR).all()
    assert (grey(png16(tmp_path / "c.png", opaque[..., [0, 3]])) == COLOUR[..., 0]).all()


@pytest.mark.parametrize("white", [1023, 4095, 65535])
def test_pgm_says_which_value_is_white(white: int, tmp_path: Path) -> None:
    values = np.rint(GREY / 255 * white).astype(">u2")
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n40 24\n%d\n" % white + values.tobytes())
    assert (grey(path) == GREY).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (GREY.astype(np.float32), r"holds floats \(mode F, 0 to 255\)"),
        (GREY.astype(np.float32) / 255, r"holds floats \(mode F, 0 to 1\)"),
        (GREY.astype(np.int32), r"holds long integers \(mode I, 0 to 255\)"),
        (GREY.astype(np.uint32) * 257, r"holds long integers \(mode I, 0 to 65535\)"),
        (GREY.astype(np.int16), r"holds long integers \(mode I, 0 to 255\)"),
    ],
)
def test_range_that_nothing_says_is_refused(values: NDArray[Any], said: str, tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", values)
    with pytest.raises(BadInput, match=rf"a\.tif {said} and nothing says which value is white: save it with 8 or 16"):
        read_image(path)
    assert examine(path).problem.startswith("holds ")


@pytest.mark.parametrize("values", [GREY.astype(np.float64), COLOUR.astype(np.float32)])
def test_what_pillow_cannot_read_is_refused(values: NDArray[Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.tif can't be read as an image"):
        read_image(tiff(tmp_path / "a.tif", values, photometric=1 if values.ndim == 2 else 2))


def test_8_bit_grey_and_palettes_keep_their_colours(tmp_path: Path) -> None:
    assert (grey(written(tmp_path / "l.png", GREY)) == GREY).all()
    assert (grey(tiff(tmp_path / "w.tif", 255 - GREY, photometric=0)) == GREY).all()
    two = GREY > 127
    assert (grey(written(tmp_path / "1.png", two)) == two * 255).all()
    few = Image.fromarray(COLOUR).quantize(16)
    few.save(tmp_path / "p.png")
    few.save(tmp_path / "p.gif")
    assert (pixels_of(tmp_path / "p.png") == np.asarray(few.convert("RGB"))).all()
    assert (pixels_of(tmp_path / "p.gif") == np.asarray(few.convert("RGB"))).all()


def test_other_colour_spaces_become_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (254, 0, 0))
    red.convert("YCbCr").save(tmp_path / "y.tif")
    red.convert("CMYK").save(tmp_path / "c.tif")
    red.convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    for name in ("y.tif", "c.tif", "c.jpg"):
        assert np.abs(pixels_of(tmp_path / name).astype(int) - (254, 0, 0)).max() <= 2, name
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "lab.tif")
    assert pixels_of(tmp_path / "lab.tif").min() >= 254  # white


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    """A cut-out shows its person on black, whatever colour lies below the transparent pixels."""
    alpha = np.where(np.arange(40) < 20, 255, 0).astype(np.uint8)[None].repeat(24, 0)
    on_black = np.where(alpha[..., None] > 0, COLOUR, 0)
    cut = np.dstack([COLOUR, alpha])
    assert (pixels_of(written(tmp_path / "rgba.png", cut)) == on_black).all()
    assert (pixels_of(written(tmp_path / "rgba.webp", cut, lossless=True, exact=True)) == on_black).all()
    assert (grey(written(tmp_path / "la.png", np.dstack([GREY, alpha]))) == np.where(alpha > 0, GREY, 0)).all()
    half = written(tmp_path / "half.png", np.dstack([np.full_like(COLOUR, 200), np.full_like(alpha, 51)]))
    assert (pixels_of(half) == 40).all()  # a fifth of 200
    palette = Image.fromarray(np.uint8(GREY > 127)).convert("P")
    palette.putpalette([250, 240, 230, 10, 20, 30])
    palette.save(tmp_path / "p.png", transparency=0)
    assert (pixels_of(tmp_path / "p.png") == np.where((GREY > 127)[..., None], (10, 20, 30), 0)).all()
    written(tmp_path / "key.png", GREY, transparency=int(GREY[0, 0]))
    assert (grey(tmp_path / "key.png") == np.where(GREY[0, 0] == GREY, 0, GREY)).all()
    written(tmp_path / "key16.png", GREY.astype(np.uint16) * 257, transparency=int(GREY[0, 0]) * 257)
    assert (grey(tmp_path / "key16.png") == np.where(GREY[0, 0] == GREY, 0, GREY)).all()


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tiff"])
def test_first_frame_is_read_and_all_are_counted(name: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 6, 3), value, np.uint8)) for value in (200, 100, 0)]
    options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    assert (pixels_of(tmp_path / name) == 200).all()
    assert examine(tmp_path / name).frames == 3
    assert examine(written(tmp_path / "single.gif", GREY)).frames == 1


# ---- formats


def test_suffixes_are_those_of_the_formats() -> None:
    Image.init()
    assert set(FORMATS) | {"AVIF"} == set(SAFE_FORMATS)
    ours = {suffix for suffix, kind in Image.registered_extensions().items() if kind in SAFE_FORMATS}
    assert ours | {".avif", ".avifs"} == SUFFIXES
    assert not {".eps", ".pdf", ".ps", ".ico", ".psd", ".wmf"} & SUFFIXES
    assert is_image(Path("a.WebP"))
    assert not is_image(Path("._a.webp"))


@pytest.mark.parametrize("name", ["a.bmp", "a.webp", "a.tiff", "a.TIF", "a.ppm", "a.jp2", "a.png"])
def test_every_format_is_read_exactly(name: str, tmp_path: Path) -> None:
    options = {"a.webp": {"lossless": True}, "a.jp2": {"irreversible": False}}.get(name, {})
    assert (pixels_of(written(tmp_path / name, COLOUR, **options)) == COLOUR).all()


def test_content_decides_and_unsafe_formats_are_refused(tmp_path: Path) -> None:
    """A PNG that is called .jpg is read; PostScript that is called so isn't run."""
    content = io.BytesIO()
    Image.fromarray(COLOUR).save(content, "PNG")
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    assert (pixels_of(tmp_path / "a.jpg") == COLOUR).all()
    for kind in ("EPS", "ICO", "TGA", "PDF"):
        Image.fromarray(COLOUR).save(content := io.BytesIO(), kind)
        (tmp_path / "b.jpg").write_bytes(content.getvalue())
        with pytest.raises(BadInput, match=r"b\.jpg can't be read as an image"):
            read_image(tmp_path / "b.jpg")


def test_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.png", COLOUR)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadInput, match=r"a\.png can't be read as an image \(Image size .* exceeds limit"):
        read_image(path)
    assert "exceeds limit" in examine(path).problem


def test_resizing_comes_after_turning(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", np.ascontiguousarray(STORED[6](COLOUR)), exif=exif(6))
    whole = written(tmp_path / "b.png", COLOUR)
    assert torch.equal(read_image(path, (48, 16), margin=8), read_image(whole, (48, 16), margin=8))
