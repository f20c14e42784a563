"""Commands that show ranked lists: of photos in any gallery, and of a data set's own queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.cli.analysis import looking, records
from scmlib.cli.exports import recipe_option
from scmlib.cli.options import (
    batched,
    json_option,
    net_option,
    out_option,
    run_root_option,
    source_argument,
    workers_option,
)

if TYPE_CHECKING:
    from scmlib.analysis.search import Search
    from scmlib.runs import Study

SHORT = {"similarity": "{:.3f}".format, "false_match_rate": "{:.1g}".format}  # for reading; files have all digits

DRAWN = 8  # photos of a figure, each a row


@click.command()
@source_argument
@click.argument("photos", metavar="PHOTO...", type=Path, nargs=-1, required=True)
@click.option("--gallery", required=True, help="Data set, whose gallery is searched, or any folder of pictures.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1), help="Pictures to find for each photo.")
@click.option(
    "--false-match-rate",
    "rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of pairs of different people that may reach the threshold; left out: 0.0001.",
)
@run_root_option
@recipe_option
@net_option
@out_option
@batched
@workers_option
@json_option
def search(
    source: Path,
    photos: tuple[Path, ...],
    gallery: str,
    top: int,
    rate: float | None,
    dataset_root: str,
    dataset: str,
    net: str | None,
    out: Path | None,
    workers: int,
    as_json: bool,
) -> None:
    """Find who in a gallery looks like the person of a photo; the answer may be nobody.

    A picture counts from a similarity on that only so small a share of pairs of different people reaches as
    --false-match-rate says.
    """
    from scmlib import figures
    from scmlib.analysis.search import search as find
    from scmlib.files import write_atomically
    from scmlib.runs import open_run

    run = open_run(source, dataset, net=net)
    chosen = {"false_match_rate": rate} if rate else {}
    answer = find(run, photos, gallery, dataset_root, top=top, **chosen, workers=workers, progress=True)
    folder = out or run.folder
    write_atomically(folder / "search.csv", answer.table.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_ranked_lists(**answer.drawing(DRAWN)), folder / "search.png")
    if answer.impostors:
        rates = figures.draw_false_matches(answer.impostors.similarity, answer.threshold, answer.table)
        figures.save(rates, folder / "search_threshold.png")
    if as_json:
        click.echo(json.dumps(told(answer)))
        return
    for photo, record in enumerate(answer.photos):
        rows = answer.rows(photo)
        nobody = {True: ": nobody", False: f": {rows['accepted'].sum()} reach the threshold", None: ""}
        click.echo(f"{record.path}{nobody[answer.nobody(photo)]}")
        shown = rows.drop(columns="photo").dropna(axis="columns", how="all")
        click.echo(shown.to_string(index=False, formatters=SHORT, na_rep="") + "\n")
    say_threshold(answer)
    click.echo(f"Every picture found stands in {folder / 'search.csv'}; the first {DRAWN} photos are drawn in {drawn}.")


def told(answer: Search) -> dict[str, object]:
    """A search's answer for scripts."""
    found = []
    for photo, record in enumerate(answer.photos):
        rows = answer.rows(photo).drop(columns="photo").dropna(axis="columns", how="all")
        found.append({"photo": str(record.path), "nobody": answer.nobody(photo), "found": records(rows)})
    impostors = answer.impostors
    return {
        "gallery": answer.gallery.name,
        "images": len(answer.gallery.records),
        "threshold": answer.threshold if impostors else None,
        "false_match_rate": answer.rate if impostors else None,
        "impostor_pairs": len(impostors.similarity) if impostors else 0,
        "impostors_of": impostors.source if impostors else None,
        "photos": found,
    }


def say_threshold(answer: Search) -> None:
    """Where the threshold comes from, in words."""
    images = len(answer.gallery.records)
    if answer.impostors is None:
        click.echo(
            "There is no threshold: the pictures don't say who is who, and the run's own data aren't at hand "
            "(--dataset-root)."
        )
        return
    pairs = len(answer.impostors.similarity)
    click.echo(
        f"A picture counts from {answer.threshold:.3f} on, which {answer.rate:.2g} of {pairs:,} pairs of different "
        f"people in {answer.impostors.source} reach; of {images:,} pictures of other people "
        f"{answer.rate * images:.2g} would."
    )


@click.command()
@looking
@click.option(
    "--by",
    type=click.Choice(["worst", "best", "random", "occluder"]),
    default="worst",
    show_default=True,
    help="Which queries: by average precision, drawn, or a middling one for each kind of occluder.",
)
@click.option("--queries", default=6, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(1), help="Gallery images of each list.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the draw.")
@json_option
def lists(study: Study, folder: Path, by: str, queries: int, top: int, seed: int, as_json: bool) -> None:
    """Show ranked lists of a run's queries, chosen by outcome; right and wrong by colour, sign and line."""
    from scmlib import figures
    from scmlib.analysis.ranked_lists import ranked_lists
    from scmlib.files import write_atomically

    answer = ranked_lists(study, by=by, queries=queries, length=top, seed=seed)
    write_atomically(folder / f"lists_{by}.csv", answer.found.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_ranked_lists(*answer.drawing()), folder / f"lists_{by}.png")
    if as_json:
        found = {path: records(rows.drop(columns="query")) for path, rows in answer.found.groupby("query")}
        rows = [row | {"found": found[row["path"]]} for row in records(answer.queries)]
        click.echo(json.dumps({"dataset": study.data.name, "by": by, "queries": rows}))
        return
    shown = answer.queries.assign(path=[Path(path).name for path in answer.queries["path"]])
    click.echo(shown.to_string(index=False, float_format="{:.3f}".format))
    click.echo(f"Every image stands in {folder / f'lists_{by}.csv'}; drawn in {drawn}.")


@click.command()
@looking
@json_option
def openset(study: Study, folder: Path, as_json: bool) -> None:
    """Ask how often `scm search` says nobody, rightly and wrongly, at several false-match rates."""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis.search import OUTCOMES, open_set_rates
    from scmlib.files import write_atomically

    table = open_set_rates(study, seed=study.settings.seed)
    write_atomically(folder / "openset.csv", table.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_open_set(table), folder / "openset.png")
    if as_json:
        click.echo(json.dumps({"dataset": study.data.name, "rows": records(table)}))
        return
    shown = pd.DataFrame({"false-match rate": table["false_match_rate"].map("{:.3%}".format)})
    shown["threshold"] = table["threshold"].map("{:.2f}".format)
    for name in OUTCOMES:
        ends = table[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
        shown[name.replace("_", ", ")] = ["{:.0%} [{:.0%}, {:.0%}]".format(*values) for values in ends]
    click.echo(shown.to_string(index=False))
    click.echo(
        f"{table['queries'].iloc[0]} queries, each searched without its person in the gallery (absent), and with. In "
        f"brackets the 95 % band over identities. Stored in {folder / 'openset.csv'}; drawn in {drawn}."
    )
