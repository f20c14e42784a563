"""Flags that commands share."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import click

from scmlib.errors import BadInput
from scmlib.launch import number, program
from scmlib.settings import PARSERS, Settings, parse_epochs

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


run_dataset_option = click.option(
    "--dataset", default="", help="Data set, or a folder with images.csv; left out: the run's own."
)

run_root_option = click.option(
    "--dataset-root", default="", help="Folder that holds the data sets' folders; left out: where the run's data lie."
)

root_option = click.option(
    "--dataset-root", default="data", show_default=True, help="Folder that holds the data sets' folders."
)

source_argument = click.argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)

world_option = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other number of the world, e.g. cast=0.1."
)


def read_changes(_: click.Context, __: click.Parameter, changes: tuple[str, ...]) -> dict[str, Any]:
    """`("epochs=2,9", "lr=0.1")` to settings by name."""
    kinds, values = get_type_hints(Settings), {}
    for change in changes:
        name, *text = change.split("=", 1)
        try:
            values[name] = PARSERS.get(kinds[name], kinds[name])(*text)
        except (KeyError, ValueError, TypeError) as error:
            raise click.BadParameter(f"'{change}' isn't a setting and its value, like epochs=2,9") from error
    return values


change_option = click.option(
    "--change",
    "recipe_changes",
    multiple=True,
    metavar="NAME=VALUE",
    callback=read_changes,
    help="Any setting of the recipe, for all alike, e.g. epochs=2,9.",
)

workers_option = click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read images."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")

gpus_option = click.option(
    "--gpus",
    expose_value=False,
    callback=lambda context, _param, gpus: choose_gpus(gpus, context.info_name) if gpus else None,
    help="Numbers of the GPUs to work on, e.g. 0 or 0,1; left out: the first, or the CPU.",
)

# Commands that several processes work on together.
SHARED = ("train", "evaluate", "embed")


def choose_gpus(gpus: str, command: str | None) -> None:
    """Work on the GPUs of a list such as `0` or `0,1`, the released code's flag; says where that isn't all.

    Several GPUs want as many processes: of a command that several can work on, this one becomes torchrun, which starts
    it once for each.

    Raises:
        BadInput: something else than numbers, a number given twice, or one of several GPUs isn't there.
    """
    numbers = gpus.split(",")
    if not all(re.fullmatch("[0-9]+", one) for one in numbers) or len({*map(int, numbers)}) < len(numbers):
        raise BadInput(f"--gpus {gpus} isn't a list of GPU numbers: give 0 or 0,1, say, or leave it out.")
    asked = [int(one) for one in numbers]
    if number() > 1:  # torchrun started this process, and CUDA hasn't looked for GPUs yet
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = visible.split(",") if visible else list(map(str, range(max(asked) + 1)))
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[i] for i in asked)
        return
    import torch

    there = torch.cuda.device_count()
    if there == 0:
        click.echo(f"There is no CUDA here, so --gpus {gpus} is passed over and the CPU works.", err=True)
        return
    if len(asked) > 1 and max(asked) >= there:
        raise BadInput(f"--gpus {gpus}: GPU {max(asked)} isn't here, their numbers are 0 to {there - 1}.")
    if len(asked) > 1 and command in SHARED:
        launch = [*program(len(asked))[1:], *sys.argv[1:]]
        os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", *launch])
    torch.cuda.set_device(asked[0] if asked[0] < there else 0)
    if asked[0] >= there:
        click.echo(f"GPU {asked[0]} isn't here; GPU 0 works.", err=True)
    elif len(asked) > 1:
        click.echo(f"scm {command} uses one GPU: {asked[0]} works.", err=True)


def batched(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that applies a model the flags --batch-size and --gpus, and see to both."""

    @functools.wraps(command)
    def in_batches(*arguments: Any, batch_size: int, **flags: Any) -> None:
        from scmlib.inference import batches_of

        with batches_of(batch_size):
            command(*arguments, **flags)

    size = click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=64,
        show_default=True,
        help="Images at once; fewer take less memory.",
    )
    return size(gpus_option(in_batches))


out_option = click.option("--out", type=Path, help="Folder for figures and tables; left out: the run's own.")

net_option = click.option("--net", help="Backbone of a checkpoint that isn't ours.")
