"""What the tests of the drawn world share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from data_prep.world import PRESETS, World
from scmlib.data.datasets import dataset_folder

QUICK = PRESETS["quick"]
LOOSE = replace(World(), loose=0.3)


@pytest.fixture(scope="session")
def world_folder(data_root: Path) -> Path:
    """The quick world, written."""
    return dataset_folder("synthetic", data_root)


@pytest.fixture(scope="session")
def table(world_folder: Path) -> pd.DataFrame:
    """Its table."""
    return pd.read_csv(world_folder / "ground_truth" / "images.csv", keep_default_na=False)
