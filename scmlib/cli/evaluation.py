"""Commands that look at a trained model: its metrics by the protocol, its masks over pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scmlib.cli.data import say_camera_rule
from scmlib.cli.options import (
    dataset_option,
    json_option,
    net_option,
    root_option,
    source_argument,
    workers_option,
)
from scmlib.settings import recipe

if TYPE_CHECKING:
    from scmlib.evaluation import Evaluation


@click.command()
@source_argument
@dataset_option
@root_option
@net_option
@workers_option
@json_option
def evaluate(source: Path, dataset: str, dataset_root: str, net: str | None, workers: int, as_json: bool) -> None:
    """Judge a model by the data set's own protocol; print and store the figures that the paper prints."""
    from scmlib.checkpoints import load_model
    from scmlib.data.datasets import open_dataset
    from scmlib.evaluation import evaluate as run_evaluation
    from scmlib.files import write_atomically

    data = open_dataset(dataset, dataset_root)
    model, settings = load_model(source, recipe(dataset, net) if net else None)
    evaluation = run_evaluation(model, data, workers=workers, progress=True)
    ranking = evaluation.ranking
    facts: dict[str, Any] = {"dataset": dataset, "net": settings.net, **evaluation.metrics}
    facts |= {"queries": ranking.num_valid, "queries_without_match": ranking.num_without_match}
    if evaluation.spread:
        facts["spread"] = evaluation.spread
    name = f"evaluation_{dataset.replace(':', '-')}.json"
    stored = source / name if source.is_dir() else source.with_name(f"{source.stem}_{name}")
    if as_json:
        click.echo(json.dumps(facts))
    else:
        say_figures(evaluation)
        say_camera_rule(data)
    write_atomically(stored, json.dumps(facts, indent=2).encode())
    if not as_json:
        click.echo(f"Stored in {stored}.")


@click.command()
@source_argument
@click.argument("images", metavar="IMAGE...", type=Path, nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="Folder for one figure an image.")
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@net_option
def masks(source: Path, images: tuple[Path, ...], out: Path, dataset: str, net: str | None) -> None:
    """Draw the competitive masks and the cooperative mask over each IMAGE."""
    from scmlib import figures
    from scmlib.checkpoints import load_model
    from scmlib.data.images import read_image
    from scmlib.data.layouts import LAYOUTS
    from scmlib.data.truth import read_truth, truth_path
    from scmlib.inference import masks_of

    model, settings = load_model(source, recipe(dataset, net) if net else None)
    layout = LAYOUTS.get(settings.dataset.partition(":")[0])
    margin = layout.margin if layout else 0  # the pictures of a table are shown whole
    taken: set[str] = set()
    for image in images:
        picture = read_image(image, model.image_size, margin)
        truth = read_truth([image]) if truth_path(image).is_file() else None
        figure = figures.draw_masks(picture[None], masks_of(model, picture[None]), truth, [image.name])
        name = image.stem
        while name in taken:  # the same name in two folders
            name += "_"
        taken.add(name)
        click.echo(str(figures.save(figure, out / f"{name}_masks.png")))


def say_figures(evaluation: Evaluation) -> None:
    """Print the released code's figures, in per cent, and what they rest on."""
    for name, value in evaluation.metrics.items():
        spread = f" ± {evaluation.spread[name]:.2%}" if evaluation.spread else ""
        click.echo(f"{name:>8} {value:7.2%}{spread}")
    if evaluation.spread:
        click.echo("Mean and standard deviation over five drawn galleries.")
    ranking = evaluation.ranking
    if "NMI" in evaluation.metrics:
        alone = ranking.num_without_match
        click.echo(f"{len(ranking.ap)} images, each against all others; {alone} alone in their class count as missed.")
        return
    click.echo(f"{ranking.num_valid} queries counted, {ranking.num_without_match} without a match left out.")
