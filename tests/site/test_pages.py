"""The site's pages: what becomes of links, folds and figures, and the site that Sphinx makes of them."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest

from docs.build import ROOT
from docs.links import broken, read_page
from docs.pages import module_name, notebooks, pictures, relinked

IMAGE = f'<img src="data:image/webp;base64,{base64.b64encode(b"pixels").decode()}" alt="one &lt; two" style="">'


def test_links_to_modules_lead_to_the_reference() -> None:
    text = "see [the mask](../scmlib/mask.py), [words](glossary.md#query) and [this](https://a.org/scmlib/mask.py)"
    told = relinked(text, ROOT / "notebooks", ROOT)
    assert (
        told
        == "see [the mask](/api/scmlib.mask.md), [words](glossary.md#query) and [this](https://a.org/scmlib/mask.py)"
    )
    assert module_name(ROOT / "scmlib/data/__init__.py", ROOT) == "scmlib.data"


def test_figures_are_taken_with_their_words() -> None:
    cells = [
        nbformat.v4.new_markdown_cell("## Masks\n\nFigure 2.1. Two masks."),
        nbformat.v4.new_code_cell(
            "draw()", outputs=[nbformat.v4.new_output("display_data", {"text/html": IMAGE + IMAGE})]
        ),
    ]
    found = list(pictures(nbformat.v4.new_notebook(cells=cells)))
    assert found == [(b"pixels", "webp", "one < two", "Figure 2.1. Two masks.", "Masks")] * 2


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ('<a href="b.html">x</a>', "a.html: b.html (no such file)"),
        ('<a href="#there">x</a>', "a.html: #there (no such anchor)"),
        ('<img src="https://elsewhere.org/x.png">', "a.html loads from another host: https://elsewhere.org/x.png"),
        ('<p id="there"><a href="#there">x</a><a href="https://elsewhere.org">y</a><img src="data:,">', None),
    ],
)
def test_links_are_followed(page: str, told: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page)
    assert broken(tmp_path) == ([told] if told else [])


@pytest.mark.slow
def test_site_has_every_notebook_and_every_figure(site: Path) -> None:
    gallery = read_page(site / "gallery.html")
    for path in notebooks(ROOT):
        notebook = nbformat.read(path, as_version=4)
        figures = list(pictures(notebook))
        page = (site / "notebooks" / f"{path.stem}.html").read_text()
        assert page.count('<img src="data:image/') == len(figures) > 0
        assert sum(path.stem in image for image in gallery.loaded) == len(figures)


@pytest.mark.slow
def test_reference_names_every_module(site: Path) -> None:
    index = read_page(site / "api" / "index.html")
    for path in [*(ROOT / "scmlib").rglob("*.py"), *(ROOT / "data_prep").rglob("*.py")]:
        if path.stem != "__main__":
            assert f"{module_name(path, ROOT)}.html" in index.links
