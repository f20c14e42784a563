"""Files from strangers: each with what must come of it, one sentence (a pattern of it) or a reading that works ("")."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from scipy.io import savemat

from data_prep.downloads.archives import unpack
from data_prep.world.folder import read_settings
from scmlib.checkpoints import own_facts, read_state
from scmlib.data.images import read_image
from scmlib.data.readers import ListedImages, MarketFolder, bird_table, car_table
from scmlib.data.tables import read_table
from scmlib.errors import BadInput
from scmlib.run_folder import read_facts
from scmlib.settings import recipe

ODD_VALUES: tuple[object, ...] = (None, [], {}, "x", -1, 1e400, True)

SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)  # where a file is cut


class Case(NamedTuple):
    """A file that is written into an empty folder, and read."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    wanted: str  # a pattern of the sentence; empty where the file is good


def content(name: str, data: bytes | str) -> Callable[[Path], Path]:
    """What writes a file of this content."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


class Payload:
    """What a pickle runs when it is loaded."""

    def __init__(self, call: Callable[..., Any], *arguments: object):
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call, self.arguments


def torch_file(content: object, *, legacy: bool = False) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def lying(header: object, data: bytes = b"\0" * 16, length: int | None = None) -> bytes:
    """A safetensors file whose header says what it likes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def weights() -> Iterator[Case]:
    """Checkpoints: with code in them, cut, lying."""
    good = {"a.weight": torch.ones(8, 8), "b.bias": torch.zeros(8)}
    code = r"holds a pickled object \("
    calls: dict[str, tuple[Any, ...]] = {
        "eval": (eval, "1"),
        "exec": (exec, "1"),
        "touch": (Path.touch, Path("owned")),
        "open": (open, "owned", "w"),
    }
    for name, call in calls.items():
        for protocol in (2, 3, 4):
            pickled = pickle.dumps({"a": Payload(*call)}, protocol=protocol)
            said = code if protocol == 2 else code + "|can't be read as weights"
            yield Case(f"raw pickle {protocol} that calls {name}", content("a.pth", pickled), read_state, said)
        for legacy in (False, True):
            data = torch_file({"a": Payload(*call)}, legacy=legacy)
            yield Case(f"torch file (legacy {legacy}) that calls {name}", content("a.pth", data), read_state, code)
    unread = r"can't be read as weights|holds a pickled object \(torch\.FloatStor\)"  # a name that is cut too
    files = {"a.pth": torch_file(good), "old.pth": torch_file(good, legacy=True), "a.safetensors": save(good)}
    for name, data in files.items():
        yield Case(f"whole {name}", content(name, data), read_state, "")
        for share in SHARES:
            yield Case(f"{name} cut at {share}", content(name, data[: int(share * len(data))]), read_state, unread)
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    headers: dict[str, bytes] = {
        "length beyond the file": lying({"a": tensor}, length=10_000),
        "length 2^63": lying({"a": tensor}, length=2**63),
        "length 2^64 - 1": lying({"a": tensor}, length=2**64 - 1),
        "length 0": lying({"a": tensor}, length=0),
        "offsets beyond": lying({"a": {**tensor, "shape": [400], "data_offsets": [0, 1600]}}),
        "offsets backwards": lying({"a": {**tensor, "data_offsets": [16, 0]}}),
        "offsets negative": lying({"a": {**tensor, "data_offsets": [-16, 0]}}),
        "offsets overlap": lying({"a": tensor, "b": tensor}),
        "hole": lying({"a": {**tensor, "data_offsets": [4, 20]}}, b"\0" * 20),
        "shape doesn't fit": lying({"a": {**tensor, "shape": [5]}}),
        "shape overflows": lying({"a": {**tensor, "shape": [2**62, 2**62]}}),
        "shape negative": lying({"a": {**tensor, "shape": [-4]}}),
        "dtype unknown": lying({"a": {**tensor, "dtype": "F31"}}),
        "dtype missing": lying({"a": {"shape": [4], "data_offsets": [0, 16]}}),
        "no JSON": lying(b"{{{{"),
        "no UTF-8": lying(b"\xff\xfe{}"),
        "a list": lying([1, 2]),
        "deep": lying(b"[" * 50_000),
        "metadata a number": lying({"__metadata__": 3, "a": tensor}),
        "metadata of numbers": lying({"__metadata__": {"scmlib": 3}, "a": tensor}),
    }
    for name, data in headers.items():
        yield Case(f"safetensors: {name}", content("a.safetensors", data), read_state, unread)
    for name, facts in {"no JSON": "{", "a list": "[1]", "a number": "1", "no settings": '{"a": 1}'}.items():
        data = save(good, {"scmlib": facts})
        yield Case(f"our header: {name}", content("a.safetensors", data), own_facts, "has a damaged header")
    others = {"empty": b"", "text": b"hello", "zeros": bytes(5000), "ones": b"\xff" * 5000, "picture": picture("PNG")}
    for name, data in others.items():
        yield Case(f"{name} as .pth", content("a.pth", data), read_state, unread)
        yield Case(f"{name} as .safetensors", content("a.safetensors", data), read_state, unread)


