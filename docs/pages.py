"""The pages of the site, from what is committed: the course, the words, the reference, the gallery of figures."""

from __future__ import annotations

import base64
import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from notebooks.editions import SOURCES, reading

PACKAGES = ("scmlib", "data_prep")
LINK = re.compile(r"(\]\()([^)\s#]+)([^)]*\))")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
IMAGE = re.compile(r'<img src="data:image/(\w+);base64,([^"]+)" alt="([^"]*)"')
CAPTION = re.compile(r"^\**(Figure \w+\.\d+\.?.*)", re.MULTILINE)

MARKS = re.compile(r"\[([^\]]+)\]\([^)]*\)|\*+|`")  # links, whose words stay, emphasis and code


def notebooks(root: Path) -> list[Path]:
    """The notebooks of the course in their order, appendices last."""
    return sorted((root / "notebooks").glob(SOURCES))


def stage(root: Path, source: Path, *, members: bool) -> None:
    """Lay out Sphinx's source folder: the repository's pages where they lie in it, and pages made from them.

    Args:
        root: of the repository.
        source: the folder to be made.
        members: whether the reference tells a module's functions and classes too.
    """
    shutil.copytree(root / "docs", source, ignore=shutil.ignore_patterns("*.pyc", "__pycache__"))
    for path in (root / "docs").glob("*.md"):
        (source / path.name).write_text(relinked(path.read_text(), path.parent, root))
    texts = [*root.glob("*.md"), *(root / "notebooks").rglob("*.md")]
    files = [*(root / "notebooks").rglob("*.csv"), *(root / "notebooks/images").iterdir(), *root.glob("examples/*.py")]
    for path in [*texts, *files]:
        target = source / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            target.write_text(relinked(path.read_text(), path.parent, root))
        else:
            shutil.copy(path, target)
    shutil.copy(root / "CITATION.cff", source)
    for path in notebooks(root):
        notebook = reading(nbformat.read(path, as_version=4))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = relinked(cell.source, path.parent, root)
        nbformat.write(notebook, source / path.relative_to(root))
    write_course(root, source)
    write_reference(root, source, members=members)
    write_gallery(root, source)


def relinked(text: str, folder: Path, root: Path) -> str:
    """Links to a module lead to its page of the reference, and links from and to `docs` to where its pages lie.

    Args:
        text: Markdown.
        folder: where the text lies.
        root: of the repository.
    """

    def follow(match: re.Match[str]) -> str:
        file = (folder / match[2]).resolve()
        if file.suffix == ".py" and file.is_relative_to(root) and file.relative_to(root).parts[0] in PACKAGES:
            return f"{match[1]}/api/{module_name(file, root)}.md)"
        if file.suffix == ".md" and file.parent == root / "docs":
            return f"{match[1]}/{file.name}{match[3]}"
        if folder == root / "docs" and match[2].startswith("../"):
            return f"{match[1]}/{file.relative_to(root)}{match[3]}"
        return match[0]

    return LINK.sub(follow, text)


def module_name(path: Path, root: Path) -> str:
    """`scmlib/data/images.py` to `scmlib.data.images`."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def title(notebook: NotebookNode) -> str:
    """A notebook's first heading."""
    match = HEADING.search(notebook.cells[0].source)
    assert match, "a notebook opens with its title"
    return match[2]


def write_course(root: Path, source: Path) -> None:
    """The course's front page gets its table of contents."""
    page = source / "notebooks" / "README.md"
    names = "\n".join(path.stem for path in notebooks(root))
    page.write_text(f"{page.read_text()}\n```{{toctree}}\n:hidden:\n\n{names}\nglossary\n```\n")
    others = sorted(path.stem for path in (source / "notebooks" / "results").glob("*.md"))
    glossary = source / "notebooks" / "glossary.md"
    entries = "\n".join(f"results/{name}" for name in others)
    glossary.write_text(f"{glossary.read_text()}\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n")


def write_reference(root: Path, source: Path, *, members: bool) -> None:
    """A page a module, from its docstrings, and a table of all."""
    folder = source / "api"
    folder.mkdir()
    modules = sorted(
        (path for package in PACKAGES for path in (root / package).rglob("*.py") if path.stem != "__main__"),
        key=lambda path: module_name(path, root),
    )
    rows = ["# Reference\n", "Every module, from its docstrings.\n", "| module | what it is |", "|---|---|"]
    names = []
    for path in modules:
        name = module_name(path, root)
        names.append(name)
        first = path.read_text().removeprefix('"""').split("\n")[0].rstrip('"').replace("|", "\\|")
        rows.append(f"| [`{name}`]({name}.md) | {first} |")
        told = "   :members:\n   :undoc-members:\n   :show-inheritance:\n"
        options = told if members and path.stem != "__init__" else ""
        (folder / f"{name}.md").write_text(f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{options}```\n")
    toctree = "\n".join(names)
    (folder / "index.md").write_text("\n".join(rows) + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n")


class Picture(NamedTuple):
    """A figure of a notebook."""

    content: bytes
    suffix: str  # of its file
    alt: str
    caption: str  # the author's, or none
    heading: str  # that it stands under


def pictures(notebook: NotebookNode) -> Iterator[Picture]:
    """The figures that a notebook shows, in their order."""
    heading, cells = "", notebook.cells
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            heading = ([heading] + [match[2] for match in HEADING.finditer(cell.source)])[-1]
            continue
        around = [c.source for c in cells[max(0, number - 1) : number + 2] if c.cell_type == "markdown"]
        captions = next(filter(None, map(CAPTION.findall, reversed(around))), [""])
        pages = ("".join(output.get("data", {}).get("text/html", "")) for output in cell.outputs)
        found = [match for page in pages for match in IMAGE.finditer(page)]
        if len(captions) != len(found):  # frames of a filmstrip share one
            captions = captions[:1] * len(found)
        for match, caption in zip(found, captions, strict=True):
            yield Picture(base64.b64decode(match[2]), match[1], html.unescape(match[3]), caption, heading)


def write_gallery(root: Path, source: Path) -> None:
    """All figures of the course on one page, each with the words that describe it and the way to where it stands."""
    folder = source / "_static" / "gallery"
    folder.mkdir()
    parts = ["# Gallery of figures\n", "Every figure of the course, as its notebook shows it. Click to get there.\n"]
    for path in notebooks(root):
        notebook = nbformat.read(path, as_version=4)
        parts += [f"## {title(notebook)}\n", '<div class="gallery">']
        for number, picture in enumerate(pictures(notebook), 1):
            file = folder / f"{path.stem}_{number}.{picture.suffix}"
            file.write_bytes(picture.content)
            words = html.escape(MARKS.sub(r"\1", picture.caption) or picture.heading)
            parts.append(
                f'<figure><a href="notebooks/{path.stem}.html"><img loading="lazy" src="_static/gallery/{file.name}" '
                f'alt="{html.escape(picture.alt)}"></a><figcaption>{words}</figcaption></figure>'
            )
        parts.append("</div>\n")
    (source / "gallery.md").write_text("\n".join(parts))
