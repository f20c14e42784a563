"""Commands that hand a run on to other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from scmlib.cli.options import json_option, net_option, source_argument
from scmlib.settings import recipe


@click.command()
@source_argument
@click.option("--out", type=Path, required=True, help="The ONNX file.")
@click.option("--dataset", default="market1501", show_default=True, help="Recipe of a checkpoint that isn't ours.")
@net_option
@json_option
def export(source: Path, out: Path, dataset: str, net: str | None, as_json: bool) -> None:
    """Write the network as ONNX: `images` (B, 3, H, W) in [0, 1] to embeddings and masks, any batch size.

    The file is compared with the network before it is written.
    """
    from scmlib.checkpoints import load_model
    from scmlib.errors import BadInput
    from scmlib.exports.network import OUTPUTS, export_network

    if out.suffix != ".onnx":
        raise BadInput(f"--out {out} isn't named as an ONNX file: let it end in .onnx.")
    model, _ = load_model(source, recipe(dataset, net) if net else None)
    difference = export_network(model, out)
    height, width = model.image_size
    if as_json:
        facts = {"file": str(out), "image_size": [height, width], "embedding_names": model.embedding_names}
        click.echo(json.dumps(facts | {"outputs": list(OUTPUTS), "largest_difference": difference}))
        return
    click.echo(f"{out}: images (B, 3, {height}, {width}) in [0, 1] to {', '.join(OUTPUTS)}.")
    click.echo(f"Largest difference to torch, as a share of an output's largest value: {difference:.1e}.")
