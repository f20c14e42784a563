"""Records: one image each, where it lies and whom it shows; and which files count as images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scmlib.errors import BadInput

# What counts as a picture, for every command: the suffixes of the formats that `scmlib.data.images` reads.
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".apng"),
    *(".tif", ".tiff"),
    *(".bmp", ".webp", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    *(".avif", ".avifs"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """One image: where it lies and who, seen by which camera, it shows."""

    path: Path
    identity: int
    camera: int
    label: int = -1  # training label, 0 .. n-1; -1 outside the training split
    view: str = ""  # the folder above the identity's, where a data set has such: `satellite`, `occluded_body_images`
    margin: int = 0  # pixels that its framing cuts off after resizing, see `read_image`


def is_image(path: Path) -> bool:
    """Whether a file counts as an image, by its suffix in any letter case; hidden ones (`._a.jpg`) don't."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_bystander(name: str) -> bool:
    """Whether a file or a folder is a system's own or a note to people, which nobody misses among pictures."""
    return name.startswith((".", "__MACOSX")) or name.lower().startswith(("readme", "thumbs.db", "desktop.ini"))


def image_files(folder: Path) -> list[Path]:
    """All images directly in a folder, sorted.

    Raises:
        BadInput: no such folder, or no image in it.
    """
    files = sorted(path for path in entries(folder) if is_image(path))
    if not files:
        raise BadInput(f"{folder} has no images (.jpg, .png, .tif, .webp ...): was the archive unpacked completely?")
    return files


def entries(folder: Path) -> Iterable[Path]:
    """What lies directly in a folder.

    Raises:
        BadInput: no such folder.
    """
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is missing: check --dataset-root and the folder names; `scm prepare` arranges a download."
        )
    return folder.iterdir()


def by_path(records: list[Record], where: Path) -> list[Record]:
    """Records sorted by path; refuses an empty list."""
    if not records:
        raise BadInput(f"{where} leads to no images: was the archive unpacked completely?")
    return sorted(records, key=lambda record: record.path)
