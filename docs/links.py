"""Every link of a folder of HTML pages, followed: to files, to anchors, and never to load from another host."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class _Page(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADS.get(tag, ""), "") and given.get("rel") not in ("canonical", "search"):
            self.loaded.append(given[LOADS[tag]])


def read_page(path: Path) -> _Page:
    """A page, parsed."""
    page = _Page()
    page.feed(path.read_text())
    return page


def broken(site: Path) -> list[str]:
    """Links and loads of a site that fail, a line each.

    Args:
        site: the folder of the pages. Links to other hosts aren't followed; loading from them is a failure.
    """
    pages = (path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts)  # there: the theme's own
    read = {path.resolve(): read_page(path) for path in pages}
    found = []
    for path, page in read.items():
        place = path.relative_to(site.resolve())
        for target in page.loaded:
            parts = urlsplit(target)
            if parts.netloc or parts.scheme not in ("", "data"):
                found.append(f"{place} loads from another host: {target}")
        for target in [*page.links, *page.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if file.is_dir():
                file /= "index.html"
            if not file.is_file():
                found.append(f"{place}: {target} (no such file)")
            elif file in read and unquote(parts.fragment) not in read[file].anchors:
                found.append(f"{place}: {target} (no such anchor)")
    return found
