"""Badges: none without the repository's address, and with it links to every notebook; the committed state fits."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from docs.badges import at_home, line, repository, with_badges
from docs.build import ROOT
from docs.pages import notebooks
from scmlib.errors import BadInput

ADDRESS = "https://github.com/someone/scm-kit"
CELL = "# 01 · Find her\n\nSomebody is half hidden.\n\n**Question.** Who?"


def project(root: Path, urls: str) -> Path:
    (root / "pyproject.toml").write_text(f'[project]\nname = "scmlib"\n{urls}')
    return root


def test_the_address_is_one_setting(tmp_path: Path) -> None:
    assert repository(project(tmp_path, "")) == ""
    assert repository(project(tmp_path, f'[project.urls]\nRepository = "{ADDRESS}"\n')) == ADDRESS
    with pytest.raises(BadInput, match=r"badges need https://github\.com/OWNER/NAME"):
        repository(project(tmp_path, '[project.urls]\nRepository = "https://example.org/x"\n'))


def test_badges_come_and_go_with_the_address() -> None:
    assert with_badges(CELL, "", "01.ipynb") == CELL
    shown = with_badges(CELL, ADDRESS, "01.ipynb")
    assert shown.startswith("# 01 · Find her\n\n**Open in** [Colab]")
    assert "https://colab.research.google.com/github/someone/scm-kit/blob/main/notebooks/01.ipynb" in shown
    assert "https://mybinder.org/v2/gh/someone/scm-kit/HEAD?urlpath=lab/tree/notebooks/01.ipynb" in shown
    assert with_badges(shown, ADDRESS, "01.ipynb") == shown
    assert with_badges(shown, "", "01.ipynb") == CELL
    assert line(f"{ADDRESS}.git", "x") == line(f"{ADDRESS}/", "x") == line(ADDRESS, "x")


@pytest.mark.parametrize("path", notebooks(ROOT), ids=lambda path: path.stem)
def test_committed_notebooks_fit_the_setting(path: Path) -> None:
    opening = nbformat.read(path, as_version=4).cells[0].source
    assert with_badges(opening, repository(), path.name) == opening, "run `python -m docs.badges`"


def test_the_cell_for_colab_gets_the_address() -> None:
    page = (ROOT / "docs" / "elsewhere.md").read_text()
    assert "!git clone --depth 1 REPOSITORY scmlib" in page
    assert at_home(page, "") == page
    told = at_home(page, ADDRESS)
    assert f"!git clone --depth 1 {ADDRESS} scmlib" in told
    assert "REPOSITORY" not in told
