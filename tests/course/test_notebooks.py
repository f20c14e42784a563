"""The notebooks: their shape, what they keep, both editions, and all of them run from nothing on small data."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode

from docs.assignments import names
from notebooks.editions import EDITIONS, SOURCES, behind_predictions, tags, worked_in, write_edition
from notebooks.execute import FOLDER, code_digest, execute
from scmlib.explorers.widgets import ERROR
from tests.trees import write_tree

NOTEBOOKS = sorted(FOLDER.glob(SOURCES))
PARAMETERS = [
    'DATASET, DATASET_ROOT = "synthetic", ""',
    'NET = "regnet_y_tiny"',
    'RUNS, QUICK = "../runs", False',
]
TIME = r"(\d+) minutes to read, (\d+) to run, (\d+) for the exercises: (\d+) in all"
EXERCISE = r"### Exercise (A?\d)\.(\d) · ([●○]{3}) · (\d+) minutes( · more)?"

# Values that equal another number of their notebook by chance, so that nobody could take it for the answer.
BY_CHANCE = {"04_ranking": {"94.5"}}  # rank-10 of the global embeddings, and queries whose person is rightly not found
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)
    return notebook


def tagged(notebook: NotebookNode, tag: str) -> list[int]:
    """Numbers of the cells that carry a tag."""
    return [i for i, cell in enumerate(notebook.cells) if tag in tags(cell)]


def code_lines(source: str) -> int:
    """Lines to read: comments, blank lines and imports are none."""
    return sum(not re.match(r"\s*(#|import |from |$)", line) for line in source.splitlines())


def markdown(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def shown(cell: NotebookNode) -> list[str]:
    """A cell's outputs as text, what is printed left out."""
    return [str(value) for output in cell.get("outputs", []) for value in output.get("data", {}).values()]


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


@each
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


@each
def test_every_figure_is_said_in_words_and_has_a_caption(path: Path) -> None:
    notebook = read(path)
    images = [tag for c in notebook.cells for text in shown(c) for tag in re.findall(r"<img[^>]*>", text)]
    assert len(images) >= 3
    assert all(re.search(r'alt="[^"]{20,}"', tag) for tag in images)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not any(mime.startswith("image/") for output in outputs for mime in output.get("data", {}))
    number = path.stem.split("_")[0].lstrip("0")
    captions = re.findall(r"^\*\*Figure (A?\d)\.(\d+)\.\*\* \S", markdown(notebook), flags=re.MULTILINE)
    assert captions == [(number, str(i + 1)) for i in range(len(captions))]
    assert len(captions) >= 3


