"""Assignments for nbgrader, from the exercises: `python -m docs.assignments [FOLDER]`.

Writes a course folder: `source/NOTEBOOK/NOTEBOOK.ipynb`, the instructor's version with solutions, and nbgrader's
settings. From there `nbgrader generate_assignment NOTEBOOK` makes the version for learners, and `nbgrader autograde`
gives the points: an exercise counts as many as it has minutes, and all of them or none.
"""

from __future__ import annotations

import ast
import re
import symtable
from pathlib import Path

import click
import nbformat
from nbformat import NotebookNode, v4

from docs.pages import notebooks, title
from docs.quiz import ROOT, unlinked
from notebooks.editions import tags

EXERCISE = re.compile(r"### Exercise \S+ · \S+ · (\d+) minutes")
CHECK = re.compile(r"^(?:(\w+) = )?check\(", re.MULTILINE)
OPENING = (
    "# {title}: exercises\n\nThese are the exercises of the notebook *{title}*, which explains what they are about. "
    "Write your lines in place of the dots. The cell below each exercise says whether they are right, and, if not, "
    "what is wrong. An exercise counts as many points as it has minutes."
)
SETTINGS = """c = get_config()
c.CourseDirectory.course_id = "scmlib"
c.ClearSolutions.code_stub = {"python": "# Write your lines in place of the dots above."}
c.ExecutePreprocessor.timeout = 600
"""


def names(source: str) -> tuple[set[str], set[str]]:
    """Names that code binds for other cells, and names that it takes from them; those of inner scopes left out."""
    top = symtable.symtable(source, "cell", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    scopes, taken = [top], {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    while scopes:
        scopes += (scope := scopes.pop()).get_children()
        taken |= {s.get_name() for s in scope.get_symbols() if scope is not top and s.is_global()}
    return bound, taken - bound


def statements(source: str) -> list[str]:
    """The statements of a cell, decorators included; an import for each name."""
    lines, found = source.splitlines(), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            found += [ast.unparse(ast.ImportFrom(node.module, [name], node.level)) for name in node.names]
        else:
            start = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
            found.append("\n".join(lines[start - 1 : node.end_lineno]))
    return found


def needed(source: str, above: list[str]) -> list[str]:
    """Those statements that code needs to run, in their order.

    Args:
        source: the code.
        above: statements that may come before it.
    """
    taken, kept = names(source)[1], set[int]()
    while more := {n for n, statement in enumerate(above) if n not in kept and names(statement)[0] & taken}:
        kept |= more
        taken = taken.union(*(names(above[n])[1] for n in more))
    return [above[n] for n in sorted(kept)]


def graded_check(source: str) -> str:
    """A check's cell, which tells, as a test, which also fails."""
    told, count = CHECK.subn(lambda match: f"{match[1] or '_'}, is_right = graded(", source)
    assert count == 1, "a check's cell calls `check` once"
    return f'from scmlib.course import graded\n\n{told}\nassert is_right, "Not yet: see above."'


def with_role(cell: NotebookNode, name: str, **role: bool | int) -> NotebookNode:
    """A cell with what nbgrader wants to know of it."""
    plain = {"schema_version": 3, "grade_id": name, "grade": False, "solution": False, "locked": True, "task": False}
    cell.metadata["nbgrader"] = plain | role
    return cell


def exercise(cells: list[NotebookNode], stub: int, number: int, there: set[str]) -> list[NotebookNode]:
    """The cells of an exercise: its text, what its code needs, the stub with the solution, the check, the hints.

    Args:
        cells: of the notebook.
        stub: where the exercise's stub stands.
        number: of the exercise.
        there: statements that stand in the assignment already; those of this exercise are added.
    """
    head = max(i for i in range(stub) if cells[i].source.startswith("### Exercise"))
    check = next(i for i in range(stub, len(cells)) if "check" in tags(cells[i]))
    solution = next(i for i in range(check, len(cells)) if "solution" in tags(cells[i]))
    test = graded_check(cells[check].source)
    code = [cell.source for cell in cells[:stub] if cell.cell_type == "code" and "solution" not in tags(cell)]
    above = [statement for source in code for statement in statements(source)]
    wanted = needed("\n".join([cells[stub].source, test, cells[solution].source]), above)
    setup = "\n".join(statement for statement in wanted if statement not in there)
    there |= {*wanted, *statements(cells[stub].source), *statements(cells[check].source)}
    points = EXERCISE.match(cells[head].source)
    assert points, "an exercise's heading tells its minutes"
    solved = f"{cells[stub].source}\n\n\n### BEGIN SOLUTION\n{cells[solution].source}\n### END SOLUTION"
    texts = [
        [cell for cell in cells[i:j] if cell.cell_type == "markdown"] for i, j in ((head, stub), (check, solution))
    ]
    told, hints = ([v4.new_markdown_cell(unlinked(cell.source)) for cell in group] for group in texts)
    made = [with_role(v4.new_code_cell(setup), f"setup-{number}")] if setup else []
    made.append(with_role(v4.new_code_cell(solved), f"exercise-{number}", solution=True, locked=False))
    made.append(with_role(v4.new_code_cell(test), f"check-{number}", grade=True, points=int(points[1])))
    return [*told, *made, *hints]


def assignment(notebook: NotebookNode) -> NotebookNode:
    """The instructor's version of a notebook's exercises, as nbgrader takes it."""
    made, there = [v4.new_markdown_cell(OPENING.format(title=title(notebook)))], set[str]()
    stubs = [i for i, cell in enumerate(notebook.cells) if "exercise" in tags(cell)]
    for number, stub in enumerate(stubs, 1):
        made += exercise(notebook.cells, stub, number, there)
    for number, cell in enumerate(made):
        cell.id = f"cell-{number}"
    whole: NotebookNode = v4.new_notebook(cells=made, metadata={"kernelspec": notebook.metadata.kernelspec})
    return whole


def write_assignments(folder: Path) -> list[Path]:
    """Write nbgrader's course folder; an assignment a notebook."""
    written = []
    for path in notebooks(ROOT):
        target = folder / "source" / path.stem / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(assignment(nbformat.read(path, as_version=4)), target)
        written.append(target)
    (folder / "nbgrader_config.py").write_text(SETTINGS)
    return written


@click.command()
@click.argument("folder", type=Path, default=ROOT / "build" / "teaching" / "assignments")
def main(folder: Path) -> None:
    """Write the assignments."""
    for path in write_assignments(folder):
        click.echo(path)


if __name__ == "__main__":
    main()
