"""The command line, `scm`: thin commands over the library."""

from __future__ import annotations

import errno
import shlex
import sys
import warnings
from pathlib import Path

import click

from scmlib.cli import analysis, data, evaluation, exports, lists, questions, training
from scmlib.cli.options import SHARED
from scmlib.errors import BadInput, ran_out
from scmlib.launch import first, is_lost, number, program, rank


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="scmlib")
@click.pass_context
def cli(context: click.Context) -> None:
    """Occluded person re-identification with spectral clustering masks (SCM)."""
    command = context.invoked_subcommand
    if number() > 1 and command not in SHARED:
        raise BadInput(
            f"scm {command} works in one process: start it without torchrun; of all commands, {', '.join(SHARED)} "
            "share their work among several."
        )


@cli.command()
@click.option("--out", type=Path, default=Path("runs/demo"), show_default=True, help="Folder for all that it makes.")
@click.option("--quick", is_flag=True, help="A tiny world and two epochs: seconds, for trying things out.")
@click.option("--seed", default=0, show_default=True, help="Of the world and of the training.")
def demo(out: Path, quick: bool, seed: int) -> None:
    """From nothing to a trained, scored, pictured SCM: the synthetic world, a tiny network, one report."""
    from scmlib.demo import run_demo

    run_demo(out, quick=quick, seed=seed)


CHAPTERS = (
    (data.prepare, data.inspect),
    (training.train, training.recipes),
    (evaluation.evaluate, evaluation.masks),
    (lists.search, lists.openset, lists.lists),
    (questions.compare, questions.failures, questions.distances, questions.verification),
    (exports.embed, exports.export),
    (analysis.scores, analysis.swap, analysis.occlusion, analysis.sensitivity, analysis.explain),
    (analysis.clinic, analysis.ablation),
)
for chapter in CHAPTERS:
    for command in chapter:
        cli.add_command(command)


def main() -> None:
    """Run a command; whatever a person can mend is one sentence on standard error and status 2."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: say(str(message)) if first() else None
            cli(prog_name="scm", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "scm"
        fail(f"{error.format_message()} (see {command} --help)")
    except BadInput as error:
        fail(str(error))
    except (click.Abort, KeyboardInterrupt) as stop:  # before RuntimeError, whose kind Abort is
        command = str(stop) or shlex.join([*program(number()), *sys.argv[1:]])
        if first():
            click.echo(f"Stopped; what was written is kept. To go on: {command}", err=True)
        sys.exit(130)
    except (OSError, RuntimeError, MemoryError) as error:
        if is_lost(error):
            fail("Another process of this job is gone: it says why above, or the system killed it; start all again.")
        if what := ran_out(error):
            way_out = "--workers" if "process" in what else "--batch-size, where the command takes one"
            fail(f"{what.capitalize()}: give a smaller {way_out}, or free memory; what was written before is kept.")
        if not isinstance(error, OSError):
            raise
        where = error.filename or "the output folder"
        if error.errno == errno.ENOSPC:
            fail(f"The disk is full: {where} was not written; free some space and run the same command again.")
        fail(f"{where}: {error.strerror or error}.")


def fail(sentence: str) -> None:
    """Say what doesn't fit and leave."""
    say(sentence)
    sys.exit(2)


def say(sentence: str) -> None:
    """A sentence on standard error, with the number of the process where several work."""
    which = f", process {rank() + 1} of {number()}" if number() > 1 else ""
    click.echo(f"scm{which}: {sentence}", err=True)
