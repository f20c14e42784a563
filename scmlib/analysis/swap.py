"""What are the masks worth? They are exchanged for others at test time, without any training.

All else stays: features, read-out, BatchNorm. Query and gallery are swapped alike, and so are a picture and its mirror
image. The rows:

| masks | what stands in for the network's own |
|---|---|
| `own` | nothing: what `evaluate` gives |
| `mean` | the mean of the masks of up to `POOL` training pictures: position without sight |
| `other` | the masks of one of those pictures, of another identity: sight of something else |
| `no walk` | its own, read out from the part vectors as they are, without the step of diffusion |
| `no prior` | its own, the prior set to ones |
| `stripes` | part i is the i-th of P stripes of rows |
| `uniform` | ones everywhere |
| `truth` | in a drawn world, the visible person: its parts (`true_masks`) for the parts, their sum for the whole |

Training pictures show none of the test identities, so `mean` and `other` know nothing of a query. A data set without
training pictures takes them from its gallery. True parts have names and learned ones don't: each learned part is given
the true part that it overlaps most with on those pictures, see `match_parts`.

A mask's scale would move its embedding against the statistics of its BatchNorm, which were estimated for the network's
own masks. So that a swap changes where a mask looks and not how strong it is, each masked embedding's pooled features
are multiplied by a factor, one for all pictures, that gives them the mean length that they have with the network's own
masks on the same training pictures.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from scmlib.analysis.mask_baselines import training_pool, true_masks
from scmlib.analysis.mask_scores import match_parts
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.datasets import ReidDataset
from scmlib.data.records import Record
from scmlib.data.truth import read_truth, truth_path
from scmlib.errors import BadInput
from scmlib.evaluation import rank_records
from scmlib.inference import Pictures, apply
from scmlib.mask import SpectralClusteringMask, striped_prior
from scmlib.model import SCM, masked_pools

OWN = "own"

ORDER = (OWN, "mean", "other", "no walk", "no prior", "stripes", "uniform", "truth")  # of the rows

METRICS = ("mAP", "top1", "mINP")

# Masks that come from elsewhere, by name: (2, N or 1, P, h, w), for pictures as they are and for their mirror images.
Foreign = Mapping[str, Tensor]

Embeddings = dict[str, NDArray[np.float32]]  # by the masks' name: (N, (3 + P) * D), rows L2-normalised


def swap_masks(
    model: SCM, dataset: ReidDataset, *, seed: int = 0, workers: int = 0, progress: bool = False
) -> pd.DataFrame:
    """Metrics of a data set with the masks exchanged at test time, see the module's head.

    Features are computed once for a picture and its mirror image; for each set of masks they are only pooled and read
    out again. The embeddings of all sets are held at once: 4 * (3 + P) * D bytes a picture and set.

    Args:
        model: is switched to evaluation mode; stays where it is.
        dataset: its query and gallery splits are ranked by the Market-1501 protocol.
        seed: of the choice for `other`, and of the bootstrap.
        workers: processes that read images.
        progress: whether to show progress bars.

    Returns:
        A row for each set of masks with the columns masks; mAP, top1 and mINP in [0, 1]; for each of the three its
        difference to `own` (e.g. mAP_difference), paired query by query, with the 95 % band over identities (mAP_low,
        mAP_high); and queries and identities, the numbers that counted.

    Raises:
        BadInput: a model without masks of its own, pictures of one identity only, or no query with a true match.
    """
    exchange = Exchange.of(model, dataset, workers=workers, progress=progress)
    query, gallery = (
        exchange.embed(records, exchange.foreign(records, seed), workers=workers, progress=split if progress else "")
        for split, records in (("query", dataset.query), ("gallery", dataset.gallery))
    )
    return compare(dataset, query, gallery, seed=seed)


class Exchange(NamedTuple):
    """What any exchange of a network's masks starts from: the network, and what training pictures showed."""

    model: SCM
    pool: Sequence[Record]
    seen: Tensor  # (2, M, P, h, w), the own masks of the pool's pictures and of their mirror images
    order: Sequence[int]  # which true part is given to each learned one; empty where the truth isn't known
    gains: Mapping[str, Tensor]  # see `pooled_gains`

    @classmethod
    def of(cls, model: SCM, dataset: ReidDataset, *, workers: int = 0, progress: bool = False) -> Exchange:
        """An exchange of a model's masks on a data set.

        Args:
            model: is switched to evaluation mode; stays where it is.
            dataset: all of it, or none, has index maps that count.
            workers: processes that read images.
            progress: whether to show a progress bar.

        Raises:
            BadInput: a model without masks of its own, or pictures of one identity only.
        """
        if not isinstance(model.scm, SpectralClusteringMask):
            raise BadInput(
                f"The variant '{model.config.variant}' has no masks to exchange: take a run of the variant scm."
            )
        pool = training_pool(dataset)
        known = all(truth_path(record.path).is_file() for record in (*pool, *dataset.query, *dataset.gallery))
        seen = _own_masks(model, pool, workers)
        order = match_parts(seen[0], _true_masks(model, read_truth([r.path for r in pool]))[0])[0] if known else []
        bare = cls(model, pool, seen, order, {})
        label = "training" if progress else ""
        return bare._replace(gains=pooled_gains(model, pool, bare.foreign(pool), workers=workers, progress=label))

    def foreign(self, records: Sequence[Record], seed: int = 0) -> Foreign:
        """The masks from elsewhere of some records; `seed` is that of the choice for `other`."""
        masks = foreign_masks(self.seen, self.pool, records, seed=seed)
        return masks | ({"truth": self.truth(read_truth([r.path for r in records]))} if self.order else {})

    def truth(self, maps: NDArray[np.uint8]) -> Tensor:
        """The masks of `truth` for index maps (N, H, W): (2, N, P, h, w), the true parts in the learned ones' order."""
        return _true_masks(self.model, maps)[:, :, list(self.order)]

    def embed(self, pictures: Pictures, foreign: Foreign, *, workers: int = 0, progress: str = "") -> Embeddings:
        """`embed_swapped` of pictures and their masks from elsewhere."""
        return embed_swapped(self.model, pictures, foreign, self.gains, workers=workers, progress=progress)

    def masks(self, pictures: Pictures, foreign: Foreign) -> dict[str, Tensor]:
        """Every set of masks of N pictures, not of their mirror images: (N, P, h, w) on the CPU, by name."""

        def own(fast: SCM, images: Tensor) -> Tensor:
            sets = _sets(fast.scm, fast.branches(images)[1])
            names[:] = sets
            return torch.stack([*sets.values()], 1)

        names: list[str] = []
        sets = apply(self.model, pictures, own).unbind(1)
        others = {name: masks[0].expand(len(sets[0]), -1, -1, -1) for name, masks in foreign.items()}
        return dict(zip(names, sets, strict=True)) | others


