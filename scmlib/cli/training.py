"""Commands of the training: train, and the recipes with what was reached."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scmlib.cli.options import (
    dataset_option,
    settings_options,
)
from scmlib.errors import BadInput
from scmlib.settings import recipe

if TYPE_CHECKING:
    pass


@click.command()
@dataset_option
@click.option("--net", required=True, help="regnet_y_800mf, regnet_y_1_6gf, regnet_y_tiny or torchvision:NAME.")
@settings_options
@click.option("--out", type=Path, help="Run folder; left out: runs/DATASET-NET.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--gpus", help="Number of the GPU to train on, e.g. 0; left out: the first, or the CPU.")
@click.option("--dry-run", is_flag=True, help="Print the resolved settings as JSON and stop.")
def train(
    dataset: str, net: str, out: Path | None, resume: bool, gpus: str | None, dry_run: bool, **flags: Any
) -> None:
    """Train SCM; a flag left out takes the value of the data set's recipe."""
    from scmlib.data.datasets import check_trainable, find_layout

    settings = replace(recipe(dataset, net), **{name: value for name, value in flags.items() if value is not None})
    check_trainable(dataset, find_layout(dataset, settings.dataset_root))
    pretrained = Path("pretrain") / f"checkpoint_{net}.pth"  # where the released code looks
    if flags["weights"] is None and pretrained.is_file():
        settings = replace(settings, weights=str(pretrained))
    if dry_run:
        click.echo(json.dumps(settings.as_dict(), indent=2))
        return
    import pandas as pd

    from scmlib import figures, training

    out = out or Path("runs") / f"{dataset}-{net}".replace(":", "-")
    if gpus and (remark := training.choose_gpu(gpus)):
        click.echo(remark, err=True)
    if settings.weights:
        click.echo(f"{net} starts from {settings.weights}.", err=True)
    elif net != "regnet_y_tiny":
        frozen = ", its frozen stem too (--freeze none trains it)" if settings.freeze == "stem" else ""
        click.echo(
            f"{net} starts from random weights{frozen}; the paper starts from ImageNet's (--weights, or a file "
            f"{pretrained}).",
            err=True,
        )
    if resume and not (out / training.STATE).exists():
        raise BadInput(f"{out} holds no run to go on with: check --out, or leave --resume out.")
    training.train(settings, out, resume=resume)
    figures.save(figures.draw_training(pd.read_csv(out / "log.csv")), out / "training.png")
    click.echo(f"Trained weights, log and curves lie in {out}. Next:")
    click.echo(f"scm evaluate {out} --dataset {dataset} --dataset-root {settings.dataset_root}")


@click.command()
@click.option("--dataset", help="This data set's recipes alone.")
@click.option("--runs", default="runs", show_default=True, help="Folder below which runs were evaluated.")
def recipes(dataset: str | None, runs: str) -> None:
    """The paper's 24 recipes, published figures beside those that runs on this machine reached."""
    from scmlib.runs import metrics_table

    table = metrics_table(runs, dataset)
    if table.empty:  # neither the paper's nor, as for a table of somebody's own, a run's
        raise BadInput(f"'{dataset}' has no recipe, and no run below {runs} was evaluated on it: check the name.")
    retrieval = table["NMI"].notna()
    for part in (table[~retrieval], table[retrieval]):
        if len(part):
            shown = part.dropna(axis="columns", how="all")
            formats = dict.fromkeys(shown.columns[3:], "{:.1%}".format)
            click.echo(shown.to_string(index=False, formatters=formats, na_rep="") + "\n")
    click.echo("`scm train --dataset D --net N --dry-run` prints a recipe's settings.")