def picture(kind: str, size: tuple[int, int] = (32, 48)) -> bytes:
    """A file of Pillow's."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def claimed(width: int, height: int) -> dict[str, bytes]:
    """Small files that claim to be large pictures."""
    png = bytearray(picture("PNG"))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    bmp = bytearray(picture("BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    gif = bytearray(picture("GIF"))
    gif[6:10] = struct.pack("<HH", min(width, 65535), min(height, 65535))
    return {
        "png": bytes(png),
        "bmp": bytes(bmp),
        "gif": bytes(gif),
        "ppm": f"P6 {width} {height} 255\n".encode() + b"\0" * 64,
    }


def images() -> Iterator[Case]:
    """Pictures: cut, mislabelled, of absurd size, of formats that aren't read."""
    unread = "can't be read as an image"
    kinds = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP", "gif": "GIF", "ppm": "PPM", "jp2": "JPEG2000"}
    for suffix, kind in kinds.items():
        data = picture(kind)
        yield Case(f"whole {kind}", content(f"a.{suffix}", data), read_image, "")
        yield Case(f"{kind} called .tif", content("a.tif", data), read_image, "")
        for share in (0.01, 0.1, 0.5):
            name = f"{kind} cut at {share}"
            yield Case(name, content(f"a.{suffix}", data[: int(share * len(data))]), read_image, unread)
    for width, height in ((60_000, 60_000), (11_000, 11_000)):
        for suffix, data in claimed(width, height).items():
            name = f"{suffix} that claims {width} x {height}"
            yield Case(name, content(f"a.{suffix}", data), read_image, f"{unread}|has .* pixels, more than")
    strangers = {
        "empty": b"",
        "text": b"hello",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "PDF": b"%PDF-1.7\n",
        "icon": picture("ICO"),
        "web page": b"<!doctype html>",
    }
    for name, data in strangers.items():
        yield Case(f"{name} as .jpg", content("a.jpg", data), read_image, unread)
    for name in ("ä.png", "名前.png", "a b.png", "<script>.png", "🧍.png", "a'b\"c.png", "-rf.png", "$(id).png"):
        yield Case(f"picture named {name}", content(name, picture("PNG")), read_image, "")

    def loop(folder: Path) -> Path:
        (folder / "a.png").symlink_to("b.png")
        (folder / "b.png").symlink_to("a.png")
        return folder / "a.png"

    def nested(folder: Path) -> Path:
        (folder / "a.png").mkdir()
        return folder / "a.png"

    yield Case("link that leads to itself", loop, read_image, unread)
    yield Case("folder named as a picture", nested, read_image, unread)
    yield Case("line break in the name", content("a\nb.png", b""), read_image, unread)


def zipped(*names: str, mode: int = 0, flags: int = 0) -> bytes:
    """A zip file with these names in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, b"x" * 1000)
    data = bytearray(buffer.getvalue())
    if flags:
        for start in (data.index(b"PK\3\4") + 6, data.index(b"PK\1\2") + 8):
            data[start] |= flags
    return bytes(data)


def tarred(*names: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: str = "w") -> bytes:
    """A tar file with these names in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = 1000 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def unpacked(path: Path) -> None:
    """Unpack an archive; nothing may land beside the folder it goes to."""
    folder = path.parent / "deep" / "into"
    folder.mkdir(parents=True)
    try:
        unpack(path, folder, progress=False)
    finally:
        assert sorted(entry.name for entry in path.parent.iterdir()) == sorted([path.name, "deep"])
        assert [entry.name for entry in folder.parent.iterdir()] == ["into"]


