"""What a download holds: unpacked without trusting it, or linked from where it lies, and searched."""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tqdm.auto import tqdm

from scmlib.errors import BadInput

# What a converter yields: a path below the data set's folder, and the file that belongs there or its content.
Files = Iterator[tuple[str, Path | bytes]]

CHUNK = 1 << 20  # bytes

# How zip, gzip, bzip2 and xz files begin: one that can't be opened all the same is a download cut short.
MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


class Entry(NamedTuple):
    """A file of an archive."""

    path: PurePosixPath
    size: int
    read: Callable[[], IO[bytes]]


def safe_path(name: str, where: Path) -> PurePosixPath:
    """A path that an archive or a list gives, which stays inside the folder that it's meant for.

    Raises:
        BadInput: it could lead out of the folder, here or on another system.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"^[A-Za-z]:|[\\\0]", name):
        raise BadInput(
            f"{where} has the entry {name[:80]!r}, which could land outside the folder it is unpacked to: "
            "don't trust this file, get it from the data set's authors."
        )
    return path


def passed_over(name: str) -> bool:
    """Whether a file or a folder is an operating system's or an editor's own."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db")


def _zip_entries(archive: zipfile.ZipFile, where: Path) -> Iterator[Entry]:
    for info in archive.infolist():
        path = safe_path(info.filename, where)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadInput(_special(where, info.filename))
        if info.flag_bits & 1:
            raise BadInput(
                f"{where} is encrypted: unpack it with the password that its authors gave you, "
                "and give the folder as --source."
            )
        if not info.is_dir():
            yield Entry(path, info.file_size, lambda info=info: archive.open(info))  # type: ignore[misc]


def _tar_entries(archive: tarfile.TarFile, where: Path) -> Iterator[Entry]:
    for member in archive.getmembers():
        path = safe_path(member.name, where)
        if not (member.isfile() or member.isdir()):
            raise BadInput(_special(where, member.name))
        if member.isfile():
            yield Entry(path, member.size, lambda member=member: archive.extractfile(member))  # type: ignore[misc, arg-type]
    # Python's reader takes a damaged header for the end. The true end is two blocks of zeros, and zeros after them.
    assert archive.fileobj
    if archive.fileobj.tell() - archive.offset < tarfile.BLOCKSIZE or any(archive.fileobj.read(CHUNK)):
        raise tarfile.ReadError("it ends in the middle")


def _special(where: Path, name: str) -> str:
    return (
        f"{where} has the entry {name[:80]!r}, a link or a device instead of a file: "
        "don't trust this file, get it from the data set's authors."
    )


@contextmanager
def _opened(archive: Path) -> Iterator[list[Entry]]:
    """The files of a zip or a tar, each name checked before the first is written.

    Raises:
        BadInput: the archive can't be read, or has an entry that isn't a plain file inside it.
    """
    try:
        if tarfile.is_tarfile(archive):  # first: a tar whose last file is a zip looks like a zip too
            with tarfile.open(archive) as tar:
                yield list(_tar_entries(tar, archive))
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                yield list(_zip_entries(packed, archive))
        elif archive.open("rb").read(8).startswith(MAGIC):
            raise EOFError("it ends in the middle")
        else:
            raise BadInput(
                f"{archive} is neither a zip nor a tar archive: check that the download wasn't a web page, "
                "or unpack it with the program it is made for and give the folder as --source."
            )
    except NotImplementedError as error:
        raise BadInput(
            f"{archive} is packed in a way that Python can't read ({error}): unpack it with another program "
            "and give the folder as --source."
        ) from error
    except Exception as error:  # whatever a damaged archive makes the readers raise
        if isinstance(error, BadInput) or (isinstance(error, OSError) and error.errno):
            raise
        raise BadInput(f"{archive} is damaged or incomplete ({error}): download it again.") from error


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack a zip or a tar, compressed or not, into a folder; system files and empty folders are passed over.

    Raises:
        BadInput: not such an archive, damaged, encrypted, empty, too large for the disk, or with an entry that would
            leave the folder, is a link or a device, or is there twice.
        OSError: a file can't be written.
    """
    with _opened(archive) as entries:
        entries = [entry for entry in entries if not any(map(passed_over, entry.path.parts))]
        paths = {entry.path for entry in entries}
        if not entries:
            raise BadInput(f"{archive} has no files in it: download it again.")
        if len(paths) < len(entries) or any(parent in paths for path in paths for parent in path.parents):
            raise BadInput(f"{archive} has two entries of one name: don't trust this file, download it again.")
        size = sum(entry.size for entry in entries)
        check_room(size, archive, folder)
        with tqdm(total=size, desc="unpacking", unit="B", unit_scale=True, disable=not progress) as bar:
            for entry in entries:
                target = folder / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with entry.read() as reader, target.open("xb") as writer:
                    while chunk := reader.read(CHUNK):
                        writer.write(chunk)
                        bar.update(len(chunk))


def check_room(size: int, source: Path, folder: Path) -> None:
    """Refuse what the disk of a folder has no room for.

    Raises:
        BadInput: less is free than `size` bytes.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInput(
            f"{source} needs {size / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB free: "
            "make room or choose a --dataset-root on another disk."
        )


