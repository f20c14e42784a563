"""A training put together from pieces, so that a learner's own can stand in it: the loop of `scmlib.training`, to read.

It leaves out what a lesson doesn't need: averaging of weights, run folders, resuming, half precision, other processes.
What it computes is the same, and runs on the CPU.

Sources: Sutskever and others, 2013: On the Importance of Initialization and Momentum in Deep Learning (Nesterov's
momentum as torch has it); Hermans, Beyer and Leibe, 2017: In Defense of the Triplet Loss (P x K batches).

Lesson: notebooks/03_training.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from scmlib.backbone import wants_channels_last
from scmlib.checkpoints import model_for
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import to_float
from scmlib.data.loading import Augmentation, RecordImages
from scmlib.losses import batch_hard_triplet, scm_loss
from scmlib.mask import PartAffinity, clamp_unit, striped_prior
from scmlib.model import SCM, SCMOutput, masked_pools
from scmlib.schedule import learning_rate
from scmlib.settings import QUICK, Settings, recipe

Labels = NDArray[np.int64]
OnEpoch = Callable[[SCM, pd.DataFrame], object]  # gets the model and the log so far


def pk_batch(labels: Labels, P: int, K: int, rng: np.random.Generator) -> list[int]:
    """Positions of a batch: K pictures of each of P people, drawn at random; repeated for people who have fewer."""
    people = rng.choice(np.unique(labels), P, replace=False)
    groups = [np.flatnonzero(labels == who) for who in people]
    return [int(i) for group in groups for i in rng.choice(group, K, replace=len(group) < K)]


def rate(epoch: int, peak: float, warm_up: int, last: int, ema_ratio: float) -> float:
    """The learning rate of an epoch: `learning_rate` with its arguments in a row."""
    return learning_rate(epoch, lr=peak, epochs=(warm_up, last), ema_ratio=ema_ratio)


def training_step(
    loss: Tensor,
    weights: Sequence[Tensor],
    velocities: Sequence[Tensor],
    rate: float,
    momentum: float = 0.9,
    decay: float = 5e-4,
) -> None:
    """One step of SGD with weight decay and Nesterov's momentum: weights and velocities change in place.

    Args:
        loss: a scalar that hangs on the weights.
        weights: that take a gradient.
        velocities: of the same shapes; zeros before the first step.
        rate: the learning rate.
        momentum: what a step keeps of the velocity.
        decay: of the weights.
    """
    gradients = torch.autograd.grad(loss, list(weights))
    with torch.no_grad():
        for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
            pull = gradient + decay * weight
            velocity.mul_(momentum).add_(pull)
            weight.sub_(rate * (pull + momentum * velocity))


def stripes(parts: int, height: int, width: int) -> Tensor:
    """(parts, height, width): `striped_prior`, each part blind to one stripe."""
    return striped_prior(parts, height, width, 1)[0]


class Pieces(NamedTuple):
    """What a training is made of, by the names that the course's exercises have; each default is the library's."""

    pk_batch: Callable[[Labels, int, int, np.random.Generator], Sequence[int]] = pk_batch
    PartAffinity: Callable[[int], nn.Module] = PartAffinity
    striped_prior: Callable[[int, int, int], Tensor] = stripes
    clamp_unit: Callable[[Tensor], Tensor] = clamp_unit
    masked_pools: Callable[[Tensor, Tensor, Tensor, Tensor], list[Tensor]] = masked_pools
    triplet_loss: Callable[[Tensor, Tensor], Tensor] = batch_hard_triplet
    training_step: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor], float], object] = training_step
    rate: Callable[[int, float, int, int, float], float] = rate


def few_people(data: ReidDataset, people: int, instances: int) -> ReidDataset:
    """So many people of each half of a data set: to train on, those with the most pictures; to test, the first ones.

    Args:
        data: any data set.
        people: of each half, or as many as there are.
        instances: pictures of a person in a batch; people with fewer come last.
    """
    counts = np.bincount([record.label for record in data.train])
    chosen = np.sort(np.argsort(-np.minimum(counts, instances), kind="stable")[:people])
    label = {int(old): new for new, old in enumerate(chosen)}
    train = [replace(record, label=label[record.label]) for record in data.train if record.label in label]
    tested = set(sorted({record.identity for record in data.query})[:people])
    query = [record for record in data.query if record.identity in tested]
    same = data.query is data.gallery
    gallery = query if same else [record for record in data.gallery if record.identity in tested]
    return replace(data, train=train, query=query, gallery=gallery)


def few_settings(data: ReidDataset, *, quick: bool) -> Settings:
    """The laptop recipe for a training of half a minute on a few people.

    Args:
        data: what it is trained on.
        quick: seconds instead, to see that everything works.
    """
    brief: dict[str, Any] = {"batch_size": 32, "epochs": (1, 10), "ema_extra": 0} | (QUICK if quick else {})
    settings = replace(recipe("synthetic", "regnet_y_tiny"), ema_ratio=1.0, **brief)
    return replace(settings, batch_size=min(settings.batch_size, data.num_classes * settings.instance_num))


def with_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor | None]:
    """A function that says what a loss gives for embeddings (B, D) and labels (B,): its value, its gradient's length.

    Nothing where the loss gives nothing.

    Raises:
        ValueError: the loss isn't one number, or torch can't follow it back to the embeddings.
    """

    def value_and_gradient(embeddings: Tensor, labels: Tensor) -> Tensor | None:
        x = embeddings.clone().requires_grad_()
        value = loss(x, labels)
        if value is None:
            return None
        if not (isinstance(value, Tensor) and value.requires_grad):
            raise ValueError("the result has no gradient: use torch's functions all the way")
        if value.ndim:
            raise ValueError(f"the result has the shape {tuple(value.shape)}: take the mean over the anchors")
        (gradient,) = torch.autograd.grad(value, x)
        return torch.stack([value.detach(), gradient.norm()])

    return value_and_gradient


def with_movement(step: Callable[..., object]) -> Callable[..., Tensor]:
    """A function that says how far a training step moves the weights of a linear regression.

    It takes inputs (N, D), targets (N,), the learning rate of each step and, if not the step's own, momentum and decay.
    It gives the movement (D + 1,) of the weights and, last, of the constant, which is a tensor of its own; all begin
    at 1.

    Raises:
        ValueError: the weights stay where they are, as those of a stub do.
    """

    def movement(inputs: Tensor, targets: Tensor, rates: Sequence[float], *momentum_and_decay: float) -> Tensor:
        weights = [torch.ones(size, requires_grad=True) for size in (inputs.shape[1], 1)]
        velocities = [torch.zeros_like(weight) for weight in weights]
        for rate in rates:
            loss = (inputs @ weights[0] + weights[1] - targets).square().mean()
            step(loss, weights, velocities, rate, *momentum_and_decay)
        moved = torch.cat(weights).detach() - 1
        if not moved.any():
            raise ValueError("the weights stay where they were: write your lines, and change the weights in place")
        return moved

    return movement


def through_a_stop(
    snapshot: Callable[[nn.Module, torch.optim.Optimizer], dict[str, Any] | None],
) -> Callable[[int, int, int], Tensor | None]:
    """A function that says what becomes of a little training that is stopped and goes on from a snapshot.

    It takes numbers of steps (before the snapshot, after it and lost, after the new start) and gives the final weights
    (3,); nothing where the snapshot is nothing. What a snapshot doesn't hold starts anew.
    """

    def fresh(seed: int) -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        model = nn.Linear(3, 1, bias=False)
        return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def go_on(model: nn.Linear, optimizer: torch.optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            inputs = torch.randn(4, 3)
            loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def weights(before: int, lost: int, after: int) -> Tensor | None:
        model, optimizer = fresh(0)
        go_on(model, optimizer, before)
        kept = snapshot(model, optimizer)
        if not isinstance(kept, dict):
            return None
        go_on(model, optimizer, lost)
        model, optimizer = fresh(1)
        model.load_state_dict(kept.get("model", model.state_dict()))
        optimizer.load_state_dict(kept.get("optimizer", optimizer.state_dict()))
        torch.set_rng_state(kept.get("random", torch.get_rng_state()))
        go_on(model, optimizer, after)
        return model.weight.detach()[0]

    return weights


@contextmanager
def computing(threads: int = 1, onednn: bool = True) -> Iterator[None]:
    """Inside, torch computes on so many threads of the CPU, and with oneDNN's routines or with its own alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        enabled = onednn and bool(torch.backends.mkldnn.enabled)
        with torch.backends.mkldnn.flags(enabled, allow_tf32=None):  # setting it warns: TF32 is for Intel's GPUs alone
            yield
    finally:
        torch.set_num_threads(before)


