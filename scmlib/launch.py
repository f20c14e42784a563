"""Which of several processes this is, as torchrun, `accelerate launch` or `notebook_launcher` started it.

Without torch, so that the command line can ask before it imports anything large.
"""

from __future__ import annotations

import os

# What torch says in a process that waits for one that is gone: gloo, then NCCL and its store.
LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Socket closed",
    "remote process exited",
)


def number() -> int:
    """How many processes work on this job."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "LOCAL_RANK" in os.environ else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ["RANK"]) if number() > 1 else 0


def first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def program(processes: int) -> list[str]:
    """How `scm` is started in so many processes."""
    together = ["torchrun", "--standalone", "--nproc-per-node", str(processes), "-m", "scmlib"]
    return ["scm"] if processes == 1 else together


def is_lost(error: BaseException) -> bool:
    """Whether an error of torch means that another of the processes is gone."""
    return number() > 1 and any(words in str(error) for words in LOST)
