"""The explorers of the course: each one call, which puts controls in front of a function that draws.

No control is a `Dropdown`: JupyterLab takes the arrow keys and letters that a closed one should get for its own
shortcuts, so that whoever has no mouse moves, copies or cuts cells instead (ipywidgets, issue 3912).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from ipywidgets import Checkbox, Combobox, FloatSlider, IntSlider, SelectionSlider, ToggleButtons
from matplotlib.figure import Figure

from scmlib.analysis.occluders import KINDS, LARGEST, occlude
from scmlib.analysis.search import FALSE_MATCH_RATE, RATES, impostor_pairs
from scmlib.data.truth import read_truth
from scmlib.errors import BadInput
from scmlib.explorers.drawings import Gallery, draw_answer, draw_lab, draw_lineup, draw_listing, draw_mask_facts
from scmlib.explorers.facts import MaskFacts, Probe, Ranker, mask_facts, open_set_answer, probe
from scmlib.explorers.widgets import Explorer, put_pictures
from scmlib.figures.masks import draw_prior
from scmlib.figures.training import draw_schedule
from scmlib.figures.worth import draw_worth_against_location
from scmlib.model import embedding_names
from scmlib.runs import Study, open_study
from scmlib.settings import Settings, recipe

KEPT = 64  # pictures looked at that stay in memory

SHOWN = 8  # images of a ranked list


def _opened(run: Study | str | Path, dataset: str, dataset_root: str | Path) -> Study:
    if not isinstance(run, Study):
        return open_study(run, dataset, dataset_root)
    if dataset or dataset_root:
        raise BadInput("This run is open on its data already: give the run's folder, or leave dataset and root out.")
    return run


def _labelled(study: Study, positions: Iterable[int]) -> list[tuple[str, int]]:
    """Queries as the options of a control."""
    camera = ", cam {}" if study.data.layout.camera_rule else ""  # short, for a slider's value has little room
    return [
        (f"{i}: {query.identity}{camera.format(query.camera)}", i)
        for i, query in ((i, study.data.query[i]) for i in positions)
    ]


def _filter(description: str, values: Iterable[str]) -> Combobox:
    """A field that suggests values; empty, it lets everything through."""
    options = sorted(set(values), key=lambda value: (len(value), value))  # 2 before 10
    return Combobox(description=description, options=options, placeholder="any", continuous_update=False)


def _matched(study: Study) -> list[int]:
    """Queries that have a true match in the gallery."""
    cameras = study.data.gallery_cameras()
    return [i for i, q in enumerate(study.data.query) if cameras.get(q.identity, set()) - {q.camera}]


def gallery_pictures(study: Study) -> Gallery:
    """The gallery's pictures by position, those last seen kept."""
    return lru_cache(16 * KEPT)(lambda position: study.pictures([study.data.gallery[position]])[0])


def _query_control(study: Study) -> SelectionSlider:
    return SelectionSlider(description="query", options=_labelled(study, _matched(study)))


