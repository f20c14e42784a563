"""Assignments: an exercise brings all that it needs; its stub gets no points, its solution all; nbgrader agrees."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from docs.assignments import assignment, graded_check, needed, statements, write_assignments
from tests.course.test_notebooks import NOTEBOOKS, each, read, tagged

BEGIN, END = "### BEGIN SOLUTION\n", "\n### END SOLUTION"


def role(cell: NotebookNode) -> dict[str, Any]:
    found: dict[str, Any] = cell.metadata.get("nbgrader", {})
    return found


def solved_or_not(notebook: NotebookNode) -> tuple[NotebookNode, NotebookNode]:
    """What a learner hands in who has solved everything, and who has solved nothing."""
    full, empty = notebook, deepcopy(notebook)
    for cells, part in ((full.cells, 1), (empty.cells, 0)):
        for cell in cells:
            if role(cell).get("solution"):
                cell.source = cell.source.removesuffix(END).split(BEGIN)[part].strip()
    return full, empty


def points_of(notebook: NotebookNode) -> dict[str, int]:
    return {role(cell)["grade_id"]: role(cell)["points"] for cell in notebook.cells if role(cell).get("grade")}


def reached(notebook: NotebookNode) -> dict[str, int]:
    """Points by running the cells one after the other, as a grader does."""
    space: dict[str, Any] = {}
    got = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                exec(compile(cell.source, str(role(cell)["grade_id"]), "exec"), space)
                got[role(cell)["grade_id"]] = role(cell).get("points", 0)
            except AssertionError:
                got[role(cell)["grade_id"]] = 0
    return {name: got[name] for name in points_of(notebook)}


def test_what_code_needs_is_found_in_order() -> None:
    function = "@a\ndef f(x):\n    return g(x)"
    above = statements(f"import os\nfrom m import (\n    a,\n    b,\n)\n\n{function}\n\n\ng = b\nlost = os")
    assert above == ["import os", "from m import a", "from m import b", function, "g = b", "lost = os"]
    assert needed("f(3)", above) == above[1:5]
    assert needed("f = 1\nf", above) == []


def test_a_check_becomes_a_test() -> None:
    told = graded_check("ours = check(f, g, [(1,)])").splitlines()
    assert told[2:] == ["ours, is_right = graded(f, g, [(1,)])", 'assert is_right, "Not yet: see above."']
    with pytest.raises(AssertionError, match="calls `check` once"):
        graded_check("print(1)")


@each
def test_stubs_get_no_points_and_solutions_all(path: Path) -> None:
    made = assignment(read(path))
    nbformat.validate(made)
    wanted = points_of(made)
    assert len(wanted) == len(tagged(read(path), "exercise"))
    ids = [role(cell)["grade_id"] for cell in made.cells if role(cell)]
    assert len(set(ids)) == len(ids)
    full, empty = solved_or_not(made)
    assert reached(full) == wanted
    assert reached(empty) == dict.fromkeys(wanted, 0)


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("nbgrader"), reason="nbgrader isn't installed: pip install -e '.[grading]'"
)
def test_nbgrader_gives_the_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbgrader.api import Gradebook
    from nbgrader.apps import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    write_assignments(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # it calls alembic
    config = PyFileConfigLoader("nbgrader_config.py").load_config()
    config.CourseDirectory.root = str(tmp_path)
    api = NbGraderAPI(config=config)
    for path in NOTEBOOKS[:2]:  # nbgrader takes seconds for each; the test above tries what it gets of all
        assert api.generate_assignment(path.stem)["success"]
        release = tmp_path / "release" / path.stem / path.name
        learners = read(release)
        assert not any(BEGIN in cell.source for cell in learners.cells)
        source = tmp_path / "source" / path.stem / path.name
        for who in ("nobody", "somebody"):
            (target := tmp_path / "submitted" / who / path.stem).mkdir(parents=True)
            shutil.copy(release, target)
        solved = {role(c)["grade_id"]: c.source for c in solved_or_not(read(source))[0].cells if role(c)}
        for cell in learners.cells:
            if role(cell).get("solution"):
                cell.source = solved[role(cell)["grade_id"]]
        nbformat.write(learners, target / path.name)
        for who in ("nobody", "somebody"):
            done = api.autograde(path.stem, who)
            assert done["success"], done["log"]
        wanted = sum(points_of(read(source)).values())
        with Gradebook("sqlite:///" + str(tmp_path / "gradebook.db")) as book:
            got = [book.find_submission(path.stem, who) for who in ("nobody", "somebody")]
            assert [(round(s.score, 6), s.max_score) for s in got] == [(0, wanted), (wanted, wanted)]
