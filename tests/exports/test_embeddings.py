from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scmlib.checkpoints import load_model
from scmlib.cli.main import cli
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.errors import BadInput
from scmlib.exports import embeddings
from scmlib.exports.embeddings import embed_pictures, kept_embeddings, open_pictures
from scmlib.inference import embed
from scmlib.runs import Run, open_run


@pytest.fixture
def mine(run: Path, tmp_path: Path) -> Run:
    """A copy of the run, which keeps embeddings of its own."""
    return open_run(shutil.copytree(run, tmp_path / "mine"))


@pytest.fixture
def photos(data_root: Path, tmp_path: Path) -> Path:
    """A folder of pictures with a subfolder and files that are no pictures."""
    folder = tmp_path / "photos"
    for i, record in enumerate(open_dataset("synthetic", data_root).query[:4]):
        place = folder / ("more" if i == 3 else "") / f"{4 - i}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(record.path, place)
    (folder / "readme.txt").write_text("hello")
    (folder / "._1.jpg").write_text("a system's own")
    return folder


def scm(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_data_set_as_npz_and_as_parquet(mine: Run, data_root: Path, tmp_path: Path) -> None:
    files = {suffix: tmp_path / "out" / f"embeddings.{suffix}" for suffix in ("npz", "parquet")}
    data = open_dataset("synthetic", data_root)
    records = [*data.query, *data.gallery]
    for path in files.values():
        assert f"{len(records)} embeddings of 1536 numbers" in scm("embed", mine.folder, "synthetic", "--out", path)
    with np.load(files["npz"]) as file:
        found = dict(file)
    assert found["embedding"].dtype == np.float32
    assert np.allclose(found["embedding"], embed(load_model(mine.folder)[0], records), atol=1e-6)
    assert list(found["path"]) == [str(record.path) for record in records]
    assert list(found["identity"]) == [record.identity for record in records]
    assert list(found["camera"]) == [record.camera for record in records]
    assert list(found["split"]) == ["query"] * len(data.query) + ["gallery"] * len(data.gallery)
    assert list(found["names"]) == mine.model.embedding_names

    pytest.importorskip("pyarrow", reason="pyarrow, of the extra `export`, is not installed")
    table = pd.read_parquet(files["parquet"])
    assert (np.stack(list(table["embedding"])) == found["embedding"]).all()
    for name in ("path", "split", "identity", "camera"):
        assert list(table[name]) == list(found[name]), name


def test_embeddings_by_group_and_split(mine: Run, data_root: Path) -> None:
    found = embed_pictures(mine, "synthetic", splits=["train"])
    train = open_dataset("synthetic", data_root).train
    assert list(found.path) == [str(record.path) for record in train]
    groups = [found.group(name) for name in mine.model.embedding_names]
    assert (np.concatenate(groups, 1) == found.embedding).all()


@pytest.mark.parametrize("form", ["name", "its folder", "a table's folder"])
def test_ways_to_name_a_data_set(form: str, mine: Run, data_root: Path, tmp_path: Path) -> None:
    source: str | Path = "synthetic" if form == "name" else dataset_folder("synthetic", data_root)
    if form == "a table's folder":
        table = shutil.copytree(dataset_folder("synthetic", data_root) / "query", tmp_path / "table")
        names = sorted(path.name for path in table.glob("*.jpg"))
        rows = [f"{name},{'ann' if i else 'bob'}" for i, name in enumerate(names)]
        (table / "images.csv").write_text("\n".join(["path,identity", *rows]))
        source = table
    pictures = open_pictures(mine, source)
    assert pictures.data is not None
    if form == "a table's folder":
        assert list(pictures.identities) == ["bob"] + ["ann"] * (len(pictures.records) - 1)
        assert set(pictures.splits) == {"query"}  # query and gallery are the same pictures, which count once
    else:
        assert pictures.records == [*pictures.data.query, *pictures.data.gallery]


def test_a_folder_of_pictures(mine: Run, photos: Path) -> None:
    found = embed_pictures(mine.folder, photos)
    assert list(found.path) == [str(photos / name) for name in ("2.jpg", "3.jpg", "4.jpg", "more/1.jpg")]
    assert set(found.identity) == set(found.camera) == {-1}
    framed = open_pictures(replace(mine, settings=replace(mine.settings, dataset="cub200")), photos)
    assert {record.margin for record in framed.records} == {32}


def test_embeddings_are_kept_until_something_changes(mine: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def counted(model: object, records: list[object], **_: object) -> np.ndarray:
        computed.append(len(records))
        return np.full((len(records), 3), len(computed), np.float32)

    monkeypatch.setattr(embeddings, "embed", counted)

    def found(run: Run = mine) -> float:
        return float(kept_embeddings(run, open_pictures(run, photos).records)[0, 0])

    assert found() == found() == 1
    os.utime(photos / "2.jpg", ns=(1, 1))
    assert found() == found() == 2
    (photos / "2.jpg").rename(photos / "5.jpg")
    assert found() == found() == 3
    shutil.copy(photos / "3.jpg", photos / "6.jpg")
    assert found() == found() == 4
    assert computed == [4, 4, 4, 5]
    next(mine.model.parameters()).data.mul_(2)
    assert found() == found() == 5
    (kept,) = (mine.folder / "embeddings").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])  # cut short
    assert found() == found() == 6
    kept.write_bytes(b"")
    assert found() == 7
    monkeypatch.setattr(embeddings, "write_atomically", lambda *_: (_ for _ in ()).throw(PermissionError()))
    (photos / "6.jpg").unlink()
    assert (found(), found()) == (8, 9)  # nowhere to keep them


def test_what_cannot_be_embedded_is_said(
    mine: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, said in ((empty, "holds no pictures"), (tmp_path / "no", "is no folder"), ("nobody", "is missing in")):
        with pytest.raises(BadInput, match=said):
            embed_pictures(mine, source)
    pictures = open_pictures(mine, photos)
    (photos / "2.jpg").unlink()
    with pytest.raises(BadInput, match=r"2\.jpg can't be read"):
        kept_embeddings(mine, pictures.records)
    with pytest.raises(BadInput, match=r"out\.csv must end in \.npz or \.parquet"):
        scm("embed", mine.folder, photos, "--out", tmp_path / "out.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match="pyarrow is not installed"):
        scm("embed", mine.folder, photos, "--out", tmp_path / "out.parquet")