@each
def test_has_the_shape_of_a_lesson(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = read(path)
    code = [code_lines(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    prose = re.sub(r"```.*?```|<details>.*?</details>", "", markdown(notebook), flags=re.DOTALL)
    ratio, p90 = len(prose.split()) / sum(code), float(np.percentile(code, 90))
    size = f"{len(notebook.cells)} cells, {path.stat().st_size / 1e6:.2f} MB"
    with capsys.disabled():
        print(
            f"\n{path.name}: {size}; code lines median {np.median(code):.0f}, p90 {p90:.0f}; {ratio:.1f} words a line"
        )
    assert 15 <= len(notebook.cells) <= 70
    assert np.median(code) <= 6
    assert p90 <= 20
    assert 8 <= ratio <= 20
    (first,) = tagged(notebook, "parameters")
    assert first == 1
    assert [line.split("  #")[0] for line in notebook.cells[1].source.splitlines()] == PARAMETERS


@each
def test_opens_and_closes_as_all_do(path: Path) -> None:
    notebook, text = read(path), markdown(read(path))
    opening = notebook.cells[0].source
    assert opening.startswith(f"# {path.stem.split('_')[0]} · ")
    assert re.search("spectral clustering masks?", opening, flags=re.IGNORECASE)
    for word in ("**Question.**", "**You will learn**", "**Level.**", "**Time.**", "**Start anywhere.**"):
        assert word in opening, word
    assert len(re.findall(r"^\d\. ", opening, flags=re.MULTILINE)) == 3
    time = re.search(TIME, opening)
    assert time, f"say '{TIME}'"
    reading, running, exercises, total = map(int, time.groups())
    assert reading + running + exercises == total <= 45
    assert exercises == sum(int(found[3]) for found in re.findall(EXERCISE, text) if not found[4])
    for head in ("## Recap", "## Recall", "## Open question", "## References"):
        assert f"\n{head}" in text, head
    recall = text.split("\n## Recall")[1].split("\n## ")[0]
    assert recall.count("<details>") >= 3
    assert "glossary.md" in text
    assert re.search(r"\]\(\.\./(scmlib|data_prep)/", text), "link to the package's modules"
    if not path.stem.startswith("A"):
        assert "https://github.com/xiaolai-sqlai/SCM-ReID" in text
        assert "Occluded Person Re-identification with Spectral Clustering Mask" in text


@each
def test_exercises_have_stub_check_hints_and_solution(path: Path) -> None:
    notebook = read(path)
    heads = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("### Exercise")]
    number, (stubs, checks, solutions) = (
        path.stem.split("_")[0].lstrip("0"),
        (tagged(notebook, tag) for tag in ("exercise", "check", "solution")),
    )
    assert len(heads) == len(stubs) == len(checks) == len(solutions) >= (1 if number.startswith("A") else 2)
    for k, (head, stub, test, solution) in enumerate(zip(heads, stubs, checks, solutions, strict=True), 1):
        found = re.match(EXERCISE, notebook.cells[head].source)
        assert found, notebook.cells[head].source.splitlines()[0]
        assert found.groups()[:2] == (number, str(k))
        assert re.fullmatch("●+○*", found[3])
        assert head < stub < test < solution
        between = "\n".join(cell.source for cell in notebook.cells[test:solution] if cell.cell_type == "markdown")
        assert [s.split(":")[0] for s in re.findall(r"<summary>(.*?)</summary>", between)] == ["Nudge", "Approach"]
        (name,) = (tag.split(":")[1] for tag in tags(notebook.cells[stub]) if tag.startswith("exercise:"))
        for cell in (notebook.cells[stub], notebook.cells[solution]):
            assert re.search(rf"^(def|class) {name}\b", cell.source, flags=re.MULTILINE)
        assert re.search(rf"\b{name}\b", notebook.cells[test].source)
        assert "✗" in printed(notebook.cells[test]), "the committed notebook checks the stub"


def found_by_comparing(cell: NotebookNode) -> set[str]:
    """The numbers that a comparison with guesses shows as found, those of three significant digits."""
    told = re.findall(r'alt="Guesses and outcomes\. ([^"]*)"', " ".join(shown(cell)))
    return {
        n
        for text in told
        for n in re.findall(r"found (-?[\d.]+\d)", text)
        if len(re.sub(r"\D", "", n).lstrip("0")) >= 3 and n != "100"
    }


@each
def test_no_answer_stands_before_its_prediction(path: Path) -> None:
    notebook = read(path)
    order = [(i, tag) for i, cell in enumerate(notebook.cells) for tag in tags(cell)]
    order = [(i, tag) for i, tag in order if tag in ("predict", "guess", "answer")]
    asked = [i for i, tag in order if tag == "predict"]
    assert len(asked) >= 2
    for i in asked:
        at = order.index((i, "predict"))
        assert [tag for _, tag in order[at : at + 3]] == ["predict", "guess", "answer"]
        assert notebook.cells[i].cell_type == "markdown"
        guess, answer = order[at + 1][0], order[at + 2][0]
        assert "None" in notebook.cells[guess].source
        assert not any(shown(cell) for cell in notebook.cells[i:answer])
        before = " ".join(" ".join([cell.source, *shown(cell)]) for cell in notebook.cells[:answer])
        before = re.sub(r"base64,[^\"]*", "", before)
        for value in found_by_comparing(notebook.cells[answer]) - BY_CHANCE.get(path.stem, set()):
            told = re.search(rf"(?<![-\d.]){re.escape(value)}(?!\d)", before)
            assert not told, f"{value} is told before it is asked"


@each
def test_explorers_have_printed_twins(path: Path) -> None:
    code = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    for name in re.findall(r"^(\w+) = (?:explore_\w+|occlusion_lab|find_her)\(", code, flags=re.MULTILINE):
        assert f"{name}.filmstrip(" in code, name


@each
def test_no_cell_rebinds_what_another_reads(path: Path) -> None:
    notebook = read(path)
    binders, readers = defaultdict(set), defaultdict(set)
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and "solution" not in tags(cell):
            bound, taken = names(cell.source)
            for name in bound:
                binders[name].add(i)
            for name in taken:
                readers[name].add(i)
    for name, cells in binders.items():
        assert len(cells) == 1 or not readers[name], f"{name}: bound in {cells}, read in {readers[name]}"


@each
def test_editions_hide_what_they_should(path: Path) -> None:
    learner, reading = (EDITIONS[name](read(path)) for name in ("learner", "reading"))
    for i in behind_predictions(learner):
        assert not learner.cells[i].outputs
    assert not tagged(learner, "solution")
    for notebook in (learner, reading):
        nbformat.validate(notebook)
    answers = [i for i in behind_predictions(read(path)) if read(path).cells[i].outputs]
    assert answers
    for i in answers:
        (output,) = reading.cells[i].outputs
        assert output.data["text/html"].startswith("<details>")
    for i in tagged(reading, "solution"):
        assert reading.cells[i].cell_type == "markdown"
        assert reading.cells[i].source.startswith("<details>")


@pytest.mark.parametrize("name", EDITIONS)
def test_an_edition_keeps_a_learners_work(name: str, tmp_path: Path) -> None:
    assert write_edition(name, tmp_path) == []
    assert sorted(path.name for path in tmp_path.glob("*.ipynb")) == [path.name for path in NOTEBOOKS]
    assert (tmp_path / "glossary.md").is_file()
    assert write_edition(name, tmp_path) == []  # nobody has worked in it
    mine = tmp_path / NOTEBOOKS[0].name
    notebook = read(mine)
    notebook.cells[2].source += "\nguess = 5"
    nbformat.write(notebook, mine)
    assert worked_in(mine)
    assert write_edition(name, tmp_path) == [mine]
    assert "guess = 5" in mine.read_text()


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


def twice(notebook: NotebookNode) -> tuple[NotebookNode, list[tuple[int, int]], list[int], list[int]]:
    """Each code cell run twice in place, and after each check the solution and the check again.

    Returns:
        The notebook, the pairs of equal cells, and where the checks of stubs and of solutions stand.
    """
    cells: list[NotebookNode] = []
    pairs: list[tuple[int, int]] = []
    stubs: list[int] = []
    solved: list[int] = []
    solutions = iter(tagged(notebook, "solution"))
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cells += [cell, nbformat.v4.new_code_cell(cell.source)]
        pairs.append((len(cells) - 2, len(cells) - 1))
        if "check" in tags(cell):
            stubs += pairs[-1]
            answer = notebook.cells[next(solutions)].source
            cells += [nbformat.v4.new_code_cell(source) for source in (answer, cell.source)]
            solved.append(len(cells) - 1)
    notebook.cells = cells
    return notebook, pairs, stubs, solved


def widget_errors(notebook: NotebookNode) -> list[str]:
    """What went wrong inside widgets, where no cell shows it."""
    states = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    found = [str(state["state"].get("value", "")) for state in states.values()]
    outputs = [output for state in states.values() for output in state["state"].get("outputs", [])]
    return [text for text in found if ERROR in text] + [
        str(output) for output in outputs if output.get("output_type") == "error"
    ]


def without_widgets(cell: NotebookNode) -> list[str]:
    """What a cell shows, widgets left out: they have numbers of their own."""
    return [
        str(sorted(output.data.items()))
        for output in cell.outputs
        if "data" in output and "application/vnd.jupyter.widget-view+json" not in output.data
    ]


@pytest.mark.slow
@each
def test_runs_from_nothing_and_any_cell_twice(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    runs = tmp_path_factory.getbasetemp() / "notebook_runs"  # the first notebook trains, the others find its run
    notebook = with_parameters(
        read(path), DATASET="synthetic", DATASET_ROOT="", NET="regnet_y_tiny", RUNS=str(runs), QUICK=True
    )
    notebook, pairs, stubs, solved = twice(notebook)
    done = execute(notebook)
    assert not widget_errors(done)
    for i, again in pairs:
        assert without_widgets(done.cells[i]) == without_widgets(done.cells[again]), done.cells[i].source
    for i in stubs:
        assert "✗" in printed(done.cells[i]), done.cells[i].source
    for i in solved:
        assert "✓" in printed(done.cells[i]), (done.cells[i].source, printed(done.cells[i]))


# Every protocol (cameras, none, drawn galleries, all against all, views), and a recipe that starts without stripes.
OTHERS = [
    (number, name, "regnet_y_800mf" if name == "vehicleid" else "regnet_y_tiny")
    for number, name in [
        ("01", "market1501"),
        ("01", "university1652"),
        ("02", "occluded_duke"),
        ("03", "market1501"),
        ("04", "cub200"),
        ("05", "vehicleid"),
        ("06", "msmt17"),
        ("A1", "cub200"),
        ("A2", "market1501"),
    ]
    if any(path.name.startswith(number) for path in NOTEBOOKS)
]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name", "net"), OTHERS)
def test_runs_on_other_data(number: str, name: str, net: str, tmp_path: Path) -> None:
    (path,) = (path for path in NOTEBOOKS if path.name.startswith(number))
    write_tree(name, tmp_path)
    notebook = with_parameters(
        read(path), DATASET=name, DATASET_ROOT=str(tmp_path), NET=net, RUNS=str(tmp_path), QUICK=True
    )
    assert not widget_errors(execute(notebook))
