"""Several processes that work on one job together; which one this is says `scmlib.launch`.

They must see the same files; the first of them alone writes. Where a process works alone, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from scmlib.launch import number, rank

Thing = TypeVar("Thing")

_sharing: ContextVar[bool] = ContextVar("_sharing", default=False)


def on_cpu() -> bool:
    """Whether several processes share CPUs; a single one takes whatever device there is."""
    return number() > 1 and not torch.cuda.is_available()


def connect() -> None:
    """Let the processes find each other, once: NCCL carries what lies on GPUs, gloo the rest."""
    if number() > 1:
        from accelerate import PartialState  # takes 0.2 s to import, which one process alone needn't spend

        PartialState(cpu=on_cpu(), **({} if on_cpu() else {"backend": "cuda:nccl,cpu:gloo"}))


def gathered(mine: Tensor) -> Tensor:
    """The rows of all processes, (n * rows, ...) in the order of their numbers; each must have as many.

    The gradient goes through this process's own rows. Where every process computes the same loss of all rows, the sum
    of their gradients over the processes is therefore that of the whole batch.
    """
    if number() == 1:
        return mine
    parts = [torch.empty_like(mine) for _ in range(number())]
    dist.all_gather(parts, mine.detach().contiguous())
    parts[rank()] = mine
    return torch.cat(parts)


def any_of(mine: bool) -> bool:
    """Whether something is so in any process; all of them must ask."""
    if number() == 1:
        return mine
    flag = torch.tensor(int(mine))
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def each(mine: Thing) -> list[Thing]:
    """A thing of every process, in the order of their numbers; all of them must ask."""
    things = [mine] * number()
    if number() > 1:
        dist.all_gather_object(things, mine)
    return things


@contextmanager
def sharing() -> Iterator[None]:
    """Inside, whatever applies a model shares the pictures out: each process takes a part, all get the whole.

    All processes must come by with the same pictures in the same order, else they wait for each other.
    """
    connect()
    before = _sharing.set(number() > 1)
    try:
        yield
    finally:
        _sharing.reset(before)


def part(total: int, process: int) -> slice:
    """A process's part of so many rows: in order, and of lengths that differ by one at most."""
    return slice(total * process // number(), total * (process + 1) // number())


def own_part(total: int) -> slice:
    """This process's part inside `sharing`; elsewhere, and of fewer rows than processes, it is all of them."""
    return part(total, rank()) if _sharing.get() and total >= number() else slice(total)


def whole(mine: Tensor, total: int) -> Tensor:
    """The parts that `own_part` gave out, put together again: (total, ...) on the CPU.

    Args:
        mine: this process's rows, on the CPU.
        total: rows of all.
    """
    if len(mine) == total:
        return mine
    room = -(-total // number()) - len(mine)  # all must send as many rows
    sent = gathered(torch.cat([mine, mine.new_zeros(room, *mine.shape[1:])]))
    parts = zip(sent.chunk(number()), range(number()), strict=True)
    return torch.cat([rows[: len(range(total)[part(total, process)])] for rows, process in parts])
