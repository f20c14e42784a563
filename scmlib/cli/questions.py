"""Commands that ask more of a run: how it compares with another, and by which distance and at which threshold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.cli.analysis import looking
from scmlib.cli.options import batched, json_option, out_option, run_dataset_option, run_root_option

if TYPE_CHECKING:
    from scmlib.runs import Study


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


@click.command()
@looking
@click.option("--k1", default=20, show_default=True, type=click.IntRange(1), help="Re-ranking: neighbours of an image.")
@click.option("--k2", default=6, show_default=True, type=click.IntRange(1), help="Re-ranking: images averaged.")
@click.option(
    "--weight", default=0.3, show_default=True, type=click.FloatRange(0, 1), help="Of the plain distance: lambda."
)
@json_option
def distances(study: Study, folder: Path, k1: int, k2: int, weight: float, as_json: bool) -> None:
    """Rank by other distances beside the paper's: k-reciprocal re-ranking, and parts weighted by visibility."""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis.comparison import METRICS
    from scmlib.analysis.distances import compare_distances, rank_by_distances
    from scmlib.files import write_atomically

    rankings = rank_by_distances(study, k1=k1, k2=k2, weight=weight)
    table = compare_distances(study.data, rankings)
    write_atomically(folder / "distances.csv", table.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_distances(table), folder / "distances.png")
    if as_json:
        counts = {"queries": study.evaluation.ranking.num_valid}
        click.echo(json.dumps({"dataset": study.data.name, **counts, "rows": table.to_dict("records")}))
        return
    shown = pd.DataFrame({"distance": table["distance"]})
    for metric in METRICS:
        shown[metric] = table[metric].map("{:.1%}".format)
    ends = table[["mAP_difference", "mAP_low", "mAP_high", "against"]].itertuples(index=False)
    shown["mAP, difference"] = ["{:+.1%} [{:+.1%}, {:+.1%}] to {}".format(*values) for values in ends]
    click.echo(shown.to_string(index=False))
    click.echo(
        "Re-ranking looks at all queries at once. `alike` compares each embedding for itself and takes the mean, "
        "`visible` weights that mean by the parts' visibility. In brackets the 95 % band over identities. "
        f"Everything stands in {folder / 'distances.csv'}; drawn in {drawn}."
    )


@click.command()
@looking
@json_option
def verification(study: Study, folder: Path, as_json: bool) -> None:
    """Tell pairs of one person from pairs of two: histograms, ROC curve, equal error rate."""
    from scmlib import figures
    from scmlib.analysis.verification import verify

    pairs = verify(study)
    summary = pairs.summary()
    drawn = figures.save(figures.draw_verification(pairs), folder / "verification.png")
    counts = {"genuine": int(pairs.genuine.sum()), "impostor": int(pairs.impostor.sum())}
    if as_json:
        facts = {"dataset": study.data.name, **counts, "threshold": pairs.threshold}
        rows = summary.rename_axis("rate").reset_index().to_dict("records")
        click.echo(json.dumps(facts | {"identities": len(pairs.genuine), "rows": rows}))
        return
    click.echo(f"{counts['genuine']:,} genuine and {counts['impostor']:,} impostor pairs.")
    click.echo(summary.map("{:.2%}".format).to_string())
    click.echo(
        f"Both errors are equal at a similarity of {pairs.threshold:.3f}. low and high: 95 % band over the queries' "
        f"identities; the gallery stays as it is. Drawn in {drawn}."
    )
