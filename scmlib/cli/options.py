"""Flags that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import click

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


dataset_option = click.option(
    "--dataset", required=True, help="Data set, e.g. synthetic, market1501, or a folder with images.csv."
)

root_option = click.option(
    "--dataset-root", default="data", show_default=True, help="Folder that holds the data sets' folders."
)

source_argument = click.argument("source", metavar="RUN_OR_CHECKPOINT", type=Path)

world_option = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Any other number of the world, e.g. cast=0.1."
)

workers_option = click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read images."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")

out_option = click.option("--out", type=Path, help="Folder for figures and tables; left out: the run's own.")

net_option = click.option("--net", help="Backbone of a checkpoint that isn't ours.")
