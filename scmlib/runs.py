"""Trained runs: one of them opened on its data, and the metrics of all beside the paper's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from scmlib.checkpoints import load_model, own_facts, weights_file
from scmlib.data.datasets import ReidDataset, digest, fingerprint, open_dataset
from scmlib.data.images import read_pictures
from scmlib.data.layouts import LAYOUTS, PROTOCOLS, Count
from scmlib.data.records import Record
from scmlib.data.truth import truth_path
from scmlib.errors import BadInput
from scmlib.evaluation import Evaluation, evaluate, named, per_query
from scmlib.files import read_json, write_atomically
from scmlib.inference import masks_of
from scmlib.model import SCM
from scmlib.run_folder import LOG, SETTINGS, TEST, WEIGHTS, counts, data_root, find_data_root
from scmlib.settings import METRICS, Settings, published_recipes, recipe


@dataclass(frozen=True)
class Run:
    """What `open_run` opens: a trained model and where it came from, without any data."""

    model: SCM
    settings: Settings
    folder: Path  # the run's, or that of the weights
    facts: dict[str, Any]  # of its training; empty for weights that aren't ours
    weights: str = ""  # name of a weights file that isn't a run's

    @property
    def margin(self) -> int:
        """Pixels that the framing of its own data set cuts off after resizing; the pictures of a table stay whole."""
        layout = LAYOUTS.get(self.settings.dataset.partition(":")[0])
        return layout.margin if layout else 0

    def open_data(self, dataset: str = "", dataset_root: str | Path = "") -> ReidDataset:
        """A data set by name, looked for where the call says, where the run's data were, and beside the run.

        Args:
            dataset: the run's own if empty.
            dataset_root: the folder that holds the data set's folder.

        Raises:
            BadInput: an unknown name, or no data there.
        """
        name = dataset or self.settings.dataset
        return open_dataset(name, find_data_root(name, dataset_root, self.folder, self.facts))


def open_run(source: str | Path, dataset: str = "", *, net: str | None = None) -> Run:
    """Open a trained run without its data.

    Args:
        source: a run folder, its `model.safetensors`, or weights under the released names.
        dataset: whose recipe weights that aren't ours were trained with.
        net: their backbone.

    Raises:
        BadInput: no weights there, or foreign weights without their data set and net.
    """
    source = Path(source)
    if source.name == WEIGHTS:
        source = source.parent
    model, settings = load_model(source, recipe(dataset, net) if net else None)
    facts = own_facts(weights_file(source))
    folder = source if source.is_dir() else source.parent
    return Run(model, settings, folder, facts, "" if source.is_dir() else source.stem)


@dataclass(frozen=True)
class Study:
    """What `open_study` opens."""

    model: SCM
    settings: Settings
    data: ReidDataset
    folder: Path  # the run's, or that of the weights
    trained_on: str = ""  # data set that the weights were trained on, where they say it
    weights: str = ""  # name of a weights file that isn't a run's

    @cached_property
    def evaluation(self) -> Evaluation:
        """Metrics, ranking and embeddings of the test images, computed at first use."""
        return evaluate(self.model, self.data, progress=True)

    @property
    def log(self) -> pd.DataFrame:
        """The training's log, a row an epoch.

        Raises:
            BadInput: the weights came without one.
        """
        path = self.folder / LOG
        if not path.is_file():
            raise BadInput(f"{path} is missing: only a run folder of `scm train` has a log.")
        return pd.read_csv(path)

    @property
    def has_truth(self) -> bool:
        """Whether the data are a drawn world, which knows what every pixel shows."""
        return truth_path(self.data.query[0].path).is_file()

    @cached_property
    def occluders(self) -> dict[str, str]:
        """What hides each query of a drawn world, by file name; empty elsewhere."""
        if not self.has_truth:
            return {}
        facts = pd.read_csv(self.data.root / "ground_truth" / "images.csv", keep_default_na=False)
        facts = facts[facts["split"] == "query"]
        return {Path(file).name: str(kind) for file, kind in zip(facts["file"], facts["occluder"], strict=True)}

    def pictures(self, records: Sequence[Record]) -> Tensor:
        """The images of records, (N, 3, H, W) uint8, at the model's image size."""
        return read_pictures(records, self.model.image_size)

    def masks(self, records: Sequence[Record]) -> Tensor:
        """The competitive masks of records, (N, P, h, w) in [0, 1], on the CPU."""
        return masks_of(self.model, self.pictures(records))


def open_study(
    source: str | Path, dataset: str = "", dataset_root: str | Path = "", *, net: str | None = None
) -> Study:
    """Open a trained run on its data, from any working directory and wherever run and data were moved together.

    Args:
        source: a run folder, its `model.safetensors`, or weights under the released names.
        dataset: the data set to look at; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; if empty, it is looked for where it was when the run
            was trained, then beside the run.
        net: backbone of weights that aren't ours.

    Raises:
        BadInput: no weights or data there, or foreign weights without their data set and net.
    """
    run = open_run(source, dataset, net=net)
    data = run.open_data(dataset, dataset_root)
    data.require("query", "gallery")
    trained_on = run.settings.dataset if run.facts else ""
    return Study(run.model, run.settings, data, run.folder, trained_on, run.weights)


