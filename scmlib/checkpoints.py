"""Weights in and out of files: our safetensors, and the authors' .pth, read with `weights_only=True` alone."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.errors import BadInput, ran_out
from scmlib.files import parse_json, write_atomically
from scmlib.launch import first
from scmlib.model import SCM
from scmlib.run_folder import DAMAGED, PREVIOUS, STATE, WEIGHTS, begun, resume_command
from scmlib.settings import Settings
from scmlib.variants import build_model

State = Mapping[str, Tensor]

# Where training scripts keep a model's state dict in a checkpoint; an average of weights only where nothing else is.
WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "model_state", "net", "network", "module"),
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict"),
)
# What wrappers such as DataParallel, torch.compile and Lightning put before every name, perhaps twice.
PREFIXES = re.compile(r"^(?:(?:module|_orig_mod|model)\.)+")


class Unread:
    """In place of what lies beside the weights in a checkpoint and isn't read: scores, arguments.

    Training scripts often keep numpy numbers or their command line there, which `weights_only=True` refuses. This
    class stands for them, so that such a file loads and nothing but torch's own reader runs on its bytes.
    """

    def __new__(cls, *_: object) -> Unread:  # noqa: D102  (takes whatever the file's object was made from)
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


UNREAD: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (Unread, name)
    for name in (
        *("numpy.dtype", "numpy.ndarray", "argparse.Namespace"),
        *(f"numpy.{core}.multiarray.{kind}" for core in ("core", "_core") for kind in ("scalar", "_reconstruct")),
    )
]


def read_state(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file or a .pth file, read with `weights_only=True` alone.

    A checkpoint may keep its state dict under one of `WRAPPERS`, beside anything that torch reads safely, numpy's
    numbers and a script's arguments.

    Raises:
        BadInput: the file is missing, damaged, not weights at all, or holds objects that only running its code could
            make.
    """
    if not path.is_file():
        raise BadInput(f"{path} is missing: give a run folder, a .safetensors file or a .pth file.")
    try:
        refuse_strangers(path)
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        with torch.serialization.safe_globals(UNREAD):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except BadInput:
        raise
    except Exception as error:  # a damaged file makes the unpickler raise whatever its bytes lead to
        if ran_out(error):
            raise
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise BadInput(
                f"{path} holds a pickled object ({found[1][:80]}), which only running its code could load: where it "
                "was made, save the weights alone, with torch.save(model.state_dict(), FILE)."
            ) from error
        raise BadInput(
            f"{path} can't be read as weights: it is cut short, damaged or of another kind; fetch or save it again."
        ) from error
    tensors = state_dict_in(content)
    if not tensors:
        raise BadInput(f"{path} holds something else than named tensors: give a checkpoint's state dict.")
    return tensors


def refuse_strangers(path: Path) -> None:
    """Name what often lies under the name of a weights file, by its first bytes.

    Raises:
        BadInput: an empty file, a Git-LFS pointer, a web page, or an archive that torch didn't write.
    """
    with path.open("rb") as file:
        head = file.read(256)
    if not head:
        raise BadInput(f"{path} can't be read as weights: it is empty; fetch it again.")
    if head.startswith(b"version https://git-lfs"):
        raise BadInput(
            f"{path} is a Git-LFS pointer, not the weights themselves: fetch the real file, e.g. with `git lfs pull`."
        )
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BadInput(
            f"{path} is a web page, not weights: the link led to a page about the file; download the file itself."
        )
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = {Path(name).name for name in archive.namelist()}
        if "constants.pkl" in inside:
            raise BadInput(
                f"{path} is a TorchScript program, not weights: save the model's state dict, with "
                "torch.save(model.state_dict(), FILE)."
            )
        if "data.pkl" not in inside:
            raise BadInput(
                f"{path} is a zip archive that holds no weights of torch: unpack it and give the file in it."
            )


