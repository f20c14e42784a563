"""The training loop: schedule, weight averaging, and a run folder that survives a kill.

The weights of the last epochs are averaged with equal weight, and BatchNorm's statistics are then estimated anew:
Izmailov et al., 2018: Averaging Weights Leads to Wider Optima and Better Generalization.

Lesson: notebooks/03_training.ipynb.
"""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import shlex
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from scmlib.backbone import wants_channels_last
from scmlib.checkpoints import SHAPES, load_start, load_training, model_for, save_model, save_training
from scmlib.data.datasets import ReidDataset, check_ready, open_dataset, without
from scmlib.data.images import to_float
from scmlib.data.inspection import broken_images, some
from scmlib.data.loading import Augmentation, PKSampler, RecordImages
from scmlib.errors import BadImage, BadInput, ran_out
from scmlib.files import remove_drafts, write_atomically
from scmlib.health import (
    LEAST_SCALE,
    Diverged,
    is_collapsed,
    is_finite,
    mean_of_finite,
    warn_of_collapse,
    warn_of_parts,
    warn_of_skipped,
)
from scmlib.launch import first, is_lost, number, rank
from scmlib.losses import SCMLoss, scm_loss
from scmlib.mask_statistics import MaskStatistics
from scmlib.model import SCMOutput
from scmlib.processes import any_of, connect, each, gathered, on_cpu
from scmlib.run_folder import LOG, SETTINGS, WEIGHTS, begun, data_facts, read_facts, resume_command
from scmlib.schedule import learning_rate
from scmlib.settings import Settings, as_flag, as_flags


def versions() -> dict[str, str]:
    """What the numbers of a run depend on beside its settings."""
    packages = ("scmlib", "torch", "torchvision", "accelerate", "numpy", "pillow")
    git = {"git": commit} if (commit := git_state(Path(__file__).parent)) else {}
    return {"python": platform.python_version(), **{name: version(name) for name in packages}, **git}


