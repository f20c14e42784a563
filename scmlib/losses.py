"""The training loss: identity cross-entropy, batch-hard triplets and the overlap of the competitive masks.

Sources: the SCM paper's released code (terms and weights); Hermans, Beyer and Leibe, 2017: In Defense of the
Triplet Loss for Person Re-Identification (batch-hard mining, soft margin).

Lesson: notebooks/03_training.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.mask import overlap
from scmlib.model import SCMOutput


class SCMLoss(NamedTuple):
    """The total and its terms, before their weights."""

    total: Tensor  # scalar
    cross_entropy: Tensor  # (3 + P,)
    triplet: Tensor  # (2,): global mean and cooperative mean embeddings
    overlap: Tensor  # scalar, summed over batch and cells

    def terms(self) -> dict[str, Tensor]:
        """Every term by the name that a run's log gives it, without gradient."""
        named = {"loss": self.total}
        named |= {f"cross_entropy_{i}": term for i, term in enumerate(self.cross_entropy)}
        named |= {f"triplet_{i}": term for i, term in enumerate(self.triplet)} | {"overlap": self.overlap}
        return {name: term.detach() for name, term in named.items()}


def batch_hard_triplet(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Soft-margin triplet loss on the hardest pairs of a batch (Hermans et al., 2017).

    Args:
        embeddings: (B, D), any length; L2-normalised here.
        targets: (B,) identities.

    Returns:
        Mean over anchors of softplus(farthest positive - nearest negative); the anchor counts among its positives.
    """
    unit = F.normalize(embeddings, dim=1)
    square = unit.square().sum(1)
    distance = (square[:, None] + square - 2 * unit @ unit.T).clamp(min=1e-12).sqrt()  # (B, B)
    same = targets[:, None] == targets
    positive = distance.masked_fill(~same, -torch.inf).amax(1)
    negative = distance.masked_fill(same, torch.inf).amin(1)
    return F.softplus(positive - negative).mean()


def scm_loss(
    output: SCMOutput,
    targets: Tensor,
    *,
    triplet_weight: float = 1.0,
    mask_weight: float = 3e-3,
    kernel_size: int = 4,
    triplet_loss: Callable[[Tensor, Tensor], Tensor] = batch_hard_triplet,
) -> SCMLoss:
    """The paper's loss: a weighted *mean* over all terms, so with more terms each counts for less.

    Args:
        output: what the model gave.
        targets: (B,) training labels.
        triplet_weight: weight of each of the two triplet terms.
        mask_weight: weight of the overlap, which is summed over the batch: set it for the batch size.
        kernel_size: pooling window of the overlap, in cells.
        triplet_loss: of embeddings (B, D) and identities (B,).
    """
    # Distances lose their small digits in half precision.
    embeddings = output.embeddings.float() if output.embeddings.dtype != torch.float64 else output.embeddings
    cross_entropy = torch.stack([F.cross_entropy(x, targets) for x in output.logits.unbind(1)])
    triplet = torch.stack([triplet_loss(embeddings[:, i], targets) for i in (0, 1)])
    shared = overlap(output.competitive, kernel_size)
    weights = len(cross_entropy) + len(triplet) * triplet_weight + mask_weight
    total = (cross_entropy.sum() + triplet_weight * triplet.sum() + mask_weight * shared) / weights
    return SCMLoss(total, cross_entropy, triplet, shared)
