"""`make bench`, or `python -m tests.benchmarks [--large] [--growth]`: the table of benchmarks, or the growth study."""

from __future__ import annotations

from pathlib import Path

import click

from scmlib import figures
from tests.benchmarks import network, processes, ranking, reading
from tests.benchmarks.harness import measure_all, measure_growth, store

MODULES = [ranking, network, reading, processes]


@click.command()
@click.option("--only", default="", help="Only works whose name holds this.")
@click.option("--large", is_flag=True, help="Also the works that take minutes.")
@click.option("--growth", is_flag=True, help="Time and memory against size in place of the table.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/bench"), show_default=True)
def main(only: str, large: bool, growth: bool, out: Path) -> None:
    """Measure, print one table, and keep it with date and machine."""
    if growth:
        table = measure_growth([g for module in MODULES for g in module.GROWTHS if only in g.name])
        drawn = figures.draw_growth(table)
        click.echo(figures.alt_text(drawn))
        kept = store(out, "growth", table)
        figures.save(drawn, kept.with_suffix(".png"))
    else:
        works = [w for module in MODULES for w in module.WORKS if only in w.name and (large or not w.large)]
        table = measure_all(works)
        kept = store(out, "bench", table)
    click.echo(table.to_string(index=False, float_format="{:.3g}".format))
    click.echo(f"Kept in {kept}.")


if __name__ == "__main__":
    main()
