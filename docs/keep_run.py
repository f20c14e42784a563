"""Keep a trained run for the site: `python -m docs.keep_run runs/demo/run`.

What the site shows moving needs a network, and a site is built without training. So the weights of one run are
committed, without classifiers and rounded to half precision, together with what that rounded network reaches on the
run's own test images.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import safetensors.torch
import torch

from scmlib.checkpoints import load_model, weights_file
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate
from scmlib.files import write_atomically
from scmlib.runs import open_study

KEPT = Path(__file__).parent / "run"  # where the site's run lies


def keep_run(run: Path, out: Path = KEPT) -> Path:
    """Write a run's weights, small, and its metrics.

    Args:
        run: folder of a trained run whose data are there.
        out: folder of `model.safetensors` and `metrics.json`.

    Returns:
        The weights' file.

    Raises:
        BadInput: no run there, or no data.
    """
    study = open_study(run)
    with safetensors.safe_open(weights_file(run), framework="pt") as file:
        facts = file.metadata()
    state = {name: value for name, value in study.model.state_dict().items() if not name.startswith("class_list.")}
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    path = out / "model.safetensors"
    write_atomically(path, safetensors.torch.save({name: x.cpu().contiguous() for name, x in half.items()}, facts))
    model, settings = load_model(path)
    evaluation = evaluate(model, study.data, progress=True)
    told = {
        "net": settings.net,
        "epochs": settings.last_epoch,
        "seed": settings.seed,
        "torch": torch.__version__.partition("+")[0],
        "queries": evaluation.ranking.num_valid,
        "metrics": evaluation.metrics,
    }
    write_atomically(out / "metrics.json", json.dumps(told, indent=2).encode() + b"\n")
    return path


@click.command()
@click.argument("run", type=Path)
def main(run: Path) -> None:
    """Keep a trained run for the site."""
    try:
        path = keep_run(run)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