def explore_masks(run: Study | str | Path, dataset: str = "", dataset_root: str | Path = "") -> Explorer:
    """The masks of any query: competitive, cooperative, prior, affinities of a cell, truth and scores.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.

    Raises:
        BadInput: no run or data there, or a data set given for a study that is open already.
    """
    study = _opened(run, dataset, dataset_root)
    queries = study.data.query
    kinds = study.occluders
    P, (h, w) = study.model.config.num_parts, study.model.config.grid

    @lru_cache(KEPT)
    def facts(image: int) -> MaskFacts:
        truth = read_truth([queries[image].path])[0] if study.has_truth else None
        return mask_facts(study.model, study.pictures([queries[image]])[0], truth)

    def draw(image: int, part: int, row: int, column: int, opacity: float, threshold: float, height: float) -> Figure:
        return draw_mask_facts(
            facts(image), part=part, cell=(row, column), opacity=opacity, threshold=threshold, height=height
        )

    known = {  # of each query, by the name of the filter
        "identity": [str(record.identity) for record in queries],
        **({"camera": [str(record.camera) for record in queries]} if study.data.layout.camera_rule else {}),
        **({"occluder": [kinds[record.path.name] for record in queries]} if kinds else {}),
    }

    def options(**wanted: str) -> list[tuple[str, int]]:
        """Queries that fit; an empty wish fits all."""
        wishes = {name: wish.strip() for name, wish in wanted.items() if wish.strip()}
        fit = (i for i in range(len(queries)) if all(known[name][i] == wish for name, wish in wishes.items()))
        return _labelled(study, fit)

    strongest = int(facts(0).competitive.mean((1, 2)).argmax()) + 1
    explorer = Explorer(
        draw,
        {
            "image": SelectionSlider(description="image", options=options()),
            "part": IntSlider(strongest, 1, P, description="part"),
            "row": IntSlider(h // 2, 0, h - 1, description="row"),
            "column": IntSlider(w // 2, 0, w - 1, description="column"),
            "opacity": FloatSlider(0.7, min=0, max=1, step=0.05, description="opacity"),
            "threshold": FloatSlider(0, min=0, max=1, step=0.05, description="threshold"),
            "height": FloatSlider(2.0, min=1.2, max=4, step=0.2, description="picture size"),
        },
    )
    explorer.add_filters("image", {name: _filter(name, values) for name, values in known.items()}, options)
    return explorer


def occlusion_lab(run: Study | str | Path, dataset: str = "", dataset_root: str | Path = "") -> Explorer:
    """Put something in front of a query and watch its masks, its similarity to the true match and its ranked list.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.

    Raises:
        BadInput: no run or data there, or a data set given for a study that is open already.
    """
    study = _opened(run, dataset, dataset_root)
    queries = study.data.query
    ranker, gallery = (
        Ranker(study, tuple(range(len(embedding_names(study.settings.num_part))))),
        gallery_pictures(study),
    )

    def look(query: int, image: torch.Tensor, occluder: torch.Tensor) -> Probe:
        return probe(ranker, queries[query], image, occluder, SHOWN - 2)

    @lru_cache(KEPT)
    def whole(query: int) -> tuple[torch.Tensor, Probe]:
        image = study.pictures([queries[query]])[0]
        return image, look(query, image, torch.zeros(image.shape[1:], dtype=torch.bool))

    def draw(query: int, kind: str, ratio: float, across: float, down: float, seed: int) -> Figure:
        image, before = whole(query)
        strangers = [r for r in queries if r.identity != queries[query].identity]
        people = [*study.pictures(strangers[seed : seed + 1])] if kind == "person" else []
        hidden, occluder = occlude(image, kind=kind, ratio=ratio, position=(down, across), seed=seed, people=people)
        after = look(query, hidden, occluder)
        return draw_lab(before, after, gallery)

    return Explorer(
        draw,
        {
            "query": _query_control(study),
            "kind": ToggleButtons(description="occluder", options=KINDS),
            "ratio": FloatSlider(0.2, min=0, max=LARGEST, step=0.05, description="hidden share"),
            "across": FloatSlider(0.5, min=0, max=1, step=0.05, description="across"),
            "down": FloatSlider(0.7, min=0, max=1, step=0.05, description="down"),
            "seed": IntSlider(0, 0, 9, description="seed"),
        },
    )


def explore_ranking(run: Study | str | Path, dataset: str = "", dataset_root: str | Path = "") -> Explorer:
    """Any query's ranked list, and the metrics of all queries, with the embeddings of your choice.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.

    Raises:
        BadInput: no run or data there, or a data set given for a study that is open already.
    """
    study = _opened(run, dataset, dataset_root)
    names = embedding_names(study.settings.num_part)
    keys = [name.replace(" ", "_") for name in names]
    ranker, gallery = lru_cache(KEPT)(lambda chosen: Ranker(study, chosen)), gallery_pictures(study)

    def draw(query: int, **ticked: bool) -> Figure:
        chosen = tuple(i for i, key in enumerate(keys) if ticked[key])
        with_these = ranker(chosen)
        listing = with_these.listing(study.data.query[query], with_these.query[query], SHOWN)
        picture = study.pictures([study.data.query[query]])[0]
        return draw_listing(picture, listing, gallery, with_these.ranking, [names[i] for i in chosen])

    boxes = {key: Checkbox(True, description=name) for key, name in zip(keys, names, strict=True)}
    return Explorer(draw, {"query": _query_control(study), **boxes})


def explore_search(run: Study | str | Path, dataset: str = "", dataset_root: str | Path = "") -> Explorer:
    """Search the gallery for a query, with its person there or not, from the similarity on that a rate allows.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.

    Raises:
        BadInput: no run or data there, or a data set given for a study that is open already.
    """
    study = _opened(run, dataset, dataset_root)
    gallery, names = gallery_pictures(study), np.array([record.identity for record in study.data.gallery])
    impostors = impostor_pairs(study.evaluation.gallery, names, study.data.name)

    def draw(query: int, rate: float, person: bool) -> Figure:
        answer = open_set_answer(study, impostors, query, present=person, rate=rate, length=SHOWN)
        return draw_answer(study.pictures([study.data.query[query]])[0], answer, gallery)

    rates = [(f"{100 * rate:g} %", rate) for rate in (*RATES, 0.1)]
    return Explorer(
        draw,
        {
            "query": _query_control(study),
            "rate": SelectionSlider(description="false matches", options=rates, value=FALSE_MATCH_RATE),
            "person": ToggleButtons(description="the person", options=[("is there", True), ("isn't", False)]),
        },
    )


def explore_worth(table: pd.DataFrame) -> Explorer:
    """What masks are worth beside how well they locate the person, for a hidden share and a group of embeddings.

    Args:
        table: what `scmlib.analysis.worth.worth` gives of a drawn world, for one hidden share or more.

    Raises:
        BadInput: a table of data without index maps, or one in which nothing further is hidden.
    """
    if table["auc"].isna().all():
        raise BadInput("Only a drawn world knows where the person is, and this table is of other data: it has no AUC.")
    shares = [(f"{ratio:.0%}", float(ratio)) for ratio in sorted(table["ratio"].unique()) if ratio]
    if not shares:
        raise BadInput("Nothing further is hidden in this table: give `worth` at least one ratio above 0.")

    def draw(ratio: float, embeddings: str) -> Figure:
        return draw_worth_against_location(table[table["ratio"].isin([0, ratio]) & (table["embeddings"] == embeddings)])

    return Explorer(
        draw,
        {
            "ratio": SelectionSlider(description="further hidden", options=shares),
            "embeddings": ToggleButtons(description="embeddings", options=list(table["embeddings"].unique())),
        },
    )


def find_her(query: torch.Tensor, candidates: torch.Tensor, right: Sequence[bool]) -> Explorer:
    """Pick the picture that shows the query's person: each button carries one of the pictures.

    Args:
        query: (3, H, W) uint8.
        candidates: (N, 3, H, W) uint8.
        right: whether each shows the query's identity.
    """
    numbers = [("none", 0), *((str(number), number) for number in range(1, len(candidates) + 1))]
    buttons = ToggleButtons(description="pick", options=numbers, tooltips=[f"picture {name}" for name, _ in numbers])
    explorer = Explorer(partial(draw_lineup, query, candidates, right), {"pick": buttons})
    explorer.children = (*explorer.children, put_pictures(buttons, candidates))
    return explorer


def explore_prior() -> Explorer:
    """What the parts' priors start as, for any number of parts, `mask-part` and grid."""
    return Explorer(
        draw_prior,
        {
            "parts": IntSlider(3, 1, 8, description="parts"),
            "mask_part": IntSlider(1, 0, 4, description="mask-part"),
            "rows": IntSlider(12, 2, 24, description="rows"),
            "columns": IntSlider(6, 2, 24, description="columns"),
        },
    )


def explore_schedule(settings: Settings | None = None) -> Explorer:
    """The learning rate of every epoch and which weights are averaged, for any schedule.

    Args:
        settings: whose schedule it starts with; the drawn world's recipe if None.
    """
    start = settings or recipe("synthetic", "regnet_y_tiny")
    (warm_up, epochs), most = start.epochs, 2 * max(60, start.last_epoch)

    def draw(lr: float, warm_up: int, epochs: int, ema_ratio: float, extra: int) -> Figure:
        return draw_schedule(lr, (warm_up, epochs), ema_ratio, extra)

    rates = sorted({0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, start.lr})
    return Explorer(
        draw,
        {
            "lr": SelectionSlider(description="peak rate", options=rates, value=start.lr),
            "warm_up": IntSlider(warm_up, 1, max(30, warm_up), description="warm-up"),
            "epochs": IntSlider(epochs, 2, most, description="epochs"),
            "ema_ratio": FloatSlider(start.ema_ratio, min=0.1, max=1, step=0.05, description="averaged from"),
            "extra": IntSlider(start.ema_extra, 0, max(40, start.ema_extra), description="extra epochs"),
        },
    )