def archives() -> Iterator[Case]:
    """Archives: with ways out, links, devices, claims; cut and encrypted."""
    out = "could land outside"
    ways = ("../x", "a/../../x", "/x", "/etc/x", "..\\x", "C:\\x", "C:x", "\\\\server\\x", "a/..", "..")
    for name in ways:
        yield Case(f"zip with {name}", content("a.zip", zipped("good", name)), unpacked, out)
        yield Case(f"tar with {name}", content("a.tar", tarred("good", name)), unpacked, out)
    special = "a link or a device instead of a file"
    kinds = {
        "symlink": tarfile.SYMTYPE,
        "hard link": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "pipe": tarfile.FIFOTYPE,
    }
    for name, kind in kinds.items():
        for link in ("../../x", "/etc/passwd", "good"):
            yield Case(f"tar: {name} to {link}", content("a.tar", tarred("a", kind=kind, link=link)), unpacked, special)
    yield Case("zip: symlink", content("a.zip", zipped("a", mode=0o120777)), unpacked, special)
    yield Case("zip: device", content("a.zip", zipped("a", mode=0o020666)), unpacked, special)
    yield Case("zip: encrypted", content("a.zip", zipped("a", flags=1)), unpacked, "is encrypted")
    bomb = bytearray(zipped("a"))
    at = bomb.index(b"PK\1\2") + 24
    bomb[at : at + 4] = struct.pack("<I", 2**32 - 2)
    yield Case("zip that claims 4 GB", content("a.zip", bytes(bomb)), unpacked, "")
    bomb[at : at + 4] = struct.pack("<I", 10)
    yield Case("zip that holds more than it claims", content("a.zip", bytes(bomb)), unpacked, "damaged or incomplete")
    yield Case("zip: one name twice", content("a.zip", tarred("a", "a")), unpacked, "two entries of one name")
    yield Case("zip: file and folder", content("a.zip", zipped("a", "a/b")), unpacked, "two entries of one name")
    yield Case("empty zip", content("a.zip", zipped()), unpacked, "has no files in it")
    yield Case("names in any script", content("a.zip", zipped("ä/名前.jpg", "🧍.jpg", "<script>.jpg")), unpacked, "")
    files = {"a.zip": zipped("a", "b"), "a.tar": tarred("a", "b"), "a.tar.gz": tarred("a", "b", mode="w:gz")}
    for name, data in files.items():
        yield Case(f"whole {name}", content(name, data), unpacked, "")
        for share in (0.05, 0.1, 0.2, 0.3):  # a whole tar ends in many zeros
            cut = data[: int(share * len(data))]
            yield Case(f"{name} cut at {share}", content(name, cut), unpacked, "damaged or incomplete|neither a zip")


