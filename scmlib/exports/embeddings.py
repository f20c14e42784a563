"""Embeddings of a data set or of any folder of pictures: kept with the run, and written to files for other programs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.layouts import LAYOUTS, PROTOCOLS
from scmlib.data.records import Record, is_image
from scmlib.data.tables import TABLE
from scmlib.errors import BadInput
from scmlib.files import write_atomically
from scmlib.inference import embed
from scmlib.launch import first
from scmlib.model import SCM
from scmlib.run_folder import TEST
from scmlib.runs import Run, open_run

KEPT = "embeddings"  # folder in a run's own: the embeddings of every gallery that was asked for

FORMATS = (".npz", ".parquet")


@dataclass(frozen=True)
class Pictures:
    """Pictures to apply a model to: some splits of a data set, or a folder."""

    name: str  # the data set's, or the folder
    records: list[Record]  # identity and camera -1 in a folder
    splits: list[str]  # the split of each; empty in a folder
    data: ReidDataset | None = None  # None in a folder

    @property
    def identities(self) -> NDArray[Any]:
        """(N,) whom each shows: a number, or the text of a table's own; -1 in a folder, where nobody says it."""
        numbers = [record.identity for record in self.records]
        if self.data and self.data.layout.identity_names:
            return np.array([self.data.layout.identity_name(number) for number in numbers])
        return np.array(numbers)


def open_pictures(
    run: Run, source: str | Path, dataset_root: str | Path = "", *, splits: Sequence[str] = TEST
) -> Pictures:
    """Find the pictures that a word stands for.

    Args:
        run: beside which a data set is looked for, and whose framing the pictures of a folder get.
        source: the name of a data set; its folder; a folder with a table `images.csv`; or any other folder, whose
            pictures are taken, those of its subfolders too, sorted by path.
        dataset_root: the folder that holds the folder of a data set given by name.
        splits: of a data set, those that it has; where query and gallery are the same pictures, they count once.

    Raises:
        BadInput: nothing like that there, or no pictures in it.
    """
    path = Path(source)
    if str(source) in LAYOUTS or str(source) in PROTOCOLS or not path.is_dir():
        if len(path.parts) > 1:
            raise BadInput(f"{path} is no folder: give a folder of pictures or the name of a data set.")
        data = run.open_data(str(source), dataset_root)
    elif (path / TABLE).is_file():
        data = open_dataset(path.resolve().name, path.resolve().parent)
    elif name := _known_folder(path):
        data = open_dataset(name, path.resolve().parents[len(Path(LAYOUTS[name].folder).parts) - 1])
    else:
        files = sorted(file for file in path.rglob("*") if is_image(file))
        if not files:
            raise BadInput(f"{path} holds no pictures (.jpg, .png, .tif, .webp ...): check the folder.")
        records = [Record(file, -1, -1, margin=run.margin) for file in files]
        return Pictures(str(path), records, [""] * len(records))
    wanted = {*splits, "query"} if "gallery" in splits and data.query is data.gallery else set(splits)
    found = [(record, split) for split, records in data.splits.items() if split in wanted for record in records]
    if not found:
        data.require(*splits)
    return Pictures(data.name, [record for record, _ in found], [split for _, split in found], data)


def _known_folder(path: Path) -> str:
    """The data set whose folder this is; empty if none's."""
    return next((name for name, layout in LAYOUTS.items() if path.resolve().match(layout.folder)), "")


def kept_embeddings(
    run: Run, records: Sequence[Record], *, workers: int = 0, progress: str = ""
) -> NDArray[np.float32]:
    """What `embed` gives of records, computed once: kept in the run's folder, and used again while nothing changed.

    They are computed anew when the weights, the list of files, or the size or time of a file is another. Every folder
    of pictures has one file in RUN/embeddings, which may be deleted at any time.

    Args:
        run: its folder keeps them; where it can't be written to, nothing is kept.
        records: pictures.
        workers: processes that read pictures.
        progress: label of a progress bar; none if empty.

    Returns:
        (N, (3 + P) * D) float32, each row L2-normalised.

    Raises:
        BadInput: a picture that can't be read.
    """
    paths = [str(record.path.resolve()) for record in records]
    place = run.folder / KEPT / f"{_digest([os.path.commonpath(paths)])[:16]}.npz"
    state = _digest([version("scmlib"), weights_digest(run.model), *paths, *_states(records)])
    # Missing, cut short, or something else of that name.
    with suppress(OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile), np.load(place) as kept:
        if str(kept["state"]) == state:
            found: NDArray[np.float32] = kept["embedding"]
            return found
    embedded = embed(run.model, records, workers=workers, progress=progress)
    content = io.BytesIO()
    np.savez(content, state=state, embedding=embedded)
    if first():
        with suppress(OSError):  # what is kept saves time; without it nothing is lost
            write_atomically(place, content.getvalue())
    return embedded


