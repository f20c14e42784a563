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


@click.command()
@looking
def scores(study: Study, folder: Path) -> None:
    """Score the masks against a world's known answers, beside five simpler kinds of masks."""
    import torch

    from scmlib import figures
    from scmlib.analysis.mask_baselines import score_methods
    from scmlib.checkpoints import model_for
    from scmlib.data.truth import read_truth
    from scmlib.figures.masks import draw_scores, summarise
    from scmlib.files import write_atomically

    model, settings, data = study.model, study.settings, study.data
    paths, pictures = [record.path for record in data.query], study.pictures(data.query)
    torch.manual_seed(settings.seed)
    untrained = model_for(settings, data.num_classes).to(next(model.parameters()).device)
    table = score_methods(model, untrained, pictures, read_truth(paths), seed=settings.seed, progress=True)
    write_atomically(folder / "mask_scores.csv", table.to_csv(index=False).encode())
    click.echo(summarise(table).T.to_string(float_format="{:.2f}".format))
    click.echo(f"Every mask stands in {folder / 'mask_scores.csv'}; ", nl=False)
    click.echo(f"drawn in {figures.save(draw_scores(table), folder / 'mask_scores.png')}.")


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
    """Hide a growing share of every query: mAP and rank-1 against it, for blocks, objects and other persons."""
    import torch

    from scmlib import figures
    from scmlib.analysis.occluders import occlude
    from scmlib.analysis.occlusion import RATIOS, robustness, sweep
    from scmlib.figures.occlusion import draw_growing_occluder, draw_sweep
    from scmlib.files import write_atomically
    from scmlib.inference import masks_of

    model, data = study.model, study.data
    table = sweep(
        model,
        data,
        ratios=ratios or RATIOS,
        positions=positions or ("random",),
        seed=seed,
        workers=workers,
        progress=True,
    )
    kept = robustness(table)
    write_atomically(folder / "occlusion.csv", table.to_csv(index=False).encode())
    drawn = figures.save(draw_sweep(table), folder / "occlusion.png")
    picture = study.pictures(data.query[:1])[0]
    strip = [occlude(picture, kind="object", ratio=r, position="bottom", seed=seed) for r in RATIOS]
    seen, hidden = (torch.stack(tensors) for tensors in zip(*strip, strict=True))
    growing = draw_growing_occluder(seen, hidden, masks_of(model, seen).sum(1), RATIOS)
    figures.save(growing, folder / "occlusion_masks.png")
    if as_json:
        click.echo(json.dumps({"dataset": data.name, "robustness": kept, "sweep": table.to_dict("records")}))
        return
    shown = table.pivot(index="ratio", columns=["position", "kind"], values="mAP")
    click.echo(f"mAP against the hidden share:\n{shown.to_string(float_format='{:.1%}'.format)}")
    told = ", ".join(f"{kind} {share:.0%}" for kind, share in kept.items())
    click.echo(f"Kept of the unhidden mAP, mean over the ratios above 0: {told}.")
    click.echo(f"Everything stands in {folder / 'occlusion.csv'}; drawn in {drawn}, ", nl=False)
    click.echo(f"the first query's masks behind a growing object in {folder / 'occlusion_masks.png'}.")


@click.command()
@looking
@click.option("--queries", default=40, show_default=True, type=click.IntRange(2), help="How many, evenly spaced.")
def sensitivity(study: Study, folder: Path, queries: int) -> None:
    """Hide queries place by place: does the match rest on what the masks show?"""
    from scmlib import figures
    from scmlib.analysis import sensitivity as places
    from scmlib.files import write_atomically
    from scmlib.inference import masks_of

    model, data = study.model, study.data
    looked, matches = places.true_matches(data, queries)
    falls = places.sensitivity_maps(model, looked, matches, progress=True)
    table = places.agreement(model, looked, falls)
    write_atomically(folder / "sensitivity.csv", table.to_csv(index=False).encode())
    click.echo("Rank correlation of the sensitivity map with other maps, over the queries:")
    summary = table.groupby("map", sort=False)["spearman"].agg(["mean", "std", "count"])
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
def clinic(study: Study, folder: Path) -> None:
    """Evaluate a model wrongly in six classic ways, to know each fault by its figures."""
    import pandas as pd

    from scmlib import figures
    from scmlib.analysis.clinic import FAULTS, right, specimen_of

    specimen = specimen_of(study.model, study.data, progress=True)
    judged = {
        "sound": {name: fault.sound(specimen) for name, fault in FAULTS.items()},
        "broken": {name: fault.broken(specimen) for name, fault in FAULTS.items()},
    }
    table = pd.concat(
        {kind: pd.DataFrame({n: r.metrics() for n, r in of.items()}).T for kind, of in judged.items()}, axis=1
    )
    click.echo(table.to_string(float_format="{:.1%}".format))
    for name, fault in FAULTS.items():
        click.echo(f"- {name}: {fault.symptom}")
    curves = {"sound": right(specimen)} | judged["broken"]
    click.echo(f"Drawn in {figures.save(figures.draw_cmc(curves), folder / 'clinic.png')}.")


@click.command()
@click.option("--out", type=Path, default=Path("runs/ablation"), show_default=True, help="Folder for all trainings.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="Worlds, one training each.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Trainings at a time.")
@click.option("--variant", "variants", multiple=True, help="This variant, SCM beside it; may be given again; all else.")
@click.option("--lr", "rates", type=float, multiple=True, help="A learning rate to choose from; may be given again.")
@world_option
@click.option("--quick", is_flag=True, help="Tiny worlds and two epochs: for trying it out, figures mean nothing.")
def ablation(
    out: Path,
    seeds: int,
    jobs: int,
    variants: tuple[str, ...],
    rates: tuple[float, ...],
    changes: tuple[str, ...],
    quick: bool,
) -> None:
    """Take one part of SCM away at a time and train all alike; a second call goes on where the first stopped."""
    from data_prep.world import draw_world
    from scmlib import figures
    from scmlib.analysis.ablation import RATES, TUNING, VARIANTS, ablate, ablation_summary
    from scmlib.errors import BadInput
    from scmlib.files import write_atomically
    from scmlib.settings import QUICK

    if unknown := set(variants) - set(VARIANTS):
        raise BadInput(f"Unknown variant '{unknown.pop()}': choose of {', '.join(VARIANTS)}.")
    chosen = [name for name in VARIANTS if not variants or name in (*variants, "SCM")]
    reported = range(1, seeds + 1)
    worlds = {seed: out / "worlds" / str(seed) for seed in (TUNING, *reported)}
    for seed, root in worlds.items():
        draw_world(root, "quick" if quick else "default", seed=seed, changes=changes)
    table = ablate(
        worlds,
        out,
        seeds=reported,
        rates=rates or RATES,
        variants=chosen,
        changes=QUICK if quick else {},
        jobs=jobs,
        progress=True,
    )
    write_atomically(out / "ablation.csv", table.round(5).to_csv(index=False).encode())
    click.echo(ablation_summary(table).to_string(float_format="{:.3f}".format))
    drawn = figures.save(figures.draw_ablation(table), out / "ablation.png")
    click.echo(f"Every training stands in {out / 'ablation.csv'}; drawn in {drawn}.")
