"""Which part of the method does what: SCM against itself with one thing exchanged, all trained alike.

Every variant has the same data, epochs, augmentation and optimiser. Its learning rate is tuned over one grid of rates
on a world that is used for nothing else; where the best rate is the grid's first or last, the grid grows there. The
metrics come from other worlds. A world's seed and a training's seed are apart, so that their spreads can be told. What
the table says is worked out in `scmlib.analysis.verdicts`.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, cpu_count, delayed, parallel_config
from tqdm.auto import tqdm

from scmlib.analysis.mask_scores import lift
from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.truth import PERSON, read_truth, region_share
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate
from scmlib.files import write_atomically
from scmlib.health import Diverged
from scmlib.inference import masks_of
from scmlib.model import SCM
from scmlib.settings import Settings, recipe
from scmlib.training import train

RATES = (0.1, 0.2, 0.3, 0.45)  # the grid that every variant's learning rate is tuned over

TRIES = 3  # trainings a rate

TUNING = 100  # seed of the world that tunes

# What is changed in the settings of each variant. Those from "no walk" to the noisy oracle have SCM's two branches,
# 3 + P embeddings and losses, and differ in the masks alone. The one that is taught has a loss more, of the masks.
VARIANTS: dict[str, Mapping[str, Any]] = {
    "SCM": {},
    "no walk": {"variant": "no-walk"},
    "sigmoid for the clamp": {"variant": "soft"},
    "plain attention": {"variant": "attention"},
    "prior alone": {"variant": "prior"},
    "fixed stripes": {"variant": "stripes"},
    "uniform masks": {"variant": "uniform"},
    "oracle masks": {"variant": "oracle"},
    "noisy oracle masks": {"variant": "noisy-oracle"},
    "taught the parts": {"variant": "taught"},
    "global embeddings only": {"variant": "global-only"},
    "no overlap loss": {"mask_weight": 0.0},
    "no stripes in the prior (mask-part 0)": {"mask_part": 0},
    "mask-part 2": {"mask_part": 2},
}


@dataclass(frozen=True)
class Trial:
    """One training of one variant in one world."""

    variant: str
    lr: float
    world: int  # seed of the world
    seed: int  # of the training
    root: Path  # data root that holds the world
    out: Path
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe, for all variants alike

    @property
    def settings(self) -> Settings:
        """The recipe with the variant's changes."""
        own = {"lr": self.lr, "seed": self.seed, "dataset_root": str(self.root)}
        return replace(recipe("synthetic", "regnet_y_tiny"), **{**self.changes, **VARIANTS[self.variant], **own})

    def run(self) -> dict[str, Any]:
        """Train and evaluate, or read what an earlier call stored.

        Returns:
            A row of `ablate`'s table, without its role; without metrics if the training diverged.
        """
        stored = self.out / "result.json"
        if stored.is_file():
            result: dict[str, Any] = json.loads(stored.read_text())
            return result
        dataset = open_dataset("synthetic", self.root)
        row = {"variant": self.variant, "lr": self.lr, "world": self.world, "seed": self.seed}
        try:
            train(self.settings, self.out, resume=True, dataset=dataset, progress=False)
        except Diverged:
            pass
        else:
            model, _ = load_model(self.out)
            row |= measure(model, dataset) | {
                "seconds": round(float(pd.read_csv(self.out / "log.csv")["seconds"].sum()), 1),
                "device": next(model.parameters()).device.type,
            }
        write_atomically(stored, json.dumps(row, indent=2).encode())
        return row


def measure(model: SCM, dataset: ReidDataset) -> dict[str, Any]:
    """The metrics on occluded queries, and the cooperative mask's lift on the visible person (NaN without masks)."""
    metrics: dict[str, Any] = dict(evaluate(model, dataset).metrics)
    paths = [record.path for record in dataset.query]
    masks = masks_of(model, dataset.query).sum(1)
    person = region_share(read_truth(paths), PERSON, (masks.shape[1], masks.shape[2]))
    return metrics | {"person_lift": lift(masks, person) if masks.any() else float("nan")}


