"""A trained network as an ONNX file, which other programs run without torch (the extra `scmlib[export]`).

ONNX is the open format of networks (https://onnx.ai); ONNX Runtime runs it in Python, C++, Java and in the browser.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from scmlib.errors import BadInput
from scmlib.files import write_atomically
from scmlib.model import SCM

OUTPUTS = ("embeddings", "competitive", "cooperative")

CHECKED = (1, 3)  # images at once, when a file is compared with the network that it came from

TOLERANCE = 1e-3  # largest difference to the network, as a share of an output's largest value


class Retrieval(nn.Module):
    """What retrieval needs of a network: its embeddings and masks, without the classifiers' logits."""

    def __init__(self, model: SCM):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, H, W) in [0, 1] to embeddings, competitive masks and the cooperative mask."""
        out = self.model(images)
        return out.embeddings, out.competitive, out.cooperative


def export_network(model: SCM, path: Path) -> float:
    """Write a network in evaluation mode as ONNX, and compare the file with it.

    Input `images`: (B, 3, H, W) float32, RGB in [0, 1], of the model's own image size, any B. No mean is taken out and
    nothing is scaled before: whatever a backbone expects is part of the network.

    Outputs: `embeddings` (B, 3 + P, D), `competitive` (B, P, h, w) and `cooperative` (B, 1, h, w), as `SCM` gives them.
    The embedding that `scmlib.embed` gives of a picture is this: `embeddings` of the picture and of its mirror image
    added, flattened to (3 + P) * D, then L2-normalised. The file says so in its own metadata, with the names of the
    3 + P embeddings.

    Args:
        model: stays as it is and where it is.
        path: of the ONNX file.

    Returns:
        The largest difference between what the file and the network give, on random images, as a share of the
        output's largest absolute value.

    Raises:
        BadInput: the extra isn't installed, or the model reads true masks beside its pictures.
        RuntimeError: the file gives something else than the network; it is not written then.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter is written in it)
    except ImportError as absent:
        raise BadInput(f"{absent.name} is not installed: pip install 'scmlib[export]'.") from absent
    if model.beside:
        raise BadInput(
            f"The variant '{model.config.variant}' reads the true masks beside each picture, which no other program "
            "has: export a run of another variant."
        )
    network = Retrieval(copy.deepcopy(model).cpu()).eval()
    content = _converted(network)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    difference = 0.0
    for B in CHECKED:
        images = torch.rand(B, 3, *model.image_size, generator=generator)
        with torch.no_grad():
            wanted = network(images)
        for ours, theirs in zip(wanted, session.run(OUTPUTS, {"images": images.numpy()}), strict=True):
            largest = float(ours.abs().max()) or 1.0  # all masks may be zero
            difference = max(difference, float(np.abs(ours.numpy() - theirs).max()) / largest)
    if not difference <= TOLERANCE:
        raise RuntimeError(f"The ONNX network differs from its model by {difference:.2g}, so {path} was not written.")
    write_atomically(path, content)
    return difference


def _converted(network: Retrieval) -> bytes:
    """The ONNX file of a network, with what its readers need to know as metadata."""
    model = network.model
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it lists on every call which optional packages it did not find
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(2, 3, *model.image_size),),
                input_names=["images"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
    finally:
        exporter.setLevel(level)
    assert program is not None
    facts = {
        "net": model.config.net,
        "image_size": list(model.image_size),
        "embedding_names": model.embedding_names,
        "input": "RGB in [0, 1], resized bilinearly without antialiasing to image_size (height, width)",
        "retrieval": "embeddings of the picture and of its mirror image added, flattened, L2-normalised",
    }
    proto = program.model_proto
    for name, value in facts.items():
        proto.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    return bytes(proto.SerializeToString())
