"""What several test modules share: a quick world, a quick trained run, and the released code's numbers."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.world import PRESETS, write_world
from scmlib.data.datasets import dataset_folder
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import train

ORACLE = Path(__file__).parent / "oracle"


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C, and so would the tests about it and what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def oracle(name: str) -> dict[str, NDArray[Any]]:
    """Arrays that the authors' released code produced."""
    with np.load(ORACLE / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays}


def error(ours: object, theirs: NDArray[Any]) -> float:
    """Largest difference, relative to the largest magnitude."""
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def rule_weights(initial: Mapping[str, Tensor], *, salt: bytes = b"") -> dict[str, Tensor]:
    """The oracle's weights: each tensor from a generator seeded by its name, by the first rule that fits."""
    return {name: torch.as_tensor(_rule(name, value.numpy(), salt)) for name, value in initial.items()}


def _rule(name: str, initial: NDArray[np.float32], salt: bytes) -> NDArray[np.float32]:
    g, shape = np.random.default_rng(zlib.crc32(salt + name.encode())), initial.shape
    if name.endswith("num_batches_tracked"):
        return np.zeros_like(initial)
    if name.endswith("running_var"):
        value = g.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = g.normal(0, 0.1, shape)
    elif name.endswith("logit_scale"):
        value = np.log(10) + g.normal(0, 0.1, shape)
    elif name.endswith("learnable_masks"):
        value = initial + g.normal(0, 0.1, shape)
    elif name.endswith(".bias"):
        value = g.normal(0, 0.1, shape)
    elif len(shape) == 1:
        value = g.uniform(0.5, 1.5, shape)
    else:
        value = g.normal(0, np.sqrt(1 / np.prod(shape[1:])), shape)
    return value.astype(np.float32)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that holds the quick synthetic world."""
    root = tmp_path_factory.mktemp("data")
    write_world(dataset_folder("synthetic", root), PRESETS["quick"], progress=False)
    return root


@pytest.fixture(scope="session")
def quick(data_root: Path) -> Settings:
    """Settings that train in seconds."""
    return replace(
        recipe("synthetic", "regnet_y_tiny"),
        dataset_root=str(data_root),
        **QUICK | {"ema_ratio": 0.5, "ema_extra": 1},
    )


@pytest.fixture(scope="session")
def run(quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished quick run."""
    return train(quick, tmp_path_factory.mktemp("runs") / "quick")
