from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_prep.downloads import archives
from data_prep.downloads.prepare import prepare
from scmlib.errors import BadInput
from tests.data_prep.downloads.conftest import refuses, tarred, zipped
from tests.data_prep.folders import content
from tests.trees import FOLDERS, pack


@pytest.mark.parametrize(
    "name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "C:/out.jpg", "c:out.jpg", "..\\out.jpg", "a\\out.jpg"]
)
def test_entries_that_would_leave_the_folder(name: str, market: Path, tmp_path: Path) -> None:
    for archive in (
        zipped(tmp_path / "evil.zip", {"a.jpg": b"", name: b"evil"}),
        tarred(tmp_path / "evil.tar", ("a.jpg", tarfile.REGTYPE, b""), (name, tarfile.REGTYPE, b"evil")),
    ):
        said = f"{archive.name} has the entry .*out.jpg', which could land outside"
        refuses("market1501", archive, tmp_path / "data" / "root", said)
        assert not list(tmp_path.rglob("*out.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    archive = tarred(tmp_path / "evil.tar", ("query", kind, b"/etc"), ("query/passwd", tarfile.REGTYPE, b"evil"))
    refuses("market1501", archive, tmp_path / "data", r"evil\.tar has the entry 'query', a link or a device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("query")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "/etc")
    refuses("market1501", tmp_path / "evil.zip", tmp_path / "data", r"evil\.zip has the entry 'query', a link")


def test_entries_of_one_name(tmp_path: Path) -> None:
    for names in (("a/b.jpg", "a//b.jpg"), ("a", "a/b.jpg")):
        archive = zipped(tmp_path / "twice.zip", dict.fromkeys(names, b"x"))
        refuses("market1501", archive, tmp_path / "data", r"twice\.zip has two entries of one name")


def test_what_systems_leave_in_archives_is_passed_over(market: Path, tmp_path: Path) -> None:
    home = market / FOLDERS["market1501"]
    wanted = content(home)
    for name in ("__MACOSX/query/0001_c1.jpg", ".DS_Store", "query/._0001_c1s1_000001_00.jpg", "query/THUMBS.DB"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(b"junk")
    for i, source in enumerate((home, pack(market, tmp_path / "a.zip"), pack(market, tmp_path / "a.tar.bz2"))):
        assert content(prepare("market1501", source, tmp_path / str(i), progress=False)) == wanted


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>Please sign in</html>")
    refuses("market1501", tmp_path / "page.zip", tmp_path / "data", r"page\.zip is neither a zip nor a tar.*web page")
    (tmp_path / "empty.zip").touch()
    refuses("market1501", tmp_path / "empty.zip", tmp_path / "data", r"empty\.zip is neither a zip nor a tar")
    zipped(tmp_path / "none.zip", {})
    refuses("market1501", tmp_path / "none.zip", tmp_path / "data", r"none\.zip has no files in it")
    (tmp_path / "zeros.tar").write_bytes(bytes(20480))
    refuses("market1501", tmp_path / "zeros.tar", tmp_path / "data", r"zeros\.tar has no files in it")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_download_that_was_cut_short(suffix: str, share: float, market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / f"cut{suffix}")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    refuses(
        "market1501", archive, tmp_path / "data", rf"cut{suffix} is damaged or incomplete \(.+\): download it again"
    )


def test_tar_cut_between_two_files(market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / "cut.tar")
    with tarfile.open(archive) as tar:
        member = tar.getmembers()[-2]
    archive.write_bytes(archive.read_bytes()[: member.offset])
    refuses("market1501", archive, tmp_path / "data", r"cut\.tar is damaged or incomplete")


@pytest.mark.parametrize("suffix", [".zip", ".tgz", ".tar.xz"])
def test_damaged_bytes_never_lead_to_wrong_images(suffix: str, market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / f"damaged{suffix}")
    whole, wanted = archive.read_bytes(), content(market / FOLDERS["market1501"])
    rng = np.random.default_rng(0)
    refused = 0
    for i, position in enumerate(rng.integers(len(whole), size=25)):
        archive.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            made = content(prepare("market1501", archive, tmp_path / str(i), progress=False))
        except BadInput:
            refused += 1
            continue
        assert {path: made.get(path) for path in wanted} == wanted  # an attribute or a date may change
    assert refused >= 12


def test_damaged_header_in_a_tar(market: Path, tmp_path: Path) -> None:
    archive = pack(market, tmp_path / "damaged.tar")
    data = bytearray(archive.read_bytes())
    with tarfile.open(archive) as tar:
        data[tar.getmembers()[10].offset + 3] ^= 0xFF
    archive.write_bytes(data)
    refuses("market1501", archive, tmp_path / "data", r"damaged\.tar is damaged or incomplete")


def patched(archive: Path, position: int, value: int) -> Path:
    """A zip with a bit pattern added to a field of each header; the directory's fields lie two bytes further on."""
    data = bytearray(archive.read_bytes())
    for magic, start in ((b"PK\x03\x04", position), (b"PK\x01\x02", position + 2)):
        for header in re.finditer(magic, bytes(data)):
            data[header.start() + start] |= value
    archive.write_bytes(data)
    return archive


def test_encrypted(market: Path, tmp_path: Path) -> None:
    archive = patched(pack(market, tmp_path / "secret.zip"), 6, 1)  # the flags' lowest bit
    refuses("market1501", archive, tmp_path / "data", r"secret\.zip is encrypted: unpack it with the password")


def test_packed_in_a_way_that_python_can_not_read(market: Path, tmp_path: Path) -> None:
    archive = patched(pack(market, tmp_path / "odd.zip"), 8, 1)  # 9, Deflate64, as Windows packs large files
    refuses("market1501", archive, tmp_path / "data", r"odd\.zip is packed in a way that Python can't read")


def test_unpack_writes_what_the_archive_holds(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"a": b"1"}).read_bytes()
    # A tar whose last file is a zip: by its end it looks like a zip too.
    archive = tarred(tmp_path / "outer.tar", ("x/y", tarfile.REGTYPE, b"2" * 3), ("inner.zip", tarfile.REGTYPE, inner))
    (tmp_path / "out").mkdir()
    archives.unpack(archive, tmp_path / "out", progress=False)
    assert content(tmp_path / "out") == {"x/y": b"222", "inner.zip": inner}
