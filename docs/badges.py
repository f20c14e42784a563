"""Links that open a notebook on Colab and Binder: `python -m docs.badges` writes them into the notebooks.

One setting makes them: the repository's address, `Repository` under `[project.urls]` in `pyproject.toml`. Without it no
notebook has such a line. The site draws the links as badges; nothing is loaded from another host.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import nbformat

from docs.pages import notebooks
from scmlib.errors import BadInput

ROOT = Path(__file__).parents[1]
GITHUB = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
LINE = re.compile(r"\*\*Open in\*\* \[Colab\].*\n\n")
ASK = "Put the repository's address in place of `REPOSITORY`.\n\n"
SETUP = "../docs/elsewhere.md"  # the cell that Colab needs


def repository(root: Path = ROOT) -> str:
    """The repository's address by `pyproject.toml`; empty where none is set.

    Raises:
        BadInput: it isn't on GitHub, whose notebooks alone both services open.
    """
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"].get("urls", {})
    address = str(urls.get("Repository", ""))
    if address and not GITHUB.fullmatch(address):
        raise BadInput(f"pyproject.toml: Repository is {address!r}, and badges need https://github.com/OWNER/NAME.")
    return address


def line(address: str, name: str) -> str:
    """The links of a notebook in Markdown, with an empty line behind them; nothing where there is no address."""
    place = GITHUB.fullmatch(address)
    if not place:
        return ""
    owner_name = f"{place[1]}/{place[2]}"
    colab = f"https://colab.research.google.com/github/{owner_name}/blob/main/notebooks/{name}"
    binder = f"https://mybinder.org/v2/gh/{owner_name}/HEAD?urlpath=lab/tree/notebooks/{name}"
    return f"**Open in** [Colab]({colab}) ([a cell to run first]({SETUP})) · [Binder]({binder})\n\n"


def with_badges(text: str, address: str, name: str) -> str:
    """A notebook's first cell with the links below its title, in place of those that were there."""
    title, rest = LINE.sub("", text).split("\n\n", 1)
    return f"{title}\n\n{line(address, name)}{rest}"


def at_home(page: str, address: str) -> str:
    """The page on other people's machines with the repository's address filled in, if there is one."""
    return page.replace(ASK, "").replace("REPOSITORY", address) if address else page


@click.command()
def main() -> None:
    """Write the links into the notebooks, or take them out."""
    try:
        address = repository()
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    for path in notebooks(ROOT):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[0].source = with_badges(notebook.cells[0].source, address, path.name)
        nbformat.write(notebook, path)
    click.echo(f"The notebooks lead to {address}." if address else "No Repository in pyproject.toml: no links.")


if __name__ == "__main__":
    main()
