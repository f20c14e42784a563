"""The project about itself: packages alike everywhere, imports that point one way, modules of a readable size."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import scmlib
from scmlib.cli import cli

ROOT = Path(__file__).parents[1]
LAYERS = [
    *("errors", "records", "layouts", "datasets", "inspection", "images"),
    *("backbone", "mask", "model", "losses"),
    *("recipes", "reached", "checkpoints", "training"),
    *("ranking", "evaluation", "baseline", "study"),
    *("mask_scores", "mask_baselines", "occlusion", "sensitivity", "clinic", "ablation", "views"),
    *("figures", "mask_figures", "occlusion_figures", "report"),
    *("data_figures", "training_figures", "protocol_figures"),
    *("panels", "explorer_figures", "widgets", "explorers"),
    *("demo", "course", "options", "analysis_cli", "cli", "__main__"),
]
MODULES = [*sorted((ROOT / "scmlib").glob("*.py")), *sorted((ROOT / "data_prep").glob("*.py"))]


def requirement(text: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z0-9_.-]+)(.*)", text)
    assert match
    return match[1].lower(), match[2].replace(" ", "")


def test_conda_environment_equals_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = dict(requirement(text) for text in project["dependencies"])
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = dict(requirement(text) for text in listed if isinstance(text, str))
    assert plain.pop("python") == project["requires-python"]
    plain.pop("pip")
    conda_names = {"pytorch": "torch"}
    assert {conda_names.get(name, name): bounds for name, bounds in plain.items()} == wanted
    assert {"pip": ["-e ."]} in listed


def test_torch_and_torchvision_are_capped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(requirement(text) for text in project["dependencies"])
    assert "<" in bounds["torch"]
    assert "<" in bounds["torchvision"]


def imports(path: Path) -> set[str]:
    """First-party modules that a file imports, e.g. `scmlib.model`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "scmlib" else [f"scmlib.{alias.name}" for alias in node.names]
            found |= set(names)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("scmlib", "data_prep", "notebooks", "tests")}


def test_every_module_has_its_place() -> None:
    assert sorted(LAYERS) == sorted(p.stem for p in MODULES if p.parent.name == "scmlib" and p.stem != "__init__")


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    lower = {f"scmlib.{name}" for name in LAYERS[: LAYERS.index(layer)]}
    data = {
        "demo": {"synthetic"},
        "course": {"synthetic"},
        "analysis_cli": {"synthetic"},
        "cli": {"synthetic", "prepare"},
    }
    allowed = lower | {f"data_prep.{name}" for name in data.get(layer, set())}
    assert imports(ROOT / "scmlib" / f"{layer}.py") <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name


def test_public_names_load() -> None:
    assert "build_model" in dir(scmlib)
    for name in dir(scmlib):
        assert getattr(scmlib, name).__doc__, name


def test_readme_names_commands_and_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"`scm (\w+)", readme))
    assert {"demo", "train", "evaluate"} <= commands <= set(cli.commands)
    targets = set(re.findall(r"make (demo|test|unit|lab|lint)\b", readme))
    assert {"demo", "test"} <= targets
    for link in re.findall(r"\]\((?!#)([^)]+)\)", readme):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_lessons_that_modules_point_to_exist(path: Path) -> None:
    for lesson in re.findall(r"Lesson: (notebooks/\S+\.ipynb)", path.read_text()):
        assert (ROOT / lesson).is_file(), lesson
