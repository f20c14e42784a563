"""Commands that ask more of a run: how it compares with another, where it fails, by which distance and threshold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.cli.analysis import looking, records
from scmlib.cli.options import batched, json_option, out_option, run_dataset_option, run_root_option

if TYPE_CHECKING:
    from scmlib.analysis.failures import Failures
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
    shown["a less b"] = ["{:+z.1%} [{:+z.1%}, {:+z.1%}]".format(*values) for values in ends]
    click.echo(shown.assign(verdict=metrics["verdict"]).rename_axis(None).to_string())
    click.echo(
        f"By average precision A is ahead on {found.wins} queries, B on {found.losses}, {found.ties} are equal. In "
        "brackets the 95 % band over identities of this test; other trainings of the same two recipes would differ too."
    )
    click.echo(f"Every query stands in {folder / 'comparison.csv'}; drawn in {' and '.join(map(str, drawn))}.")


@click.command()
@looking
@click.option(
    "--metric",
    type=click.Choice(["top1", "top5", "top10", "mAP", "mINP"]),
    default="mAP",
    show_default=True,
    help="That groups are judged by.",
)
@click.option(
    "--least", default=10, show_default=True, type=click.IntRange(2), help="Identities a group needs to be judged."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the bootstrap.")
@json_option
def failures(study: Study, folder: Path, metric: str, least: int, seed: int, as_json: bool) -> None:
    """Find where a run fails: by camera, view, occluder and all else that the data know; and its hardest negatives.

    A table of your own may have any further columns (weather, clothes, what hides the person): each is a question.
    """
    from scmlib import figures
    from scmlib.analysis.failures import failures as find
    from scmlib.files import write_atomically

    answer = find(study, metric=metric, least=least, seed=seed)
    tables = {"": answer.groups, "_cameras": answer.pairs, "_likeness": answer.likeness, "_negatives": answer.negatives}
    for name, table in tables.items():
        write_atomically(folder / f"failures{name}.csv", table.to_csv(index=False).encode())
    drawings = {"": figures.draw_failures(answer.groups, metric)}
    drawings |= {"_cameras": figures.draw_camera_pairs(answer.pairs, metric)} if len(answer.pairs) else {}
    drawings |= {"_likeness": figures.draw_likeness(answer.likeness)} if len(answer.likeness) else {}
    drawings |= {"_negatives": figures.draw_ranked_lists(**answer.drawing())}
    drawn = [figures.save(figure, folder / f"failures{name}.png") for name, figure in drawings.items()]
    if as_json:
        parts = {"rows": answer.groups, "camera_pairs": answer.pairs, "likeness": answer.likeness}
        parts |= {"confusions": answer.confusions, "negatives": answer.negatives.head(20)}
        counts = {"queries": study.evaluation.ranking.num_valid, "least": least}
        facts = {"dataset": study.data.name, "metric": metric, **counts}
        click.echo(json.dumps(facts | {name: records(table) for name, table in parts.items()}))
        return
    say_failures(answer, least)
    click.echo(f"Everything stands in {folder / 'failures.csv'} and beside it; drawn in {', '.join(map(str, drawn))}.")


def say_failures(answer: Failures, least: int) -> None:
    """The findings in words."""
    import pandas as pd

    pairs = answer.pairs
    tables = [answer.groups]
    if len(pairs):
        told = "query " + pairs["query_camera"] + ", gallery " + pairs["gallery_camera"]
        tables.append(pairs.assign(question="camera pair", group=told))
    groups = pd.concat(tables)
    for title, table, name, value in (
        ("Groups that differ from all others of their question:", groups, "group", answer.metric),
        ("What hardest negatives share with their queries, beside all strangers:", answer.likeness, "fact", "shared"),
    ):
        click.echo(title)
        for row in records(table[table["finding"].isin(["lower", "higher"])]):
            ends = "{:+z.1%} [{:+z.1%}, {:+z.1%}]".format(*(row[name] for name in ("difference", "low", "high")))
            what = f"{row['question']} {row[name]}" if "question" in row else row[name]
            counts = f"{row['queries']} queries of {row['identities']} identities"
            click.echo(f"  {what}: {row[value]:.1%}, {ends}, {counts}")
    few = int((groups["finding"] == "too few identities").sum())
    mixed = answer.confusions
    click.echo(
        f"{len(groups)} groups in {groups['question'].nunique()} questions; {few} of them with fewer than {least} "
        "identities, or as few outside, are counted and not judged. In brackets 95 % bands over identities that hold "
        "together within a question; of twenty questions without any difference one shows a finding by chance."
    )
    click.echo(
        f"{mixed['queries'].sum()} of {len(answer.negatives)} queries have somebody else in first place; "
        f"{(mixed['queries'] > 1).sum()} pairs of people are mixed up more than once."
    )


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
    from scmlib.analysis.distances import compare_distances
    from scmlib.files import write_atomically

    table = compare_distances(study, k1=k1, k2=k2, weight=weight)
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
    shown["mAP, difference"] = ["{:+z.1%} [{:+z.1%}, {:+z.1%}] to {}".format(*values) for values in ends]
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
