"""The command line, `scm`: thin commands over the library."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import click

from scmlib.errors import BadInput
from scmlib.recipes import PARSERS, Settings, parse_epochs, recipe

if TYPE_CHECKING:
    from scmlib.evaluation import Ranking  # brings torch, which --help needn't wait for

Command = TypeVar("Command", bound=Callable[..., Any])


class Epochs(click.ParamType[tuple[int, int]]):
    """`5,75`: warm-up, and the cosine's end."""

    name = "E0,E"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Text to two whole numbers."""
        try:
            return value if isinstance(value, tuple) else parse_epochs(value)
        except ValueError:
            self.fail(f"'{value}' isn't two whole numbers with a comma between them, like 5,75", param, ctx)


def settings_options(command: Command) -> Command:
    """A flag for every setting, `--img-height` for `img_height`; one that is left out takes the recipe's value."""
    hints = get_type_hints(Settings, include_extras=True)
    for name, hint in reversed(hints.items()):
        kind, help_text = hint.__origin__, hint.__metadata__[0]
        if name not in ("dataset", "net"):
            flag_type = Epochs() if kind in PARSERS else kind
            command = click.option(f"--{name.replace('_', '-')}", name, type=flag_type, help=help_text)(command)
    return command


dataset_option = click.option("--dataset", required=True, help="Data set, e.g. synthetic or market1501.")
root_option = click.option(
    "--dataset-root", default="data", show_default=True, help="Folder that holds the data sets' folders."
)


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
@click.option("--preset", default="default", show_default=True, help="Size of the synthetic world.")
@click.option("--seed", default=0, show_default=True, help="One seed, one world.")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other number of the world, e.g. cast=0.1."
)
@click.option("--workers", default=0, show_default=True, help="Processes; 0: one for each core.")
def prepare(dataset: str, dataset_root: str, preset: str, seed: int, changes: tuple[str, ...], workers: int) -> None:
    """Make DATASET below the data root; so far: synthetic."""
    from data_prep.synthetic import PRESETS, changed, write_world
    from scmlib.datasets import dataset_folder

    if dataset != "synthetic":
        raise BadInput(f"'{dataset}' can't be prepared yet: unpack it below {dataset_root} in its own layout.")
    if preset not in PRESETS:
        raise BadInput(f"Unknown preset '{preset}': choose one of {', '.join(PRESETS)}.")
    world = changed(replace(PRESETS[preset], seed=seed), changes)
    folder = write_world(dataset_folder(dataset, dataset_root), world, workers=workers)
    click.echo(f"The synthetic world lies in {folder}.")


@cli.command()
@dataset_option
@click.option("--net", required=True, help="regnet_y_800mf, regnet_y_1_6gf, regnet_y_tiny or torchvision:NAME.")
@settings_options
@click.option("--out", type=Path, help="Run folder; left out: runs/DATASET-NET.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--dry-run", is_flag=True, help="Print the resolved settings as JSON and stop.")
def train(dataset: str, net: str, out: Path | None, resume: bool, dry_run: bool, **flags: Any) -> None:
    """Train SCM; a flag left out takes the value of the data set's recipe."""
    settings = replace(recipe(dataset, net), **{name: value for name, value in flags.items() if value is not None})
    if dry_run:
        click.echo(json.dumps(settings.as_dict(), indent=2))
        return
    import pandas as pd

    from scmlib import figures, training

    out = out or Path("runs") / f"{dataset}-{net.replace(':', '-')}"
    if not settings.weights and net != "regnet_y_tiny":
        frozen = ", its frozen stem too (--freeze none trains it)" if settings.freeze == "stem" else ""
        click.echo(f"{net} starts from random weights{frozen}; the paper starts from ImageNet's (--weights).", err=True)
    if resume and not (out / training.STATE).exists():
        raise BadInput(f"{out} holds no run to go on with: check --out, or leave --resume out.")
    training.train(settings, out, resume=resume)
    figures.save(figures.draw_training(pd.read_csv(out / "log.csv")), out / "training.png")
    click.echo(f"Trained weights, log and curves lie in {out}. Next:")
    click.echo(f"scm evaluate {out} --dataset {dataset} --dataset-root {settings.dataset_root}")


@cli.command()
@click.argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)
@dataset_option
@root_option
@click.option("--net", help="Backbone of a checkpoint that isn't ours.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read images.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def evaluate(source: Path, dataset: str, dataset_root: str, net: str | None, workers: int, as_json: bool) -> None:
    """Rank the gallery for every query; print and store top1, top5, top10 and mAP."""
    from scmlib.checkpoints import load_model, write_atomically
    from scmlib.datasets import open_dataset
    from scmlib.evaluation import evaluate as run_evaluation

    data = open_dataset(dataset, dataset_root)
    model, _ = load_model(source, recipe(dataset, net) if net else None)
    ranking = run_evaluation(model, data, workers=workers, progress=True).ranking
    figures = ranking.figures() | {"queries": ranking.num_valid, "queries_without_match": ranking.num_without_match}
    name = f"evaluation_{dataset}.json"
    stored = source / name if source.is_dir() else source.with_name(f"{source.stem}_{name}")
    if as_json:
        click.echo(json.dumps(figures))
    else:
        say_figures(ranking)
    write_atomically(stored, json.dumps(figures, indent=2).encode())
    if not as_json:
        click.echo(f"Stored in {stored}.")


@cli.command()
@click.argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)
@click.argument("images", metavar="IMAGE...", type=Path, nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="Folder for one figure an image.")
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@click.option("--net", help="Backbone of a checkpoint that isn't ours.")
def masks(source: Path, images: tuple[Path, ...], out: Path, dataset: str, net: str | None) -> None:
    """Draw the competitive masks and the cooperative mask over each IMAGE."""
    from scmlib import figures
    from scmlib.checkpoints import load_model
    from scmlib.datasets import truth_path
    from scmlib.evaluation import masks_of
    from scmlib.images import read_image
    from scmlib.mask_scores import read_truth

    model, _ = load_model(source, recipe(dataset, net) if net else None)
    taken: set[str] = set()
    for image in images:
        picture = read_image(image, model.image_size)
        truth = read_truth([image]) if truth_path(image).is_file() else None
        figure = figures.draw_masks(
            picture.permute(1, 2, 0).numpy()[None], masks_of(model, picture[None]).numpy(), truth, [image.name]
        )
        name = image.stem
        while name in taken:  # the same name in two folders
            name += "_"
        taken.add(name)
        click.echo(str(figures.save(figure, out / f"{name}_masks.png")))


def say_figures(ranking: Ranking) -> None:
    """Print the released code's figures, in per cent, and how many queries they rest on."""
    for name, value in ranking.figures().items():
        click.echo(f"{name:>6} {value:7.2%}")
    click.echo(f"{ranking.num_valid} queries counted, {ranking.num_without_match} without a match left out.")


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
