"""A trained run opened for looking at: model, settings and data, and what is computed once and looked at often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from scmlib.checkpoints import load_model
from scmlib.datasets import ReidDataset, open_dataset, truth_path
from scmlib.errors import BadInput
from scmlib.evaluation import Evaluation, evaluate, masks_of
from scmlib.images import read_image
from scmlib.model import SCM
from scmlib.recipes import Settings, recipe
from scmlib.records import Record


@dataclass(frozen=True)
class Study:
    """What `open_study` opens."""

    model: SCM
    settings: Settings
    data: ReidDataset
    folder: Path  # the run's, or that of the weights

    @cached_property
    def evaluation(self) -> Evaluation:
        """Figures, ranking and embeddings of the test images, computed at first use."""
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
        margin = self.data.layout.margin
        return torch.stack([read_image(record.path, self.model.image_size, margin) for record in records])

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
    return Study(model, settings, data, source if source.is_dir() else source.parent)
