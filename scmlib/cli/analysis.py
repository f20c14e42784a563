"""Commands that ask what a trained network sees and what its parts are worth."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scmlib.cli.options import (
    batched,
    change_option,
    json_option,
    net_option,
    out_option,
    run_dataset_option,
    run_root_option,
    source_argument,
    workers_option,
    world_option,
)

if TYPE_CHECKING:
    import pandas as pd

    from scmlib.runs import Study


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags that say what to open, and in their place what was opened and where figures go."""

    @batched
    @functools.wraps(command)
    def opening(source: Path, dataset: str, dataset_root: str, net: str | None, out: Path | None, **flags: Any) -> None:
        from scmlib.runs import open_study

        study = open_study(source, dataset, dataset_root, net=net)
        command(study, out or study.folder, **flags)

    for option in (out_option, net_option, run_root_option, run_dataset_option, source_argument):
        opening = option(opening)
    return opening


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON, which has null but no NaN."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def mask_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each set of masks of `score_methods`: the cooperative mask's scores, and the agreement of the parts."""
    together = table[table["mask"].isin(["cooperative", "competitive, strongest"])]
    shown = together.pivot(index="method", columns="score", values="value").reindex(table["method"].unique())
    return records(shown.reset_index(names="masks").rename(columns={"person": "lift", "occluder": "lift_occluder"}))


@click.command()
@looking
@click.option(
    "--beside",
    "others",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Another run of the same kind: how alike are the masks of the two? May be given again.",
)
@json_option
def scores(study: Study, folder: Path, others: tuple[Path, ...], as_json: bool) -> None:
    """Score the masks against a world's known answers, beside masks that see less and bounds that know more."""
    import numpy as np
    import torch

    from scmlib import figures
    from scmlib.analysis.mask_baselines import CLUSTERED, LEARNED, Views, mask_methods, score_methods, training_pool
    from scmlib.analysis.mask_scores import Shares, ceilings, match_parts
    from scmlib.checkpoints import load_model, model_for
    from scmlib.data.truth import read_truth
    from scmlib.demo import counterfactual_pairs
    from scmlib.figures.masks import summarise
    from scmlib.files import write_atomically
    from scmlib.inference import masks_of

    model, settings, data = study.model, study.settings, study.data
    queries, training = (
        Views(study.pictures(records), read_truth([record.path for record in records]))
        for records in (data.query, training_pool(data))
    )
    torch.manual_seed(settings.seed)
    untrained = model_for(settings, data.num_classes).to(next(model.parameters()).device)
    methods = mask_methods(model, untrained, training, seed=settings.seed)
    identities = np.array([record.identity for record in data.query])
    pairs = counterfactual_pairs(data.query, model.image_size, progress=True)
    table = score_methods(methods, queries, identities, pairs, progress=True)
    limits = ceilings(Shares.of(queries.truth, model.config.grid), model.config.num_parts)
    learned = masks_of(model, queries.pictures)
    alike = {str(run): match_parts(learned, masks_of(load_model(run)[0], queries.pictures))[1] for run in others}
    write_atomically(folder / "mask_scores.csv", table.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_scores(table), folder / "mask_scores.png")
    if as_json:
        answer = {"dataset": data.name, "rows": mask_rows(table), "scores": records(table)}
        limits["lift"] = limits.pop("person")
        click.echo(json.dumps(answer | {"ceilings": limits, "alike": alike}))
        return
    click.echo(summarise(table).T.to_string(float_format="{:.2f}".format))
    own = table[(table["method"] == LEARNED) & (table["mask"] == "cooperative")]
    for row in records(own[own["score"].isin(["hidden", "visible", "background"])]):
        click.echo(
            f"An occluder changes the cooperative mask on {row['score']} cells by {row['value']:+z.1%}", nl=False
        )
        click.echo(f" (95 % band over identities {row['low']:+z.1%} to {row['high']:+z.1%}).")
    click.echo(
        f"No mask on this grid has a lift above {limits['person']:.2f} or a part agreement above {limits['parts']:.2f}."
        " Lift rewards peaked masks and isn't quality: compare auc and ap. "
        f"Sets clustered picture by picture are scored on {min(CLUSTERED, len(identities))} pictures, others on all."
    )
    for run, overlaps in alike.items():
        click.echo(f"Overlap with the masks of {run}, part by part: {', '.join(f'{x:.2f}' for x in overlaps)}.")
    click.echo(f"Every mask stands in {folder / 'mask_scores.csv'}; drawn in {drawn}.")


