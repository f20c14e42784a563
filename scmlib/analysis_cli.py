"""Commands that ask what a trained network sees and what its parts are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.options import dataset_option, net_option, out_option, root_option, source_argument, world_option
from scmlib.recipes import recipe

if TYPE_CHECKING:
    from scmlib.datasets import ReidDataset
    from scmlib.model import SCM
    from scmlib.recipes import Settings

QUICK = {"img_height": 96, "img_width": 48, "batch_size": 16, "epochs": (1, 2), "ema_extra": 0}


def opened(source: Path, dataset: str, dataset_root: str, net: str | None) -> tuple[SCM, Settings, ReidDataset]:
    """A trained model, its settings and the data set to look at it with."""
    from scmlib.checkpoints import load_model
    from scmlib.datasets import open_dataset

    data = open_dataset(dataset, dataset_root)
    return *load_model(source, recipe(dataset, net) if net else None), data


def folder_of(source: Path) -> Path:
    """The run folder, or the folder that a checkpoint lies in."""
    return source if source.is_dir() else source.parent


@click.command()
@source_argument
@dataset_option
@root_option
@net_option
@out_option
def scores(source: Path, dataset: str, dataset_root: str, net: str | None, out: Path | None) -> None:
    """Score the masks against a world's known answers, beside masks that anyone can have without training."""
    import torch

    from scmlib import figures
    from scmlib.checkpoints import model_for, write_atomically
    from scmlib.images import read_image
    from scmlib.mask_baselines import score_methods
    from scmlib.mask_figures import draw_scores, summarise
    from scmlib.mask_scores import read_truth

    model, settings, data = opened(source, dataset, dataset_root, net)
    paths = [record.path for record in data.query]
    pictures = torch.stack([read_image(path, model.image_size, data.layout.margin) for path in paths])
    torch.manual_seed(settings.seed)
    untrained = model_for(settings, data.num_classes).to(next(model.parameters()).device)
    table = score_methods(model, untrained, pictures, read_truth(paths), seed=settings.seed, progress=True)
    folder = out or folder_of(source)
    write_atomically(folder / "mask_scores.csv", table.to_csv(index=False).encode())
    click.echo(summarise(table).T.to_string(float_format="{:.2f}".format))
    click.echo(f"Every mask stands in {folder / 'mask_scores.csv'}; ", nl=False)
    click.echo(f"drawn in {figures.save(draw_scores(table), folder / 'mask_scores.png')}.")


@click.command()
@source_argument
@dataset_option
@root_option
@net_option
@out_option
def clinic(source: Path, dataset: str, dataset_root: str, net: str | None, out: Path | None) -> None:
    """Evaluate a model wrongly in six classic ways, to know each fault by its figures."""
    import pandas as pd

    from scmlib import figures
    from scmlib.clinic import FAULTS, right, specimen_of

    model, _, data = opened(source, dataset, dataset_root, net)
    specimen = specimen_of(model, data, progress=True)
    rankings = {"sound": right(specimen)} | {name: fault.broken(specimen) for name, fault in FAULTS.items()}
    table = pd.DataFrame({name: ranking.figures() for name, ranking in rankings.items()}).T
    click.echo(table.to_string(float_format="{:.1%}".format))
    for name, fault in FAULTS.items():
        click.echo(f"- {name}: {fault.symptom}")
    click.echo(f"Drawn in {figures.save(figures.draw_cmc(rankings), (out or folder_of(source)) / 'clinic.png')}.")


@click.command()
@click.option("--out", type=Path, default=Path("runs/ablation"), show_default=True, help="Folder for all trainings.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="Worlds, one training each.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Trainings at a time.")
@world_option
@click.option("--quick", is_flag=True, help="Tiny worlds and two epochs: for trying it out, figures mean nothing.")
def ablation(out: Path, seeds: int, jobs: int, changes: tuple[str, ...], quick: bool) -> None:
    """Take one part of SCM away at a time and train all alike; a second call goes on where the first stopped."""
    from data_prep.synthetic import draw_world
    from scmlib.ablation import TUNING, ablate, ablation_summary
    from scmlib.checkpoints import write_atomically

    reported = range(1, seeds + 1)
    worlds = {seed: out / "worlds" / str(seed) for seed in (TUNING, *reported)}
    for seed, root in worlds.items():
        draw_world(root, "quick" if quick else "default", seed=seed, changes=changes)
    table = ablate(worlds, out, seeds=reported, changes=QUICK if quick else {}, jobs=jobs, progress=True)
    write_atomically(out / "ablation.csv", table.round(5).to_csv(index=False).encode())
    click.echo(ablation_summary(table).to_string(float_format="{:.3f}".format))
    click.echo(f"Every training stands in {out / 'ablation.csv'}.")