def state_dict_in(content: object) -> dict[str, Tensor]:
    """The named tensors in what a file held, unwrapped; empty where there are none."""
    if not isinstance(content, dict):
        return {}
    for wrapper in WRAPPERS:
        if tensors := state_dict_in(content.get(wrapper)):
            return tensors
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def load_released(model: nn.Module, state: State) -> None:
    """Put tensors under the released names into a model.

    Prefixes such as `module.` and the averaging's counter may be there; BatchNorm's own counters, which nothing
    computes with, may be missing.

    Args:
        model: takes the tensors.
        state: named tensors.

    Raises:
        BadInput: which tensors are missing, extra or of another shape; the model is then left as it was.
    """
    state = {name: value for name, value in plain_names(state).items() if name != "n_averaged"}
    own = model.state_dict()
    state = {name: value for name, value in own.items() if name.endswith(".num_batches_tracked")} | state
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


def plain_names(state: State) -> dict[str, Tensor]:
    """A state dict without the prefixes that wrappers of the model left."""
    return {PREFIXES.sub("", name): value for name, value in state.items()}


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


# What must be alike in a run and in one that starts from its weights: a setting, and the model's own value of it.
SHAPES: dict[str, Callable[[SCM], object]] = {
    "net": lambda model: model.config.net,
    "num_part": lambda model: model.config.num_parts,
    "reduce_num": lambda model: model.config.reduce_num,
    "feat_num": lambda model: model.config.feat_num,
    "variant": lambda model: model.config.variant,
}


def load_start(model: SCM, source: str | Path) -> None:
    """Let a training start from other weights.

    Of a trained model, a run of ours or one under the released names, everything but the classifier is taken: trunk,
    branches, masks and embeddings, while the identities may be others. A learned prior of another grid size is resized
    bilinearly. Of the authors' ImageNet files, e.g. `checkpoint_regnet_y_800mf.pth`, trunk and both branches are taken.

    Args:
        model: with fresh weights.
        source: a run folder or a weights file.

    Raises:
        BadInput: the file can't be read, or belongs to another network.
    """
    path = weights_file(source)
    state, facts = plain_names(read_state(path)), own_facts(path)
    for name, of in SHAPES.items() if facts else ():
        theirs, ours, flag = getattr(facts["settings"], name), of(model), name.replace("_", "-")
        if theirs != ours:
            raise BadInput(
                f"{path} was trained with --{flag} {theirs}, not {ours}: give --{flag} {theirs}, or other --weights."
            )
    whole = any(name.startswith("bn_list.") for name in state)
    taken = resized_prior(state, model) if whole else spread_backbone(state)
    fresh = ("class_list.",) if whole else ("scm.", "feat_list.", "bn_list.", "class_list.")
    kept = {name: value for name, value in taken.items() if not name.startswith(fresh)}
    kept |= {name: value for name, value in model.state_dict().items() if name.startswith(fresh)}
    try:
        load_released(model, kept)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def resized_prior(state: State, model: SCM) -> dict[str, Tensor]:
    """A trained model's tensors, its learned prior (1, P, h, w) brought to the grid of another model."""
    name = "scm.learnable_masks"
    prior = state.get(name)
    if prior is None or prior.ndim != 4 or prior.shape[2:] == model.config.grid:
        return dict(state)
    return {**state, name: F.interpolate(prior, model.config.grid, mode="bilinear", antialias=True)}


def spread_backbone(state: State) -> dict[str, Tensor]:
    """The authors' ImageNet backbone under the names of a model: its last stage and head in both branches."""
    homes = {"first_conv": ("stem",), "layer4": ("branch_1.0", "branch_2.0"), "head": ("branch_1.1", "branch_2.1")}
    return {
        f"{home}.{rest}": value
        for name, value in state.items()
        for part, _, rest in [name.partition(".")]
        if part != "classifier"  # ImageNet's classes
        for home in homes.get(part, (part,))
    }


def save_model(path: Path, model: SCM, facts: dict[str, Any]) -> None:
    """Weights as safetensors, with the run's facts (settings, classes, versions) in the file's own header."""
    tensors = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata={"scmlib": json.dumps(facts)}))