@click.command()
@looking
@workers_option
@json_option
def swap(study: Study, folder: Path, workers: int, as_json: bool) -> None:
    """Exchange the masks at test time: what are sight, position, walk and prior worth to the match?"""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis.swap import METRICS, swap_masks
    from scmlib.files import write_atomically

    table = swap_masks(study.model, study.data, seed=study.settings.seed, workers=workers, progress=True)
    write_atomically(folder / "swap.csv", table.to_csv(index=False).encode())
    drawn = figures.save(figures.draw_swap(table), folder / "swap.png")
    if as_json:
        counts = {name: int(table[name].iloc[0]) for name in ("queries", "identities")}
        rows = table.drop(columns=list(counts)).to_dict("records")
        click.echo(json.dumps({"dataset": study.data.name, **counts, "rows": rows}))
        return
    shown = pd.DataFrame({"masks": table["masks"]})
    for metric in METRICS:
        shown[metric] = table[metric].map("{:.1%}".format)
        ends = table[[f"{metric}_difference", f"{metric}_low", f"{metric}_high"]].itertuples(index=False)
        shown[f"{metric} to own"] = ["{:+z.1%} [{:+z.1%}, {:+z.1%}]".format(*values) for values in ends]
    click.echo(shown.to_string(index=False))
    click.echo(
        f"{table['queries'].iloc[0]} queries of {table['identities'].iloc[0]} identities. Differences to the own masks "
        "are paired by query; in brackets the 95 % band over identities. "
        f"Everything stands in {folder / 'swap.csv'}; drawn in {drawn}."
    )


@click.command()
@looking
@click.option("--position", "positions", multiple=True, help="top, middle, bottom, left, right or random (default).")
@click.option("--ratio", "ratios", type=float, multiple=True, help="Hidden share, 0 to 0.6; left out: 0, 0.1 ... 0.6.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the occluders and of the bootstrap."
)
@workers_option
@json_option
def occlusion(
    study: Study,
    folder: Path,
    positions: tuple[str, ...],
    ratios: tuple[float, ...],
    seed: int,
    workers: int,
    as_json: bool,
) -> None:
    """Hide a growing share of every visible person: mAP and rank-1 against it, for three kinds of occluders.

    On data without known answers the share is one of the picture.
    """
    import torch

    from scmlib import figures
    from scmlib.analysis.occluders import occlude
    from scmlib.analysis.occlusion import ALL, RATIOS, embedding_groups, robustness, sweep
    from scmlib.figures.occlusion import draw_growing_occluder, draw_sweep
    from scmlib.files import write_atomically
    from scmlib.inference import masks_of

    model, data = study.model, study.data
    table = sweep(
        model,
        data,
        ratios=ratios or RATIOS,
        positions=positions or ("random",),
        groups=embedding_groups(model.embedding_names),
        seed=seed,
        workers=workers,
        progress=True,
    )
    together = table[table["embeddings"] == ALL]
    kept = robustness(together)
    write_atomically(folder / "occlusion.csv", table.to_csv(index=False).encode())
    drawn = figures.save(draw_sweep(together), folder / "occlusion.png")
    figures.save(figures.draw_embedding_sweep(table), folder / "occlusion_embeddings.png")
    picture = study.pictures(data.query[:1])[0]
    strip = [occlude(picture, kind="object", ratio=r, position="bottom", seed=seed) for r in RATIOS]
    seen, hidden = (torch.stack(tensors) for tensors in zip(*strip, strict=True))
    growing = draw_growing_occluder(seen, hidden, masks_of(model, seen).sum(1), RATIOS)
    figures.save(growing, folder / "occlusion_masks.png")
    if as_json:
        click.echo(json.dumps({"dataset": data.name, "robustness": kept, "sweep": table.to_dict("records")}))
        return
    shown = together.pivot(index="ratio", columns=["position", "kind"], values="mAP")
    said = f"share of {table['hidden'].iloc[0]} that is hidden"
    click.echo(f"mAP against the {said}:\n{shown.to_string(float_format='{:.1%}'.format)}")
    by_group = table.pivot_table(index="ratio", columns="embeddings", values="mAP", sort=False)
    click.echo(f"By embeddings, mean over kinds and positions:\n{by_group.to_string(float_format='{:.1%}'.format)}")
    told = ", ".join(f"{kind} {share:.0%}" for kind, share in kept.items())
    click.echo(f"Kept of the unhidden mAP, mean over the ratios above 0: {told}.")
    click.echo(f"Everything stands in {folder / 'occlusion.csv'}; drawn in {drawn}, ", nl=False)
    click.echo(f"by embeddings in {folder / 'occlusion_embeddings.png'}, ", nl=False)
    click.echo(f"the first query's masks behind a growing object in {folder / 'occlusion_masks.png'}.")


