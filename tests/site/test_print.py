"""The course on paper: every figure of a notebook stands in its PDF, the folded ones and the last ones too."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from docs.build import ROOT
from docs.pages import notebooks, pictures
from docs.paper import BROWSERS, print_page
from scmlib.errors import BadInput


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks(ROOT), ids=lambda path: path.stem)
def test_every_figure_is_printed(path: Path, site: Path, tmp_path: Path) -> None:
    if not any(map(shutil.which, BROWSERS)):
        assert not os.environ.get("BROWSER_REQUIRED"), "no browser here, and .ci/run wants the browser tests"
        pytest.skip("no chromium on the path: `apt-get install chromium`, then printing is tried")
    printed = print_page(site / "notebooks" / f"{path.stem}.html", tmp_path / "page.pdf").read_bytes()
    figures = {picture.content for picture in pictures(nbformat.read(path, as_version=4))}
    assert printed.count(b"/Subtype /Image") == len(figures) > 0


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(map(shutil.which, BROWSERS)):
        with pytest.raises(BadInput, match="run `make site` first"):
            print_page(tmp_path / "absent.html", tmp_path / "page.pdf")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInput, match="install Chromium"):
        print_page(tmp_path / "absent.html", tmp_path / "page.pdf")
