"""The training loop: schedule, weight averaging, and a run folder that survives a kill.

The weights of the last epochs are averaged with equal weight, and BatchNorm's statistics are then estimated anew:
Izmailov et al., 2018: Averaging Weights Leads to Wider Optima and Better Generalization.

Lesson: notebooks/02_training.ipynb.
"""

from __future__ import annotations

import io
import json
import math
import platform
import shlex
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from scmlib.backbone import wants_channels_last
from scmlib.checkpoints import SHAPES, load_start, model_for, save_model
from scmlib.data.datasets import ReidDataset, check_ready, open_dataset
from scmlib.data.images import to_float
from scmlib.data.loading import Augmentation, PKSampler, RecordImages
from scmlib.errors import BadInput, ran_out
from scmlib.files import write_atomically
from scmlib.losses import SCMLoss, scm_loss
from scmlib.mask_statistics import DEAD, MaskStatistics
from scmlib.run_folder import LOG, SETTINGS, STATE, WEIGHTS, data_facts, read_facts, resume_command
from scmlib.schedule import learning_rate
from scmlib.settings import Settings, as_flag, as_flags


class Diverged(BadInput):
    """A training whose loss isn't finite any more."""


def versions() -> dict[str, str]:
    """What the numbers of a run depend on beside its settings."""
    packages = ("scmlib", "torch", "torchvision", "accelerate", "numpy", "pillow")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