def _own_masks(model: SCM, pictures: Sequence[Record], workers: int) -> Tensor:
    """The competitive masks of pictures and of their mirror images, (2, N, P, h, w) on the CPU."""

    def both(fast: SCM, images: Tensor) -> Tensor:
        return torch.stack([fast(seen).competitive for seen in (images, images.flip(3))], 1)

    return apply(model, pictures, both, workers=workers).transpose(0, 1)


def _true_masks(model: SCM, maps: NDArray[np.uint8]) -> Tensor:
    """`true_masks` of index maps and of their mirror images, (2, N, P, h, w)."""
    masks = true_masks(maps, model.config.grid, model.config.num_parts)
    return torch.stack([masks, masks.flip(3)])


def foreign_masks(
    seen: Tensor, pool: Sequence[Record], records: Sequence[Record], *, seed: int = 0
) -> dict[str, Tensor]:
    """The masks of `mean`, `other`, `stripes` and `uniform` for some records, (2, N or 1, P, h, w).

    Args:
        seen: (2, M, P, h, w), the own masks of the pool's pictures and of their mirror images.
        pool: M records.
        records: N records whose masks are exchanged.
        seed: of the choice for `other`.

    Raises:
        BadInput: a record of the one identity that the pool shows.
    """
    rng, identities = np.random.default_rng(seed), np.array([record.identity for record in pool])
    others = []
    for record in records:
        possible = np.flatnonzero(identities != record.identity)
        if not len(possible):
            raise BadInput(f"All pictures are of identity {record.identity}: nobody else's masks can be taken.")
        others.append(int(rng.choice(possible)))
    P, h, w = seen.shape[2:]
    stripes = (1 - striped_prior(P, h, w, mask_part=1)).expand(2, -1, -1, -1, -1)
    return {
        "mean": seen.mean(1, keepdim=True),
        "other": seen[:, others],
        "stripes": stripes,
        "uniform": torch.ones_like(stripes),
    }


def embed_swapped(
    model: SCM,
    pictures: Pictures,
    foreign: Foreign,
    gains: Mapping[str, Tensor],
    *,
    workers: int = 0,
    progress: str = "",
) -> Embeddings:
    """What `embed` gives with each set of masks.

    Args:
        model: is switched to evaluation mode; stays where it is.
        pictures: N, of any kind that `apply` takes.
        foreign: masks from elsewhere.
        gains: see `pooled_gains`.
        workers: processes that read images.
        progress: label of a progress bar; none if empty.
    """

    def embedding(name: str, pooled: list[Tensor], masks: Tensor) -> Tensor:
        scaled = [x * gain for x, gain in zip(pooled, gains[name].tolist(), strict=True)]
        return model.read_out(scaled, masks, masks).embeddings.flatten(1)

    raw = _with_every_set(model, pictures, foreign, embedding, workers, progress)
    return {name: F.normalize(rows, dim=1).numpy() for name, rows in raw.items()}


