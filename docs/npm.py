"""JavaScript that the site needs from others, fetched by npm when the site is built and kept in `build/npm`."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple

from scmlib.errors import BadInput


class Package(NamedTuple):
    """A package of the npm registry, of one version, with the digest that the registry publishes for it."""

    name: str
    version: str
    sha512: str  # in base64

    @property
    def file(self) -> str:
        """The name of its archive."""
        return f"{self.name}-{self.version}.tgz"


ONNXRUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)


def fetch(package: Package, files: tuple[str, ...], target: Path, cache: Path) -> None:
    """Copy files of a package, fetched once.

    Args:
        package: its archive is looked for in the cache before npm is asked.
        files: their paths in the package.
        target: folder for them, made if it isn't there.
        cache: folder of the archives.

    Raises:
        BadInput: npm isn't there or couldn't fetch the package, or the archive isn't the one that was published.
    """
    archive = cache / package.file
    if not archive.is_file():
        if not shutil.which("npm"):
            raise BadInput(f"npm isn't on the path, so {package.name} {package.version} can't be fetched: install npm.")
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"{package.name}@{package.version}", "--silent", "--pack-destination", str(cache)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not archive.is_file():
            raise BadInput(f"npm could not fetch {package.name} {package.version}: {done.stderr.strip()[-200:]}")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise BadInput(f"{archive} isn't {package.name} {package.version} as it was published: delete it.")
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as content:
        for name in files:
            member = content.extractfile(f"package/{name}")
            assert member
            (target / Path(name).name).write_bytes(member.read())
