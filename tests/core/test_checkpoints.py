from __future__ import annotations

import argparse
import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from scmlib.checkpoints import WRAPPERS, load_model, load_released, load_start, model_for, read_state, save_model
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
    load_start(target, path)
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
        load_start(build_model("regnet_y_800mf", 5), path)


@pytest.mark.parametrize("kind", ["run folder", "its weights", "released names"])
def test_trained_model_starts_another_with_other_identities(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    settings = recipe("market1501", "regnet_y_tiny")
    source, target = model_for(settings, 7), model_for(settings, 4)
    save_model(tmp_path / "model.safetensors", source, {"settings": settings.as_dict()})
    torch.save({f"module.{name}": value for name, value in source.state_dict().items()}, tmp_path / "ema.pth")
    fresh = {name: value.clone() for name, value in target.class_list.state_dict().items()}
    places = {"run folder": "", "its weights": "model.safetensors", "released names": "ema.pth"}
    load_start(target, tmp_path / places[kind])
    for name, value in target.state_dict().items():
        if not name.startswith("class_list."):
            assert torch.equal(value, source.state_dict()[name]), name
    assert all(torch.equal(fresh[name], value) for name, value in target.class_list.state_dict().items())


def test_prior_is_resized_to_another_grid(tmp_path: Path) -> None:
    settings = recipe("market1501", "regnet_y_tiny")
    source = model_for(settings, 3)
    ramp = torch.linspace(0, 1, 12)[:, None].expand(12, 4)  # the grid of 192 x 64 pixels
    source.scm.learnable_masks.data.copy_(ramp.expand(1, 3, 12, 4))
    save_model(tmp_path / "model.safetensors", source, {"settings": settings.as_dict()})
    larger = model_for(replace(settings, img_height=384, img_width=128), 3)
    load_start(larger, tmp_path)
    prior = larger.scm.learnable_masks.detach()
    assert prior.shape == (1, 3, 24, 8)
    assert (prior.diff(dim=2) >= 0).all()
    assert torch.equal(prior[0, 0, :, 0], prior[0, 2, :, 7])
    assert prior[0, 0, 1:-1, 0].tolist() == pytest.approx(np.interp(np.arange(1, 23) / 2 - 0.25, range(12), ramp[:, 0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_part": 2}, "was trained with --num-part 3, not 2: give --num-part 3"),
        ({"feat_num": 128}, "was trained with --feat-num 256, not 128"),
        ({"variant": "stripes"}, "was trained with --variant scm, not stripes"),
        ({"net": "torchvision:resnet18"}, "was trained with --net regnet_y_tiny, not torchvision:resnet18"),
    ],
)
def test_start_from_a_run_of_another_network_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    settings = recipe("market1501", "regnet_y_tiny")
    save_model(tmp_path / "model.safetensors", model_for(settings, 3), {"settings": settings.as_dict()})
    with pytest.raises(BadInput, match=said):
        load_start(model_for(replace(settings, **change), 3), tmp_path)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


def refused(path: Path) -> str:
    """The one sentence that a file is refused with: none of torch's text, advice or escape codes."""
    with pytest.raises(BadInput) as caught:
        read_state(path)
    said = str(caught.value)
    assert said.startswith(f"{path} ")
    assert said.endswith(".")
    assert not any(word in said for word in ("weights_only", "\\x1b", "trust", "Unpickl", "allowlist"))
    return said


def test_pickle_with_code_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Payload()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    for name in ("a.pth", "b.pth"):
        assert "holds a pickled object (" in refused(tmp_path / name)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("new_format", [True, False])
def test_pickled_model_is_refused_and_told_what_to_save(tmp_path: Path, new_format: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save(nn.Linear(2, 2), path, _use_new_zipfile_serialization=new_format)
    said = refused(path)
    assert "holds a pickled object (torch.nn.modules.linear.Linear)" in said
    assert "torch.save(model.state_dict(), FILE)" in said


@pytest.mark.parametrize("new_format", [True, False])
def test_numbers_and_arguments_beside_the_weights_are_passed_over(tmp_path: Path, new_format: bool) -> None:
    weights, path = {"a.weight": torch.rand(2), "b.bias": torch.rand(3)}, tmp_path / "a.pth"
    beside = {
        "epoch": 3,
        "rank1": np.float64(0.5),
        "queries": np.int32(3),
        "best": np.bool_(True),
        "scores": np.arange(3.0),
        "args": argparse.Namespace(lr=0.1, root=["a"]),
    }
    torch.save({"state_dict": weights, **beside}, path, _use_new_zipfile_serialization=new_format)
    read = read_state(path)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], value) for name, value in weights.items())


@pytest.mark.parametrize("wrapper", [*WRAPPERS, "epoch beside them"])
def test_state_dict_is_found_where_training_scripts_keep_it(tmp_path: Path, wrapper: str) -> None:
    weights = {"a.weight": torch.rand(2)}
    optimizer = {"state": {0: {"momentum_buffer": torch.rand(2)}}, "param_groups": [{"lr": 0.1}]}
    content = {**weights, "epoch": 3} if " " in wrapper else {wrapper: weights, "optimizer": optimizer, "epoch": 3}
    torch.save(content, tmp_path / "a.pth")
    torch.save({"model": content}, tmp_path / "nested.pth")
    for name in ("a.pth", "nested.pth"):
        read = read_state(tmp_path / name)
        assert list(read) == ["a.weight"]
        assert torch.equal(read["a.weight"], weights["a.weight"])