def save_training(folder: Path, state: dict[str, Any]) -> None:
    """Keep what a training goes on from in its run folder; the state before it stays beside it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(folder / STATE, buffer.getvalue(), previous=folder / PREVIOUS)


def load_training(folder: Path, device: torch.device) -> dict[str, Any]:
    """The last state of a training that is whole: the last one, else the one before, which is then warned of.

    A damaged last state is kept aside, so that the next one doesn't push the good one out.

    Args:
        folder: the run folder.
        device: where its tensors go.

    Raises:
        BadInput: neither is whole.
    """
    for name in (STATE, PREVIOUS):
        try:
            state = read_training(folder / name, device)
        except Exception as error:  # whatever a damaged file leads to
            if ran_out(error):
                raise
            continue
        if name == PREVIOUS:
            damaged = (folder / STATE).exists()
            if damaged and first():
                (folder / STATE).replace(folder / DAMAGED)
            warnings.warn(
                f"{folder / STATE} is {f'damaged, now kept as {DAMAGED}' if damaged else 'missing'}: the training goes "
                f"on from the state before it, {PREVIOUS}, with {state['epoch']} epochs done.",
                stacklevel=2,
            )
        return state
    raise BadInput(
        f"{folder / STATE} can't be resumed, for it is cut short or damaged, and no {PREVIOUS} is whole: train again "
        "with another --out."
    )


def read_training(path: Path, device: torch.device) -> dict[str, Any]:
    """One state of a training.

    Raises:
        Exception: whatever a damaged file leads to.
    """
    with zipfile.ZipFile(path) as archive:
        if (record := archive.testzip()) is not None:  # torch doesn't look at the checksums that it writes
            raise ValueError(f"{record} doesn't match its checksum")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


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


def own_facts(path: Path) -> dict[str, Any]:
    """What the header of a file of ours says of its training; empty for any other file.

    Raises:
        BadInput: the header is damaged.
    """
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        header = (file.metadata() or {}).get("scmlib")
    try:
        facts: dict[str, Any] = parse_json(header) if header else {}
        return {**facts, "settings": Settings.from_dict(facts["settings"])} if facts else {}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} has a damaged header ({error}): train again or take another file.") from error


def weights_file(source: str | Path) -> Path:
    """The weights that a run folder or a file stands for.

    Raises:
        BadInput: a folder that is no run, or an unfinished one; says what to give or do instead.
    """
    path = Path(source)
    if not path.is_dir():
        return path
    if (path / WEIGHTS).is_file():
        return path / WEIGHTS
    if begun(path):
        raise BadInput(
            f"{path} holds no {WEIGHTS}, for its training isn't finished: go on with `{resume_command(path)}`."
        )
    inside = sorted(file for file in path.iterdir() if file.suffix in (".safetensors", ".pth", ".pt"))
    runs = sorted(file.parent for file in path.glob(f"*/{WEIGHTS}"))
    meant = f": did you mean {_some([str(file) for file in runs + inside])}?" if runs + inside else ": check the path."
    raise BadInput(f"{path} is no run folder of `scm train`, for it holds no {WEIGHTS}{meant}")


def load_model(source: str | Path, settings: Settings | None = None) -> tuple[SCM, Settings]:
    """A trained model, in evaluation mode and on the GPU if there is one, and the settings it was trained with.

    Only training needs a classifier, so weights may come without one: the model then has one class, whose logits are 0.

    Args:
        source: a run folder, its `model.safetensors`, or weights under the released names (`params/ema.pth`).
        settings: what a foreign file was trained with; a file of ours brings its own.

    Raises:
        BadInput: nothing to load there, or a foreign file that the settings don't fit.
    """
    path = weights_file(source)
    state, facts = plain_names(read_state(path)), own_facts(path)
    own: Settings | None = facts.get("settings")
    if own and settings and own.net != settings.net:
        raise BadInput(f"{path} was trained with --net {own.net}, not {settings.net}: leave --net out.")
    settings = own or settings
    if settings is None:
        raise BadInput(f"{path} doesn't say how it was trained: name its recipe with --dataset and --net.")
    classifier = state.get("class_list.0.weight")
    model = model_for(replace(settings, weights=""), 1 if classifier is None else len(classifier))
    if classifier is None:
        own_classifier = {name: value for name, value in model.state_dict().items() if name.startswith("class_list.")}
        state |= {name: torch.zeros_like(value) for name, value in own_classifier.items()}
    try:
        load_released(model, state)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), settings