@click.command()
@looking
@click.option("--queries", default=40, show_default=True, type=click.IntRange(2), help="How many, evenly spaced.")
def sensitivity(study: Study, folder: Path, queries: int) -> None:
    """Hide queries place by place: does the match rest on what the masks show?"""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis import sensitivity as places
    from scmlib.files import write_atomically
    from scmlib.inference import masks_of

    model, data = study.model, study.data
    looked, matches = places.true_matches(data, queries)
    falls = places.sensitivity_maps(model, looked, matches, progress=True)
    cells = {"interior": True, "all": False}
    tables = {name: places.agreement(model, looked, falls, interior=inside) for name, inside in cells.items()}
    table = pd.concat([table.assign(cells=name) for name, table in tables.items()])
    write_atomically(folder / "sensitivity.csv", table.to_csv(index=False).encode())
    click.echo("Rank correlation of the sensitivity map with other maps: mean and 95 % band over identities.")
    summary = table.groupby(["cells", "map"], sort=False)[["identity", "spearman"]].apply(places.summary)
    click.echo(summary.to_string(float_format="{:.2f}".format))
    pictures = study.pictures(looked[:4])
    figure = figures.draw_sensitivity(
        pictures,
        falls[:4],
        masks_of(model, pictures).sum(1),
    )
    click.echo(f"Drawn in {figures.save(figure, folder / 'sensitivity.png')}.")


@click.command()
@looking
@click.option("--queries", default=30, show_default=True, type=click.IntRange(2), help="How many, evenly spaced.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of noise and bootstrap.")
@json_option
def explain(study: Study, folder: Path, queries: int, seed: int, as_json: bool) -> None:
    """Ask by several maps what matches rest on, Grad-CAM among them, and judge each by insertion and deletion."""
    from scmlib import figures
    from scmlib.analysis.explanation import explain as ask
    from scmlib.files import write_atomically

    answer = ask(study, queries=queries, seed=seed, progress=True)
    table, shown = answer.table, 4
    write_atomically(folder / "explanation.csv", table.to_csv(index=False).encode())
    pictures, maps = study.pictures(answer.queries[:shown]), {name: m[:shown] for name, m in answer.maps.items()}
    drawn = figures.save(figures.draw_explanation(pictures, maps), folder / "explanation.png")
    curves = figures.save(figures.draw_insertion(answer.curves, list(maps)), folder / "explanation_curves.png")
    if as_json:
        counts = {"queries": len(answer.queries), "identities": len({query.identity for query in answer.queries})}
        click.echo(json.dumps({"dataset": study.data.name, **counts, "rows": records(table)}))
        return
    for curve, rows in table.groupby("curve", sort=False):
        wanted = "large" if curve == "insertion" else "small"
        click.echo(f"Area below the {curve} curve, a mean similarity; good maps have a {wanted} one.")
        for row in records(rows):
            ends = "{:+z.3f} [{:+z.3f}, {:+z.3f}]".format(*(row[name] for name in ("difference", "low", "high")))
            beside = f"{row['map']} {row['area']:.3f}, {row['against']} {row['control']:.3f}"
            click.echo(f"  {beside}: {ends}, {row['finding']}")
    click.echo(
        f"{len(answer.queries)} queries. In brackets 95 % bands over identities that hold together for each curve. "
        f"Everything stands in {folder / 'explanation.csv'}; drawn in {drawn} and {curves}."
    )


