"""Commands that look at a trained model: its metrics by the protocol, its masks over pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.cli.data import say_camera_rule
from scmlib.cli.options import (
    batched,
    json_option,
    net_option,
    run_dataset_option,
    run_root_option,
    source_argument,
    workers_option,
)

if TYPE_CHECKING:
    from scmlib.evaluation import Evaluation


@click.command()
@source_argument
@run_dataset_option
@run_root_option
@net_option
@batched
@workers_option
@json_option
def evaluate(source: Path, dataset: str, dataset_root: str, net: str | None, workers: int, as_json: bool) -> None:
    """Judge a model by the data set's own protocol; print and store the figures that the paper prints."""
    from scmlib.evaluation import evaluate as run_evaluation
    from scmlib.runs import open_study, store_evaluation

    study = open_study(source, dataset, dataset_root, net=net)
    evaluation = run_evaluation(study.model, study.data, workers=workers, progress=True)
    facts, stored = store_evaluation(study, evaluation)
    if as_json:
        click.echo(json.dumps(facts))
        return
    say_metrics(evaluation)
    say_camera_rule(study.data)
    click.echo(f"Stored in {stored}.")


@click.command()
@source_argument
@click.argument("images", metavar="IMAGE_OR_FOLDER...", type=Path, nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="Folder for one figure an image.")
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@net_option
@batched
def masks(source: Path, images: tuple[Path, ...], out: Path, dataset: str, net: str | None) -> None:
    """Draw the competitive masks and the cooperative mask over each image, or over all images of a folder."""
    from scmlib import figures
    from scmlib.data.images import read_pictures
    from scmlib.data.records import Record, image_files
    from scmlib.data.truth import read_truth, truth_path
    from scmlib.inference import images_at_once, masks_of
    from scmlib.runs import open_run

    run = open_run(source, dataset, net=net)
    paths = [path for image in images for path in (image_files(image) if image.is_dir() else [image])]
    records = [Record(path, -1, -1, margin=run.margin) for path in paths]
    taken: set[str] = set()
    for start in range(0, len(records), images_at_once()):
        batch = records[start : start + images_at_once()]
        pictures = read_pictures(batch, run.model.image_size)
        for record, picture, found in zip(batch, pictures, masks_of(run.model, pictures), strict=True):
            truth = read_truth([record.path]) if truth_path(record.path).is_file() else None
            figure = figures.draw_masks(picture[None], found[None], truth, [record.path.name])
            name = record.path.stem
            while name in taken:  # the same name in two folders
                name += "_"
            taken.add(name)
            click.echo(str(figures.save(figure, out / f"{name}_masks.png")))


def say_metrics(evaluation: Evaluation) -> None:
    """Print the released code's metrics, in per cent, and what they rest on."""
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
