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
from ipywidgets import FloatSlider, IntSlider, SelectionSlider, ToggleButtons
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from data_prep.world import PRESETS, VIEWS, read_settings, render, write_world
from scmlib.data.datasets import ReidDataset, dataset_folder, open_dataset
from scmlib.data.images import resize, to_float
from scmlib.data.loading import PKSampler
from scmlib.data.records import Record
from scmlib.data.truth import truth_path
from scmlib.demo import demo_settings
from scmlib.evaluation import ranked_gallery
from scmlib.explorers.calls import gallery_pictures
from scmlib.explorers.drawings import draw_question
from scmlib.explorers.facts import Ranker
from scmlib.explorers.widgets import Explorer
from scmlib.figures.comparisons import draw_guesses
from scmlib.files import read_json, write_atomically
from scmlib.inference import embed
from scmlib.model import SCM, embedding_names
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


def lineup(
    similarity: NDArray[np.float32], query: Record, gallery: Sequence[Record], length: int = 10, seed: int = 0
) -> list[int]:
    """Gallery positions to pick from: one true match, wrong pictures that are most similar to the query, and others.

    Args:
        similarity: (G,) of the query to every gallery picture.
        query: its record; it has a true match.
        gallery: the records.
        length: pictures in all; half of the wrong ones are the most similar, the rest is drawn by chance.
        seed: of what is drawn by chance, and of the order.
    """
    rng = np.random.default_rng(seed)
    order, hits = ranked_gallery(similarity, query, gallery, len(gallery))
    right, wrong = ([i for i, hit in zip(order, hits, strict=True) if hit == wanted] for wanted in (True, False))
    near, far = wrong[: length // 2], wrong[length // 2 :]
    chosen = [*rng.choice(right, 1), *near, *rng.choice(far, min(len(far), length - 1 - len(near)), replace=False)]
    return [int(i) for i in rng.permutation(chosen)]


def wrong_hits(
    similarity: NDArray[np.float32], queries: Sequence[Record], gallery: Sequence[Record], data: ReidDataset
) -> dict[str, float]:
    """What a method's wrong first hits share with their queries, beside the whole gallery, which a blind choice hits.

    Args:
        similarity: (Q, G).
        queries: Q records.
        gallery: G records.
        data: says whether cameras count, and, if it was drawn, what stands in front.

    Returns:
        Shares in [0, 1] by what they are of; 0 of no wrong hit at all. No cameras and no occluders where the data know
        of none.
    """
    first = [gallery[ranked_gallery(row, q, gallery, 1)[0][0]] for row, q in zip(similarity, queries, strict=True)]
    wrong = [(hit, query) for hit, query in zip(first, queries, strict=True) if hit.identity != query.identity]
    shares: dict[str, float] = {}
    if data.layout.camera_rule:
        shares["wrong hits: the query's camera"] = mean([hit.camera == query.camera for hit, query in wrong])
        shares["gallery: the query's camera"] = mean([r.camera == q.camera for q in queries for r in gallery])
    if truth_path(gallery[0].path).is_file():
        table = pd.read_csv(data.root / "ground_truth" / "images.csv")
        hidden = {data.root / file for file, share in zip(table["file"], table["hidden"], strict=True) if share > 0}
        shares["wrong hits: something in front"] = mean([hit.path in hidden for hit, _ in wrong])
        shares["gallery: something in front"] = mean([record.path in hidden for record in gallery])
    return shares


def batch_facts(
    sampler: Callable[[NDArray[np.int64], int, int, np.random.Generator], Sequence[int] | None],
) -> Callable[[Sequence[int], int, int], list[float] | None]:
    """A function that says what a sampler's batches are like: how it draws them doesn't matter.

    Args:
        sampler: from labels, P, K and a generator to positions of a batch.

    Returns:
        From labels, P and K to seven numbers: pictures in the batch, people, the least and the most pictures of one,
        different pictures, 1 if other seeds give other people, and 1 if they give other pictures of a person; None
        where the sampler gives nothing.

    Raises:
        ValueError: positions that aren't one flat list.
    """

    def facts(labels: Sequence[int], P: int, K: int) -> list[float] | None:
        batches = [sampler(np.array(labels), P, K, np.random.default_rng(seed)) for seed in range(8)]
        drawn = [np.asarray(list(batch)) for batch in batches if batch is not None]
        if not drawn:
            return None
        if drawn[0].ndim != 1:
            raise ValueError("the positions are nested: return one flat list")
        people, counts = np.unique(np.array(labels)[drawn[0]], return_counts=True)
        other_people = len({tuple(np.unique(np.array(labels)[batch])) for batch in drawn}) > 1
        of_one = [tuple(sorted(at for at in batch if labels[at] == people[0])) for batch in drawn]
        other_pictures = len({pictures for pictures in of_one if pictures}) > 1
        different = len(np.unique(drawn[0]))
        return [
            len(drawn[0]),
            len(counts),
            min(counts),
            max(counts),
            different,
            float(other_people),
            float(other_pictures),
        ]

    return facts


def mean(values: Sequence[bool]) -> float:
    """The share that is true; 0 of none."""
    return float(np.mean(values)) if len(values) else 0.0


def explore_world(study: Study) -> Explorer:
    """Draw a query of the study's world to order, and see how the network ranks the gallery for it.

    Args:
        study: of a drawn world.

    Raises:
        BadInput: data that weren't drawn.
    """
    world, (first, *others) = read_settings(study.data.root), sorted({q.identity for q in study.data.query})
    ranker = Ranker(study, tuple(range(len(embedding_names(study.settings.num_part)))))
    gallery = gallery_pictures(study)

    def draw(person: int, camera: int, view: str, occluder: str, hidden: float, chance: int) -> Figure:
        span = (round(hidden - 0.025, 3), round(hidden + 0.025, 3))
        image, truth, facts = render(
            replace(world, hidden=span), "query", person, chance, camera=camera, view=view, occluder=occluder
        )
        picture = resize(torch.from_numpy(image).permute(2, 0, 1), study.model.image_size)
        embedded = ranker.part(embed(study.model, to_float(picture[None])))[0]
        query = Record(Path(f"person {person} under camera {camera}"), person, camera, -1)
        return draw_question(picture, truth, facts["hidden"], ranker.listing(query, embedded, 6), gallery)

    kinds = [("nothing", ""), *((kind, kind) for kind in world.test_kinds)]
    return Explorer(
        draw,
        {
            "person": SelectionSlider(description="person", options=[first, *others]),
            "camera": IntSlider(1, 1, world.cameras, description="camera"),
            "view": ToggleButtons(description="view", options=VIEWS),
            "occluder": ToggleButtons(description="occluder", options=kinds),
            "hidden": FloatSlider(0.3, min=0.1, max=0.6, step=0.05, description="hidden share"),
            "chance": IntSlider(0, 0, 9, description="chance"),
        },
    )


def shortened(settings: Settings, data: ReidDataset, quick: bool) -> Settings:
    """A recipe cut down to a few minutes on two cores, or, if quick, to seconds on a small tree."""
    if quick:
        return replace(settings, **QUICK)
    steps = len(PKSampler(data.train, settings.batch_size, settings.instance_num, settings.seed))
    return replace(settings, epochs=(1, max(2, min(settings.epochs[1], STEPS // max(1, steps)))), ema_extra=0)


@torch.no_grad()
def layer_shapes(model: SCM) -> dict[str, tuple[int, ...]]:
    """What comes out of each piece of a network for one picture, (channels, height, width), by the piece's name.

    Args:
        model: is switched to evaluation mode; stays where it is.
    """
    shapes: dict[str, tuple[int, ...]] = {"picture": (3, *model.image_size)}

    def note(name: str, result: Tensor | tuple[Tensor, ...]) -> None:
        shapes[name] = tuple((result[0] if isinstance(result, tuple) else result).shape[1:])

    pieces = ("stem", "layer1", "layer2", "layer3", "branch_1", "branch_2", "scm")
    hooks = [
        getattr(model, name).register_forward_hook(lambda piece, given, result, name=name: note(name, result))
        for name in pieces
    ]
    model.eval()(torch.zeros(1, *shapes["picture"], device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return shapes


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


def keep_sketch(runs: str | Path, sketch: Mapping[str, Sequence[float | None]]) -> None:
    """Keep a learner's sketch of the course's last figure with the runs, for the notebook that draws it.

    An empty one isn't kept, and takes nothing's place.

    Args:
        runs: the folder of all runs.
        sketch: a metric in [0, 1] at each share of `SHARES`, by the curve's name; None where nothing was guessed.
    """
    if any(value is not None for values in sketch.values() for value in values):
        content = json.dumps({name: list(values) for name, values in sketch.items()})
        write_atomically(Path(runs) / SKETCH, content.encode())


def kept_sketch(runs: str | Path) -> dict[str, list[float | None]]:
    """The sketch that `keep_sketch` kept; empty where there is none."""
    return read_json(Path(runs) / SKETCH)


def check(
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    through: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
) -> Callable[..., Any]:
    """Hold a learner's function against the reference and say what is wrong, without stopping the notebook.

    Args:
        answer: the learner's.
        reference: what it should give; numbers may differ by one in a thousand.
        cases: arguments of each call.
        mistakes: functions that are wrong in a way that many take, each by a sentence that says what was mixed up,
            e.g. "Your distances are squared." It is said when the answer gives what the mistake gives, in all cases.
        through: what of a function is looked at, where that isn't what it gives: a function of it, with the cases'
            arguments, e.g. `scmlib.pieces.with_gradient`.

    Returns:
        The function to go on with: the learner's if it is right, else the reference.
    """
    return graded(answer, reference, cases, mistakes, through)[0]


def graded(
    answer: Callable[..., Any],
    reference: Callable[..., Any],
    cases: Iterable[tuple[Any, ...]],
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
    through: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
) -> tuple[Callable[..., Any], bool]:
    """What `check` says and gives, and whether the answer is right: for assignments with points."""
    cases, seen = list(cases), through or (lambda function: function)
    for number, arguments in enumerate(cases, 1):
        fault = _fault(seen(answer), arguments, _given(seen(reference), arguments))
        if fault:
            print(f"✗ Not yet. Case {number} of {len(cases)}: {_call(answer, arguments)} {fault}")
            for sentence, mistake in (mistakes or {}).items():
                if not any(_fault(seen(answer), given, _given(seen(mistake), given)) for given in cases):
                    print(f"  {sentence}")
            return reference, False
    print(f"✓ Right, on all {len(cases)} cases." if len(cases) > 1 else "✓ Right.")
    return answer, True


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
    if ours.ndim == theirs.ndim == 1 and len(ours) != len(theirs):
        return f"gave a list of length {len(ours)}, but should give one of length {len(theirs)}."
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
    if isinstance(value, (np.ndarray, Tensor)) and value.ndim and np.prod(value.shape) > 8:
        return f"<numbers of shape {tuple(value.shape)}>"
    text = " ".join(repr(value.tolist() if isinstance(value, (np.generic, np.ndarray, Tensor)) else value).split())
    return text if len(text) <= 60 else text[:57] + "..."
