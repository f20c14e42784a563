"""Run notebooks top to bottom and keep what they show: `make notebooks`, or `python notebooks/execute.py NOTEBOOK ...`.

What is kept reads the same on any machine: no widgets (a page without a kernel can't show them), progress bars among
them, and no timings; cells are numbered, and a digest of the code says which code made the outputs.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
TIMEOUT = 900  # seconds that a cell may take


def code_digest(notebook: NotebookNode) -> str:
    """What tells one notebook's code from another's."""
    code = "\n\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.blake2b(code.encode(), digest_size=16).hexdigest()


def execute(notebook: NotebookNode, folder: Path = FOLDER) -> NotebookNode:
    """Run all cells in a fresh kernel whose working directory is `folder`; the notebook then holds their outputs.

    Raises:
        CellExecutionError: a cell stopped with an error.
    """
    client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources={"metadata": {"path": folder}})
    return client.execute()


def strip(notebook: NotebookNode) -> NotebookNode:
    """Take out what differs from run to run or shows nothing without a kernel; sign the code that was run."""
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = NotebookNode({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        scmlib={"code": code_digest(notebook)},
    )
    return notebook


def main() -> None:
    """Execute in place the notebooks named, or all."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        began = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(strip(execute(notebook)), path)
        seconds, size = time.perf_counter() - began, path.stat().st_size / 1e6
        print(f"{path.name}: {seconds:.0f} s, {size:.2f} MB")


if __name__ == "__main__":
    main()