def _states(records: Sequence[Record]) -> list[str]:
    """What changes when a picture or its framing does."""
    lines = []
    for record in records:
        try:
            seen = record.path.stat()
        except OSError as error:
            raise BadInput(f"{record.path} can't be read ({error.strerror}): check the path.") from error
        lines.append(f"{seen.st_size} {seen.st_mtime_ns} {record.margin}")
    return lines


def weights_digest(model: SCM) -> str:
    """What tells a trained model from any other, wherever its file lies: 32 hexadecimal digits."""
    digest = hashlib.blake2b(repr(model.config).encode(), digest_size=16)
    for name, values in model.state_dict().items():
        digest.update(name.encode() + values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest(lines: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(lines).encode(errors="surrogateescape"), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Embedded:
    """Embeddings and what each of them is of, a row a picture."""

    path: NDArray[np.str_]  # (N,), as found from where the program runs
    split: NDArray[np.str_]  # (N,) train, query or gallery; empty in a folder
    identity: NDArray[Any]  # (N,) number, or a table's own text; -1 in a folder
    camera: NDArray[np.int64]  # (N,); -1 in a folder
    embedding: NDArray[np.float32]  # (N, (3 + P) * D), each row L2-normalised, as `embed` gives
    names: NDArray[np.str_]  # (3 + P,): what each run of D columns of an embedding is of

    def group(self, name: str) -> NDArray[np.float32]:
        """The columns of one of the 3 + P embeddings, (N, D); not normalised again.

        Args:
            name: one of `names`.
        """
        (index,) = np.flatnonzero(self.names == name)
        columns: NDArray[np.float32] = self.embedding.reshape(len(self.embedding), len(self.names), -1)[:, index]
        return columns


def embed_pictures(
    run: Run | str | Path,
    source: str | Path,
    dataset_root: str | Path = "",
    *,
    splits: Sequence[str] = TEST,
    workers: int = 0,
    progress: bool = False,
) -> Embedded:
    """Embeddings of a data set or a folder, with what is known of each picture.

    Args:
        run: opened, or the folder of a run.
        source: see `open_pictures`.
        dataset_root: the folder that holds the folder of a data set given by name.
        splits: of a data set.
        workers: processes that read pictures.
        progress: whether to show a progress bar.

    Raises:
        BadInput: no run or no pictures there, or a picture that can't be read.
    """
    run = run if isinstance(run, Run) else open_run(run)
    pictures = open_pictures(run, source, dataset_root, splits=splits)
    records = pictures.records
    return Embedded(
        np.array([os.fspath(record.path) for record in records]),
        np.array(pictures.splits),
        pictures.identities,
        np.array([record.camera for record in records]),
        kept_embeddings(run, records, workers=workers, progress="embeddings" if progress else ""),
        np.array(run.model.embedding_names),
    )


def save_embeddings(embedded: Embedded, path: Path) -> None:
    """Write embeddings as a file.

    - `.npz`: the fields of `Embedded` under their names, for `numpy.load`.
    - `.parquet`: a row a picture, `embedding` as a list of fixed length; the 3 + P names stand in the schema's metadata
      under `embedding_names`, as JSON. Needs the extra `scmlib[export]`.

    Args:
        embedded: what to write.
        path: its suffix says the format.

    Raises:
        BadInput: another suffix, or the extra isn't installed.
    """
    check_format(path)
    content = io.BytesIO()
    if path.suffix == ".npz":
        np.savez(content, **vars(embedded))
    else:
        import pyarrow
        from pyarrow import parquet

        rows = {name: pyarrow.array(values) for name, values in vars(embedded).items() if values.ndim == 1}
        del rows["names"]
        flat = pyarrow.array(embedded.embedding.reshape(-1))
        rows["embedding"] = pyarrow.FixedSizeListArray.from_arrays(flat, embedded.embedding.shape[1])
        table = pyarrow.table(rows)
        names = {"embedding_names": json.dumps(embedded.names.tolist())}
        parquet.write_table(table.replace_schema_metadata(names), content)
    write_atomically(path, content.getvalue())


def check_format(path: Path) -> None:
    """Refuse a file that `save_embeddings` couldn't write, before anything is computed.

    Raises:
        BadInput: another suffix, or the extra isn't installed.
    """
    if path.suffix not in FORMATS:
        raise BadInput(f"{path} must end in {' or '.join(FORMATS)}: the name says the format.")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as absent:
            raise BadInput("pyarrow is not installed: pip install 'scmlib[export]', or write an .npz.") from absent
