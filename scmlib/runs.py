"""Trained runs: one of them opened on its data, and the metrics of all beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.images import read_pictures
from scmlib.data.records import Record
from scmlib.data.truth import truth_path
from scmlib.errors import BadInput
from scmlib.evaluation import Evaluation, evaluate
from scmlib.files import read_json
from scmlib.inference import masks_of
from scmlib.model import SCM
from scmlib.settings import METRICS, Settings, published_recipes, recipe


@dataclass(frozen=True)
class Study:
    """What `open_study` opens."""

    model: SCM
    settings: Settings
    data: ReidDataset
    folder: Path  # the run's, or that of the weights

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
        path = self.folder / "log.csv"
        if not path.is_file():
            raise BadInput(f"{path} is missing: only a run folder of `scm train` has a log.")
        return pd.read_csv(path)

    @property
    def has_truth(self) -> bool:
        """Whether the data are a drawn world, which knows what every pixel shows."""
        return truth_path(self.data.query[0].path).is_file()

    def pictures(self, records: Sequence[Record]) -> Tensor:
        """The images of records, (N, 3, H, W) uint8, at the model's image size."""
        return read_pictures(records, self.model.image_size)

    def masks(self, records: Sequence[Record]) -> Tensor:
        """The competitive masks of records, (N, P, h, w) in [0, 1], on the CPU."""
        return masks_of(self.model, self.pictures(records))


def open_study(
    source: str | Path, dataset: str = "", dataset_root: str | Path = "", *, net: str | None = None
) -> Study:
    """Open a trained run on its data.

    Args:
        source: a run folder, its `model.safetensors`, or weights under the released names.
        dataset: the data set to look at; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.
        net: backbone of weights that aren't ours.

    Raises:
        BadInput: no weights or data there, or foreign weights without their data set and net.
    """
    source = Path(source)
    model, settings = load_model(source, recipe(dataset, net) if net else None)
    data = open_dataset(dataset or settings.dataset, dataset_root or settings.dataset_root)
    data.require("query", "gallery")
    return Study(model, settings, data, source if source.is_dir() else source.parent)


# Settings that say where and how fast, not what.
ELSEWHERE = ("dataset", "net", "dataset_root", "seed", "workers")


def metrics_table(runs: str | Path, dataset: str | None = None) -> pd.DataFrame:
    """Published and reached metrics of every recipe.

    Args:
        runs: folder below which `scm evaluate` stored its metrics, in each run's own folder.
        dataset: this data set alone.

    Returns:
        A row a source with the columns dataset, net, source (`published`, or a run folder and how its settings differ
        from the recipe's) and the metrics in [0, 1]; NaN where a source has none.
    """
    rows = [
        {"dataset": settings.dataset, "net": settings.net, "source": "published", **settings.published}
        for settings in published_recipes()
    ]
    for path in sorted(Path(runs).rglob("*evaluation_*.json")):
        facts = read_json(path)
        if "dataset" in facts and "net" in facts:
            row = {"dataset": facts["dataset"], "net": facts["net"], "source": told(path, facts)}
            rows.append(row | {name: facts[name] for name in METRICS if isinstance(facts.get(name), float)})
    table = pd.DataFrame(rows, columns=["dataset", "net", "source", *METRICS])
    if dataset:
        table = table[table["dataset"] == dataset]
    order = {name: i for i, name in enumerate(dict.fromkeys(table["dataset"] + " " + table["net"]))}
    return table.sort_values(
        by="dataset", key=lambda _: (table["dataset"] + " " + table["net"]).map(order), kind="stable"
    )


def told(evaluation: Path, facts: dict[str, Any]) -> str:
    """The run of an evaluation, and what it did otherwise than the recipe."""
    values = read_json(evaluation.parent / "settings.json").get("settings", {})
    try:
        settings = Settings.from_dict(values)
        meant = recipe(settings.dataset, settings.net).as_dict()
    except (ValueError, KeyError, TypeError):  # no settings, or not those of a run
        return str(evaluation.parent)
    if settings.dataset.partition(":")[0] != str(facts["dataset"]).partition(":")[0]:
        return f"{evaluation.parent} (trained on {settings.dataset})"
    changed = [
        f"{name.replace('_', '-')} {value or 'none'}"
        for name, value in settings.as_dict().items()
        if name not in (*ELSEWHERE, "weights") and value != meant[name]
    ]
    if not settings.weights and settings.published:
        changed.append("from random weights")
    return f"{evaluation.parent} ({', '.join(changed)})" if changed else str(evaluation.parent)
