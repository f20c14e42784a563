"""The network at work: embedding against plain passes, a training step against the plain loop.

The baselines are what the method's description leads to when it is written down without a thought of speed: torch's
default memory layout, a loop over embeddings and pairs of parts, and torch's optimiser as it comes.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.backbone import wants_channels_last
from scmlib.inference import embed
from scmlib.losses import batch_hard_triplet, scm_loss
from scmlib.model import SCM, SCMOutput
from scmlib.variants import build_model
from tests.benchmarks.harness import Growth, Job, Work

NET, CLASSES, SIZE = "regnet_y_800mf", 702, (384, 128)


def embedding(images: int) -> tuple[Job, Job]:
    """`embed`, and one plain pass of the images and one of their mirror images."""
    torch.manual_seed(0)
    model, pictures = build_model(NET, CLASSES).eval(), torch.rand(images, 3, *SIZE)

    @torch.no_grad()
    def plain() -> Tensor:
        raw: Tensor = model(pictures).embeddings + model(pictures.flip(3)).embeddings
        return F.normalize(raw.flatten(1), dim=1)

    return lambda: embed(model, pictures), plain


def plain_loss(output: SCMOutput, labels: Tensor, triplet_weight: float, mask_weight: float, kernel: int) -> Tensor:
    """The loss, term by term."""
    terms = [F.cross_entropy(output.logits[:, i], labels) for i in range(output.logits.shape[1])]
    count = float(len(terms))
    for i in (0, 1):
        terms.append(triplet_weight * batch_hard_triplet(output.embeddings[:, i], labels))
        count += triplet_weight
    pooled = [F.max_pool2d(mask, kernel) for mask in output.competitive.split(1, dim=1)]
    shared = sum(((a * b).sum() for a, b in combinations(pooled, 2)), torch.zeros(())) / len(pooled)
    return (sum(terms, torch.zeros(())) + mask_weight * shared) / (count + mask_weight)


def sgd(model: SCM, *, fused: bool | None = None) -> torch.optim.SGD:
    """The optimiser of the method; torch chooses its form unless told."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=fused)


def step_of(batch: int, size: tuple[int, int]) -> Job:
    """One training step as `Trainer` does it, on random pictures."""
    torch.manual_seed(0)
    images, labels = torch.rand(batch, 3, *size), torch.arange(batch) // 4
    model = build_model(NET, CLASSES, image_size=size, erasing=0.4).train()
    if wants_channels_last(model):
        model = model.to(memory_format=torch.channels_last)
    optimizer = sgd(model, fused=True)

    def step() -> None:
        loss = scm_loss(model(images), labels, kernel_size=1).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def plain_step_of(batch: int, size: tuple[int, int]) -> Job:
    """The same step by the plain loop."""
    torch.manual_seed(0)
    images, labels = torch.rand(batch, 3, *size), torch.arange(batch) // 4
    model = build_model(NET, CLASSES, image_size=size, erasing=0.4).train()
    optimizer = sgd(model)

    def step() -> None:
        loss = plain_loss(model(images), labels, 1.0, 3e-3, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def training(batch: int) -> tuple[Job, Job]:
    """One step of ours and one of the plain loop, from the same weights and on the same batch."""
    return step_of(batch, SIZE), plain_step_of(batch, SIZE)


def fixed_costs(batch: int) -> tuple[Job, Job]:
    """A step on pictures so small that Python and the starting of operations are all that is left, and a true one."""
    return step_of(4, (64, 32)), step_of(batch, SIZE)


def embedding_of(images: int) -> Job:
    """`embed` of so many pictures."""
    return embedding(images)[0]


def epoch_of(steps: int) -> Job:
    """So many training steps."""
    step = step_of(8, SIZE)
    return lambda: [step() for _ in range(steps)]


WORKS = [
    Work(
        "embed", f"48 images, 384 x 128, {NET}", partial(embedding, 48), "at most 0.62 x (1.6 times as fast), aim 0.5"
    ),
    Work("training step", f"batch 24, 384 x 128, {NET}", partial(training, 24), "at most 0.71 x (1.4), aim 0.62 (1.6)"),
    Work("fixed costs of a step, of the whole", f"batch 24, 384 x 128, {NET}", partial(fixed_costs, 24), "under 0.03"),
]

GROWTHS = [
    Growth("embed, against images", [16, 32, 64, 128], embedding_of),
    Growth("training, against steps of 8 images", [1, 2, 4, 8], epoch_of),
]
