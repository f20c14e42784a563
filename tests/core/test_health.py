from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate_embeddings
from scmlib.health import is_collapsed, is_finite, mean_of_finite, similarity, warn_of_parts, warn_of_skipped
from scmlib.settings import Settings
from scmlib.training import Trainer


def test_part_that_dies_or_opens_is_warned_of_once() -> None:
    log = pd.DataFrame(
        {"epoch": [1, 2, 3], "zero_1": [0.3, 0.995, 1.0], "zero_2": [0.2] * 3, "mass_2": [0.9, 0.9, 1.0]}
    )
    with pytest.warns(UserWarning, match=r"mask of part 1 is zero in 99\.5% of all cells in epoch 2: the part is dead"):
        warn_of_parts(log[:2])
    with pytest.warns(UserWarning, match=r"part 2 is one nearly everywhere .*raise --mask-weight") as caught:
        warn_of_parts(log)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_parts(log[:1])
        warn_of_parts(log[["epoch"]])  # a model without masks


def test_similarity_is_the_mean_over_all_pairs() -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    pairs = [float(torch.cosine_similarity(x[i], x[j], 0)) for i in range(6) for j in range(6) if i != j]
    assert similarity(x) == pytest.approx(sum(pairs) / 30, abs=1e-6)
    assert not is_collapsed(x)
    assert is_collapsed(x[:1] + 1e-3 * x)
    assert not is_collapsed(x[:1])


def test_broken_weights_and_statistics_are_found() -> None:
    norm = nn.BatchNorm1d(3)
    assert is_finite(norm)
    assert norm.running_var is not None
    norm.running_var[1] = torch.inf
    assert not is_finite(norm)


def test_skipped_steps_are_left_out_of_the_mean_and_warned_of_where_they_are_many() -> None:
    assert mean_of_finite([torch.tensor(value) for value in (1.0, torch.inf, 3.0, torch.nan)]) == 2
    with pytest.warns(UserWarning, match="7 of the 12 steps of epoch 4 were skipped"):
        warn_of_skipped(7, 12, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_skipped(6, 12, 4)


def half_precision(settings: Settings, out: Path, scale: float) -> Trainer:
    """A training whose loss is scaled as under fp16, on a CPU."""
    trainer = Trainer(settings, open_dataset("synthetic", settings.dataset_root), out)
    trainer.accelerator.scaler = scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    trainer.optimizer = AcceleratedOptimizer(trainer.optimizer.optimizer, scaler=scaler)
    trainer.scale = scale
    return trainer


def test_steps_that_half_precision_skips_are_counted_and_kept(quick: Settings, tmp_path: Path) -> None:
    trainer, steps = half_precision(quick, tmp_path, 2.0**16), itertools.count(1)
    weight = next(trainer.model.parameters())
    weight.register_hook(lambda gradient: gradient * torch.inf if next(steps) in (2, 11, 12) else gradient)
    trainer.run({}, None, progress=False)
    assert pd.read_csv(tmp_path / "log.csv")["skipped"].tolist() == [3, 0, 0]
    assert trainer.accelerator.scaler.get_scale() == 2.0**13
    assert is_finite(trainer.model)
    assert (tmp_path / "model.safetensors").exists()


def test_half_precision_that_overflows_at_every_step_stops(quick: Settings, tmp_path: Path) -> None:
    trainer = half_precision(quick, tmp_path, 0.05)
    next(trainer.model.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(BadInput, match=r"too large for fp16, step after step, in epoch 1: lower --lr .*nothing is"):
        trainer.run({}, None, progress=False)
    assert not (tmp_path / "state.pt").exists()


def test_broken_statistics_never_reach_the_disk(quick: Settings, tmp_path: Path) -> None:
    """A forward pass that overflows leaves them behind, while weights and gradients may stay whole."""
    trainer = Trainer(quick, open_dataset("synthetic", quick.dataset_root), tmp_path)
    trainer.model.bn_list[5].running_mean[0] = torch.nan
    with pytest.raises(BadInput, match="became nan in epoch 1: lower --lr"):
        trainer.run({}, None, progress=False)
    assert not (tmp_path / "state.pt").exists()


def test_training_that_collapses_is_warned_of_once(quick: Settings, tmp_path: Path) -> None:
    trainer = Trainer(replace(quick, lr=1e-12), open_dataset("synthetic", quick.dataset_root), tmp_path)
    for layer in trainer.model.feat_list:
        layer.weight.data.zero_()
    with warnings.catch_warnings(record=True) as caught:
        trainer.run({}, None, progress=False)
    said = [str(one.message) for one in caught if "nearly the same" in str(one.message)]
    assert len(said) == 1
    assert "embeddings of epoch 1 are nearly the same for all pictures" in said[0]
    assert "lower --lr" in said[0]


def test_collapsed_model_is_warned_of_when_it_is_evaluated(data_root: Path) -> None:
    data, g = open_dataset("synthetic", data_root), np.random.default_rng(0)
    query, gallery = (g.normal(1, 1e-3, (len(split), 8)).astype(np.float32) for split in (data.query, data.gallery))
    with pytest.warns(UserWarning, match="embeddings of synthetic's gallery are nearly the same for all pictures"):
        evaluate_embeddings(data, query, gallery)
