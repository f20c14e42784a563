from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from scmlib.checkpoints import load_model
from scmlib.cli.main import cli
from scmlib.data.datasets import open_dataset
from scmlib.data.images import read_pictures, to_float
from scmlib.errors import BadInput
from scmlib.exports import network
from scmlib.exports.network import OUTPUTS, export_network
from scmlib.inference import embed
from scmlib.variants import build_model


def needs_onnx() -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason="ONNX, the extra `export`, is not installed")


def test_a_run_gives_the_same_without_torch(run: Path, data_root: Path, tmp_path: Path) -> None:
    needs_onnx()
    import onnxruntime

    path = tmp_path / "new folder" / "model.onnx"
    done = CliRunner().invoke(cli, ["export", str(run), "--out", str(path), "--json"], catch_exceptions=False)
    facts = json.loads(done.stdout)
    assert facts["largest_difference"] < 1e-4
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    model, _ = load_model(run)
    assert given.name == "images"
    assert given.shape[1:] == [3, *model.image_size] == [3, *facts["image_size"]]
    assert [output.name for output in session.get_outputs()] == list(OUTPUTS) == facts["outputs"]
    records = open_dataset("synthetic", data_root).query[:5]
    pictures = to_float(read_pictures(records, model.image_size))
    for B in (1, 2, 5):
        found = session.run(None, {"images": pictures[:B].numpy()})
        with torch.no_grad():
            wanted = model.cpu()(pictures[:B])
        for name, values in zip(OUTPUTS, found, strict=True):
            assert np.allclose(values, getattr(wanted, name).numpy(), atol=1e-4), name
    # What the file's metadata say of retrieval, done as they say it.
    both = [session.run(["embeddings"], {"images": x.numpy()})[0] for x in (pictures, pictures.flip(3))]
    added = (both[0] + both[1]).reshape(5, -1)
    retrieval = added / np.linalg.norm(added, axis=1, keepdims=True)
    assert np.allclose(retrieval, embed(model, records), atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["embedding_names"]) == model.embedding_names
    assert "mirror image added" in told["retrieval"]


def test_another_backbone_and_variant_and_a_file_that_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needs_onnx()
    model, other = (
        build_model("torchvision:resnet18", 5, image_size=(64, 32), feat_num=8, variant="global-only") for _ in range(2)
    )
    path = tmp_path / "model.onnx"
    assert export_network(model, path) < 1e-4
    assert model.training  # it stays as it was
    content = path.read_bytes()
    monkeypatch.setattr(network, "_converted", lambda _: content)
    with pytest.raises(RuntimeError, match="differs from its model by"):
        export_network(other, tmp_path / "other.onnx")
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_exported_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Path) -> None:
    needs_onnx()
    path = tmp_path / "model.onnx"
    with pytest.raises(BadInput, match=r"let it end in \.onnx"):
        CliRunner().invoke(cli, ["export", str(run), "--out", str(tmp_path / "a.pt")], catch_exceptions=False)
    oracle = build_model("regnet_y_tiny", 5, image_size=(64, 32), variant="oracle")
    with pytest.raises(BadInput, match="reads the true masks beside each picture"):
        export_network(oracle, path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInput, match=r"onnxruntime is not installed: pip install 'scmlib\[export\]'"):
        export_network(oracle, path)
