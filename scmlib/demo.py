"""The main job: from nothing to a trained, scored, pictured SCM and one page about it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from data_prep.world import PRESETS, read_pair, write_world
from scmlib import figures
from scmlib.analysis.colours import stripe_histograms
from scmlib.analysis.mask_scores import Pairs, score_masks
from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, dataset_folder, open_dataset
from scmlib.data.images import read_pictures, resize
from scmlib.data.records import Record
from scmlib.data.truth import OCCLUDER, read_truth
from scmlib.errors import BadInput
from scmlib.evaluation import Evaluation, evaluate, rank_records, ranked_gallery
from scmlib.figures.report import Section, write_report
from scmlib.files import write_atomically
from scmlib.inference import masks_of
from scmlib.model import SCM
from scmlib.ranking import Ranking
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import quickest_precision, train, versions

SHOWN, LENGTH = 6, 10  # queries that the report shows, and gallery images beside each


@dataclass
class Stopwatch:
    """Seconds that each stage took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside and say so."""
        click.echo(f"{name} ...", err=True)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


@dataclass(frozen=True)
class Outcome:
    """All that the report speaks of."""

    data: ReidDataset
    model: SCM
    evaluation: Evaluation
    baseline: Ranking  # colour histograms of the central third
    colour_bound: Ranking  # of the true person's pixels: what colour alone could reach
    competitive: torch.Tensor  # (Q, P, h, w), masks of every query
    mask_scores: pd.DataFrame
    log: pd.DataFrame

    @property
    def lifts(self) -> pd.DataFrame:
        """A row a mask: its lift on the visible person and on the occluder."""
        rows = self.mask_scores[self.mask_scores["score"].isin(["person", "occluder"])]
        return rows.pivot(index="mask", columns="score", values="value")[["person", "occluder"]]

    @property
    def results(self) -> pd.DataFrame:
        """Figures of SCM and of the baseline, in per cent."""
        colours = {"colour histograms": self.baseline, "colour histograms, true person": self.colour_bound}
        rows = {"SCM": self.evaluation.ranking} | colours
        return pd.DataFrame(
            [{"method": name} | {k: f"{v:.1%}" for k, v in r.metrics().items()} for name, r in rows.items()]
        )


def demo_settings(data_root: Path, *, quick: bool, seed: int) -> Settings:
    """The laptop recipe; `quick` shrinks it to seconds, to see that everything works."""
    settings = replace(
        recipe("synthetic", "regnet_y_tiny"),
        dataset_root=str(data_root),
        seed=seed,
        precision=quickest_precision(),
    )
    if quick:
        settings = replace(settings, **QUICK)
    return settings


def run_demo(out: Path, *, quick: bool = False, seed: int = 0) -> Path:
    """Make the world, train, evaluate, draw and write `report.html`; a second call goes on where the first stopped.

    Args:
        out: folder for everything: `data/`, `run/`, `figures/`, `results.json`, `report.html`.
        quick: a tiny world and two epochs.
        seed: of the world and of the training.

    Returns:
        The report's path.
    """
    clock, root = Stopwatch(), out / "data"
    settings = demo_settings(root, quick=quick, seed=seed)
    with clock.stage("Drawing the world"):
        world = replace(PRESETS["quick" if quick else "default"], seed=seed)
        write_world(dataset_folder("synthetic", root), world)
    data = open_dataset("synthetic", root)
    with clock.stage(f"Training {settings.net} on {len(data.train)} images of {data.num_classes} people"):
        train(settings, out / "run", resume=True, dataset=data)
    with clock.stage("Ranking the gallery for every occluded query"):
        outcome = measure(out / "run", data)
    with clock.stage("Drawing the figures"):
        drawn = draw_all(outcome)
        for name, figure in drawn.items():
            figures.save(figure, out / "figures" / f"{name}.png")
    results = {
        "metrics": outcome.evaluation.ranking.metrics(),
        "queries": outcome.evaluation.ranking.num_valid,
        "baseline": outcome.baseline.metrics(),
        "masks": json.loads(outcome.mask_scores.to_json(orient="records")),
        "seconds": clock.seconds,
    }
    write_atomically(out / "results.json", json.dumps(results, indent=2).encode())
    facts = {**settings.as_dict(), **asdict(world), **versions()}
    report = write_report(
        out / "report.html", "Looking past what hides a person", lead(outcome), sections(outcome, drawn), facts
    )
    click.echo(outcome.results.to_string(index=False))
    seen = outcome.lifts.loc["cooperative"]
    click.echo(f"The cooperative mask lies {seen['person']:.1f} times as densely on the visible person as by chance.")
    for name, seconds in clock.seconds.items():
        click.echo(f"{seconds:6.0f} s  {name}")
    click.echo(f"Open {report} in a browser.")
    return report


def measure(run: Path, data: ReidDataset) -> Outcome:
    """Everything that is measured on a trained run."""
    model, _ = load_model(run)
    evaluation = evaluate(model, data, progress=True)
    histograms = [[stripe_histograms(side, person=p) for side in (data.query, data.gallery)] for p in (False, True)]
    baseline, bound = (rank_records(query, gallery, data.query, data.gallery) for query, gallery in histograms)
    competitive = masks_of(model, data.query)
    scores = score_masks(competitive, read_truth([record.path for record in data.query]))
    return Outcome(data, model, evaluation, baseline, bound, competitive, scores, pd.read_csv(run / "log.csv"))


def counterfactual_pairs(queries: Sequence[Record], size: tuple[int, int], *, progress: bool = False) -> Pairs:
    """A drawn world's occluded pictures with and without their occluders, drawn anew.

    Args:
        queries: records of a drawn world; those that nothing hides are left out.
        size: (height, width) of the pictures.
        progress: whether to show a progress bar.

    Raises:
        BadInput: a picture that isn't of a drawn world, or none that is occluded.
    """
    queries = [query for query in queries if (read_truth([query.path]) == OCCLUDER).any()]
    if not queries:
        raise BadInput("Nothing is hidden in any of these pictures: there are no pairs with and without an occluder.")
    drawn = [read_pair(query.path) for query in tqdm(queries, "counterfactual pairs", disable=not progress)]
    occluded, free = (
        torch.stack([resize(torch.from_numpy(image).permute(2, 0, 1), size) for image in images])
        for images in ([pair.image_with for pair in drawn], [pair.image_without for pair in drawn])
    )
    truth, truth_free = (
        np.stack(maps) for maps in ([pair.regions_with for pair in drawn], [pair.regions_without for pair in drawn])
    )
    return Pairs(occluded, free, truth, truth_free, np.array([query.identity for query in queries]))


def shown_queries(ranking: Ranking) -> list[int]:
    """Queries from the best found to the worst, evenly spaced: successes and failures in their true proportion."""
    order = np.argsort(-ranking.ap)
    return [int(i) for i in order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)]]


def draw_all(outcome: Outcome) -> dict[str, Figure]:
    """The report's figures by name."""
    data, size, ranking = outcome.data, outcome.model.image_size, outcome.evaluation.ranking
    shown = shown_queries(ranking)
    queries = [data.query[i] for i in shown]
    similarity = outcome.evaluation.query[shown] @ outcome.evaluation.gallery.T
    heads = [ranked_gallery(s, q, data.gallery, LENGTH) for s, q in zip(similarity, queries, strict=True)]
    found = [read_pictures([data.gallery[i] for i in head], size) for head, _ in heads]
    titles = [f"average precision {ranking.ap[i]:.0%}" for i in shown]
    people = list(dict.fromkeys(record.identity for record in data.gallery))[:4]
    sheet = [
        record
        for person in people
        for record in (
            *[r for r in data.gallery if r.identity == person][:7],
            *[r for r in data.query if r.identity == person][:2],
        )
    ]
    seen = read_pictures(queries, size)
    return {
        "world": figures.draw_sheet(read_pictures(sheet, size), len(sheet) // len(people)),
        "training": figures.draw_training(outcome.log),
        "cmc": figures.draw_cmc({"SCM": ranking, "colour histograms": outcome.baseline}),
        "ranked_lists": figures.draw_ranked_lists(seen, found, [right for _, right in heads], titles),
        "masks": figures.draw_masks(seen, outcome.competitive[shown], read_truth([q.path for q in queries]), titles),
    }


def lead(outcome: Outcome) -> str:
    """What was done and found, in the numbers of this run."""
    ranking, baseline = outcome.evaluation.ranking, outcome.baseline
    parameters = sum(p.numel() for p in outcome.model.parameters())
    return (
        f"In {outcome.log['seconds'].sum() / 60:.1f} minutes of training, from random weights, a network of "
        f"{parameters / 1e6:.1f} million parameters learned to recognise drawn pedestrians it had never seen, partly "
        f"hidden, across cameras: for "
        f"{ranking.cmc[0]:.0%} of {ranking.num_valid} occluded queries the first picture it finds is the right person "
        f"(mAP {ranking.mAP:.0%}). Matching by the colours of the central third gets {baseline.cmc[0]:.0%} (mAP "
        f"{baseline.mAP:.0%}), and with the true person cut out {outcome.colour_bound.cmc[0]:.0%} (mAP "
        f"{outcome.colour_bound.mAP:.0%})."
    )


def sections(outcome: Outcome, drawn: dict[str, Figure]) -> list[Section]:
    """The report's body, in the order of the story."""
    data, ranking = outcome.data, outcome.evaluation.ranking
    seen = outcome.lifts.loc["cooperative"]
    masks = outcome.lifts.round(2).add_prefix("lift on the ").reset_index()
    return [
        Section(
            "The world",
            f"{data.num_classes} people to learn from, {len({r.identity for r in data.query})} others to be tested on, "
            f"each seen by several cameras with a colour cast, a sharpness and a background of their own. "
            f"{len(data.train)} training images, about half of them occluded; {len(data.query)} queries, all occluded; "
            f"{len(data.gallery)} gallery images, mostly whole.",
            drawn["world"],
            caption="Four of the test identities, a row each: gallery images, then two queries on the right.",
        ),
        Section(
            "Training",
            "Every embedding learns to name the training identities; the first two also learn distances from hard "
            "triplets; the overlap term keeps the competitive masks from claiming the same places. The weights of the "
            "last epochs, where the learning rate is held, are averaged.",
            drawn["training"],
        ),
        Section(
            "Does it find the person?",
            f"Market-1501 protocol: gallery images of the query's own person under the query's own camera don't count. "
            f"{ranking.num_valid} queries counted, {ranking.num_without_match} had no match to find. "
            "top k is the share of queries with the right person among the first k pictures; mAP, the mean average "
            "precision, asks for all of the person's pictures to come first. The baseline "
            "compares HSV colour histograms of six horizontal stripes, of the central third of the columns, where "
            "people mostly stand. Counting only the true person's pixels, which no one knows on real pictures, says "
            "what colour alone could reach.",
            drawn["cmc"],
            outcome.results,
        ),
        Section(
            "Ranked lists",
            "Queries from the best found to the worst, evenly spaced, so that failures show in their true proportion. "
            "Blue, solid, with a check mark: the right person; vermilion, dashed, with a cross: somebody else.",
            drawn["ranked_lists"],
        ),
        Section(
            "What the masks see",
            "No one told the network where people are: the masks come from identity labels alone. Lift is the share of "
            "a mask's mass that lies on a region, over the region's share of the area; a mask that sees nothing has 1. "
            f"Over all queries the cooperative mask has a lift of {seen['person']:.2f} on the visible person and "
            f"{seen['occluder']:.2f} on what hides it.",
            drawn["masks"],
            masks,
            caption="The same queries, with what the world knows about each pixel on the right.",
        ),
    ]
