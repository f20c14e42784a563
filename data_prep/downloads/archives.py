"""Put the files of a download into a folder: unpack an archive safely, or link the files of a folder."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tqdm.auto import tqdm

from data_prep.downloads.search import files_below, is_system_file
from scmlib.errors import BadInput

# What a converter yields: a path below the data set's folder, and the source file to put there or the new content.
Files = Iterator[tuple[str, Path | bytes]]

CHUNK = 1 << 20  # bytes

# The first bytes of zip, gzip, bzip2 and xz files. A file that begins so but can't be opened was cut short.
MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


class Entry(NamedTuple):
    """A file in an archive."""

    path: PurePosixPath
    size: int  # bytes, unpacked
    read: Callable[[], IO[bytes]]  # opens the file for reading


def safe_path(name: str, where: Path) -> PurePosixPath:
    """Check that a path from an archive or a list stays inside the folder it is used in.

    Args:
        name: the path, as the archive or the list gives it.
        where: the archive or the list, for the message.

    Returns:
        The same path.

    Raises:
        BadInput: the path could lead out of the folder, on this system or another.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"^[A-Za-z]:|[\\\0]", name):
        raise BadInput(
            f"{where} has the entry {name[:80]!r}, which could land outside the folder it is unpacked to: "
            "don't trust this file, get it from the data set's authors."
        )
    return path


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
    # Python's reader takes a damaged header for the end. At the true end there are at least two blocks of zeros, and
    # nothing but zeros after them.
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
    """Open a zip or tar archive and list its files. All names are checked before anything is written.

    Raises:
        BadInput: the archive can't be read, or an entry has an unsafe path or is neither a file nor a folder.
    """
    try:
        if tarfile.is_tarfile(archive):  # checked first: a tar whose last file is a zip also looks like a zip
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
    except Exception as error:  # a damaged archive can make the readers raise anything
        system = isinstance(error, OSError) and error.errno not in (
            None,
            errno.EINVAL,
        )  # a place before the file's start
        if isinstance(error, BadInput) or system:
            raise
        raise BadInput(f"{archive} is damaged or incomplete ({error}): download it again.") from error


def unpack(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack a zip or tar archive, compressed or not, into a folder. System files and empty folders are left out.

    Args:
        archive: the zip or tar file.
        folder: where to unpack; it exists and is empty.
        progress: whether to show a bar.

    Raises:
        BadInput: the file is no such archive, or is damaged, encrypted, empty or too large for the disk; or an entry
            would leave the folder, is a link or a device, or appears twice.
        OSError: a file can't be written.
    """
    with _opened(archive) as entries:
        entries = [entry for entry in entries if not any(map(is_system_file, entry.path.parts))]
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
    """Check that a disk has enough free space.

    Args:
        size: the space needed, in bytes.
        source: what needs it, for the message.
        folder: a folder on the disk.

    Raises:
        BadInput: less than `size` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInput(
            f"{source} needs {size / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB free: "
            "make room or choose a --dataset-root on another disk."
        )


def link_folder(source: Path, folder: Path, *, progress: bool = True) -> None:
    """Put the files of one folder into another: as hard links where the disk allows it, else as copies.

    Args:
        source: the folder to read.
        folder: the folder to fill; it exists.
        progress: whether to show a bar.

    Raises:
        BadInput: the source holds something that is not a file, or the copies are too large for the disk.
        OSError: a file can't be read or written.
    """
    files = files_below(source)
    if source.stat().st_dev != folder.stat().st_dev:
        check_room(sum(path.stat().st_size for path in files), source, folder)
    for path in tqdm(files, desc="linking", unit="file", disable=not progress):
        put(path, folder / path.relative_to(source))


def put(content: Path | bytes, target: Path) -> None:
    """Create a file and the folders above it.

    Args:
        content: the bytes to write, or a file to hard-link; where links aren't possible it is copied.
        target: the new file.

    Raises:
        OSError: the file can't be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        target.write_bytes(content)
        return
    original = content.resolve()  # else the new link would point to a symbolic link
    try:
        target.hardlink_to(original)
    except OSError:
        shutil.copyfile(original, target)
