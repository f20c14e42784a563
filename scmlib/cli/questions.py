"""Commands that ask more of a run: how it compares with another."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scmlib.cli.options import batched, json_option, out_option, run_dataset_option, run_root_option


@click.command()
@click.argument("run_a", type=Path)
@click.argument("run_b", type=Path)
@run_dataset_option
@run_root_option
@out_option
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the bootstrap.")
@batched
@json_option
def compare(
    run_a: Path, run_b: Path, dataset: str, dataset_root: str, out: Path | None, seed: int, as_json: bool
) -> None:
    """Compare two runs on the same queries: metrics, wins and losses, and where they disagree most.

    Both are evaluated on the data of RUN_A. Differences are RUN_A less RUN_B.
    """
    from scmlib import figures
    from scmlib.analysis.comparison import compare_runs, disagreements, open_pair
    from scmlib.files import write_atomically

    a, b = open_pair(run_a, run_b, dataset, dataset_root)
    found = compare_runs(a, b, seed=seed)
    folder, metrics = out or a.folder, found.metrics
    write_atomically(folder / "comparison.csv", found.queries.to_csv(index=False).encode())
    drawn = [figures.save(figures.draw_comparison(metrics, found.queries), folder / "comparison.png")]
    if found.wins or found.losses:
        lists = figures.draw_ranked_lists(*disagreements(a, b, found))
        drawn.append(figures.save(lists, folder / "comparison_pictures.png"))
    outcomes = {"wins": found.wins, "losses": found.losses, "ties": found.ties}
    if as_json:
        sides = {
            side: {"run": str(run), "trained_on": study.trained_on, **metrics[side].to_dict()}
            for side, run, study in (("a", run_a, a), ("b", run_b, b))
        }
        bands = {name: metrics[name].to_dict() for name in ("difference", "low", "high", "verdict")}
        apart = found.queries.loc[found.most_apart(10)].to_dict("records")
        counts = {"queries": len(found.queries), "identities": found.identities}
        click.echo(json.dumps({"dataset": a.data.name, **counts, **sides, **bands, **outcomes, "apart": apart}))
        return
    click.echo(f"A is {run_a}, B is {run_b}, on {a.data.name}: {len(found.queries)} queries, ", nl=False)
    click.echo(f"{found.identities} identities.")
    shown = metrics[["a", "b"]].map("{:.1%}".format)
    ends = metrics[["difference", "low", "high"]].itertuples(index=False)
    shown["a less b"] = ["{:+.1%} [{:+.1%}, {:+.1%}]".format(*values) for values in ends]
    click.echo(shown.assign(verdict=metrics["verdict"]).rename_axis(None).to_string())
    click.echo(
        f"By average precision A is ahead on {found.wins} queries, B on {found.losses}, {found.ties} are equal. In "
        "brackets the 95 % band over identities of this test; other trainings of the same two recipes would differ too."
    )
    click.echo(f"Every query stands in {folder / 'comparison.csv'}; drawn in {' and '.join(map(str, drawn))}.")