def test_weights_are_taken_before_their_average(tmp_path: Path) -> None:
    torch.save({"model_ema": {"a": torch.zeros(1)}, "model": {"a": torch.ones(1)}}, tmp_path / "a.pth")
    assert read_state(tmp_path / "a.pth")["a"] == 1


def test_files_that_often_bear_the_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        return refused(path)

    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345678\n"
    assert "is a Git-LFS pointer, not the weights themselves: fetch the real file" in said(pointer)
    assert "is a web page" in said(b"\n<!DOCTYPE html><html><body>Sign in</body></html>")
    assert "is a web page" in said(b"<html>404</html>")
    assert "it is empty" in said(b"")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("weights/a.pth", b"x")
    assert "is a zip archive that holds no weights of torch" in said(archive.getvalue())
    listing = archive.getvalue().rfind(b"PK\x01\x02")  # of the archive's files, made unreadable
    garbled = archive.getvalue()[:listing] + b"XX" + archive.getvalue()[listing + 2 :]
    assert "cut short, damaged or of another kind" in said(garbled)
    whole = io.BytesIO()
    torch.save({"a": torch.rand(100)}, whole)
    assert "cut short, damaged or of another kind" in said(whole.getvalue()[:-200])


def test_program_is_no_state_dict(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:  # what torch.jit.save writes, as far as it matters
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            file.writestr(f"a/{name}", b"x")
    assert "is a TorchScript program" in refused(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut short"])
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "can't be read as weights" in refused(tmp_path / name)


def test_file_of_something_else_is_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(BadInput, match="holds something else than named tensors"):
        read_state(tmp_path / "a.pth")
    with pytest.raises(BadInput, match="is missing"):
        read_state(tmp_path / "b.pth")


@pytest.fixture(scope="module")
def foreign() -> SCM:
    """A model that the recipe of Market-1501 for the tiny net describes."""
    torch.manual_seed(0)
    return build_model("regnet_y_tiny", 7, image_size=(192, 64), num_parts=3)


@pytest.mark.parametrize("prefix", ["", "module.", "module.module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("lacking", ["", "num_batches_tracked", "class_list."])
def test_foreign_model_loads_with_a_recipe(foreign: SCM, tmp_path: Path, prefix: str, lacking: str) -> None:
    path = tmp_path / "ema.pth"
    state = {prefix + name: value for name, value in foreign.state_dict().items() if not lacking or lacking not in name}
    torch.save(state, path)
    settings = recipe("market1501", "regnet_y_tiny")
    with pytest.raises(BadInput, match="name its recipe with --dataset and --net"):
        load_model(path)
    model, _ = load_model(path, settings)
    assert not model.training
    x = torch.rand(2, 3, 192, 64)
    ours, theirs = model.cpu()(x), foreign.eval()(x)
    assert torch.equal(ours.embeddings, theirs.embeddings)
    if lacking == "class_list.":
        assert ours.logits.shape == (2, 6, 1)
        assert not ours.logits.any()
    else:
        assert torch.equal(ours.logits, theirs.logits)


def test_half_a_classifier_is_a_misfit(foreign: SCM, tmp_path: Path) -> None:
    state = dict(foreign.state_dict())
    del state["class_list.1.weight"]
    torch.save(state, tmp_path / "ema.pth")
    with pytest.raises(BadInput, match=r"1 missing: class_list\.1\.weight"):
        load_model(tmp_path / "ema.pth", recipe("market1501", "regnet_y_tiny"))


def test_our_file_brings_its_own_settings(tmp_path: Path) -> None:
    settings = recipe("market1501", "regnet_y_tiny")
    model = build_model("regnet_y_tiny", 3, image_size=(192, 64))
    save_model(tmp_path / "model.safetensors", model, {"settings": settings.as_dict()})
    for source in (tmp_path, tmp_path / "model.safetensors"):
        loaded, found = load_model(source)
        assert found == settings
        assert torch.equal(loaded.cpu().scm.learnable_masks, model.scm.learnable_masks)


def test_folder_that_is_no_run_is_named_and_what_was_meant(tmp_path: Path) -> None:
    def said(folder: Path) -> str:
        with pytest.raises(BadInput) as caught:
            load_model(folder)
        return str(caught.value)

    assert said(tmp_path).endswith(
        "is no run folder of `scm train`, for it holds no model.safetensors: check the path."
    )
    (tmp_path / "demo" / "run").mkdir(parents=True)
    (tmp_path / "demo" / "run" / "model.safetensors").touch()
    assert f"did you mean {tmp_path / 'demo' / 'run'}?" in said(tmp_path / "demo")
    (tmp_path / "ema.pth").touch()
    assert f"did you mean {tmp_path / 'ema.pth'}?" in said(tmp_path)
    unfinished = tmp_path / "my run"
    unfinished.mkdir()
    (unfinished / "state.pt").touch()
    assert f"go on with `scm train --resume --out '{unfinished}'`" in said(unfinished)


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
