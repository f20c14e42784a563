"""The command line, `scm`: thin commands over the library."""

from __future__ import annotations

import errno
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scmlib.analysis_cli import ablation, clinic, occlusion, scores, sensitivity
from scmlib.errors import BadInput
from scmlib.options import (
    dataset_option,
    json_option,
    net_option,
    root_option,
    settings_options,
    source_argument,
    workers_option,
    world_option,
)
from scmlib.recipes import recipe

if TYPE_CHECKING:
    import pandas as pd

    from scmlib.evaluation import Evaluation  # brings torch, which --help needn't wait for


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="scmlib")
def cli() -> None:
    """Occluded person re-identification with spectral clustering masks (SCM)."""


@cli.command()
@click.option("--out", type=Path, default=Path("runs/demo"), show_default=True, help="Folder for all that it makes.")
@click.option("--quick", is_flag=True, help="A tiny world and two epochs: seconds, for trying things out.")
@click.option("--seed", default=0, show_default=True, help="Of the world and of the training.")
def demo(out: Path, quick: bool, seed: int) -> None:
    """From nothing to a trained, scored, pictured SCM: the synthetic world, a tiny network, one report."""
    from scmlib.demo import run_demo

    run_demo(out, quick=quick, seed=seed)


@cli.command()
@click.argument("dataset")
@root_option
@click.option("--source", type=Path, help="Downloaded archive (zip, tar) or folder.")
@click.option("--preset", help="Size of the synthetic world: quick, default or large.")
@click.option("--seed", type=int, help="Of the synthetic world: one seed, one world.")
@world_option
@click.option("--workers", default=0, show_default=True, help="Processes that draw the world; 0: one for each core.")
def prepare(
    dataset: str,
    dataset_root: str,
    source: Path | None,
    preset: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    workers: int,
) -> None:
    """Bring DATASET into its layout below the data root: the synthetic world drawn, any other from its download."""
    from scmlib.datasets import open_dataset
    from scmlib.inspection import count_table

    if dataset != "synthetic":
        from data_prep.prepare import SOURCES
        from data_prep.prepare import prepare as arrange
        from scmlib.datasets import dataset_folder

        if preset or seed is not None or changes:
            raise BadInput(f"--preset, --seed and --set are the synthetic world's: leave them out for {dataset}.")
        folder = dataset_folder(dataset, dataset_root)
        if source is None and dataset in SOURCES and not folder.exists():
            raise BadInput(
                f"{folder} is missing, and nothing is downloaded here: give the download as --source. "
                f"Where to have it: {SOURCES[dataset].terms}"
            )
        folder = arrange(dataset, source or folder, dataset_root)
    else:
        from data_prep.synthetic import draw_world

        if source:
            raise BadInput("The synthetic world is drawn, not unpacked: leave --source out.")
        folder = draw_world(dataset_root, preset or "default", seed=seed or 0, changes=changes, workers=workers)
    click.echo(f"{dataset} lies in {folder}.")
    say_counts(count_table(open_dataset(dataset, dataset_root)))


@cli.command()
@click.argument("dataset")
@root_option
@click.option(
    "--out", type=Path, default=Path("runs/inspection"), show_default=True, help="Folder for the figure and the table."
)
def inspect(dataset: str, dataset_root: str, out: Path) -> None:
    """Decode every image of DATASET; compare counts with the published ones and say what is off."""
    from scmlib import figures
    from scmlib.checkpoints import write_atomically
    from scmlib.datasets import open_dataset
    from scmlib.inspection import inspect_dataset

    data = open_dataset(dataset, dataset_root)
    inspection = inspect_dataset(data, progress=True)
    say_counts(inspection.counts)
    for finding in inspection.findings or ["Nothing is off."]:
        click.echo(f"- {finding}")
    name = dataset.replace(":", "-")
    write_atomically(out / f"{name}.csv", inspection.images.to_csv(index=False).encode())
    figure = figures.draw_inspection(inspection.images, data.layout.camera_rule)
    click.echo(
        f"Every image stands in {out / name}.csv; images per identity: {figures.save(figure, out / f'{name}.png')}."
    )


@cli.command()
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
    from scmlib.layouts import layout_of

    settings = replace(recipe(dataset, net), **{name: value for name, value in flags.items() if value is not None})
    layout_of(dataset)
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


@cli.command()
@source_argument
@dataset_option
@root_option
@net_option
@workers_option
@json_option
def evaluate(source: Path, dataset: str, dataset_root: str, net: str | None, workers: int, as_json: bool) -> None:
    """Judge a model by the data set's own protocol; print and store the figures that the paper prints."""
    from scmlib.checkpoints import load_model, write_atomically
    from scmlib.datasets import open_dataset
    from scmlib.evaluation import evaluate as run_evaluation

    data = open_dataset(dataset, dataset_root)
    model, settings = load_model(source, recipe(dataset, net) if net else None)
    evaluation = run_evaluation(model, data, workers=workers, progress=True)
    ranking = evaluation.ranking
    facts: dict[str, Any] = {"dataset": dataset, "net": settings.net, **evaluation.figures}
    facts |= {"queries": ranking.num_valid, "queries_without_match": ranking.num_without_match}
    if evaluation.spread:
        facts["spread"] = evaluation.spread
    name = f"evaluation_{dataset.replace(':', '-')}.json"
    stored = source / name if source.is_dir() else source.with_name(f"{source.stem}_{name}")
    if as_json:
        click.echo(json.dumps(facts))
    else:
        say_figures(evaluation)
    write_atomically(stored, json.dumps(facts, indent=2).encode())
    if not as_json:
        click.echo(f"Stored in {stored}.")


