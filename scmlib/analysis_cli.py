"""Commands that ask what a trained network sees and what its parts are worth."""

from __future__ import annotations

from pathlib import Path

import click

QUICK = {"img_height": 96, "img_width": 48, "batch_size": 16, "epochs": (1, 2), "ema_extra": 0}


@click.command()
@click.option("--out", type=Path, default=Path("runs/ablation"), show_default=True, help="Folder for all trainings.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="Worlds, one training each.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Trainings at a time.")
@click.option("--quick", is_flag=True, help="Tiny worlds and two epochs: for trying it out, figures mean nothing.")
def ablation(out: Path, seeds: int, jobs: int, quick: bool) -> None:
    """Take one part of SCM away at a time and train all alike; a second call goes on where the first stopped."""
    from data_prep.synthetic import draw_world
    from scmlib.ablation import TUNING, ablate, ablation_summary
    from scmlib.checkpoints import write_atomically

    reported = range(1, seeds + 1)
    worlds = {seed: out / "worlds" / str(seed) for seed in (TUNING, *reported)}
    for seed, root in worlds.items():
        draw_world(root, "quick" if quick else "default", seed=seed)
    table = ablate(worlds, out, seeds=reported, changes=QUICK if quick else {}, jobs=jobs, progress=True)
    write_atomically(out / "ablation.csv", table.round(5).to_csv(index=False).encode())
    click.echo(ablation_summary(table).to_string(float_format="{:.3f}".format))
    click.echo(f"Every training stands in {out / 'ablation.csv'}.")