def pooled_gains(
    model: SCM, records: Sequence[Record], foreign: Foreign, *, workers: int = 0, progress: str = ""
) -> dict[str, Tensor]:
    """What each embedding's pooled features are multiplied by, (3 + P,) by the masks' name, see the module's head.

    Args:
        model: is switched to evaluation mode; stays where it is.
        records: N pictures, none of the test.
        foreign: masks from elsewhere.
        workers: processes that read images.
        progress: label of a progress bar; none if empty.
    """

    def length(_: str, pooled: list[Tensor], __: Tensor) -> Tensor:
        return torch.stack([x.norm(dim=1) for x in pooled], 1)

    lengths = _with_every_set(model, records, foreign, length, workers, progress)
    means = {name: rows.double().mean(0) for name, rows in lengths.items()}
    return {name: torch.where(mean > 0, means[OWN] / mean, 1) for name, mean in means.items()}


def _with_every_set(
    model: SCM,
    pictures: Pictures,
    foreign: Foreign,
    what: Callable[[str, list[Tensor], Tensor], Tensor],
    workers: int,
    progress: str,
) -> dict[str, Tensor]:
    """A function of the pooled features under every set of masks, the sum over a picture and its mirror image.

    `what` is called with the set's name, the 3 + P pooled features (B, C) and the masks (B, P, h, w); gives (B, ...).

    Returns:
        (N, ...) on the CPU, by the set's name.
    """
    names: list[str] = []
    done = 0  # pictures come in order, in batches of any size

    def every(fast: SCM, images: Tensor) -> Tensor:
        nonlocal done
        rows, done = slice(done, done + len(images)), done + len(images)
        found = []
        for mirrored, seen in enumerate((images, images.flip(3))):
            x1, x2 = fast.branches(seen)
            given = {name: masks[mirrored] for name, masks in foreign.items()}
            given = {name: (masks if len(masks) == 1 else masks[rows]).to(x2) for name, masks in given.items()}
            sets = _sets(fast.scm, x2) | {name: masks.expand(len(x2), -1, -1, -1) for name, masks in given.items()}
            names[:] = sets
            pools = {name: masked_pools(x1, x2, masks, masks.sum(1, keepdim=True)) for name, masks in sets.items()}
            found.append(torch.stack([what(name, pools[name], masks) for name, masks in sets.items()], 1))
        return found[0] + found[1]

    stacked = apply(model, pictures, every, workers=workers, progress=progress)  # (N, sets, ...)
    return dict(zip(names, stacked.unbind(1), strict=True))


def _sets(scm: SpectralClusteringMask, features: Tensor) -> dict[str, Tensor]:
    """The own masks of features (B, C, h, w), and those without the walk and without the prior, (B, P, h, w)."""
    vectors, prior = scm.part_vectors(features), scm.learnable_masks
    maps = scm.read_out(scm.att(vectors))
    return {
        OWN: scm.masks(maps, prior),
        "no walk": scm.masks(scm.read_out(vectors), prior),
        "no prior": scm.masks(maps, torch.ones_like(prior)),
    }


def compare(dataset: ReidDataset, query: Embeddings, gallery: Embeddings, *, seed: int = 0) -> pd.DataFrame:
    """Metrics of each set of masks and their differences to `own`: the table of `swap_masks`.

    Args:
        dataset: says whom each row shows.
        query: embeddings of the queries.
        gallery: embeddings of the gallery.
        seed: of the bootstrap.
    """
    rankings = {name: rank_records(query[name], gallery[name], dataset.query, dataset.gallery) for name in query}
    counted = np.isfinite(rankings[OWN].ap)
    identities = np.array([record.identity for record in dataset.query])[counted]
    scores = {
        name: np.stack([ranking.per_query()[metric] for metric in METRICS])[:, counted]  # (3, Q)
        for name, ranking in rankings.items()
    }
    rows = []
    for name in sorted(scores, key=ORDER.index):
        apart = scores[name] - scores[OWN]
        bands = np.stack([apart.mean(1), *bootstrap_bands(apart, identities, seed=seed)], 1)  # (3, 3)
        row: dict[str, str | float] = {"masks": name} | dict(zip(METRICS, scores[name].mean(1).tolist(), strict=True))
        for metric, values in zip(METRICS, bands.tolist(), strict=True):
            row |= {f"{metric}_{end}": value for end, value in zip(("difference", "low", "high"), values, strict=True)}
        rows.append(row)
    return pd.DataFrame(rows).assign(queries=len(identities), identities=len(np.unique(identities)))