def store_evaluation(study: Study, evaluation: Evaluation) -> tuple[dict[str, Any], Path]:
    """Keep an evaluation with its run, under a name that tells the data: of other data, another file.

    Beside the JSON file lies a table of the same name, a row a query, see `per_query`.

    Args:
        study: what was evaluated.
        evaluation: its metrics.

    Returns:
        What the file holds (metrics, what counted, which data), and the file.
    """
    data = study.data
    seen, content = digest(data, *TEST), fingerprint(data, *TEST)
    facts: dict[str, Any] = {"dataset": data.name, "net": study.settings.net, **evaluation.metrics}
    facts |= {"queries": evaluation.ranking.num_valid, "queries_without_match": evaluation.ranking.num_without_match}
    if evaluation.spread:
        facts["spread"] = evaluation.spread
    tested = {split: number for split, number in counts(data).items() if split in TEST}
    facts["data"] = {"root": str(data_root(data)), "digest": seen, "fingerprint": content, "counts": tested}
    facts["trained_on"] = study.trained_on
    warn_of_other_data(study, facts["data"])
    name = "_".join(part for part in (study.weights, "evaluation", data.name.replace(":", "-"), seen[:8]) if part)
    path = study.folder / f"{name}.json"
    write_atomically(path, json.dumps(facts, indent=2).encode())
    queries = named(per_query(evaluation.ranking, data.query), data.layout)
    write_atomically(path.with_suffix(".csv"), queries.to_csv(index=False).encode())
    return facts, path


def warn_of_other_data(study: Study, tested: dict[str, Any]) -> None:
    """Warn where the test images of the run's own data set aren't those that its training found there.

    Args:
        study: what was evaluated.
        tested: digest and fingerprint of the images that it was evaluated on.
    """
    began = read_json(study.folder / SETTINGS).get("data")
    if study.weights or study.trained_on != study.data.name or not isinstance(began, dict):
        return
    names = began.get("test_digest", tested["digest"]) == tested["digest"]
    content = began.get("test_fingerprint", tested["fingerprint"]) == tested["fingerprint"]
    if not (names and content):
        what = "have other content than" if names else "are others than"
        warnings.warn(
            f"The test images in {tested['root']} {what} those that were there when {study.folder} was trained: these "
            "metrics are about the images of now.",
            stacklevel=3,
        )


# Settings that say where and how fast, not what.
ELSEWHERE = ("dataset", "net", "dataset_root", "seed", "workers")


def metrics_table(runs: str | Path, dataset: str | None = None) -> pd.DataFrame:
    """Published and reached metrics of every recipe.

    Args:
        runs: folder below which `scm evaluate` stored its metrics, in each run's own folder.
        dataset: this data set alone.

    Returns:
        A row a source with the columns dataset, net, source (`published`, or a run folder, what else it was trained on
        and how its settings differ from the recipe's), data (whose images, and how many of the published ones where
        some are missing) and the metrics in [0, 1]; NaN where a source has none.
    """
    rows = [
        {"dataset": settings.dataset, "net": settings.net, "source": "published", "data": "", **settings.published}
        for settings in published_recipes()
    ]
    for path in sorted(Path(runs).rglob("*evaluation_*.json")):
        facts = read_json(path)
        if "dataset" in facts and "net" in facts:
            row = {
                "dataset": facts["dataset"],
                "net": facts["net"],
                "source": told_run(path, facts),
                "data": told_data(path, facts),
            }
            rows.append(row | {name: facts[name] for name in METRICS if isinstance(facts.get(name), float)})
    table = pd.DataFrame(rows, columns=["dataset", "net", "source", "data", *METRICS])
    if dataset:
        table = table[table["dataset"] == dataset]
    order = {name: i for i, name in enumerate(dict.fromkeys(table["dataset"] + " " + table["net"]))}
    return table.sort_values(
        by="dataset", key=lambda _: (table["dataset"] + " " + table["net"]).map(order), kind="stable"
    )


def told_run(evaluation: Path, facts: dict[str, Any]) -> str:
    """The run of an evaluation, what it was trained on if that's another data set, and how it differs from the recipe.

    Args:
        evaluation: the file, in the run's folder or beside the weights.
        facts: what it holds.
    """
    weights = evaluation.name.partition("evaluation_")[0].rstrip("_")
    run = str(evaluation.parent / weights)
    values = {} if weights else read_json(evaluation.parent / SETTINGS).get("settings", {})
    try:
        settings = Settings.from_dict(values)
        meant = recipe(settings.dataset, settings.net).as_dict()
    except (ValueError, KeyError, TypeError):  # no settings, or not those of a run
        trained_on, changed = str(facts.get("trained_on", "")), []
    else:
        trained_on = settings.dataset
        changed = [
            f"{name.replace('_', '-')} {value or 'none'}"
            for name, value in settings.as_dict().items()
            if name not in (*ELSEWHERE, "weights") and value != meant[name]
        ]
        if not settings.weights and settings.published:
            changed.append("from random weights")
    if trained_on and trained_on.partition(":")[0] != str(facts["dataset"]).partition(":")[0]:
        changed = [f"trained on {trained_on}"]
    return f"{run} ({', '.join(changed)})" if changed else run


def told_data(evaluation: Path, facts: dict[str, Any]) -> str:
    """The data of an evaluation: their root, what is missing of the published images, whether they were the run's own.

    Args:
        evaluation: the file, in the run's folder or beside the weights.
        facts: what it holds.
    """
    data = facts.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("counts"), dict):
        return ""
    layout = (LAYOUTS | PROTOCOLS).get(str(facts["dataset"]))
    notes = []
    for split, number in data["counts"].items():
        published = layout.published.get(split, Count(number)).images if layout else number
        if published != number:
            notes.append(f"{number:,} of {published:,} {split} images")
    own = read_json(evaluation.parent / SETTINGS)
    recorded, settings = own.get("data"), own.get("settings")
    if isinstance(recorded, dict) and isinstance(settings, dict) and settings.get("dataset") == facts["dataset"]:
        notes += ["other images than the run's"] if recorded.get("test_digest") != data.get("digest") else []
    root = str(data.get("root", ""))
    return f"{root} ({', '.join(notes)})" if notes else root
