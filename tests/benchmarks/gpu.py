"""`python -m tests.benchmarks.gpu`: training images per second on a GPU, by batch, precision, layout and compilation.

Every row does the same steps on the same random pictures; the plain loop is float32 in torch's default layout. The loss
after the steps stands beside the speed, so that a fast way that learns something else is seen.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import click
import pandas as pd
import torch
from tqdm import tqdm

from scmlib.losses import scm_loss
from scmlib.variants import build_model
from tests.benchmarks.harness import Job, store
from tests.benchmarks.network import CLASSES, NET, SIZE, sgd

PRECISIONS = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16}
BATCHES = (24, 64, 256)


@dataclass(frozen=True)
class Way:
    """One way to train."""

    batch: int
    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False


def measure(
    way: Way, *, net: str = NET, size: tuple[int, int] = SIZE, steps: int = 20, warm_up: int = 5, device: str = "cuda"
) -> dict[str, float]:
    """Images per second, the share of the time in which no kernel was running, and the last loss.

    Args:
        way: to train.
        net: backbone.
        size: (height, width) of the pictures.
        steps: that are timed.
        warm_up: steps before them.
        device: where to train; on a CPU the idle share is NaN.
    """
    torch.manual_seed(0)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    model = build_model(net, CLASSES, image_size=size, erasing=0.4).to(device, memory_format=layout).train()  # type: ignore[call-overload]
    images = torch.rand(way.batch, 3, *size, device=device).contiguous(memory_format=layout)
    labels = torch.arange(way.batch, device=device) // 4
    optimizer = sgd(model, fused=True)
    forward = torch.compile(model) if way.compiled else model
    kind = PRECISIONS[way.precision]
    scaler = torch.amp.GradScaler(device, enabled=way.precision == "fp16")

    def step() -> torch.Tensor:
        with torch.autocast(device, kind) if kind else nullcontext():
            output = forward(images)
        loss = scm_loss(output, labels, kernel_size=1).total
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    def run(count: int) -> tuple[float, torch.Tensor]:
        began = time.perf_counter()
        for _ in range(count):
            loss = step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began, loss

    run(warm_up)
    seconds, loss = run(steps)
    return {"images_per_second": way.batch * steps / seconds, "idle": idle(step, device), "loss": float(loss)}


def idle(step: Job, device: str) -> float:
    """The share of three steps in which the GPU ran no kernel."""
    if device != "cuda":
        return float("nan")
    began = time.perf_counter()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    wall = time.perf_counter() - began
    busy = float(sum(event.self_device_time_total for event in profile.key_averages())) / 1e6
    return 1 - busy / wall


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/bench"), show_default=True)
def main(out: Path) -> None:
    """Measure every way, print one table, and keep it with date and machine."""
    if not torch.cuda.is_available():
        raise click.UsageError("There is no CUDA device here: run this where there is one.")
    rows = []
    for values in tqdm(list(product(BATCHES, PRECISIONS, (False, True), (False, True))), "ways"):
        way = Way(*values)
        rows.append({**vars(way), **measure(way)})
    table = pd.DataFrame(rows)
    click.echo(table.to_string(index=False, float_format="{:.3g}".format))
    click.echo(f"Kept in {store(out, 'gpu', table)}.")


if __name__ == "__main__":
    main()