@dataclass(frozen=True)
class Ablation:
    """What all trainings of an ablation share.

    Args:
        worlds: data root of each world, by its seed; `TUNING` among them if there is more than one rate to choose from.
        out: a folder for every training.
        changes: of the recipe, for all variants alike.
        jobs: trainings at a time, each a process of its own with an equal share of the cores.
    """

    worlds: Mapping[int, Path]
    out: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 1

    def trial(self, variant: str, lr: float, world: int, seed: int) -> Trial:
        """One training; its folder's name says which."""
        folder = self.out / f"{variant.split(' (')[0].replace(' ', '_')}-lr{lr:g}-world{world}-seed{seed}"
        return Trial(variant, lr, world, seed, self.worlds[world], folder, self.changes)

    def run(self, trials: Sequence[Trial], progress: str) -> Iterator[dict[str, Any]]:
        """The results of trials as they come, with a progress bar under this label; none if it is empty."""
        # Without a limit every process takes a thread for each core, and they slow each other many times.
        with parallel_config("loky", n_jobs=self.jobs, inner_max_num_threads=max(1, cpu_count() // self.jobs)):
            results = Parallel(return_as="generator_unordered")(delayed(trial.run)() for trial in trials)
        yield from tqdm(results, progress, len(trials), unit="training", disable=not progress)

    def tune(self, variant: str, rates: Sequence[float], *, progress: str = "") -> pd.DataFrame:
        """Trainings on the tuning world, `TRIES` a rate; the grid grows until the best rate isn't at its edge."""
        rates = sorted(rates)
        while True:
            trials = [self.trial(variant, lr, TUNING, seed) for lr in rates for seed in range(TRIES)]
            table = pd.DataFrame(self.run(trials, progress))
            best = best_rate(table)
            if best == rates[0]:
                rates = [rates[0] ** 2 / rates[1], *rates]
            elif best == rates[-1]:
                rates = [*rates, rates[-1] ** 2 / rates[-2]]
            else:
                return table


def best_rate(tuning: pd.DataFrame) -> float:
    """The rate with the highest mean mAP; a training that diverged counts as 0."""
    means = tuning.fillna({"mAP": 0.0}).groupby("lr")["mAP"].mean()
    return float(means.index.to_numpy()[means.to_numpy().argmax()])


def ablate(
    ablation: Ablation,
    *,
    seeds: Sequence[int] = (0,),
    rates: Sequence[float] = RATES,
    variants: Sequence[str] = tuple(VARIANTS),
    on_result: Callable[[pd.DataFrame], None] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Tune each variant's learning rate on the tuning world, then train it in each of the other worlds.

    Worlds come one after the other, each with all variants, so that a table cut short is still paired. A second call
    goes on where the first was stopped.

    Args:
        ablation: worlds, folder and what is shared.
        seeds: of the trainings in each world.
        rates: to choose from by mAP, three or more; or one, which is then taken as it is.
        variants: keys of `VARIANTS`.
        on_result: called with the table so far after every training in a reported world.
        progress: whether to show progress bars.

    Returns:
        A row a training: variant, lr, role (`tuning` or `reported`), world, seed, the metrics, person_lift, seconds,
        device.

    Raises:
        BadInput: two rates, of which the best is always the grid's edge.
    """
    if len(set(rates)) not in (1, *range(3, 99)):
        raise BadInput(f"Learning rates {', '.join(map(str, rates))}: give one to take it, or three to choose from.")
    tuning, chosen = pd.DataFrame(), dict.fromkeys(variants, rates[0])
    if len(rates) > 1:
        tables = [
            ablation.tune(variant, rates, progress=f"tuning {variant}" if progress else "") for variant in variants
        ]
        chosen = {variant: best_rate(table) for variant, table in zip(variants, tables, strict=True)}
        tuning = pd.concat(tables).assign(role="tuning")
    reported = [world for world in ablation.worlds if world != TUNING]
    trials = [ablation.trial(v, chosen[v], world, seed) for world in reported for seed in seeds for v in variants]
    table, rows = tuning, []
    for row in ablation.run(trials, "reported worlds" if progress else ""):
        rows.append(row | {"role": "reported"})
        table = in_order(pd.concat([tuning, pd.DataFrame(rows)]), variants)
        if on_result:
            on_result(table)
    return table


def in_order(table: pd.DataFrame, variants: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of their role, variant, rate, world and seed, whichever training ended first."""
    first = ["variant", "lr", "role", "world", "seed"]
    place = table["variant"].map({variant: i for i, variant in enumerate(variants)})
    table = table.assign(late=table["role"] == "reported", place=place)
    table = table.sort_values(["late", "place", "lr", "world", "seed"], ignore_index=True)
    return table[[*first, *(name for name in table if name not in (*first, "late", "place"))]]
