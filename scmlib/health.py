"""What goes wrong in a training or a model without an error: noticed, with its likely cause and the way out."""

from __future__ import annotations

import warnings

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmlib.errors import BadInput

DEAD = 0.99  # a mask that is zero in a larger share of all cells shows next to nothing; one with a larger mean hides it

ALIKE = 0.999  # mean similarity of different pictures' embeddings, from which on they tell next to nothing apart

LEAST_SCALE = 1e-4  # fp16 multiplies the loss by 65536 at first and halves that at each overflow: 30 of them


class Diverged(BadInput):
    """A training whose numbers aren't finite any more."""


def is_finite(model: nn.Module) -> bool:
    """Whether all weights and statistics of a model are finite."""
    return all(bool(values.isfinite().all()) for values in (*model.parameters(), *model.buffers()))


def similarity(embeddings: Tensor) -> float:
    """Mean cosine similarity of two different pictures.

    Args:
        embeddings: (N, D), two at least.
    """
    unit = F.normalize(embeddings.double(), dim=1)
    n = len(unit)
    return float((unit.sum(0).square().sum() - n) / (n * (n - 1)))


def is_collapsed(embeddings: Tensor) -> bool:
    """Whether the embeddings (N, D) of different pictures are nearly the same; of many, about 1,000 are looked at."""
    return len(embeddings) > 1 and similarity(embeddings[:: len(embeddings) // 1000 + 1]) > ALIKE


def warn_of_collapse(where: str) -> None:
    """Warn of embeddings that are nearly the same.

    Args:
        where: whose they are, e.g. `of epoch 3`.
    """
    warnings.warn(
        f"The embeddings {where} are nearly the same for all pictures: the model tells nobody apart. It is untrained "
        "or collapsed: train again with a lower --lr, or with a lower --triplet-weight.",
        stacklevel=3,
    )


def warn_of_parts(log: pd.DataFrame) -> None:
    """Warn of a part whose mask is zero, or one, nearly everywhere in the last epoch, if it wasn't in the one before.

    Args:
        log: rows of epochs.
    """
    kinds = (
        ("zero", "zero in {:.1%} of all cells", "the part is dead", "lower --lr or --mask-weight"),
        ("mass", "one nearly everywhere (mean {:.3f})", "it hides nothing", "lower --lr, or raise --mask-weight"),
    )
    for column, what, so, way_out in kinds:
        shares = log.filter(regex=f"^{column}_")
        before, now = (shares.shift(1, fill_value=0.0) > DEAD).iloc[-1], (shares > DEAD).iloc[-1]
        for name in shares.columns[now & ~before]:
            warnings.warn(
                f"The mask of part {name.partition('_')[2]} is {what.format(shares[name].iloc[-1])} in epoch "
                f"{log['epoch'].iloc[-1]}: {so}. If it stays so, {way_out}.",
                stacklevel=2,
            )


def warn_of_skipped(skipped: int, steps: int, epoch: int) -> None:
    """Warn of an epoch in which fp16 left more than half of the steps out."""
    if 2 * skipped > steps:
        warnings.warn(
            f"{skipped} of the {steps} steps of epoch {epoch} were skipped, since their gradients were too large for "
            "fp16: lower --lr if it goes on.",
            stacklevel=2,
        )


def mean_of_finite(values: list[Tensor]) -> float:
    """Mean of scalars; those of steps that fp16 skipped may not be finite and are left out."""
    stacked = torch.stack(values)
    return float(stacked[stacked.isfinite()].mean())
