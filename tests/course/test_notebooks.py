"""The notebooks: their shape, what they keep, and all of them run from nothing on a tiny world and on a real layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode

from notebooks.execute import FOLDER, code_digest, execute
from scmlib.explorers.widgets import ERROR
from tests.trees import write_tree

NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
PARAMETERS = [
    'DATASET, DATASET_ROOT = "synthetic", ""',
    'NET = "regnet_y_tiny"',
    'RUNS, QUICK = "../runs", False',
]


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def tagged(notebook: NotebookNode, tag: str) -> list[int]:
    """Numbers of the cells that carry a tag."""
    return [i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


def code_lines(source: str) -> int:
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def texts(notebook: NotebookNode) -> list[str]:
    """All outputs as text."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            found += [str(output.get("text", "")), *(str(value) for value in output.get("data", {}).values())]
    return found


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_there_are_four() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_as_executed(path: Path) -> None:
    notebook, text = read(path), path.read_text()
    assert path.stat().st_size < 2e6
    assert notebook.metadata["scmlib"]["code"] == code_digest(notebook), "run `make notebooks`: code has changed since"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "widgets" not in notebook.metadata
    for word in ("widget-view", "Warning", "Traceback (most", "/home/", "/root/", "/tmp/", "/work/", ERROR):
        assert word not in text, word
    assert all(output.output_type != "error" and output.get("name") != "stderr" for c in cells for output in c.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_figure_is_said_in_words(path: Path) -> None:
    notebook = read(path)
    images = [tag for text in texts(notebook) for tag in re.findall(r"<img[^>]*>", text)]
    assert len(images) >= 5
    assert all(re.search(r'alt="[^"]{20,}"', tag) for tag in images)
    assert not any(
        mime.startswith("image/") for c in notebook.cells for o in c.get("outputs", []) for mime in o.get("data", {})
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_has_the_shape_of_a_lesson(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = read(path)
    code = [code_lines(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    prose = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    ratio = len(re.sub(r"```.*?```", "", prose, flags=re.DOTALL).split()) / sum(code)
    p90 = float(np.percentile(code, 90))
    size = f"{len(notebook.cells)} cells, {path.stat().st_size / 1e6:.2f} MB"
    with capsys.disabled():
        print(
            f"\n{path.name}: {size}; code lines median {np.median(code):.0f}, p90 {p90:.0f}; {ratio:.0f} words a line"
        )
    assert 30 <= len(notebook.cells) <= 130
    assert np.median(code) <= 6
    assert p90 <= 20
    assert 6 <= ratio <= 25
    for word in ("What you'll learn", "What you need", "How long", "laim", "aseline", "egative control", "glossary.md"):
        assert word in prose, word
    assert 3 <= len(tagged(notebook, "exercise")) <= 5
    assert len(tagged(notebook, "check")) == len(tagged(notebook, "exercise")) == len(tagged(notebook, "solution"))
    (first,) = tagged(notebook, "parameters")
    assert first == 1
    lines = [line.split("  #")[0] for line in notebook.cells[1].source.splitlines()]
    assert lines == PARAMETERS


@pytest.mark.parametrize("path", [*NOTEBOOKS, FOLDER / "glossary.md", FOLDER / "README.md"], ids=lambda path: path.stem)
def test_links_resolve(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\((?!https?:|mailto:|data:)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            heads = re.findall(r"^#+ (.+)$|<a id=\"([^\"]+)\"", target.read_text(), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") or mark for head, mark in heads}
            assert anchor in anchors, link


def with_parameters(notebook: NotebookNode, **values: Any) -> NotebookNode:
    """The notebook with other values in its parameters cell."""
    lines = [f"{name} = {value!r}" for name, value in values.items()]
    notebook.cells[tagged(notebook, "parameters")[0]].source = "\n".join(lines)
    return notebook


def with_solutions(notebook: NotebookNode) -> tuple[NotebookNode, list[int], list[int]]:
    """After each check cell, the solution and the check again; and where the checks before and after it stand."""
    cells, stubs, solved = [], [], []
    checks, solutions = tagged(notebook, "check"), iter(tagged(notebook, "solution"))
    for i, cell in enumerate(notebook.cells):
        cells.append(cell)
        if i in checks:
            stubs.append(len(cells) - 1)
            answer = re.search(r"```python\n(.*?)```", notebook.cells[next(solutions)].source, re.DOTALL)
            assert answer
            cells += [nbformat.v4.new_code_cell(answer[1]), nbformat.v4.new_code_cell(cell.source)]
            solved.append(len(cells) - 1)
    notebook.cells = cells
    return notebook, stubs, solved


def widget_errors(notebook: NotebookNode) -> list[str]:
    """What went wrong inside widgets, where no cell shows it."""
    states = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    found = [str(state["state"].get("value", "")) for state in states.values()]
    outputs = [output for state in states.values() for output in state["state"].get("outputs", [])]
    return [text for text in found if ERROR in text] + [
        str(output) for output in outputs if output.get("output_type") == "error"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_nothing(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    runs = tmp_path_factory.getbasetemp() / "notebook_runs"  # the first notebook trains, the others find its run
    notebook = with_parameters(
        read(path), DATASET="synthetic", DATASET_ROOT="", NET="regnet_y_tiny", RUNS=str(runs), QUICK=True
    )
    notebook, stubs, solved = with_solutions(notebook)
    done = execute(notebook)
    assert not widget_errors(done)
    for i in stubs:
        assert "✗" in printed(done.cells[i]), done.cells[i].source
    for i in solved:
        assert "✓" in printed(done.cells[i]), (done.cells[i].source, printed(done.cells[i]))


# Every protocol (cameras, none, drawn galleries, all against all, views), and a recipe that starts without stripes.
OTHERS = [
    ("01", "market1501", "regnet_y_tiny"),
    ("01", "university1652", "regnet_y_tiny"),
    ("01", "cub200", "regnet_y_tiny"),
    ("02", "occluded_duke", "regnet_y_tiny"),
    ("02", "university1652", "regnet_y_tiny"),
    ("03", "market1501", "regnet_y_tiny"),
    ("03", "vehicleid", "regnet_y_800mf"),
    ("04", "msmt17", "regnet_y_tiny"),
    ("04", "cub200", "regnet_y_tiny"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name", "net"), OTHERS)
def test_runs_on_other_data(number: str, name: str, net: str, tmp_path: Path) -> None:
    (path,) = FOLDER.glob(f"{number}_*.ipynb")
    write_tree(name, tmp_path)
    notebook = with_parameters(
        read(path), DATASET=name, DATASET_ROOT=str(tmp_path), NET=net, RUNS=str(tmp_path), QUICK=True
    )
    assert not widget_errors(execute(notebook))
