"""Ranking against the bare matrix product, on random embeddings of true size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from scmlib.ranking import rank
from tests.benchmarks.harness import Growth, Job, Work

DIMENSIONS = 1536


@dataclass(frozen=True)
class Size:
    """A data set's test split."""

    queries: int
    gallery: int
    identities: int
    distractors: int  # gallery images of nobody who is looked for
    cameras: int

    def __str__(self) -> str:
        return f"{self.queries:,} x {self.gallery:,} x {DIMENSIONS:,}, {self.cameras} cameras"


MARKET1501 = Size(3_368, 19_732, 750, 6_617, 6)
MSMT17 = Size(11_659, 82_161, 3_060, 0, 15)


def embeddings(count: int) -> Tensor:
    """(count, D) random, of length 1; made in place, so that the peak of memory is what is returned."""
    x = torch.randn(count, DIMENSIONS)
    return x.div_(x.norm(dim=1, keepdim=True))


def sides(size: Size) -> tuple[Job, Job]:
    """The whole of `rank`, and the product alone."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    query, gallery = embeddings(size.queries), embeddings(size.gallery)
    ids = [rng.integers(0, size.identities, n) for n in (size.queries, size.gallery)]
    ids[1][: size.distractors] = -1
    cams = [rng.integers(0, size.cameras, n) for n in (size.queries, size.gallery)]
    rank(query[:200], gallery[:200], ids[0][:200], ids[0][:200])  # loads what is loaded once, before memory is read
    return lambda: rank(query, gallery, *ids, *cams), lambda: query @ gallery.T


def growing(gallery: int) -> Job:
    """`rank` of 512 queries against a gallery with as many images an identity at every size."""
    return sides(Size(512, gallery, gallery // 20, 0, 6))[0]


WORKS = [
    Work("rank", str(MARKET1501), partial(sides, MARKET1501), "at most 1.5 x, aim 1.25 x"),
    Work("rank, memory", str(MARKET1501), partial(sides, MARKET1501), "at most 256 MiB", "MiB"),
    Work("rank", str(MSMT17), partial(sides, MSMT17), "at most 1.5 x, aim 1.25 x", repeats=1, large=True),
    Work("rank, memory", str(MSMT17), partial(sides, MSMT17), "at most 2,048 MiB", "MiB", large=True),
]

GROWTHS = [Growth("rank, against gallery images", [5_000, 10_000, 20_000, 40_000], growing)]
