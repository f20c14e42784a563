"""What `test_together` compares between one process and two: run alone, or by torchrun.

python -m tests.processes.work DATA_ROOT OUT
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scmlib.backbone import DropPath
from scmlib.data.datasets import open_dataset
from scmlib.evaluation import evaluate
from scmlib.inference import embed, masks_of
from scmlib.launch import number, rank
from scmlib.model import SCM
from scmlib.processes import any_of, each, sharing
from scmlib.settings import QUICK, Settings, recipe
from scmlib.training import Trainer, train
from scmlib.variants import build_model

STEPS = 3


def longer(data_root: str | Path) -> Settings:
    """A quick training that leaves time to stop it."""
    longer = QUICK | {"epochs": (1, 4), "ema_extra": 1}
    return replace(recipe("synthetic", "regnet_y_tiny"), dataset_root=str(data_root), **longer)


def steps(data_root: str, out: Path) -> dict[str, Any]:
    """Three optimiser steps in float64 with frozen BatchNorm: what the loss was made of, and the weights after them."""
    torch.set_default_dtype(torch.float64)
    s = replace(longer(data_root), erasing=0.0, freeze="stem")  # random numbers are each process's own
    trainer = Trainer(s, open_dataset("synthetic", data_root), out)
    for module in trainer.model.train().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | DropPath):
            module.eval()
    pictures = torch.Generator().manual_seed(1)
    logged = []
    for labels in torch.arange(12).view(STEPS, 4).repeat_interleave(2, 1):
        images = torch.rand(8, 3, *s.image_size, generator=pictures)
        own = slice(8 * rank() // number(), 8 * (rank() + 1) // number())
        logged.append(trainer.step(images[own], labels[own]).terms())
    torch.set_default_dtype(torch.float32)
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {"terms": logged, "weights": model.state_dict(), "statistics": tuple(trainer.masks)}


def small_model() -> SCM:
    """Untrained, the same in every process."""
    torch.manual_seed(3)
    return build_model("regnet_y_tiny", 5, image_size=(96, 48))


def looked_at(data_root: str) -> dict[str, Any]:
    """Metrics, and embeddings and masks of numbers of pictures that two processes can't share evenly."""
    data, model = open_dataset("synthetic", data_root), small_model()
    images = torch.rand(7, 3, 96, 48, generator=torch.Generator().manual_seed(2))
    with sharing():
        evaluation = evaluate(model, data)
        embeddings = {n: torch.from_numpy(embed(model, images[:n], batch_size=2)) for n in (1, 2, 3, 7)}
        masks = masks_of(model, images[:5])
    return {
        "metrics": evaluation.metrics,
        "query": torch.from_numpy(evaluation.query),
        "embeddings": embeddings,
        "masks": masks,
        "alone": torch.from_numpy(embed(model, images[: 3 + rank()])),  # outside, nobody waits for anybody
    }


def main(data_root: str, out: Path) -> None:
    """Keep what this process found, and of two a trained run."""
    if number() > 1:
        train(longer(data_root), out / "run", progress=False)
    found = steps(data_root, out) | looked_at(data_root)
    found |= {"each": each(rank()), "any": [any_of(rank() == 1), any_of(False)]}
    torch.save(found, out / f"{number()}_{rank()}.pt")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