def files_below(folder: Path) -> list[Path]:
    """All files in a folder at any depth, sorted, system files passed over.

    Raises:
        BadInput: something in it is a link to a folder, leads nowhere, or is no file at all.
    """
    found = []
    for path in sorted(folder.iterdir()):
        if passed_over(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            found += files_below(path)
        elif path.is_file():
            found.append(path)
        else:
            raise BadInput(f"{path} is no file, but a link to a folder or to nothing: put what it stands for there.")
    return found


def link_folder(source: Path, folder: Path, *, progress: bool = True) -> None:
    """Bring the files of a folder into another, as hard links where the disk allows it, else as copies.

    Raises:
        BadInput: something in it isn't a file, or the copies are too large for the disk.
        OSError: a file can't be read or written.
    """
    files = files_below(source)
    if source.stat().st_dev != folder.stat().st_dev:
        check_room(sum(path.stat().st_size for path in files), source, folder)
    for path in tqdm(files, desc="linking", unit="file", disable=not progress):
        put(path, folder / path.relative_to(source))


def put(content: Path | bytes, target: Path) -> None:
    """Make a file: from bytes, or as a hard link to another file, or as its copy where links aren't possible.

    Raises:
        OSError: it can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
        return
    original = content.resolve()  # a link would link to the link
    try:
        target.hardlink_to(original)
    except OSError:
        shutil.copyfile(original, target)


def lookup(folder: Path, place: str) -> Path | None:
    """The file or folder `place` below a folder, in any letter case, the given one first; None if it isn't there."""
    here = folder
    for part in place.split("/"):
        if not (here / part).exists():
            inside = here.iterdir() if here.is_dir() else ()
            fits = sorted(path.name for path in inside if path.name.lower() == part.lower())
            if not fits:
                return None
            part = fits[0]
        here = here / part
    return here


def lacking(folder: Path, places: Iterable[str]) -> list[str]:
    """Those of the places that a folder doesn't hold in any letter case."""
    return [place for place in places if lookup(folder, place) is None]


def folders_in(folder: Path) -> list[Path]:
    """A folder and all below it, sorted."""
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def holders(folder: Path, places: Iterable[str]) -> list[Path]:
    """The folders, at any depth, that hold all the places."""
    wanted = tuple(places)
    return [here for here in folders_in(folder) if not lacking(here, wanted)]


def by_name(folder: Path) -> dict[str, Path]:
    """The files in a folder at any depth by their names; of several, the last of the sorted ones."""
    return {path.name: path for path in files_below(folder)}


def refuse_missing(missing: list[str], listing: Path, where: str) -> None:
    """Refuse a list that names files which aren't there.

    Raises:
        BadInput: `missing` isn't empty; names the first and how many.
    """
    if missing:
        raise BadInput(
            f"{listing} names {missing[0]}, which isn't in {where} ({len(missing)} missing in all): "
            "complete the download and try again."
        )