@cli.command()
@source_argument
@click.argument("images", metavar="IMAGE...", type=Path, nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="Folder for one figure an image.")
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@net_option
def masks(source: Path, images: tuple[Path, ...], out: Path, dataset: str, net: str | None) -> None:
    """Draw the competitive masks and the cooperative mask over each IMAGE."""
    from scmlib import figures
    from scmlib.checkpoints import load_model
    from scmlib.datasets import truth_path
    from scmlib.evaluation import masks_of
    from scmlib.images import read_image
    from scmlib.layouts import layout_of
    from scmlib.mask_scores import read_truth

    model, settings = load_model(source, recipe(dataset, net) if net else None)
    margin = layout_of(settings.dataset).margin
    taken: set[str] = set()
    for image in images:
        picture = read_image(image, model.image_size, margin)
        truth = read_truth([image]) if truth_path(image).is_file() else None
        figure = figures.draw_masks(
            picture.permute(1, 2, 0).numpy()[None], masks_of(model, picture[None]).numpy(), truth, [image.name]
        )
        name = image.stem
        while name in taken:  # the same name in two folders
            name += "_"
        taken.add(name)
        click.echo(str(figures.save(figure, out / f"{name}_masks.png")))


@cli.command()
@click.option("--dataset", help="This data set's recipes alone.")
@click.option("--runs", default="runs", show_default=True, help="Folder below which runs were evaluated.")
def recipes(dataset: str | None, runs: str) -> None:
    """The paper's 24 recipes, published figures beside those that runs on this machine reached."""
    from scmlib.layouts import layout_of
    from scmlib.reached import figure_table

    if dataset:
        layout_of(dataset)
    table = figure_table(runs, dataset)
    retrieval = table["NMI"].notna()
    for part in (table[~retrieval], table[retrieval]):
        if len(part):
            shown = part.dropna(axis="columns", how="all")
            formats = dict.fromkeys(shown.columns[3:], "{:.1%}".format)
            click.echo(shown.to_string(index=False, formatters=formats, na_rep="") + "\n")
    click.echo("`scm train --dataset D --net N --dry-run` prints a recipe's settings.")


def say_counts(counts: pd.DataFrame) -> None:
    """Print what each split holds, beside the published numbers."""
    for split, row in counts.iterrows():
        told = []
        for kind in ("images", "identities"):
            published = row[f"published_{kind}"]
            note = (
                "" if published < 0 else " (as published)" if published == row[kind] else f" (published {published:,})"
            )
            told.append(f"{row[kind]:,} {kind}{note}")
        told += [f"{row['cameras']} cameras"] if row["cameras"] else []
        told += [f"{row['size']} pixels"] if isinstance(row.get("size"), str) else []
        click.echo(f"{split:>8}: {', '.join(told)}")


def say_figures(evaluation: Evaluation) -> None:
    """Print the released code's figures, in per cent, and what they rest on."""
    for name, value in evaluation.figures.items():
        spread = f" ± {evaluation.spread[name]:.2%}" if evaluation.spread else ""
        click.echo(f"{name:>8} {value:7.2%}{spread}")
    if evaluation.spread:
        click.echo("Mean and standard deviation over five drawn galleries.")
    ranking = evaluation.ranking
    if "NMI" in evaluation.figures:
        alone = ranking.num_without_match
        click.echo(f"{len(ranking.ap)} images, each against all others; {alone} alone in their class count as missed.")
        return
    click.echo(f"{ranking.num_valid} queries counted, {ranking.num_without_match} without a match left out.")


for command in (scores, occlusion, sensitivity, clinic, ablation):
    cli.add_command(command)


def main() -> None:
    """Run a command; whatever a person can mend is one sentence on standard error and status 2."""
    try:
        cli(prog_name="scm", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "scm"
        fail(f"{error.format_message()} (see {command} --help)")
    except BadInput as error:
        fail(str(error))
    except OSError as error:
        where = error.filename or "the output folder"
        if error.errno == errno.ENOSPC:
            fail(f"The disk is full: {where} was not written; free some space and run the same command again.")
        fail(f"{where}: {error.strerror or error}.")
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. A training goes on where it was with --resume.", err=True)
        sys.exit(130)


def fail(sentence: str) -> None:
    """Say what doesn't fit and leave."""
    click.echo(f"scm: {sentence}", err=True)
    sys.exit(2)
