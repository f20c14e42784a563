from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from scmlib.checkpoints import load_backbone, load_model, load_released, model_for, read_state, save_model
from scmlib.errors import BadInput
from scmlib.model import SCM
from scmlib.settings import recipe
from scmlib.variants import build_model


def tiny(**settings: Any) -> SCM:
    return build_model("regnet_y_tiny", 5, image_size=(96, 48), **settings)


def test_released_names_load_with_prefix_and_counter() -> None:
    torch.manual_seed(0)
    source, target = tiny(), tiny()
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    load_released(target, {**state, "n_averaged": torch.tensor(3)})
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_misfit_names_every_kind_and_leaves_the_model_alone() -> None:
    model = tiny()
    state = dict(model.state_dict())
    before = state["stem.norm.bias"].clone()
    del state["scm.att.logit_scale"]
    state["bonus"] = torch.zeros(1)
    state["class_list.0.weight"] = torch.zeros(702, 256)
    state["stem.norm.bias"] = before + 1
    with pytest.raises(BadInput) as caught:
        load_released(model, state)
    said = str(caught.value)
    assert "1 missing: scm.att.logit_scale" in said
    assert "1 extra: bonus" in said
    assert "1 of another shape: class_list.0.weight [702, 256] where the model has [5, 256]" in said
    assert torch.equal(model.state_dict()["stem.norm.bias"], before)


def released_backbone(model: SCM) -> dict[str, Tensor]:
    """A model's trunk and first branch under the names of the authors' ImageNet files."""
    names = {"stem": "first_conv", "branch_1.0": "layer4", "branch_1.1": "head"}
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in {**names, "layer1": "layer1", "layer2": "layer2", "layer3": "layer3"}.items():
            if name.startswith(f"{ours}."):
                state[theirs + name.removeprefix(ours)] = value
    return {**state, "classifier.weight": torch.zeros(1000, 256), "classifier.bias": torch.zeros(1000)}


def test_backbone_file_starts_trunk_and_both_branches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = tiny(), tiny()
    own = {name: value.clone() for name, value in target.scm.state_dict().items()}
    path = tmp_path / "checkpoint_regnet_y_tiny.pth"
    torch.save({"state_dict": released_backbone(source), "epoch": 90}, path)
    load_backbone(target, path)
    for part in ("stem", "layer1", "layer2", "layer3", "branch_1"):
        theirs = source.get_submodule(part).state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in target.get_submodule(part).state_dict().items())
    first, second = target.branch_1.state_dict(), target.branch_2.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(own[name], value) for name, value in target.scm.state_dict().items())


def test_backbone_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save(released_backbone(tiny()), path)
    with pytest.raises(BadInput, match=r"checkpoint\.pth: The weights don't fit this model .*missing"):
        load_backbone(build_model("regnet_y_800mf", 5), path)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


def test_pickle_with_code_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Payload()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(BadInput, match=f"{name} can't be read as weights"):
            read_state(tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut short"])
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"{name} can't be read as weights"):
        read_state(tmp_path / name)


def test_file_of_something_else_is_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(BadInput, match="holds something else than named tensors"):
        read_state(tmp_path / "a.pth")
    with pytest.raises(BadInput, match="is missing"):
        read_state(tmp_path / "b.pth")


def test_foreign_model_loads_with_a_recipe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build_model("regnet_y_tiny", 7, image_size=(192, 64), num_parts=3)
    path = tmp_path / "ema.pth"
    torch.save({f"module.{name}": value for name, value in source.state_dict().items()}, path)
    settings = recipe("market1501", "regnet_y_tiny")
    with pytest.raises(BadInput, match="name its recipe with --dataset and --net"):
        load_model(path)
    model, _ = load_model(path, settings)
    assert not model.training
    x = torch.rand(2, 3, 192, 64)
    assert torch.equal(model.cpu()(x).embeddings, source.eval()(x).embeddings)


def test_our_file_brings_its_own_settings(tmp_path: Path) -> None:
    settings = recipe("market1501", "regnet_y_tiny")
    model = build_model("regnet_y_tiny", 3, image_size=(192, 64))
    save_model(tmp_path / "model.safetensors", model, {"settings": settings.as_dict()})
    for source in (tmp_path, tmp_path / "model.safetensors"):
        loaded, found = load_model(source)
        assert found == settings
        assert torch.equal(loaded.cpu().scm.learnable_masks, model.scm.learnable_masks)
    with pytest.raises(BadInput, match=r"holds no model\.safetensors"):
        load_model(tmp_path.parent)


def test_run_that_started_from_imagenet_loads_without_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(recipe("market1501", "torchvision:resnet18"), img_height=64, img_width=64, weights="imagenet")
    asked: list[object] = []
    build = torchvision.models.get_model

    def without_download(name: str, weights: object) -> nn.Module:
        asked.append(weights)
        network: nn.Module = build(name, weights=None)
        return network

    monkeypatch.setattr(torchvision.models, "get_model", without_download)
    model = model_for(settings, 3)
    save_model(tmp_path / "model.safetensors", model, {"settings": settings.as_dict()})
    loaded, _ = load_model(tmp_path)
    assert asked[0] is not None
    assert asked[1] is None
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(loaded.cpu()(x).embeddings, model.eval()(x).embeddings)
