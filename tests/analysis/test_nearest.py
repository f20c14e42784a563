from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scmlib.analysis.nearest import nearest
from scmlib.checkpoints import load_model
from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.evaluation import embed_test
from scmlib.ranking import rank

TOP = 10


def random_sides() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    query, gallery = (rng.normal(size=(n, 48)).astype(np.float32) for n in (150, 400))
    return query, gallery


def positions(
    query: NDArray[np.float32], gallery: NDArray[np.float32], found: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Where `rank` puts each image that was found, when it alone is the query's match."""
    match = np.arange(len(gallery))
    return np.array(
        [[rank(q[None], gallery, [i], match).first_match[0] for i in of] for q, of in zip(query, found, strict=True)]
    )


def test_nearest_images_are_the_head_of_the_ranked_list() -> None:
    query, gallery = random_sides()
    found, similarity = nearest(query, gallery, TOP)
    assert (positions(query[:20], gallery, found[:20]) == np.arange(TOP)).all()
    assert np.allclose(similarity, np.take_along_axis(query @ gallery.T, found, 1), atol=1e-5)
    assert (nearest(query[:1], gallery, 400)[0][0] == np.argsort(-(query[:1] @ gallery.T)[0])).all()


def test_faiss_finds_the_same_top_ten() -> None:
    pytest.importorskip("faiss", reason="FAISS, the extra `search`, is not installed")
    query, gallery = random_sides()
    (exact, similarity), (found, theirs) = nearest(query, gallery, TOP), nearest(query, gallery, TOP, "Flat")
    assert (found == exact).all()
    assert np.allclose(theirs, similarity, atol=1e-5)


@pytest.mark.slow
def test_faiss_finds_the_same_top_ten_of_a_run(run: Path, data_root: Path) -> None:
    pytest.importorskip("faiss", reason="FAISS, the extra `search`, is not installed")
    model, _ = load_model(run)
    query, gallery = embed_test(model, open_dataset("synthetic", data_root))
    exact, found = nearest(query, gallery, TOP)[0], nearest(query, gallery, TOP, "Flat")[0]
    # The two products round differently: images may change places only where their similarities are that close.
    wanted, got = (np.take_along_axis(query @ gallery.T, at, 1) for at in (exact, found))
    assert np.abs(wanted - got).max() < 1e-5
    assert (found == exact).mean() > 0.99


def test_an_approximate_index_finds_most() -> None:
    pytest.importorskip("faiss", reason="FAISS, the extra `search`, is not installed")
    query, gallery = random_sides()
    query = gallery[:50] + 0.1 * query[:50]  # each near one gallery image
    assert (nearest(query, gallery, 1, "IVF4,Flat")[0][:, 0] == np.arange(50)).mean() > 0.9


def test_what_cannot_be_found_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = random_sides()
    for top in (0, 401):
        with pytest.raises(BadInput, match=f"nearest {top} of 400"):
            nearest(query, gallery, top)
    with pytest.raises(BadInput, match="can't be compared"):
        nearest(query[:, :5], gallery)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(BadInput, match="FAISS is not installed"):
        nearest(query, gallery, TOP, "Flat")


def test_an_index_that_faiss_refuses_is_named() -> None:
    pytest.importorskip("faiss", reason="FAISS, the extra `search`, is not installed")
    query, gallery = random_sides()
    for index in ("Nonsense", "IVF4096,Flat"):  # the second needs more images than there are
        with pytest.raises(BadInput, match=f"FAISS refuses the index '{index}'"):
            nearest(query, gallery, TOP, index)
