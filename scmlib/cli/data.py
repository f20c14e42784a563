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


@click.command()
@click.argument("dataset")
@root_option
@click.option("--source", type=Path, help="Downloaded archive (zip, tar) or folder.")
@click.option("--preset", help="Size of the synthetic world: quick, default or large.")
@click.option("--seed", type=int, help="Of the synthetic world: one seed, one world.")
@world_option
@click.option("--workers", default=0, show_default=True, help="Processes that draw the world; 0: one for each core.")
def prepare(
    dataset: str,
    dataset_root: str,
    source: Path | None,
    preset: str | None,
    seed: int | None,
    changes: tuple[str, ...],
    workers: int,
) -> None:
    """Bring DATASET into its layout below the data root: the synthetic world drawn, any other from its download."""
    from scmlib.data.datasets import open_dataset
    from scmlib.data.inspection import count_table

    if dataset != "synthetic":
        from data_prep.downloads.prepare import SOURCES
        from data_prep.downloads.prepare import prepare as arrange
        from scmlib.data.datasets import dataset_folder

        if preset or seed is not None or changes:
            raise BadInput(f"--preset, --seed and --set are the synthetic world's: leave them out for {dataset}.")
        folder = dataset_folder(dataset, dataset_root)
        if source is None and dataset in SOURCES and not folder.exists():
            raise BadInput(
                f"{folder} is missing, and nothing is downloaded here: give the download as --source. "
                f"Where to have it: {SOURCES[dataset].terms}"
            )
        folder = arrange(dataset, source or folder, dataset_root)
    else:
        from data_prep.world import draw_world

        if source:
            raise BadInput("The synthetic world is drawn, not unpacked: leave --source out.")
        folder = draw_world(dataset_root, preset or "default", seed=seed or 0, changes=changes, workers=workers)
    click.echo(f"{dataset} lies in {folder}.")
    say_counts(count_table(open_dataset(dataset, dataset_root)))


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
        click.echo(f"{split:>8}: {', '.join(told)}")
