"""Make an edition of the course from its notebooks: `python notebooks/editions.py learner|reading FOLDER`.

The notebooks of this folder are the source: executed, with solutions. From them come

- the *learner* edition, to work in: no solutions, and no outputs behind a prediction or of an exercise's check;
- the *reading* edition, to read: everything is there, but answers and solutions lie behind a fold.

A notebook in the target folder that somebody has worked in is never written over.
"""

from __future__ import annotations

import hashlib
import html
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbconvert.filters import markdown2html
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
SOURCES = "[0-9A]*.ipynb"
BESIDE = ("images", "results")  # folders that the notebooks read


def tags(cell: NotebookNode) -> list[str]:
    """A cell's tags; none where it has no metadata for them."""
    found: list[str] = cell.metadata.get("tags", [])
    return found


def behind_predictions(notebook: NotebookNode) -> list[int]:
    """Numbers of the code cells whose outputs tell an answer: those tagged `answer`, and all below up to a heading."""
    found, telling = [], False
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            telling = telling and not cell.source.startswith("#")
        elif telling := telling or "answer" in tags(cell):
            found.append(number)
    return found


def learner(notebook: NotebookNode) -> NotebookNode:
    """The notebook to work in, changed in place: no solutions, no answers, no verdicts on exercises."""
    empty = {*behind_predictions(notebook), *(i for i, c in enumerate(notebook.cells) if "check" in tags(c))}
    for number in empty:
        notebook.cells[number].outputs, notebook.cells[number].execution_count = [], None
    notebook.cells = [cell for cell in notebook.cells if "solution" not in tags(cell)]
    return notebook


def reading(notebook: NotebookNode) -> NotebookNode:
    """The notebook to read, changed in place: answers and solutions are behind a fold."""
    for number in behind_predictions(notebook):
        cell = notebook.cells[number]
        if cell.outputs:
            page = fold("The answer", "\n".join(as_html(output) for output in cell.outputs))
            cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": page})]
    for number, cell in enumerate(notebook.cells):
        if "solution" in tags(cell) and cell.cell_type == "code":
            folded = nbformat.v4.new_markdown_cell(fold("Solution", f"\n```python\n{cell.source}\n```\n"))
            folded.update(id=cell.id, metadata=cell.metadata)
            notebook.cells[number] = folded
    return notebook


def fold(title: str, inside: str) -> str:
    """Text or HTML that opens at a click."""
    return f"<details><summary>{title}</summary>\n{inside}\n</details>"


def as_html(output: NotebookNode) -> str:
    """An output as HTML: its own, else its Markdown, else its text."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "text/html" in data:
        return str(data["text/html"])
    if "text/markdown" in data:
        return str(markdown2html(data["text/markdown"]))
    return f"<pre>{html.escape(data['text/plain'])}</pre>"


EDITIONS: dict[str, Callable[[NotebookNode], NotebookNode]] = {"learner": learner, "reading": reading}


def digest(notebook: NotebookNode) -> str:
    """What tells whether somebody has changed a notebook's text or code."""
    text = "\n\0".join(f"{cell.cell_type} {cell.source}" for cell in notebook.cells)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def worked_in(path: Path) -> bool:
    """Whether a notebook stands there that isn't as this program wrote it."""
    if not path.exists():
        return False
    there = nbformat.read(path, as_version=4)
    return bool(there.metadata.get("scmlib", {}).get("edition") != digest(there))


def write_edition(name: str, folder: Path) -> list[Path]:
    """Write an edition.

    Args:
        name: a key of `EDITIONS`.
        folder: where to; made if it isn't there. Links and paths fit where it stands beside `notebooks`.

    Returns:
        Notebooks that somebody has worked in: they are left as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for source in sorted(FOLDER.glob(SOURCES)):
        target = folder / source.name
        if worked_in(target):
            kept.append(target)
            continue
        notebook = EDITIONS[name](nbformat.read(source, as_version=4))
        notebook.metadata["scmlib"] = {"edition": digest(notebook)}
        nbformat.write(notebook, target)
    for page in sorted(FOLDER.glob("*.md")):
        shutil.copy(page, folder)
    for beside in BESIDE:
        shutil.copytree(FOLDER / beside, folder / beside, dirs_exist_ok=True)
    return kept


def main() -> None:
    """The command line."""
    if len(sys.argv) != 3 or sys.argv[1] not in EDITIONS or Path(sys.argv[2]).resolve() == FOLDER.resolve():
        sys.exit("Give the edition, learner or reading, and a folder for it other than the notebooks' own.")
    kept = write_edition(sys.argv[1], Path(sys.argv[2]))
    print(f"The {sys.argv[1]} edition lies in {sys.argv[2]}.")
    for path in kept:
        print(f"{path} holds your own work and was kept; rename it to get the course's notebook.")


if __name__ == "__main__":
    main()
