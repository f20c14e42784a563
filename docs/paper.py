"""The course on paper: `python -m docs.paper [--site SITE] [FOLDER]` prints the notebooks' pages of the site to PDF.

What is folded is printed open, and every figure stands. Chromium or Chrome does the printing; by hand, "print" in any
browser gives the same.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click

from docs.build import ROOT
from docs.pages import notebooks
from scmlib.errors import BadInput

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def print_page(page: Path, target: Path) -> Path:
    """Print a page to PDF.

    Args:
        page: HTML.
        target: the PDF; its folder is made if it isn't there.

    Raises:
        BadInput: no browser on the path, or no such page, or the browser couldn't print it.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise BadInput(f"None of {', '.join(BROWSERS)} is on the path: install Chromium, or print {page} yourself.")
    if not page.is_file():
        raise BadInput(f"{page} isn't there: run `make site` first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    done = subprocess.run(
        [*command, f"--print-to-pdf={target}", page.resolve().as_uri()], capture_output=True, text=True
    )
    if done.returncode or not target.is_file():
        raise BadInput(f"{browser} could not print {page}: {done.stderr.strip()[-200:]}")
    return target


@click.command()
@click.argument("folder", type=Path, default=ROOT / "build" / "teaching" / "print")
@click.option("--site", type=Path, default=ROOT / "build" / "site" / "html", help="The folder of the site.")
def main(folder: Path, site: Path) -> None:
    """Print the course."""
    try:
        for path in notebooks(ROOT):
            click.echo(print_page(site / "notebooks" / f"{path.stem}.html", folder / f"{path.stem}.pdf"))
    except BadInput as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