class Trainer:
    """One training run: model, optimiser, average and log, all of it restorable from one file after every epoch.

    Args:
        settings: of the run.
        dataset: its training split is used.
        out: the run folder.

    Raises:
        BadInput: fewer identities than a batch needs, or weights that don't fit.
    """

    def __init__(self, settings: Settings, dataset: ReidDataset, out: Path):
        self.settings, self.out, self.epoch, self.log = settings, out, 0, pd.DataFrame()
        self.accelerator = Accelerator(mixed_precision="fp16" if torch.cuda.is_available() else "no")
        torch.manual_seed(settings.seed)
        model = model_for(settings, dataset.num_classes)
        if settings.weights not in ("", "imagenet"):
            load_start(model, settings.weights)
        if wants_channels_last(model):
            model = model.to(memory_format=torch.channels_last)
        if settings.freeze == "stem":
            model.stem.requires_grad_(False)
        optimizer = torch.optim.SGD(
            (p for p in model.parameters() if p.requires_grad),
            lr=settings.lr,
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            fused=True,
        )
        self.masks = MaskStatistics()  # of the epoch
        self.masked = any(name.startswith("competitive") for name in model.embedding_names)
        self.average = AveragedModel(model, device=self.accelerator.device)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.batches = PKSampler(
            dataset.train, settings.batch_size, settings.instance_num, settings.seed, dataset.layout.satellite
        )
        augment = Augmentation(dataset.layout, settings.image_size)
        images = RecordImages(
            dataset.train, settings.image_size, augment=augment, keep=settings.workers == 0, beside=model.beside
        )
        self.loader = DataLoader(
            images,
            batch_sampler=self.batches,
            num_workers=settings.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )

    def images_and_labels(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch's batches on the device: (B, 3, H, W) in [0, 1] and (B,)."""
        device = self.accelerator.device
        for images, labels in self.loader:
            yield to_float(images.to(device, non_blocking=True)), labels.to(device, non_blocking=True)

    def train_epoch(self, bar: tqdm[Any]) -> None:
        """One epoch, its log row, its share of the average, and the state on disk."""
        s, self.epoch = self.settings, self.epoch + 1
        # All randomness of an epoch follows from its number: a resumed run repeats an unbroken one.
        torch.manual_seed(s.seed * 1_000_003 + self.epoch)
        self.batches.epoch = self.epoch
        rate = learning_rate(self.epoch, lr=s.lr, epochs=s.epochs, ema_ratio=s.ema_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        began, terms, self.masks = time.perf_counter(), [], MaskStatistics()
        self.model.train()
        for images, labels in self.images_and_labels():
            loss = self.step(images, labels)
            terms.append(loss.terms())
            bar.update()
            if len(terms) % 10 == 0 or len(terms) == len(self.loader):
                self.check(float(terms[-1]["loss"]))
                bar.set_postfix_str(f"epoch {self.epoch}/{s.last_epoch}, loss {float(terms[-1]['loss']):.3f}")
        # The last step's update is in no loss yet: look at the weights themselves.
        if not all(parameter.isfinite().all() for parameter in self.model.parameters()):
            self.check(math.nan)
        if s.ema_ratio < 1 and self.epoch >= int(s.epochs[1] * s.ema_ratio):
            self.average.update_parameters(self.accelerator.unwrap_model(self.model))
        means = {name: float(torch.stack([step[name] for step in terms]).mean()) for name in terms[0]}
        row = {"epoch": self.epoch, **means}
        if self.masked:
            row |= self.masks.log_row()
        row |= {"learning_rate": rate, "seconds": time.perf_counter() - began}
        self.log = pd.concat([self.log, pd.DataFrame([row])], ignore_index=True)
        self.save_state()

    def step(self, images: Tensor, labels: Tensor) -> SCMLoss:
        """One optimiser step."""
        s = self.settings
        output = self.model(images)
        self.masks = self.masks.add(output.competitive)
        loss = scm_loss(
            output,
            labels,
            triplet_weight=s.triplet_weight,
            mask_weight=s.mask_weight,
            kernel_size=s.kernel_size,
        )
        self.optimizer.zero_grad()
        self.accelerator.backward(loss.total)
        self.optimizer.step()
        return loss

    def check(self, loss: float) -> None:
        """Stop a run that diverges, before its weights reach the disk."""
        if not math.isfinite(loss):
            kept = f"the state of epoch {self.epoch - 1} is kept in {self.out}" if self.epoch > 1 else "nothing is lost"
            raise Diverged(
                f"The loss became {loss} in epoch {self.epoch}: lower --lr (now {self.settings.lr:g}) and train again; "
                f"{kept}."
            )

    def save_state(self) -> None:
        """Everything that `restore` needs, in one file, then the log as a table."""
        scaler = self.accelerator.scaler
        state = {
            "epoch": self.epoch,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
            "log": self.log.to_dict("list"),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.out / STATE, buffer.getvalue())
        write_atomically(self.out / LOG, self.log.to_csv(index=False).encode())

    def restore(self) -> None:
        """Go on where the run folder's last state stopped.

        Raises:
            BadInput: the file is damaged or belongs to other settings.
        """
        path = self.out / STATE
        try:
            state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
            self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            self.epoch, self.log = int(state["epoch"]), pd.DataFrame(state["log"])
        except Exception as error:  # whatever a damaged file leads to
            if ran_out(error):
                raise
            raise BadInput(
                f"{path} can't be resumed, for it is cut short or damaged: train again with another --out."
            ) from error
        write_atomically(self.out / LOG, self.log.to_csv(index=False).encode())  # a kill may have come between

    def run(self, facts: dict[str, Any], on_epoch: Callable[[pd.DataFrame], None] | None, *, progress: bool) -> None:
        """All epochs that are left, then the final weights.

        Args:
            facts: of the run, for the weights' header.
            on_epoch: called with the log so far after every epoch.
            progress: whether to show progress bars.
        """
        steps = len(self.loader)
        total, done = self.settings.last_epoch * steps, self.epoch * steps
        with tqdm(total=total, initial=done, unit="step", desc="training", disable=not progress) as bar:
            while self.epoch < self.settings.last_epoch:
                self.train_epoch(bar)
                warn_of_dead_parts(self.log)
                if on_epoch:
                    on_epoch(self.log)
        self.finish(facts, progress=progress)

    def finish(self, facts: dict[str, Any], *, progress: bool) -> None:
        """Final weights: the average with re-estimated BatchNorm statistics, or the last ones without averaging."""
        model = self.accelerator.unwrap_model(self.model)
        if self.settings.ema_ratio < 1:
            torch.manual_seed(self.settings.seed)
            self.batches.epoch = self.settings.last_epoch + 1
            batches = (images for images, _ in self.images_and_labels())
            label = "BatchNorm statistics"
            update_bn(
                tqdm(batches, label, len(self.loader), unit="batch", leave=False, disable=not progress), self.average
            )
            model = self.average.module
        save_model(self.out / WEIGHTS, model.eval(), facts)


def train(
    settings: Settings,
    out: str | Path,
    *,
    resume: bool = False,
    dataset: ReidDataset | None = None,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
    progress: bool = True,
) -> Path:
    """Train SCM and write a run folder.

    The folder holds `settings.json` (resolved settings, versions, data), `log.csv` (a row an epoch: every loss term,
    what the masks do, learning rate, seconds), `state.pt` (for resuming) and `model.safetensors` (final weights).

    Args:
        settings: see `recipe`.
        out: the run folder.
        resume: go on from `state.pt` if it is there; only where the data lie and who reads them may then differ.
        dataset: opened already; else `settings` says which.
        on_epoch: called with the log so far after every epoch.
        progress: whether to show progress bars.

    Returns:
        The run folder.

    Raises:
        BadInput: bad data or settings, a run in the folder already, a loss that isn't finite, or no memory left.
    """
    out = Path(out)
    begun = (out / STATE).exists()
    if begun and not resume:
        raise BadInput(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    earlier = check_settings(out, settings) if begun else {}
    dataset = dataset or open_dataset(settings.dataset, settings.dataset_root)
    check_ready(dataset)
    data = data_facts(dataset, out)
    facts = {"settings": settings.as_dict(), "classes": dataset.num_classes, "data": data, "versions": versions()}
    if begun:
        check_data(out, earlier, data)
        facts |= {"versions": earlier["versions"], "resumed_with": versions()}
    with explain_shortage(settings, out):
        trainer = Trainer(replace(settings, weights="") if begun else settings, dataset, out)
        if begun:
            trainer.restore()
        write_atomically(out / SETTINGS, json.dumps(facts, indent=2).encode())
        trainer.run(facts, on_epoch, progress=progress)
    return out


@contextmanager
def explain_shortage(settings: Settings, out: Path) -> Iterator[None]:
    """Turn what torch and the system say when memory ends into what to do about it, and what is kept.

    Raises:
        BadInput: memory ran out, or the system killed a process that reads images.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        what = ran_out(error)
        if not what:
            raise
        reading = "process" in what
        flag = f"--workers (now {settings.workers})" if reading else f"--batch-size (now {settings.batch_size})"
        if not (out / STATE).exists():
            way_out = f"give a smaller {flag}; no epoch was finished, so nothing is kept"
        elif reading:
            way_out = f"the last epoch's state is kept; go on with `{resume_command(out)}` and a smaller {flag}"
        else:
            way_out = (
                f"the last epoch's state is kept; free memory and go on with `{resume_command(out)}`, or train anew "
                f"with a smaller {flag} and another --out"
            )
        raise BadInput(f"{what.capitalize()}: {way_out}.") from error


def warn_of_dead_parts(log: pd.DataFrame) -> None:
    """Warn of a part whose mask is zero nearly everywhere in the last epoch, if it wasn't in the one before.

    Args:
        log: rows of epochs.
    """
    zeros = log.filter(regex="^zero_")
    before, now = (zeros.shift(1, fill_value=0.0) > DEAD).iloc[-1], (zeros > DEAD).iloc[-1]
    for name in zeros.columns[now & ~before]:
        part = name.removeprefix("zero_")
        warnings.warn(
            f"The mask of part {part} is zero in {zeros[name].iloc[-1]:.1%} of all cells of epoch "
            f"{log['epoch'].iloc[-1]}: the part is dead. If it stays so, lower --lr or --mask-weight.",
            stacklevel=2,
        )


def check_settings(out: Path, settings: Settings) -> dict[str, Any]:
    """Refuse to resume with settings that would give another run; where the data lie and who reads them may differ.

    Returns:
        The facts that the run began with, see `read_facts`.

    Raises:
        BadInput: the flags that differ, and the command of a new run that starts from the old one's weights.
    """
    facts = read_facts(out)
    earlier: Settings = facts["settings"]
    free = ("dataset_root", "workers")
    names = [
        name for name in earlier.as_dict() if name not in free and getattr(earlier, name) != getattr(settings, name)
    ]
    if not names:
        return facts
    began, asked = (" ".join(part for name in names for part in as_flag(name, of)) for of in (earlier, settings))
    offer = ""
    if not SHAPES.keys() & set(names):
        new = next(path for n in count(2) if not (path := out.with_name(f"{out.name}-{n}")).exists())
        start = [*as_flags(replace(settings, weights=str(out))), "--out", str(new)]
        finished = "" if (out / WEIGHTS).exists() else ", once this one is finished"
        offer = f", or start a new run from its weights{finished}: `{shlex.join(['scm', 'train', *start])}`"
    raise BadInput(
        f"{out} was trained with {began}, not {asked}: it can't be resumed so; leave the flags out to go on as it "
        f"began{offer}."
    )


def check_data(out: Path, earlier: dict[str, Any], data: dict[str, Any]) -> None:
    """Refuse to resume with other training images.

    Args:
        out: the run folder.
        earlier: the facts that the run began with.
        data: what is there now, see `data_facts`.

    Raises:
        BadInput: the images aren't those that the run began with.
    """
    began = earlier.get("data")
    if isinstance(began, dict) and began.get("train_digest") != data["train_digest"]:
        raise BadInput(f"{out} was trained on other files than {data['root']} holds: it can't be resumed.")