def git_state(folder: Path) -> str:
    """The commit that a folder of code is at, `-dirty` if changed since; empty where git doesn't track it."""

    def asked(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        asked("ls-files", "--error-unmatch", ".")  # else the folder may only lie inside somebody's repository
        return asked("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextmanager
def stop_noted() -> Iterator[threading.Event]:
    """Inside, Ctrl-C and SIGTERM set the event that this gives, so that a step can end first; a second stops at once.

    One of several processes notes all of them: torchrun sends them on, again where the terminal has sent them already.
    """
    asked = threading.Event()
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread() or before[signal.SIGINT] == signal.SIG_IGN:
        yield asked  # Python hands signals to the main thread alone, and an ignored one stays ignored
        return

    def note(*_: object) -> None:
        asked.set()
        if number() == 1:
            put_back()

    def put_back() -> None:
        for name, handler in before.items():
            signal.signal(name, handler)

    for name in before:
        signal.signal(name, note)
    try:
        yield asked
    finally:
        put_back()


def accelerator(precision: str) -> Accelerator:
    """Accelerate for a run's `precision`.

    Raises:
        BadInput: fp16 without a GPU.
    """
    gpu = torch.cuda.is_available()
    if precision == "fp16" and not gpu:
        raise BadInput("--precision fp16 needs a GPU: take bf16 or fp32.")
    mixed = {"auto": "fp16" if gpu else "no", "fp32": "no"}.get(precision, precision)
    # Accelerate keeps one state a process, and refuses another precision than that of the run before.
    if AcceleratorState._shared_state.get("_mixed_precision", mixed) != mixed:
        AcceleratorState._reset_state()
    return Accelerator(cpu=on_cpu(), mixed_precision=mixed)


def quickest_precision() -> str:
    """The `precision` that trains quickest here: bf16 on a processor that computes in it, else auto."""
    return "bf16" if not torch.cuda.is_available() and torch.cpu._is_avx512_bf16_supported() else "auto"


def seed_process(seed: int) -> None:
    """Seed torch; of several processes, each for numbers of its own."""
    torch.manual_seed(seed + (rank() << 40))


class Trainer:
    """One training run: model, optimiser, average and log, all of it restorable from one file.

    The file is written after every epoch, and after the step in which Ctrl-C or SIGTERM came. Several processes share
    every batch out by identities and step as one would with the whole batch, but for BatchNorm on CPUs, see the README.

    Args:
        settings: of the run.
        dataset: its training split is used.
        out: the run folder.

    Raises:
        BadInput: fewer identities than a batch needs, or weights that don't fit.
    """

    def __init__(self, settings: Settings, dataset: ReidDataset, out: Path):
        self.settings, self.out, self.epoch, self.log = settings, out, 0, pd.DataFrame()
        self.terms: list[dict[str, Tensor]] = []  # of the epoch's steps so far
        self.seconds = 0.0  # of the epoch, before it was stopped
        self.skipped = 0  # steps of the epoch that fp16 left out
        self.scale = 0.0  # fp16's factor of the loss when it was last looked at
        self.embeddings = torch.zeros(0)  # of the last step, (B, (3 + P) * D)
        self.collapsed = False  # whether those of the last epoch's last step were all alike
        self.random: dict[str, Tensor] = {}  # states of the generators after the last of these steps, where it stopped
        connect()
        self.accelerator = accelerator(settings.precision)
        torch.manual_seed(settings.seed)
        model = model_for(settings, dataset.num_classes)
        if settings.weights not in ("", "imagenet"):
            load_start(model, settings.weights)
        if wants_channels_last(model):
            model = model.to(memory_format=torch.channels_last)
        if settings.freeze == "stem":
            model.stem.requires_grad_(False)
        if number() > 1 and not on_cpu():  # torch has it for GPUs alone; CPUs keep statistics of their own images
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
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
        if self.accelerator.scaler:
            self.scale = self.accelerator.scaler.get_scale()
        self.batches = PKSampler(
            dataset.train,
            settings.batch_size,
            settings.instance_num,
            settings.seed,
            dataset.layout.satellite,
            process=rank(),
            processes=number(),
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

    def images_and_labels(self, done: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch's batches on the device: (B, 3, H, W) in [0, 1] and (B,); the first `done` are passed over."""
        device, batches = self.accelerator.device, iter(self.loader)
        for _ in range(done):
            next(batches)
        if done:
            torch.set_rng_state(self.random["cpu"].cpu())
            if "cuda" in self.random:
                torch.cuda.set_rng_state(self.random["cuda"].cpu())
        for images, labels in batches:
            yield to_float(images.to(device, non_blocking=True)), labels.to(device, non_blocking=True)

    def train_epoch(self, bar: tqdm[Any], stop: threading.Event) -> None:
        """One epoch, or the rest of one: its log row, its share of the average, and the state on disk.

        Raises:
            KeyboardInterrupt: `stop` was set; the state after the last step is on disk.
        """
        s, self.epoch = self.settings, self.epoch + 1
        # All randomness of an epoch follows from its number: a resumed run repeats an unbroken one.
        seed_process(s.seed * 1_000_003 + self.epoch)
        self.batches.epoch = self.epoch
        rate = learning_rate(self.epoch, lr=s.lr, epochs=s.epochs, ema_ratio=s.ema_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        began, terms = time.perf_counter() - self.seconds, self.terms
        self.model.train()
        for images, labels in self.images_and_labels(len(terms)):
            loss = self.step(images, labels)
            terms.append(loss.terms())
            bar.update()
            if len(terms) % 10 == 0 or len(terms) == len(self.loader):
                self.check(float(terms[-1]["loss"]))
                bar.set_postfix_str(f"epoch {self.epoch}/{s.last_epoch}, loss {float(terms[-1]['loss']):.3f}")
            if any_of(stop.is_set()):
                self.seconds = time.perf_counter() - began
                self.check(float(terms[-1]["loss"]))
                self.save_state(within=True)
                raise KeyboardInterrupt(f"the state after this step is kept; go on with `{resume_command(self.out)}`")
        self.check_weights()
        if s.ema_ratio < 1 and self.epoch >= int(s.epochs[1] * s.ema_ratio):
            self.average.update_parameters(self.accelerator.unwrap_model(self.model))
        means = {name: mean_of_finite([step[name] for step in terms]) for name in terms[0]}
        row = {"epoch": self.epoch, **means}
        if self.masked:
            row |= self.masks.log_row()
        if self.accelerator.scaler:
            row["skipped"] = self.skipped
        row |= {"learning_rate": rate, "seconds": time.perf_counter() - began}
        self.log = pd.concat([self.log, pd.DataFrame([row])], ignore_index=True)
        self.warn(len(terms))
        self.terms, self.seconds, self.masks, self.skipped = [], 0.0, MaskStatistics(), 0
        self.save_state()

    def warn(self, steps: int) -> None:
        """Warn of what went wrong in an epoch of so many steps, once while it lasts."""
        before, self.collapsed = self.collapsed, is_collapsed(self.embeddings)
        if not first():
            return
        if self.settings.variant != "uniform":  # whose masks are ones by intent
            warn_of_parts(self.log)
        warn_of_skipped(self.skipped, steps, self.epoch)
        if self.collapsed and not before:
            warn_of_collapse(f"of epoch {self.epoch}")

    def step(self, images: Tensor, labels: Tensor) -> SCMLoss:
        """One optimiser step."""
        s = self.settings
        # Every process computes the loss of the whole batch, whose gradient goes through the process's own rows alone.
        # The whole gradient is the sum of theirs; Accelerate's wrapper takes the mean.
        output, labels = SCMOutput(*map(gathered, self.model(images))), gathered(labels)
        self.masks = self.masks.add(output.competitive)
        self.embeddings = output.embeddings.detach().flatten(1)
        loss = scm_loss(
            output,
            labels,
            triplet_weight=s.triplet_weight,
            mask_weight=s.mask_weight,
            kernel_size=s.kernel_size,
        )
        total, extra = loss.total * number(), self.accelerator.unwrap_model(self.model).extra_loss()
        self.optimizer.zero_grad()
        self.accelerator.backward(total if extra is None else total + extra)
        self.optimizer.step()
        return loss

    def check(self, loss: float) -> None:
        """Stop a run that diverges. Under fp16 a single loss may be infinite: the step is skipped, and counted here."""
        if scaler := self.accelerator.scaler:
            before, self.scale = self.scale, scaler.get_scale()
            self.skipped += max(0, round(math.log2(before / self.scale)))  # it halves at each, and grows rarely
            if self.scale < LEAST_SCALE:
                self.diverged("Gradients are too large for fp16, step after step,")
        elif not math.isfinite(loss):
            self.diverged(f"The loss became {loss}")

    def check_weights(self) -> None:
        """Stop before broken weights reach the disk: the last step's update is in no loss yet."""
        if not is_finite(self.model):
            self.diverged("The loss became nan")

    def diverged(self, what: str) -> NoReturn:
        """Say that a run diverged, and the way out."""
        kept = f"the state of epoch {self.epoch - 1} is kept in {self.out}" if self.epoch > 1 else "nothing is lost"
        raise Diverged(f"{what} in epoch {self.epoch}: lower --lr (now {self.settings.lr:g}) and train again; {kept}.")

    def save_state(self, *, within: bool = False) -> None:
        """Everything that `restore` needs, in one file, then the log as a table.

        Args:
            within: an epoch is begun and not done.
        """
        scaler = self.accelerator.scaler
        if within:
            self.check_weights()
        random = {"cpu": torch.get_rng_state()}
        if self.accelerator.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state()
        randoms = each(random)
        if not first():
            return
        state = {
            "epoch": self.epoch - within,
            "terms": self.terms,
            "seconds": self.seconds,
            "skipped": self.skipped,
            "masks": tuple(self.masks),
            "random": randoms,
            "model": self.accelerator.unwrap_model(self.model).state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
            "log": self.log.to_dict("list"),
        }
        save_training(self.out, state)
        write_atomically(self.out / LOG, self.log.to_csv(index=False).encode())

    def restore(self) -> None:
        """Go on where the run folder's last whole state stopped.

        Raises:
            BadInput: no state is whole, or it belongs to other settings.
        """
        # Accelerate numbers CPUs too, where several processes share them; torch.load knows no such device.
        state = load_training(self.out, next(self.model.parameters()).device)
        try:
            self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler and state["scaler"]:
                self.accelerator.scaler.load_state_dict(state["scaler"])
                self.scale, self.skipped = self.accelerator.scaler.get_scale(), int(state.get("skipped", 0))
            self.epoch, self.log = int(state["epoch"]), pd.DataFrame(state["log"])
            if "terms" in state:  # earlier versions stopped between epochs alone
                self.terms, self.seconds = list(state["terms"]), float(state["seconds"])
                self.masks, self.random = MaskStatistics(*state["masks"]), state["random"][rank()]
        except (LookupError, ValueError, TypeError, RuntimeError) as error:
            if ran_out(error):
                raise
            raise BadInput(f"The state in {self.out} is of another run: train again with another --out.") from error
        if first():
            write_atomically(self.out / LOG, self.log.to_csv(index=False).encode())  # a kill may have come between

    def run(self, facts: dict[str, Any], on_epoch: Callable[[pd.DataFrame], None] | None, *, progress: bool) -> None:
        """All epochs that are left, then the final weights.

        Args:
            facts: of the run, for the weights' header.
            on_epoch: called with the log so far after every epoch.
            progress: whether to show progress bars.
        """
        progress = progress and first()
        steps = len(self.loader)
        total, done = self.settings.last_epoch * steps, self.epoch * steps + len(self.terms)
        with (
            tqdm(total=total, initial=done, unit="step", desc="training", disable=not progress) as bar,
            stop_noted() as stop,
        ):
            while self.epoch < self.settings.last_epoch:
                self.train_epoch(bar, stop)
                if on_epoch:
                    on_epoch(self.log)
        self.finish(facts, progress=progress)

    def finish(self, facts: dict[str, Any], *, progress: bool) -> None:
        """Final weights: the average with re-estimated BatchNorm statistics, or the last ones without averaging."""
        model = self.accelerator.unwrap_model(self.model)
        if self.settings.ema_ratio < 1:
            seed_process(self.settings.seed)
            self.batches.epoch = self.settings.last_epoch + 1
            batches = (images for images, _ in self.images_and_labels())
            label = "BatchNorm statistics"
            update_bn(
                tqdm(batches, label, len(self.loader), unit="batch", leave=False, disable=not progress), self.average
            )
            model = self.average.module
            for statistics in model.buffers() if on_cpu() else ():
                statistics.copy_(gathered(statistics[None].double()).mean(0))
        if first():
            save_model(self.out / WEIGHTS, model.eval(), facts)


def train(
    settings: Settings,
    out: str | Path,
    *,
    resume: bool = False,
    dataset: ReidDataset | None = None,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
    progress: bool = True,
    skip_broken: bool = False,
) -> Path:
    """Train SCM and write a run folder.

    The folder holds `settings.json` (resolved settings, versions, data), `log.csv` (a row an epoch: every loss term,
    what the masks do, learning rate, seconds), `state.pt` (for resuming; `state.previous.pt` is the one before it) and
    `model.safetensors` (final weights). Ctrl-C or SIGTERM (KeyboardInterrupt) lets the step end and keeps the state
    after it; a second one stops at once. Several processes, as torchrun starts them, train one run together.

    Args:
        settings: see `recipe`.
        out: the run folder.
        resume: go on from the last state if there is one; only where the data lie and who reads them may then differ.
        dataset: opened already; else `settings` says which.
        on_epoch: called with the log so far after every epoch, in every process.
        progress: whether to show progress bars.
        skip_broken: leave training images out that can't be read, and warn of how many; else the first one stops the
            training. Which ones were left out is kept with the run, and holds when it is gone on with.

    Returns:
        The run folder.

    Raises:
        BadInput: bad data or settings, a run in the folder already, a loss that isn't finite, an image that can't be
            read, a disk that can't be written, no memory left, or another process that is gone.
    """
    out = Path(out)
    goes_on = begun(out)
    if goes_on and not resume:
        raise BadInput(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    earlier = check_settings(out, settings) if goes_on else {}
    dataset = dataset or open_dataset(settings.dataset, settings.dataset_root)
    data = data_facts(dataset, out)
    left_out = set(earlier.get("left_out", [])) | (find_broken(dataset, progress) if skip_broken else set())
    dataset = without(dataset, left_out) if left_out else dataset
    check_ready(dataset)
    facts = {"settings": settings.as_dict(), "classes": dataset.num_classes, "data": data, "versions": versions()}
    facts |= {"left_out": sorted(left_out), "processes": number()}
    if goes_on:
        check_data(out, earlier, facts)
        facts |= {"versions": earlier["versions"], "resumed_with": versions()}
    with explain_stop(settings, out):
        trainer = Trainer(replace(settings, weights="") if goes_on else settings, dataset, out)
        if goes_on:
            trainer.restore()
        if first():
            remove_drafts(out)
            write_atomically(out / SETTINGS, json.dumps(facts, indent=2).encode())
        trainer.run(facts, on_epoch, progress=progress)
    return out


def find_broken(dataset: ReidDataset, progress: bool) -> set[str]:
    """The training images that can't be read, by their paths below the data set's folder; warns of them."""
    broken = [os.path.relpath(path, dataset.root) for path in broken_images(dataset.train, progress=progress)]
    if broken:
        warnings.warn(
            f"{len(broken)} of {len(dataset.train)} training images can't be read and are left out: {some(broken)}.",
            stacklevel=3,
        )
    return set(broken)


@contextmanager
def explain_stop(settings: Settings, out: Path) -> Iterator[None]:
    """Turn what stops a training from outside into one sentence: what to do about it, and what is kept.

    Raises:
        BadInput: an image can't be read, the run folder can't be written, memory ran out, or the system killed a
            process that reads images or another one that trains.
    """
    going_on = f"go on with `{resume_command(out)}`"
    try:
        yield
    except BadImage as error:
        way_out = (
            f"With the file in place, {going_on}; --skip-broken" if begun(out) else "Or train with --skip-broken: it"
        )
        raise BadInput(f"{error} {way_out} leaves such files out.") from error
    except (RuntimeError, MemoryError, OSError) as error:
        if is_lost(error):
            kept = f"the last state is kept; {going_on}" if begun(out) else "no epoch was finished, so nothing is kept"
            raise BadInput(
                f"Another process of this training is gone: it says why above, or the system killed it; {kept}."
            ) from error
        what = ran_out(error)
        if not what and isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = "The disk is full" if full else error.strerror or str(error)
            kept = f"the state before is kept: mend this and {going_on}" if begun(out) else "mend this and train again"
            raise BadInput(f"{reason}: {error.filename or out} was not written; {kept}.") from error
        if not what:
            raise
        reading = "process" in what
        flag = f"--workers (now {settings.workers})" if reading else f"--batch-size (now {settings.batch_size})"
        if not begun(out):
            way_out = f"give a smaller {flag}; no epoch was finished, so nothing is kept"
        elif reading:
            way_out = f"the last epoch's state is kept; {going_on} and a smaller {flag}"
        else:
            way_out = (
                f"the last epoch's state is kept; free memory and {going_on}, or train anew with a smaller {flag} and "
                "another --out"
            )
        raise BadInput(f"{what.capitalize()}: {way_out}.") from error


def check_settings(out: Path, settings: Settings) -> dict[str, Any]:
    """Refuse to resume with settings that would give another run; where the data lie and who reads them may differ.

    The number of processes is as fixed: it decides who draws which random numbers.

    Returns:
        The facts that the run began with, see `read_facts`.

    Raises:
        BadInput: the flags that differ, and the command of a new run that starts from the old one's weights.
    """
    facts = read_facts(out)
    earlier: Settings = facts["settings"]
    if (began_with := facts.get("processes", 1)) != number():
        raise BadInput(
            f"{out} was trained by {began_with} process(es), not {number()}: go on with `{resume_command(out)}`."
        )
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


def check_data(out: Path, earlier: dict[str, Any], facts: dict[str, Any]) -> None:
    """Refuse to resume with other training images; warn of other content under the same names.

    Args:
        out: the run folder.
        earlier: the facts that the run began with.
        facts: what they would be now.

    Raises:
        BadInput: the images aren't those that the run began with.
    """
    began, data = earlier.get("data"), facts["data"]
    if not isinstance(began, dict):
        return
    if began.get("train_digest") != data["train_digest"] or earlier.get("classes") != facts["classes"]:
        raise BadInput(f"{out} was trained on other files than {data['root']} holds: it can't be resumed.")
    if began.get("train_fingerprint", data["train_fingerprint"]) != data["train_fingerprint"]:
        warnings.warn(
            f"Training images in {data['root']} have other content than when {out} began: the run goes on with them.",
            stacklevel=3,
        )
