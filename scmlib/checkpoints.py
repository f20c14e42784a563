"""Weights in and out of files: our safetensors, and the authors' .pth, read with `weights_only=True` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from scmlib.errors import BadInput
from scmlib.files import write_atomically
from scmlib.model import SCM
from scmlib.settings import Settings
from scmlib.variants import build_model

State = Mapping[str, Tensor]


def read_state(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file or a .pth file; a wrapping `state_dict` is unwrapped.

    Raises:
        BadInput: the file is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise BadInput(f"{path} is missing: give a run folder, a .safetensors file or a .pth file.")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise whatever its bytes lead to
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(
            f"{path} can't be read as weights ({reason}): the file is damaged or of another kind."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BadInput(f"{path} holds something else than named tensors: give a checkpoint's state dict.")
    return content


def load_released(model: nn.Module, state: State) -> None:
    """Put tensors under the released names into a model. A `module.` prefix and the averaging's counter may be there.

    Raises:
        BadInput: which tensors are missing, extra or of another shape; the model is then left as it was.
    """
    state = {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
    own = model.state_dict()
    misfits = {
        "missing": sorted(own.keys() - state.keys()),
        "extra": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} {list(state[name].shape)} where the model has {list(own[name].shape)}"
            for name in sorted(own.keys() & state.keys())
            if own[name].shape != state[name].shape
        ],
    }
    found = [f"{len(names)} {kind}: {_some(names)}" for kind, names in misfits.items() if names]
    if found:
        raise BadInput(f"The weights don't fit this model ({'; '.join(found)}): check the network and its settings.")
    model.load_state_dict(state)


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def load_backbone(model: SCM, path: Path) -> None:
    """Start the trunk and both branches from the authors' ImageNet file, e.g. `checkpoint_regnet_y_800mf.pth`.

    Raises:
        BadInput: the file can't be read or belongs to another backbone.
    """
    state = {name.removeprefix("module."): value for name, value in read_state(path).items()}
    homes = {"first_conv": ("stem",), "layer4": ("branch_1.0", "branch_2.0"), "head": ("branch_1.1", "branch_2.1")}
    renamed = {
        f"{home}.{rest}": value
        for name, value in state.items()
        for part, _, rest in [name.partition(".")]
        if part != "classifier"  # ImageNet's classes
        for home in homes.get(part, (part,))
    }
    fresh = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith(("scm.", "feat_list.", "bn_list.", "class_list."))
    }
    try:
        load_released(model, {**fresh, **renamed})
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def save_model(path: Path, model: SCM, facts: dict[str, Any]) -> None:
    """Weights as safetensors, with the run's facts (settings, classes, versions) in the file's own header."""
    tensors = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata={"scmlib": json.dumps(facts)}))


def model_for(settings: Settings, num_classes: int) -> SCM:
    """The model that a run's settings describe, before any weights from a file."""
    return build_model(
        settings.net,
        num_classes,
        image_size=settings.image_size,
        num_parts=settings.num_part,
        reduce_num=settings.reduce_num,
        feat_num=settings.feat_num,
        mask_part=settings.mask_part,
        erasing=settings.erasing,
        variant=settings.variant,
        imagenet=settings.weights == "imagenet",
    )


def own_settings(path: Path) -> Settings | None:
    """The settings in the header of a file of ours; None for any other file.

    Raises:
        BadInput: the header is damaged.
    """
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, "pt") as file:
        facts = (file.metadata() or {}).get("scmlib")
    try:
        return Settings.from_dict(json.loads(facts)["settings"]) if facts else None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} has a damaged header ({error}): train again or take another file.") from error


def load_model(source: str | Path, settings: Settings | None = None) -> tuple[SCM, Settings]:
    """A trained model, in evaluation mode and on the GPU if there is one, and the settings it was trained with.

    Args:
        source: a run folder, its `model.safetensors`, or weights under the released names (`params/ema.pth`).
        settings: what a foreign file was trained with; a file of ours brings its own.

    Raises:
        BadInput: nothing to load there, or a foreign file that the settings don't fit.
    """
    path = Path(source)
    if path.is_dir():
        path = path / "model.safetensors"
        if not path.is_file():
            raise BadInput(f"{source} holds no model.safetensors: finish the run with `scm train --resume` first.")
    state = read_state(path)
    own = own_settings(path)
    if own and settings and own.net != settings.net:
        raise BadInput(f"{path} was trained with --net {own.net}, not {settings.net}: leave --net out.")
    settings = own or settings
    if settings is None:
        raise BadInput(f"{path} doesn't say how it was trained: name its recipe with --dataset and --net.")
    classes = next((v.shape[0] for name, v in state.items() if name.endswith("class_list.0.weight")), 1)
    model = model_for(replace(settings, weights=""), classes)  # a trained model needs no others
    try:
        load_released(model, state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), settings