def assemble(pieces: Pieces, settings: Settings, classes: int) -> SCM:
    """A fresh model that holds the pieces' affinity and prior."""
    torch.manual_seed(settings.seed)
    model = model_for(settings, classes)
    model.scm.att = pieces.PartAffinity(settings.num_part)  # type: ignore[assignment]
    with torch.no_grad():
        model.scm.learnable_masks.copy_(pieces.striped_prior(settings.num_part, *model.config.grid))
    return model.to(memory_format=torch.channels_last) if wants_channels_last(model) else model


def forward(pieces: Pieces, model: SCM, images: Tensor) -> SCMOutput:
    """What the model gives for images (B, 3, H, W) in [0, 1], with the pieces' clamp and pooling."""
    x1, x2 = model.branches(model.erase(images))
    maps = model.scm.read_out(model.scm.att(model.scm.part_vectors(x2)))
    competitive = pieces.clamp_unit(maps * model.scm.learnable_masks)
    cooperative = competitive.sum(1, keepdim=True)
    return model.read_out(pieces.masked_pools(x1, x2, competitive, cooperative), competitive, cooperative)


def train_pieces(
    pieces: Pieces, settings: Settings, data: ReidDataset, on_epoch: OnEpoch | None = None, label: str = ""
) -> tuple[SCM, pd.DataFrame]:
    """Train with the pieces.

    Args:
        pieces: the library's, or a learner's.
        settings: of the training; it ends at epoch `settings.epochs[1]`.
        data: its training split.
        on_epoch: called before the first epoch, with an empty log, and after every epoch.
        label: of a progress bar; none if empty.

    Returns:
        The model, and a log: epoch, learning rate and the mean of every loss term.
    """
    s, P, K = settings, settings.batch_size // settings.instance_num, settings.instance_num
    model, rng = assemble(pieces, s, data.num_classes).train(), np.random.default_rng(s.seed)
    images = RecordImages(data.train, s.image_size, augment=Augmentation(data.layout, s.image_size), keep=True)
    labels = np.array([record.label for record in data.train])
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    velocities, log = [torch.zeros_like(weight) for weight in weights], pd.DataFrame()
    weighing: dict[str, Any] = {name: getattr(s, name) for name in ("triplet_weight", "mask_weight", "kernel_size")}
    if on_epoch:
        on_epoch(model, log)
    for epoch in tqdm(range(1, s.epochs[1] + 1), label, unit="epoch", disable=not label):
        torch.manual_seed(s.seed * 1_000_003 + epoch)  # whatever `on_epoch` drew
        lr, terms = pieces.rate(epoch, s.lr, *s.epochs, s.ema_ratio), []
        for _ in range(max(1, len(labels) // (P * K))):
            batch = list(pieces.pk_batch(labels, P, K, rng))
            pictures = to_float(torch.stack([images[i][0] for i in batch]))  # (B, 3, H, W)
            output = forward(pieces, model.train(), pictures)
            loss = scm_loss(output, torch.from_numpy(labels[batch]), triplet_loss=pieces.triplet_loss, **weighing)
            pieces.training_step(loss.total, weights, velocities, lr)
            terms.append(loss.terms())
        means = {name: float(torch.stack([step[name] for step in terms]).mean()) for name in terms[0]}
        log = pd.concat([log, pd.DataFrame([{"epoch": epoch, "learning_rate": lr, **means}])], ignore_index=True)
        if on_epoch:
            on_epoch(model, log)
    return model.eval(), log
