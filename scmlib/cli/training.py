"""Commands of the training: train, and the recipes with what was reached."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from scmlib.cli.options import gpus_option, settings_options
from scmlib.errors import BadInput
from scmlib.launch import first
from scmlib.settings import METRICS, Settings, recipe


@click.command()
@click.option("--dataset", help="Data set, e.g. synthetic or market1501; with --resume, the run's.")
@click.option(
    "--net", help="regnet_y_800mf, regnet_y_1_6gf, regnet_y_tiny or torchvision:NAME; with --resume, the run's."
)
@settings_options
@click.option("--out", type=Path, help="Run folder; left out: runs/DATASET-NET.")
@click.option("--skip-broken", is_flag=True, help="Leave training images out that can't be read, and count them.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder; its own flags hold.")
@gpus_option
@click.option("--dry-run", is_flag=True, help="Print the resolved settings as JSON and stop.")
def train(
    dataset: str | None,
    net: str | None,
    out: Path | None,
    skip_broken: bool,
    resume: bool,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Train SCM; a flag left out takes the value of the data set's recipe.

    torchrun starts it in several processes, which share every batch out; --gpus 0,1 does so on these GPUs.

    --weights RUN starts from a trained run, a folder or a file: everything but the classifier is taken from it, so the
    identities may be others. A learned prior of another grid size is resized.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    names = {name: value for name, value in (("dataset", dataset), ("net", net)) if value}
    missing = [name for name in ("dataset", "net") if name not in names]
    if missing and not (resume and out):
        raise click.UsageError(f"Missing option '--{missing[0]}'{'; or give --out RUN' if resume else ''}.")
    out = out or Path("runs") / f"{dataset}-{net}".replace(":", "-")
    settings = resumed(out, names | given) if resume else chosen(**names, given=given)
    if dry_run:
        if first():
            click.echo(json.dumps(settings.as_dict(), indent=2))
        return
    import pandas as pd

    from scmlib import figures, training
    from scmlib.run_folder import LOG, begun, resume_command

    if not resume and first():
        say_start(settings)
    try:
        training.train(settings, out, resume=resume, skip_broken=skip_broken)
    except KeyboardInterrupt:
        raise click.Abort(*([resume_command(out)] if begun(out) else [])) from None
    if not first():
        return
    figures.save(figures.draw_training(pd.read_csv(out / LOG)), out / "training.png")
    click.echo(f"Trained weights, log and curves lie in {out}. Next:")
    where = ["--dataset", settings.dataset, "--dataset-root", settings.dataset_root]
    click.echo(shlex.join(["scm", "evaluate", str(out), *where]))


def chosen(dataset: str, net: str, given: dict[str, Any]) -> Settings:
    """The settings of a new run: the recipe's, and the flags that were given."""
    from scmlib.data.datasets import check_trainable, find_layout

    settings = replace(recipe(dataset, net), **given)
    check_trainable(dataset, find_layout(dataset, settings.dataset_root))
    pretrained = pretrained_file(net)
    if "weights" not in given and pretrained.is_file():
        settings = replace(settings, weights=str(pretrained))
    return settings


def pretrained_file(net: str) -> Path:
    """Where the released code looks for a backbone's ImageNet weights."""
    return Path("pretrain") / f"checkpoint_{net}.pth"


def resumed(out: Path, given: dict[str, Any]) -> Settings:
    """The settings of the run in a folder, and over them the flags that were given; finds its data where they are now.

    Raises:
        BadInput: no run there, or its data can't be found.
    """
    from scmlib.run_folder import begun, find_data_root, read_facts

    if not begun(out):
        raise BadInput(f"{out} holds no run to go on with: check --out, or leave --resume out.")
    facts = read_facts(out)
    earlier: Settings = facts["settings"]
    root = find_data_root(earlier.dataset, given.get("dataset_root", ""), out, facts)
    moved = {} if root == Path(earlier.dataset_root).absolute() else {"dataset_root": str(root)}
    return replace(earlier, **{**moved, **given})


def say_start(settings: Settings) -> None:
    """Say what a new run starts from, and what is made anew."""
    net = settings.net
    if settings.weights:
        from scmlib.checkpoints import own_facts, weights_file

        notes = ""
        if settings.weights != "imagenet" and (facts := own_facts(weights_file(settings.weights))):
            before: Settings = facts["settings"]
            notes = f", trained on {before.dataset}; its classifier is made anew"
            if before.image_size != settings.image_size:
                notes += ", its masks' prior resized to the new grid"
        click.echo(f"{net} starts from {settings.weights}{notes}.", err=True)
    elif net != "regnet_y_tiny":
        frozen = ", its frozen stem too (--freeze none trains it)" if settings.freeze == "stem" else ""
        click.echo(
            f"{net} starts from random weights{frozen}; the paper starts from ImageNet's (--weights, or a file "
            f"{pretrained_file(net)}).",
            err=True,
        )


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
            formats = dict.fromkeys([name for name in METRICS if name in shown], "{:.1%}".format)
            click.echo(shown.to_string(index=False, formatters=formats, na_rep="") + "\n")
    click.echo("`scm train --dataset D --net N --dry-run` prints a recipe's settings.")