@click.command()
@looking
def clinic(study: Study, folder: Path) -> None:
    """Evaluate a model wrongly in six classic ways, to know each fault by its figures."""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis.clinic import FAULTS, right, specimen_of

    specimen = specimen_of(study.model, study.data, progress=True)
    ranked = {
        "sound": {name: fault.sound(specimen) for name, fault in FAULTS.items()},
        "broken": {name: fault.broken(specimen) for name, fault in FAULTS.items()},
    }
    table = pd.concat(
        {kind: pd.DataFrame({n: r.metrics() for n, r in of.items()}).T for kind, of in ranked.items()}, axis=1
    )
    click.echo(table.to_string(float_format="{:.1%}".format))
    for name, fault in FAULTS.items():
        click.echo(f"- {name}: {fault.symptom}")
    curves = {"sound": right(specimen)} | ranked["broken"]
    click.echo(f"Drawn in {figures.save(figures.draw_cmc(curves), folder / 'clinic.png')}.")


@click.command()
@click.option("--out", type=Path, default=Path("runs/ablation"), show_default=True, help="Folder for all trainings.")
@click.option("--preset", default="default", show_default=True, help="Of the worlds, see `scm prepare`.")
@click.option("--worlds", "count", default=5, show_default=True, type=click.IntRange(1), help="Reported worlds.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1), help="Trainings in each of them.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Trainings at a time.")
@click.option("--variant", "variants", multiple=True, help="This variant, SCM beside it; may be given again; all else.")
@click.option("--lr", "rates", type=float, multiple=True, help="A learning rate to choose from; one alone is taken.")
@world_option
@change_option
@click.option("--quick", is_flag=True, help="Tiny worlds and two epochs: for trying it out, metrics mean nothing.")
def ablation(
    out: Path,
    preset: str,
    count: int,
    seeds: int,
    jobs: int,
    variants: tuple[str, ...],
    rates: tuple[float, ...],
    changes: tuple[str, ...],
    recipe_changes: dict[str, Any],
    quick: bool,
) -> None:
    """Exchange one thing of SCM at a time and train all alike; a second call goes on where the first stopped."""
    from data_prep.world import draw_world
    from scmlib import figures
    from scmlib.analysis.ablation import RATES, TUNING, VARIANTS, Ablation, ablate
    from scmlib.analysis.verdicts import ablation_summary
    from scmlib.errors import BadInput
    from scmlib.files import write_atomically
    from scmlib.settings import QUICK

    if unknown := set(variants) - set(VARIANTS):
        raise BadInput(f"Unknown variant '{unknown.pop()}': choose of {', '.join(VARIANTS)}.")
    chosen = [name for name in VARIANTS if not variants or name in (*variants, "SCM")]
    worlds = {seed: out / "worlds" / str(seed) for seed in (*range(1, count + 1), TUNING)}
    if len(rates) == 1:
        del worlds[TUNING]
    for seed, root in worlds.items():
        draw_world(root, "quick" if quick else preset, seed=seed, changes=changes)

    def store(table: pd.DataFrame) -> None:
        write_atomically(out / "ablation.csv", table.round(5).to_csv(index=False).encode())

    table = ablate(
        Ablation(worlds, out, (QUICK if quick else {}) | recipe_changes, jobs),
        seeds=range(seeds),
        rates=rates or RATES,
        variants=chosen,
        on_result=store,
        progress=True,
    )
    click.echo(ablation_summary(table).T.to_string(float_format="{:.3f}".format))
    drawn = figures.save(figures.draw_ablation(table), out / "ablation.png")
    click.echo(f"Every training stands in {out / 'ablation.csv'}; drawn in {drawn}.")
