"""Commands that hand a run on to other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scmlib.cli.options import batched, json_option, net_option, run_root_option, source_argument, workers_option
from scmlib.launch import first

recipe_option = click.option(
    "--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours."
)


@click.command()
@source_argument
@click.option("--out", type=Path, required=True, help="The ONNX file.")
@recipe_option
@net_option
@json_option
def export(source: Path, out: Path, dataset: str, net: str | None, as_json: bool) -> None:
    """Write the network as ONNX: `images` (B, 3, H, W) in [0, 1] to embeddings and masks, any batch size.

    The file is compared with the network before it is written.
    """
    from scmlib.errors import BadInput
    from scmlib.exports.network import OUTPUTS, export_network
    from scmlib.runs import open_run

    if out.suffix != ".onnx":
        raise BadInput(f"--out {out} isn't named as an ONNX file: let it end in .onnx.")
    model = open_run(source, dataset, net=net).model
    difference = export_network(model, out)
    height, width = model.image_size
    if as_json:
        facts = {"file": str(out), "image_size": [height, width], "embedding_names": model.embedding_names}
        click.echo(json.dumps(facts | {"outputs": list(OUTPUTS), "largest_difference": difference}))
        return
    click.echo(f"{out}: images (B, 3, {height}, {width}) in [0, 1] to {', '.join(OUTPUTS)}.")
    click.echo(f"Largest difference to torch, as a share of an output's largest value: {difference:.1e}.")


@click.command()
@source_argument
@click.argument("pictures", metavar="DATASET_OR_FOLDER")
@click.option("--out", type=Path, required=True, help="FILE.npz or FILE.parquet.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "query", "gallery"]),
    help="Of a data set; may be given again; left out: query and gallery.",
)
@run_root_option
@recipe_option
@net_option
@batched
@workers_option
def embed(
    source: Path,
    pictures: str,
    out: Path,
    splits: tuple[str, ...],
    dataset_root: str,
    dataset: str,
    net: str | None,
    workers: int,
) -> None:
    """Write the embeddings of a data set or of any folder of pictures, for other programs.

    A row a picture: path, split, identity, camera and the embedding of length 1; similarity is the dot product.
    """
    from scmlib.exports.embeddings import check_format, embed_pictures, save_embeddings
    from scmlib.processes import sharing
    from scmlib.run_folder import TEST
    from scmlib.runs import open_run

    check_format(out)
    with sharing():
        run = open_run(source, dataset, net=net)
        embedded = embed_pictures(run, pictures, dataset_root, splits=splits or TEST, workers=workers, progress=True)
    if not first():
        return
    save_embeddings(embedded, out)
    images, length = embedded.embedding.shape
    click.echo(f"{out}: {images} embeddings of {length} numbers, {len(embedded.names)} groups ", nl=False)
    click.echo(f"({', '.join(embedded.names)}).")
