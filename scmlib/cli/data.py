"""Commands of the data: prepare and inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scmlib.cli.options import (
    root_option,
    world_option,
)
from scmlib.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from scmlib.data.datasets import ReidDataset


@click.command()
@click.argument("dataset")
@root_option
@click.option("--source", type=Path, help="Downloaded archive (zip, tar) or folder; for a table, the pictures' folder.")
@click.option("--pattern", help="Of a table: file names as a regular expression, (?P<identity>...) and so on.")
@click.option("--no-camera-rule", is_flag=True, help="Of a table: without the cameras that --pattern gives.")
@click.option("--preset", help="The synthetic world: quick, default, unaligned or large.")
@click.option("--seed", type=int, help="Of the synthetic world, or of the splits that are drawn for a table.")
@world_option
@click.option("--workers", default=0, show_default=True, help="Processes that draw the world; 0: one for each core.")
def prepare(
    dataset: str,
    dataset_root: str,
    source: Path | None,
    pattern: str | None,
    no_camera_rule: bool,
    preset: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    workers: int,
) -> None:
    """Bring DATASET into its layout below the data root.

    The synthetic world is drawn; a known data set is made from its download. Any other name makes a data set of your
    own pictures: a table, images.csv, of the pictures in --source, which stay where they are. A folder there is an
    identity, or --pattern finds identity, camera and split in the file names, e.g.
    "(?P<identity>.+)_cam(?P<camera>[0-9]+)". Without splits they are drawn by identity.
    """
    from data_prep.downloads.prepare import SOURCES
    from scmlib.data.datasets import dataset_folder, open_dataset
    from scmlib.data.inspection import count_table, left_out, some
    from scmlib.data.layouts import LAYOUTS, PROTOCOLS

    own = dataset not in LAYOUTS and dataset not in PROTOCOLS
    if not own and (pattern or no_camera_rule):
        raise BadInput(f"--pattern and --no-camera-rule are for tables of your own pictures, not for {dataset}.")
    if dataset != "synthetic" and (preset or changes or (seed is not None and not own)):
        raise BadInput(f"--preset, --seed and --set are the synthetic world's: leave them out for {dataset}.")
    missed: list[Path] = []
    if dataset == "synthetic":
        from data_prep.world import draw_world

        if source:
            raise BadInput("The synthetic world is drawn, not unpacked: leave --source out.")
        folder = draw_world(dataset_root, preset or "default", seed=seed or 0, changes=changes, workers=workers)
    elif own:
        folder, missed = _write_own(dataset, source, dataset_root, pattern or "", not no_camera_rule, seed or 0)
    else:
        from data_prep.downloads.prepare import prepare as arrange

        folder = dataset_folder(dataset, dataset_root)
        if source is None and dataset in SOURCES and not folder.exists():
            raise BadInput(
                f"{folder} is missing, and nothing is downloaded here: give the download as --source. "
                f"Where to have it: {SOURCES[dataset].terms}"
            )
        folder = arrange(dataset, source or folder, dataset_root)
    click.echo(f"{dataset} lies in {folder}.")
    data = open_dataset(dataset, dataset_root)
    say_counts(count_table(data))
    say_camera_rule(data)
    if missed := missed or left_out(data):
        click.echo(f"Left out, for nothing reads them: {some(missed)}.")


def _write_own(
    name: str, source: Path | None, dataset_root: str, pattern: str, camera_rule: bool, seed: int
) -> tuple[Path, list[Path]]:
    """A table of somebody's own pictures: its folder, and what of the source isn't in it."""
    from data_prep.downloads.table import write_table
    from scmlib.data.layouts import LAYOUTS

    if source is None:
        raise BadInput(
            f"'{name}' is none of {', '.join(LAYOUTS)}: to make a table of your own pictures, give --source FOLDER."
        )
    table = write_table(name, source, dataset_root, pattern=pattern, camera_rule=camera_rule, seed=seed)
    if table.drawn:
        click.echo(f"The splits are drawn by identity (seed {seed}).")
    return table.folder, table.left_out


@click.command()
@click.argument("dataset")
@root_option
@click.option(
    "--out", type=Path, default=Path("runs/inspection"), show_default=True, help="Folder for the figure and the table."
)
def inspect(dataset: str, dataset_root: str, out: Path) -> None:
    """Decode every image of DATASET; compare counts with the published ones and say what is off."""
    from scmlib import figures
    from scmlib.data.datasets import open_dataset
    from scmlib.data.inspection import inspect_dataset
    from scmlib.files import write_atomically

    data = open_dataset(dataset, dataset_root)
    inspection = inspect_dataset(data, progress=True)
    say_counts(inspection.counts)
    say_camera_rule(data)
    for finding in inspection.findings or ["Nothing is off."]:
        click.echo(f"- {finding}")
    name = dataset.replace(":", "-")
    write_atomically(out / f"{name}.csv", inspection.images.to_csv(index=False).encode())
    figure = figures.draw_inspection(inspection.images, data.layout.camera_rule)
    click.echo(
        f"Every image stands in {out / name}.csv; images per identity: {figures.save(figure, out / f'{name}.png')}."
    )


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
        told += [f"stored as {row['modes']}"] if isinstance(row.get("modes"), str) else []
        click.echo(f"{split:>8}: {', '.join(told)}")


def say_camera_rule(data: ReidDataset) -> None:
    """Say so where cameras aren't known or don't count."""
    if data.layout.protocol == "ranking" and not data.layout.camera_rule:
        click.echo("No camera rule: a match counts whichever camera took it.")
