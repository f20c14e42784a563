"""The worked examples find what sorting all similarities finds."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from scmlib.exports.embeddings import Embedded, embed_pictures, save_embeddings

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def embedded(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    return embed_pictures(shutil.copytree(run, tmp_path_factory.mktemp("runs") / "mine"), "synthetic")


def best(embedded: Embedded, left_out: np.ndarray) -> list[str]:
    """What an example prints of the first query."""
    query, gallery = int(np.argmax(embedded.split == "query")), (embedded.split == "gallery") & ~left_out
    similarity = embedded.embedding[gallery] @ embedded.embedding[query]
    order = np.argsort(-similarity)[:5]
    found = [f"{similarity[i]:.3f} {embedded.path[gallery][i]}" for i in order]
    return [embedded.path[query], *found]


@pytest.mark.parametrize(
    ("needs", "name", "suffix"),
    [("faiss", "search_with_faiss", "npz"), ("lancedb", "search_with_lancedb", "parquet")],
)
def test_example(
    needs: str,
    name: str,
    suffix: str,
    embedded: Embedded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(needs, reason=f"{needs} is not installed")
    path = tmp_path / f"embeddings.{suffix}"
    save_embeddings(embedded, path)
    monkeypatch.syspath_prepend(EXAMPLES)
    importlib.import_module(name).main(path)
    own_camera = embedded.camera == embedded.camera[embedded.split == "query"][0]
    wanted = best(embedded, own_camera if needs == "lancedb" else np.zeros_like(own_camera))
    assert capsys.readouterr().out.splitlines() == wanted
