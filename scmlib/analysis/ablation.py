"""Which part of the method does what: SCM against itself with one part taken away, all trained alike.

Every variant has the same data, epochs, augmentation and optimiser, and a learning rate tuned over the same grid on a
world that is used for nothing else. The figures come from other worlds, one training each.

Lesson: notebooks/04_occlusion_evaluation.ipynb.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from scmlib.evaluation import evaluate
from scmlib.files import write_atomically
from scmlib.inference import masks_of
from scmlib.model import SCM
from scmlib.settings import Settings, recipe
from scmlib.training import train

RATES = (0.1, 0.2, 0.3, 0.45)  # the grid that every variant's learning rate is tuned over

TUNING = 100  # seed of the world that tunes


# What is changed in the settings of each variant.
VARIANTS: dict[str, Mapping[str, Any]] = {
    "SCM": {},
    "global embeddings only": {"variant": "global-only"},
    "fixed stripes": {"variant": "stripes"},
    "no overlap loss": {"mask_weight": 0.0},
    "no stripes in the prior (mask-part 0)": {"mask_part": 0},
    "mask-part 2": {"mask_part": 2},
}


@dataclass(frozen=True)
class Trial:
    """One training of one variant in one world."""

    variant: str
    lr: float
    seed: int
    world: Path  # data root that holds the world
    out: Path
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe, for all variants alike

    @property
    def settings(self) -> Settings:
        """The recipe with the variant's changes."""
        variant = VARIANTS[self.variant]
        own = {"lr": self.lr, "seed": self.seed, "dataset_root": str(self.world)}
        return replace(recipe("synthetic", "regnet_y_tiny"), **{**self.changes, **variant, **own})

    def run(self) -> dict[str, Any]:
        """Train and evaluate, or read what an earlier call stored."""
        stored = self.out / "result.json"
        if stored.is_file():
            result: dict[str, Any] = json.loads(stored.read_text())
            return result
        dataset = open_dataset("synthetic", self.world)
        train(self.settings, self.out, resume=True, dataset=dataset, progress=False)
        model, _ = load_model(self.out)
        result = measure(model, dataset) | {
            "seconds": round(float(pd.read_csv(self.out / "log.csv")["seconds"].sum()), 1),
            "device": next(model.parameters()).device.type,
        }
        write_atomically(stored, json.dumps(result, indent=2).encode())
        return result


def measure(model: SCM, dataset: ReidDataset) -> dict[str, Any]:
    """The metrics on occluded queries, and the cooperative mask's lift on the visible person (NaN without masks)."""
    metrics: dict[str, Any] = dict(evaluate(model, dataset).metrics)
    paths = [record.path for record in dataset.query]
    masks = masks_of(model, dataset.query).sum(1)
    person = region_share(read_truth(paths), PERSON, (masks.shape[1], masks.shape[2]))
    return metrics | {"person_lift": lift(masks, person) if masks.any() else float("nan")}


def ablate(
    worlds: Mapping[int, Path],
    out: Path,
    *,
    seeds: Sequence[int],
    rates: Sequence[float] = RATES,
    variants: Sequence[str] = tuple(VARIANTS),
    changes: Mapping[str, Any] | None = None,
    jobs: int = 1,
    progress: bool = False,
) -> pd.DataFrame:
    """Tune each variant's learning rate on the tuning world, then train it in each reported world.

    A second call goes on where the first was stopped.

    Args:
        worlds: data root of each seed's world, `TUNING` among them.
        out: a folder for every training.
        seeds: of the reported worlds and trainings; not 0, the world that the recipe was made on.
        rates: learning rates to choose from, by mAP.
        variants: keys of `VARIANTS`.
        changes: of the recipe, for all variants alike; for trying things out.
        jobs: trainings at a time, each a process of its own.
        progress: whether to show a progress bar.

    Returns:
        A row a training: variant, lr, role (`tuning` or `reported`), seed, the figures, person_lift, seconds, device.
    """

    def trial(variant: str, lr: float, seed: int) -> Trial:
        folder = out / f"{variant.split(' (')[0].replace(' ', '_')}-lr{lr:g}-seed{seed}"
        return Trial(variant, lr, seed, worlds[seed], folder, changes or {})

    tuning = run_all([trial(v, lr, TUNING) for v in variants for lr in rates], jobs, "tuning" if progress else "")
    best = tuning.loc[tuning.groupby("variant", sort=False)["mAP"].idxmax()].set_index("variant")["lr"]
    chosen = [trial(variant, float(best[variant]), seed) for variant in variants for seed in seeds]
    reported = run_all(chosen, jobs, "reported worlds" if progress else "")
    table = pd.concat([tuning.assign(role="tuning"), reported.assign(role="reported")], ignore_index=True)
    first = ["variant", "lr", "role", "seed"]
    return table[[*first, *(name for name in table if name not in first)]]


def run_all(trials: Sequence[Trial], jobs: int, progress: str) -> pd.DataFrame:
    """The results of trials, in their order, several processes at a time that share the cores between them."""
    # Without a limit every process takes a thread for each core, and they slow each other many times.
    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=max(1, cpu_count() // jobs)):
        running = Parallel(return_as="generator")(delayed(trial.run)() for trial in trials)
        results = list(tqdm(running, progress, len(trials), unit="training", disable=not progress))
    named = ({"variant": trial.variant, "lr": trial.lr, "seed": trial.seed} for trial in trials)
    rows = [name | result for name, result in zip(named, results, strict=True)]
    return pd.DataFrame(rows)


def ablation_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the reported worlds, and the paired difference of mAP to SCM.

    Returns:
        A row a variant: lr, trainings, mAP, mAP_sd, top1, top1_sd, person_lift, behind_SCM, behind_SCM_sd.
    """
    reported = table[table["role"] == "reported"]
    scm = reported[reported["variant"] == "SCM"].set_index("seed")["mAP"]
    rows = {}
    for variant, group in reported.groupby("variant", sort=False):
        behind = scm - group.set_index("seed")["mAP"]
        rows[variant] = {"lr": group["lr"].iloc[0], "trainings": len(group)}
        for name in ("mAP", "top1"):
            rows[variant] |= {name: group[name].mean(), f"{name}_sd": group[name].std()}
        rows[variant] |= {"person_lift": group["person_lift"].mean()}
        rows[variant] |= {"behind_SCM": behind.mean(), "behind_SCM_sd": behind.std()}
    return pd.DataFrame.from_dict(rows, orient="index")
