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
from scmlib.launch import first

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
    from scmlib.evaluation import embed_test, evaluate_embeddings
    from scmlib.processes import sharing
    from scmlib.runs import open_study, store_evaluation

    with sharing():
        study = open_study(source, dataset, dataset_root, net=net)
        embeddings = embed_test(study.model, study.data, workers=workers, progress=True)
    if not first():
        return
    evaluation = evaluate_embeddings(study.data, *embeddings)
    facts, stored = store_evaluation(study, evaluation)
    if as_json:
        click.echo(json.dumps(facts))
        return
    say_metrics(evaluation)
    say_camera_rule(study.data)
    click.echo(f"Stored in {stored}; query by query in {stored.with_suffix('.csv').name}.")


@click.command()
@source_argument
@click.argument("images", metavar="IMAGE_OR_FOLDER...", type=Path, nargs=-1, required=True)
@click.option("--out", type=Path, required=True, help="Folder for one figure an image.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["figure", "npz", "png"]),
    default=["figure"],
    show_default=True,
    help="Figures; the numbers of all images in one masks.npz; a grey picture of each mask. May be given again.",
)
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@net_option
@batched
def masks(
    source: Path, images: tuple[Path, ...], out: Path, formats: tuple[str, ...], dataset: str, net: str | None
) -> None:
    """Draw the competitive masks and the cooperative mask over each image, or over all images of a folder."""
    import torch

    from scmlib import figures
    from scmlib.data.images import read_pictures
    from scmlib.data.records import Record, image_files
    from scmlib.data.truth import read_truth, truth_path
    from scmlib.exports.masks import save_mask_pictures, save_masks
    from scmlib.inference import images_at_once, masks_of
    from scmlib.runs import open_run

    run = open_run(source, dataset, net=net)
    paths = [path for image in images for path in (image_files(image) if image.is_dir() else [image])]
    records = [Record(path, -1, -1, margin=run.margin) for path in paths]
    size, names, competitive = run.model.image_size, own_names(paths), []
    for start in range(0, len(records), images_at_once()):
        batch = slice(start, start + images_at_once())
        pictures = read_pictures(records[batch], size)
        competitive.append(masks_of(run.model, pictures))
        for path, name, picture, found in zip(paths[batch], names[batch], pictures, competitive[-1], strict=True):
            if "figure" in formats:
                truth = read_truth([path]) if truth_path(path).is_file() else None
                figure = figures.draw_masks(picture[None], found[None], truth, [path.name])
                click.echo(str(figures.save(figure, out / f"{name}_masks.png")))
            if "png" in formats:
                click.echo("\n".join(map(str, save_mask_pictures(out, name, found, size))))
    if "npz" in formats:
        save_masks(out / "masks.npz", paths, torch.cat(competitive))
        click.echo(str(out / "masks.npz"))


def own_names(paths: list[Path]) -> list[str]:
    """A name for the files of each picture; another one where two folders have the same."""
    names: list[str] = []
    for path in paths:
        name = path.stem
        while name in names:
            name += "_"
        names.append(name)
    return names


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
