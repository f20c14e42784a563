"""The project about itself: packages alike everywhere, imports that point one way, functions of a readable size."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import scmlib
from scmlib.cli.main import cli

ROOT = Path(__file__).parents[1]
# Packages and modules, each of which imports only from those above it and from itself.
LAYERS = [
    *("errors", "files", "launch"),
    *("backbone", "mask", "model", "variants", "losses"),
    "data",
    *("settings", "run_folder", "checkpoints", "schedule", "mask_statistics", "health", "processes", "training"),
    *("folding", "inference", "ranking", "evaluation", "runs"),
    *("exports", "analysis", "figures", "explorers"),
    *("pieces", "demo", "course", "cli", "__main__"),
]
PREPARES = ("demo", "course", "cli")  # what may use `data_prep`
METHOD = ("backbone", "mask", "model", "variants", "losses")
MODULES = [*sorted((ROOT / "scmlib").rglob("*.py")), *sorted((ROOT / "data_prep").rglob("*.py"))]


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


def test_wheel_holds_every_package_and_its_files() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    files = [path for top in ("scmlib", "data_prep") for path in (ROOT / top).rglob("*.*") if path.suffix != ".pyc"]
    assert {".".join(path.parent.relative_to(ROOT).parts) for path in files} == set(tools["packages"])
    kept = {path for pattern in tools["package-data"]["scmlib"] for path in (ROOT / "scmlib").glob(pattern)}
    assert {path for path in files if path.suffix != ".py"} == kept


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


def layer_of(module: str) -> str:
    """`scmlib.figures.style` to `figures`."""
    return module.split(".")[1]


def test_every_package_has_its_place() -> None:
    there = {path.stem for path in (ROOT / "scmlib").glob("*") if path.suffix == ".py" or path.is_dir()}
    assert there - {"__init__", "__pycache__"} == set(LAYERS)


@pytest.mark.parametrize(
    "path", [p for p in MODULES if "scmlib" in p.parts], ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_point_one_way(path: Path) -> None:
    place = path.relative_to(ROOT / "scmlib")
    layer = place.with_suffix("").parts[0]
    if layer == "__init__":
        return
    found = imports(ROOT / "scmlib" / place)
    ours = {layer_of(module) for module in found if module.startswith("scmlib.")}
    allowed = set(LAYERS[: LAYERS.index(layer)]) | ({layer} if len(place.parts) > 1 else set())
    assert ours <= allowed - ({"data"} if layer in METHOD else set())
    assert layer in PREPARES or not any(module.startswith("data_prep") for module in found)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("scmlib.mask", ("scmlib.data", "torchvision")),
        ("scmlib.losses", ("scmlib.data", "torchvision")),
        ("scmlib.variants", ("scmlib.data", "torchvision", "pandas", "scipy")),  # build_model
        ("scmlib.training", ("torchvision", "sklearn", "scipy")),
        ("scmlib.evaluation", ("torchvision", "sklearn", "scipy")),
        ("scmlib.explorers.calls", ("torchvision", "sklearn", "scipy", "matplotlib.pyplot")),
        ("scmlib.cli.main", ("torch", "pandas", "matplotlib")),
        ("scmlib.figures", ("torchvision",)),
        *((f"scmlib.figures.{path.stem}", ("torchvision",)) for path in (ROOT / "scmlib/figures").glob("[a-z]*.py")),
    ],
)
def test_import_stays_light(module: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {module}; sys.exit(' '.join(name for name in {unwanted} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_readable(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lessons_that_modules_point_to_exist(path: Path) -> None:
    for lesson in re.findall(r"Lesson: (notebooks/\S+\.ipynb)", path.read_text()):
        assert (ROOT / lesson).is_file(), lesson