def tables() -> Iterator[Case]:
    """Tables, lists, annotations and file names."""

    def beside(name: str, text: bytes | str) -> Callable[[Path], Path]:
        def write(folder: Path) -> Path:
            content("a.jpg", b"x")(folder)
            content("image/1.jpg", b"x")(folder)
            return content(name, text)(folder)

        return write

    bad: dict[str, tuple[bytes | str, str]] = {
        "empty": ("", "no column"),
        "only a header": ("path,identity\n", "names no pictures"),
        "no identity": ("path\na.jpg\n", "no column identity"),
        "column twice": ("path,path,identity\n", "twice"),
        "cut in a line": ("path,identity\na.j", "isn't named as a picture|has no identity"),
        "open quote": ('path,identity\n"a.jpg,1', "is no CSV"),
        "absolute path": ("path,identity\n/etc/a.jpg,1\n", "absolute path"),
        "drive": ("path,identity\nC:\\a.jpg,1\n", "absolute path"),
        "missing": ("path,identity\nb.jpg,1\n", "is missing below"),
        "no picture": ("path,identity\nimages.csv,1\n", "isn't named as a picture"),
        "twice": ("path,identity\na.jpg,1\n./a.jpg,1\n", "again, after line 2"),
        "split": ("path,identity,split\na.jpg,1,tset\n", "has the split 'tset'"),
        "not UTF-8": (b"path,identity\n\xff.jpg,1\n", "isn't UTF-8"),
        "UTF-16": ("path,identity\na.jpg,1\n".encode("utf-16"), "isn't UTF-8"),
        "NUL": (b"path,identity\na\0.jpg,1\n", "is missing|no CSV"),
        "huge cell": ("path,identity\n" + "a" * 200_000 + ".jpg,1\n", "no CSV"),
        "long name": ("path,identity\n" + "a" * 5_000 + ".jpg,1\n", "is missing below"),
        "a million lines": ("path,identity\n" + "b.jpg,1\n" * 1_000_000, "is missing below"),
    }
    for name, (text, wanted) in bad.items():
        yield Case(f"table: {name}", beside("images.csv", text), read_table, wanted)
    for name in ("1", "<script>alert(1)</script>", "名前", "=1+1", "' OR 1=1", "\u202eevil"):
        text = f"path,identity\na.jpg,{name}\n"
        yield Case(f"table: identity {name!r}", beside("images.csv", text), read_table, "")

    def listed(path: Path) -> object:
        return ListedImages(path.name).read(path.parent)

    lists: dict[str, tuple[bytes | str, str]] = {
        "good": ("1 7\n", ""),
        "three words": ("1 7 9\n", "where IMAGE ID belongs"),
        "no number": ("1 x\n", "where a number belongs"),
        "huge number": (f"1 {'9' * 5000}\n", "where a number belongs"),
        "missing": ("2 7\n", "is missing, though"),
        "twice": ("1 7\n1 7\n", "twice"),
        "empty": ("", "leads to no images"),
        "binary": (bytes(range(256)), "is no text file"),
        "way out": ("../../etc/passwd 7\n", "is missing, though"),
    }
    for name, (text, wanted) in lists.items():
        yield Case(f"list: {name}", beside("list.txt", text), listed, wanted)
    for name in (
        "0001.jpg",
        "x_c1.jpg",
        "_c1.jpg",
        "1_cx.jpg",
        f"{'9' * 30}_c1.jpg",
        "１_c1.jpg",
        "名_c1.jpg",
        "1-c1.jpg",
    ):
        read = lambda path: MarketFolder(".").read(path.parent)  # noqa: E731
        yield Case(f"file named {name}", content(name, b"x"), read, "isn't named as in Market-1501")
    mat = io.BytesIO()
    savemat(mat, {"other": np.zeros((2, 6))})  # type: ignore[arg-type]
    cars = {"text": b"hello", "empty": b"", "other": mat.getvalue(), "huge": mat.getvalue()[:200] + b"\xff" * 400}
    cars |= {f"cut at {share}": mat.getvalue()[: int(share * len(mat.getvalue()))] for share in SHARES}
    for name, data in cars.items():
        read_cars = lambda path: car_table(path.parent)  # noqa: E731
        yield Case(f".mat: {name}", content("cars_annos.mat", data), read_cars, "can't be read as Stanford Cars'")
    for name, text in {"no path": "1\n", "other index": "9 a.jpg\n", "class": "1 a.jpg\n"}.items():

        def write(folder: Path, text: str = text) -> Path:
            content("image_class_labels.txt", "1 x\n")(folder)
            return content("images.txt", text)(folder)

        yield Case(f"birds: {name}", write, lambda path: bird_table(path.parent), "isn't INDEX PATH|where a number")


def edited() -> Iterator[Case]:
    """Settings and worlds that somebody edited by hand."""
    good = recipe("synthetic", "regnet_y_tiny").as_dict()
    for name in good:
        for value in ODD_VALUES:
            facts = {"settings": {**good, name: value}, "versions": {}}
            fits = isinstance(value, str | int | float)  # a few of these may
            wanted = "" if fits else r"settings\.json can't be read"
            yield Case(
                f"settings: {name} {value!r}",
                content("settings.json", json.dumps(facts)),
                fitting_or_refused if fits else facts_of,
                wanted,
            )
    others = {"empty": "", "list": "[]", "null": "null", "deep": "[" * 100_000, "no settings": "{}", "number": "3"}
    others |= {"not text": "\udcff".encode(errors="surrogateescape").decode("latin1"), "cut": '{"settings": {'}
    for name, text in others.items():
        yield Case(f"settings: {name}", content("settings.json", text), facts_of, r"settings\.json can't be read")
        yield Case(
            f"world: {name}",
            content("ground_truth/world.json", text),
            world_of,
            "" if text == "{}" else "isn't the settings",
        )
    values: dict[str, object] = {"seed": "x", "cameras": 1, "height": 33, "width": 2**70, "hidden": 3, "cast": None}
    values |= {"hidden ": [0, 1], "train_kinds": "pole", "test_kinds": [[]], "loose": [1], "twins": "0.5", "new": 1}
    for name, odd in values.items():
        text = json.dumps({name.strip(): odd})
        yield Case(f"world: {name} {odd!r}", content("ground_truth/world.json", text), world_of, "isn't the settings")


def fitting_or_refused(path: Path) -> None:
    """Read the facts in a run folder; whether a plain value fits is its setting's to say."""
    with suppress(BadInput):
        read_facts(path.parent)


def facts_of(path: Path) -> object:
    """The facts in a run folder."""
    return read_facts(path.parent)


def world_of(path: Path) -> object:
    """The settings of a drawn world."""
    return read_settings(path.parents[1])


def cases() -> list[Case]:
    """All of them, under different names."""
    return [case for part in (weights, images, archives, tables, edited) for case in part()]
