"""What the numbered notebooks share: a trained run to look at, guesses beside outcomes, checks of exercises."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.figure import Figure

from data_prep.world import PRESETS, write_world
from scmlib.data.datasets import ReidDataset, dataset_folder, open_dataset
from scmlib.data.loading import PKSampler
from scmlib.demo import demo_settings
from scmlib.figures.comparisons import draw_guesses
from scmlib.files import read_json, write_atomically
from scmlib.run_folder import begun
from scmlib.runs import Study, open_study
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import train

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)  # of the visible person, hidden on purpose, in the course's last figure

SKETCH = "sketch.json"  # a learner's sketch of that figure, in the folder of all runs

STEPS = 800  # of a quick training on real data: a few minutes on two cores


def open_course_data(
    dataset: str = "synthetic", dataset_root: str | Path = "", runs: str | Path = "../runs", *, quick: bool = False
) -> ReidDataset:
    """The data alone: the synthetic world, drawn where it isn't there yet, or any other data set.

    Args:
        dataset: `synthetic` or any name that `open_dataset` knows.
        dataset_root: the folder that holds the data set's folder; the synthetic world lies with the demo's run.
        runs: the folder of all runs.
        quick: a tiny world.

    Raises:
        BadInput: data that aren't there or don't fit their layout.
    """
    if dataset != "synthetic":
        return open_dataset(dataset, dataset_root)
    root = Path(runs) / ("quick" if quick else "demo") / "data"
    write_world(dataset_folder(dataset, root), PRESETS["quick" if quick else "default"])
    return open_dataset(dataset, root)


def open_course(
    dataset: str = "synthetic",
    dataset_root: str | Path = "",
    runs: str | Path = "../runs",
    *,
    net: str = "regnet_y_tiny",
    quick: bool = False,
) -> Study:
    """A trained run to look at: loaded where there is one, else made now, with a progress bar.

    For the synthetic world that is the run of `scm demo`, world and training alike. For other data it is the run that
    `scm train` makes, or, where there is none, a short one of about `STEPS` steps, whose figures say little.

    Args:
        dataset: `synthetic` or any name that `open_dataset` knows.
        dataset_root: the folder that holds the data set's folder; the synthetic world has a place of its own.
        runs: the folder of all runs.
        net: backbone; for `synthetic`, the demo's is taken.
        quick: a tiny world, or two epochs: to see that everything works, not to look at figures.

    Raises:
        BadInput: data that aren't there or don't fit their layout.
    """
    runs, data = Path(runs), open_course_data(dataset, dataset_root, runs, quick=quick)
    if dataset == "synthetic":
        settings, folder = demo_settings(data.root.parent, quick=quick, seed=0), data.root.parents[1] / "run"
    else:
        settings, folder = replace(recipe(dataset, net), dataset_root=str(dataset_root)), runs / f"{dataset}-{net}"
        if quick or not (folder / "model.safetensors").is_file():
            settings, folder = shortened(settings, data, quick), runs / "quick" / f"{dataset}-{net}"
    trained = (folder / "model.safetensors").is_file()
    if not trained:
        again = "going on with" if begun(folder) else "training"
        print(f"No finished run in {folder}: {again} {settings.net} for {settings.last_epoch} epochs.")
        train(settings, folder, resume=True, dataset=data)
    study = open_study(folder, dataset, settings.dataset_root)
    print(
        f"{folder}: {study.settings.net}, {study.settings.last_epoch} epochs on {dataset}; "
        f"{len(data.train)} images to train on, {len(data.query)} queries, {len(data.gallery)} gallery images."
    )
    return study


def shortened(settings: Settings, data: ReidDataset, quick: bool) -> Settings:
    """A recipe cut down to a few minutes on two cores, or, if quick, to seconds on a small tree."""
    if quick:
        return replace(settings, **QUICK)
    steps = len(PKSampler(data.train, settings.batch_size, settings.instance_num, settings.seed))
    return replace(settings, epochs=(1, max(2, min(settings.epochs[1], STEPS // max(1, steps)))), ema_extra=0)


def say(text: str) -> None:
    """Show Markdown, such as a sentence with numbers in it, as prose: computed, not typed."""
    display({"text/markdown": text, "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]


def show_source(*objects: Callable[..., Any], last: int | None = None) -> None:
    """Show how functions or methods of the library are written: the lines that are the lesson.

    Args:
        objects: one below the other.
        last: how many lines of each, counted from its end; all if None.
    """
    texts = [dedent(inspect.getsource(one)).splitlines()[-last if last else None :] for one in objects]
    say("```python\n" + "\n\n\n".join(dedent("\n".join(lines)) for lines in texts) + "\n```")


def compare(
    guesses: Mapping[str, float | None], outcomes: Mapping[str, float] | pd.Series[float], unit: str = ""
) -> Figure:
    """What the learner guessed beside what came out.

    Args:
        guesses: by name; None where nothing was guessed.
        outcomes: by the same names, in the same unit.
        unit: of both, for the axis.
    """
    if all(guess is None for guess in guesses.values()):
        print("You haven't guessed: write your numbers in place of None in the cell above, then run both cells again.")
    found = {str(name): value for name, value in outcomes.items()}  # a pandas series would iterate over its values
    return draw_guesses({name: guesses.get(name) for name in found}, found, unit)


def keep_sketch(runs: str | Path, sketch: Mapping[str, Sequence[float | None]]) -> Path:
    """Keep a learner's sketch of the course's last figure with the runs, for the notebook that draws it.

    Args:
        runs: the folder of all runs.
        sketch: a metric in [0, 1] at each share of `SHARES`, by the curve's name; None where nothing was guessed.
    """
    path = Path(runs) / SKETCH
    write_atomically(path, json.dumps({name: list(values) for name, values in sketch.items()}).encode())
    return path


def kept_sketch(runs: str | Path) -> dict[str, list[float | None]]:
    """The sketch that `keep_sketch` kept; empty where there is none."""
    return read_json(Path(runs) / SKETCH)


def check(
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """Hold a learner's function against the reference and say what is wrong, without stopping the notebook.

    Args:
        answer: the learner's.
        reference: what it should give; numbers may differ by one in a thousand.
        cases: arguments of each call.
        mistakes: functions that are wrong in a way that many take, each by a sentence that says what was mixed up,
            e.g. "Your distances are squared." It is said when the answer gives what the mistake gives, in all cases.

    Returns:
        The function to go on with: the learner's if it is right, else the reference.
    """
    cases = list(cases)
    for number, arguments in enumerate(cases, 1):
        fault = _fault(answer, arguments, _given(reference, arguments))
        if fault:
            print(f"✗ Not yet. Case {number} of {len(cases)}: {_call(answer, arguments)} {fault}")
            for sentence, mistake in (mistakes or {}).items():
                if not any(_fault(answer, given, _given(mistake, given)) for given in cases):
                    print(f"  {sentence}")
            return reference
    print(f"✓ Right, on all {len(cases)} cases." if len(cases) > 1 else "✓ Right.")
    return answer


def _given(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """What a function gives for a copy of the arguments: what it changes in place is changed for nobody else."""
    return function(*deepcopy(arguments))


def _fault(answer: Callable[..., Any], arguments: tuple[Any, ...], wanted: Any) -> str:
    """What is wrong with an answer; empty if nothing is."""
    try:
        given = _given(answer, arguments)
    except Exception as error:  # whatever a learner's code leads to
        return f"stopped with {type(error).__name__}: {error}"
    if given is None or given is ...:
        return "gave nothing: write your lines in place of the dots, and return the result."
    if not isinstance(wanted, (float, np.floating, list, np.ndarray, torch.Tensor)):
        return "" if np.array_equal(given, wanted) else f"gave {_short(given)}, but should give {wanted!r}."
    try:
        ours, theirs = (np.asarray(x, dtype=float) for x in (given, wanted))
    except (TypeError, ValueError, RuntimeError):  # the last: a tensor that still has its gradient
        return f"gave {_short(given)}, where plain numbers are wanted."
    if ours.shape != theirs.shape:
        return f"gave the shape {ours.shape}, but should give {theirs.shape}."
    close = np.isclose(ours, theirs, rtol=1e-3, atol=1e-6, equal_nan=True)
    if close.all():
        return ""
    if not ours.shape:
        return f"gave {float(ours):.4g}, but should give {float(theirs):.4g}."
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"is wrong at {list(at)}: it gave {ours[at]:.4g} there, but should give {theirs[at]:.4g}."


def _call(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    name = getattr(answer, "__name__", type(answer).__name__)  # a module of torch has no name
    return f"{name}({', '.join(_short(a) for a in arguments)})"


def _short(value: Any) -> str:
    """A value in a few signs."""
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim and np.prod(value.shape) > 8:
        return f"<numbers of shape {tuple(value.shape)}>"
    text = " ".join(repr(value.tolist() if isinstance(value, (np.ndarray, torch.Tensor)) else value).split())
    return text if len(text) <= 60 else text[:57] + "..."
