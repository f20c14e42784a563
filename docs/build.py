"""The site, from the repository as it is committed: `make site`, or `python -m docs.build [--out build/site]`.

Nothing is trained. Pages are staged in a folder that mirrors the repository, so that the links between notebooks,
README and results stay as they are; Sphinx makes HTML of it; every link and anchor of the HTML is followed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from docs import badges, frames, links, live, pages, quiz
from scmlib.errors import BadInput

ROOT = Path(__file__).parents[1]
LARGEST = 40e6  # bytes that the site may have


def build(out: Path, *, whole: bool = True) -> Path:
    """Build the site.

    Args:
        out: folder for `source/`, the staged pages, and `html/`, the site, which are made anew, and for `world/`, whose
            pictures move on the site.
        whole: whether the reference tells a module's functions and classes too, and every step of an explorer is drawn,
            which takes most of the time.

    Returns:
        The folder `html`.

    Raises:
        BadInput: the extra isn't installed.
        RuntimeError: Sphinx warned, a link leads nowhere, or the site is too large.
    """
    try:
        from sphinx.cmd.build import build_main
    except ImportError as absent:
        raise BadInput(f"{absent.name} is not installed: pip install -e '.[site]'.") from absent
    source, site = out / "source", out / "html"
    for folder in (source, site):
        shutil.rmtree(folder, ignore_errors=True)
    pages.stage(ROOT, source, members=whole)
    elsewhere = source / "elsewhere.md"
    elsewhere.write_text(badges.at_home(elsewhere.read_text(), badges.repository(ROOT)))
    with (source / "teaching.md").open("a") as guide:
        guide.write(quiz.outcomes())
    study = live.open_site_study(out / "world")
    frames.write_frames(study, source, every=whole)
    try:
        live.write_runtime(source / "_static" / "live", ROOT / "build" / "npm")
        live.write_live(study, source / "_static" / "live")
    except BadInput as absent:
        click.echo(f"Left out, the network on the page: {absent}", err=True)
        (source / "live.md").write_text(f"# Hide somebody: the network on this page\n\nNot in this build. {absent}\n")
    failed = build_main(["-q", "-W", "--keep-going", "-b", "html", "-d", str(out / "doctrees"), str(source), str(site)])
    if failed:
        raise RuntimeError("Sphinx warned: see above.")
    if broken := links.broken(site):
        raise RuntimeError("These links lead nowhere:\n" + "\n".join(broken))
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    if size > LARGEST:
        raise RuntimeError(f"The site has {size / 1e6:.0f} MB; it may have {LARGEST / 1e6:.0f}.")
    click.echo(f"{site / 'index.html'}: {len(list(site.rglob('*.html')))} pages, {size / 1e6:.1f} MB.")
    return site


@click.command()
@click.option("--out", type=Path, default=ROOT / "build" / "site", help="The folder of the site and its sources.")
def main(out: Path) -> None:
    """Build the site."""
    try:
        build(out)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
