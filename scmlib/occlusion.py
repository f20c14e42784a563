"""Occlusion on purpose: hide a known share of a picture, and see how a model's figures fall as the share grows.

Lesson: notebooks/04_occlusion_evaluation.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.datasets import ReidDataset
from scmlib.errors import BadInput
from scmlib.evaluation import embed, embed_test, rank_records
from scmlib.images import read_image, resize, to_float
from scmlib.model import SCM
from scmlib.ranking import Floats, rank
from scmlib.records import Record

Seed = int | Sequence[int]  # what numpy.random.default_rng takes
Position = str | tuple[float, float]  # one of `POSITIONS`, or a point: shares of height and width, each in [0, 1]

KINDS = ("block", "object", "person")
# Where an occluder grows from, as shares of height and width; "random" draws a point of its own.
ANCHORS = {"top": (0.0, 0.5), "middle": (0.5, 0.5), "bottom": (1.0, 0.5), "left": (0.5, 0.0), "right": (0.5, 1.0)}
POSITIONS = (*ANCHORS, "random")
LARGEST = 0.6  # share of an image that may be hidden
RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
# A pasted person stands nearer to the camera and is this much larger; its picture then fills all that is hidden.
NEARER = 1.5
QUERIES = 64  # hidden at once, to bound memory
RESAMPLES = 1000  # of the bootstrap


class Occluder(NamedTuple):
    """Something to stand in front of an image, not yet cut to a size."""

    pixels: Tensor  # (3, H, W) uint8
    order: Tensor  # (H, W): each pixel's place, from 0, in the order in which pixels are hidden

    def cover(self, image: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
        """The image with a share of it hidden, (3, H, W), and where, (H, W) bool."""
        mask = self.order < round(ratio * self.order.numel())
        return torch.where(mask, self.pixels, image), mask


def occlude(
    image: Tensor, *, kind: str, ratio: float, position: Position, seed: Seed, people: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """Hide a share of an image.

    Exactly round(ratio * H * W) pixels are hidden. One seed gives one occluder, which grows in place with the ratio:
    what a smaller ratio hides, a larger one hides too, by the same pixels. Ratio 0 leaves the image as it is.

    Args:
        image: (3, H, W) uint8.
        kind: "block" (a rectangle of one colour), "object" (a textured thing with an uneven outline) or "person" (a
            rectangle cut from another person's image, enlarged as if nearer to the camera).
        ratio: hidden share of the image's area, in [0, 0.6].
        position: the edge that it grows from ("top", "bottom", "left", "right"), "middle" (half-way up) or "random"
            (a point in the middle half of height and width). Blocks and persons at an edge or in the middle are bands
            from side to side; objects needn't reach the sides. A pair of shares of height and width, (0.5, 0.5) for
            the centre, is a point that it grows from to all sides.
        seed: of everything that is drawn by chance.
        people: for "person": (3, H', W') uint8 images to choose from.

    Returns:
        The occluded image, (3, H, W) uint8, and the occluder's mask, (H, W) bool.

    Raises:
        BadInput: an unknown kind or position, a ratio out of range, an image of another form, or nobody to paste.
    """
    _check([kind], [position] if isinstance(position, str) else [], [ratio])
    if not isinstance(position, str) and not all(0 <= share <= 1 for share in position):
        raise BadInput(f"The point {position} lies outside the image: give shares of height and width from 0 to 1.")
    if image.dtype != torch.uint8 or image.ndim != 3 or len(image) != 3:
        raise BadInput(f"The image is {list(image.shape)} {image.dtype}, but must be (3, H, W) uint8: see read_image.")
    height, width = image.shape[1:]
    return draw_occluder(kind, position, (height, width), seed, people).cover(image, ratio)


def _check(kinds: Sequence[str], positions: Sequence[str], ratios: Sequence[float]) -> None:
    for name, given, known in (("kind of occluder", kinds, KINDS), ("position", positions, POSITIONS)):
        for value in given:
            if value not in known:
                raise BadInput(f"Unknown {name} '{value}': choose one of {', '.join(known)}.")
    for ratio in ratios:
        if not 0 <= ratio <= LARGEST:
            raise BadInput(f"The hidden share {ratio} is out of range: give a number from 0 to {LARGEST}.")


def draw_occluder(
    kind: str, position: Position, size: tuple[int, int], seed: Seed, people: Sequence[Tensor] = ()
) -> Occluder:
    """The occluder that `occlude` cuts to size; its arguments, with `size` (height, width) in pixels.

    Raises:
        BadInput: nobody to paste.
    """
    rng = np.random.default_rng(seed)
    if not isinstance(position, str):
        (down, across), slopes = position, (1.0, 1.0)
    elif position == "random":
        (down, across), aspect = rng.uniform(0.25, 0.75, 2), rng.uniform(2 / 3, 3 / 2)
        slopes = (aspect**0.5, aspect**-0.5)
    else:
        down, across = ANCHORS[position]
        flat = 0.5 if kind == "object" else 0.0  # 0: it grows in one direction only, as a band
        slopes = (flat, 1.0) if position in ("left", "right") else (1.0, flat)
    # A pixel is reached when the occluder has grown to its distance from the anchor, so cutting at any distance gives
    # a shape that contains all smaller ones.
    y = slopes[0] * ((torch.arange(size[0])[:, None] + 0.5) / size[0] - down)  # (H, 1)
    x = slopes[1] * ((torch.arange(size[1])[None] + 0.5) / size[1] - across)  # (1, W)
    if kind == "object":
        pixels, distance = _texture(size, rng), torch.hypot(y, x) / _outline(torch.atan2(y, x), rng)
    else:
        distance = torch.maximum(y.abs(), x.abs())
        if kind == "person":
            if not people:
                raise BadInput("There is nobody to paste: give images of other persons as people.")
            pixels = _in_front(people[int(rng.integers(len(people)))], size, (down, across))
        else:
            pixels = torch.from_numpy(rng.integers(256, size=(3, 1, 1), dtype=np.uint8)).expand(3, *size)
    ranked = distance.flatten().argsort(stable=True)
    order = torch.empty_like(ranked).scatter_(0, ranked, torch.arange(len(ranked)))
    return Occluder(pixels, order.view(size))


def _outline(angle: Tensor, rng: np.random.Generator) -> Tensor:
    """How far an object reaches in each direction, around 1: a few waves and finer ragged ones."""
    reach = torch.ones_like(angle)
    for wave, height in ((2, 0.15), (3, 0.15), (5, 0.08), (9, 0.06), (14, 0.05)):
        reach += height * rng.uniform(0.3, 1) * torch.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return reach


def _texture(size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """(3, H, W) uint8: patches of two colours, unevenly lit and grainy, as leaves, stone or cloth are."""
    drawn = torch.from_numpy(rng.uniform(20, 220, (2, 3, 1, 1))).float()
    colours = (drawn + drawn.mean(1, keepdim=True)) / 2  # half as vivid as drawn: most things are dull
    patches, light, grain = (_noise(size, cell, rng) for cell in (size[0] / 14, size[0] / 5, size[0] / 90))
    picture: Tensor = torch.where(patches > 0.2, colours[0], colours[1]) * (1 + 0.15 * light + 0.12 * grain)
    return picture.clamp(0, 255).byte()


def _noise(size: tuple[int, int], cell: float, rng: np.random.Generator) -> Tensor:
    """Smooth noise (H, W) of mean 0 and about unit deviation, with one independent value for each cell of pixels."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *(int(n / cell) + 2 for n in size)))).float()
    return F.interpolate(coarse, size, mode="bicubic")[0, 0]


def _in_front(person: Tensor, size: tuple[int, int], anchor: tuple[float, float]) -> Tensor:
    """Another person's image, enlarged, with its centre at the anchor: (3, H, W) uint8."""
    large = resize(person, (round(NEARER * size[0]), round(NEARER * size[1])))
    for axis, share in enumerate(anchor):
        n, whole = size[axis], large.shape[axis + 1]
        # Only places that no ratio reaches lie beyond the enlarged image.
        start = whole // 2 - round(share * n)
        large = large.index_select(axis + 1, torch.arange(start, start + n).clamp(0, whole - 1))
    return large


def sweep(
    model: SCM,
    dataset: ReidDataset,
    *,
    kinds: Sequence[str] = KINDS,
    ratios: Sequence[float] = RATIOS,
    positions: Sequence[str] = ("random",),
    seed: int = 0,
    workers: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Figures of a data set whose queries are hidden on purpose; its gallery stays as it is.

    The occluder of a query depends on `seed` and its place among the queries alone, and grows in place, so that the
    figures of different ratios are paired. Whom the kind "person" pastes is another identity of the query set, and so
    mostly somebody whom the gallery shows too. Queries without a true match count in nothing.

    The bands hold 95 % of the figures of 1,000 bootstrap resamples of the queries (percentiles), the same resamples for
    every condition: of two conditions whose bands overlap, one can still be better on nearly every resample.

    Args:
        model: stays where it is.
        dataset: its query and gallery splits are read, at the model's image size.
        kinds: of `KINDS`.
        ratios: hidden shares, see `occlude`; 0 is always among them, and is embedded once.
        positions: of `POSITIONS`.
        seed: of occluders and of the bootstrap.
        workers: processes that read whole images.
        progress: whether to show progress bars.

    Returns:
        A row for each kind, position and ratio, with the columns kind, position, ratio, mAP, mAP_low, mAP_high, top1,
        top1_low, top1_high (shares in [0, 1]), and queries, the number that counted.

    Raises:
        BadInput: an unknown kind or position, a ratio out of range or none above 0, no query with a true match, or
            queries of one identity for the kind "person".
    """
    _check(kinds, positions, ratios)
    shares = sorted({float(ratio) for ratio in ratios} - {0.0})
    if not shares:
        raise BadInput("Nothing would be hidden: give a hidden share above 0.")
    query, gallery = embed_test(model, dataset, workers=workers, progress=progress)
    groups = list(dict.fromkeys(product(kinds, positions)))
    scores = _scores(model, dataset, query, gallery, groups, shares, seed, progress)
    figures = np.stack([scores.mean(2), *bootstrap_bands(scores, seed=seed)], 2).reshape(len(scores), 6)
    rows = np.arange(1, len(scores)).reshape(len(groups), len(shares))
    rows = np.pad(rows, ((0, 0), (1, 0)))  # the unhidden row leads every group
    table = pd.DataFrame(
        [(*group, share) for group in groups for share in (0.0, *shares)], columns=["kind", "position", "ratio"]
    )
    table[["mAP", "mAP_low", "mAP_high", "top1", "top1_low", "top1_high"]] = figures[rows.ravel()]
    return table.assign(queries=scores.shape[2])


def _scores(
    model: SCM,
    dataset: ReidDataset,
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    groups: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
    progress: bool,
) -> Floats:
    """Each counted query's average precision, and whether its rank 1 is right, in every condition.

    Returns:
        (1 + conditions, 2, Q): row 0 with nothing hidden, then a row for each group and share.
    """
    whole = rank_records(query, gallery, dataset.query, dataset.gallery)
    counted = np.flatnonzero(np.isfinite(whole.ap))
    scores = np.empty((1 + len(groups) * len(shares), 2, len(counted)))
    scores[0] = whole.ap[counted], whole.first_match[counted] == 0
    ids, cams = _labels(dataset.gallery)
    for start in tqdm(range(0, len(counted), QUERIES), "hidden queries", unit="batch", disable=not progress):
        batch = counted[start : start + QUERIES]
        own_ids, own_cams = _labels([dataset.query[i] for i in batch])
        for row, images in enumerate(_hidden(dataset, batch, model.image_size, groups, shares, seed), 1):
            ranking = rank(embed(model, to_float(images)), gallery, own_ids, ids, own_cams, cams)
            scores[row, :, start : start + len(batch)] = ranking.ap, ranking.first_match == 0
    return scores


def _labels(records: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras."""
    ids, cams = np.array([(record.identity, record.camera) for record in records]).T
    return ids, cams


def _hidden(
    dataset: ReidDataset,
    batch: NDArray[np.intp],
    size: tuple[int, int],
    groups: Sequence[tuple[str, str]],
    shares: Sequence[float],
    seed: int,
) -> Iterator[Tensor]:
    """Some of the queries, (B, 3, H, W) uint8, under one condition after the other; groups are (kind, position)."""
    images = _read(dataset, batch, size)
    pasted = any(kind == "person" for kind, _ in groups)
    people = _read(dataset, _others(dataset, batch, seed), size) if pasted else images
    for kind, position in groups:
        occluders = [
            draw_occluder(kind, position, size, (seed, int(i)), [person])
            for i, person in zip(batch, people, strict=True)
        ]
        for share in shares:
            yield torch.stack([o.cover(image, share)[0] for o, image in zip(occluders, images, strict=True)])


def _read(dataset: ReidDataset, queries: Iterable[int], size: tuple[int, int]) -> list[Tensor]:
    return [read_image(dataset.query[i].path, size, dataset.layout.margin) for i in queries]


def _others(dataset: ReidDataset, batch: NDArray[np.intp], seed: int) -> list[int]:
    """For each query of the batch one of another identity, drawn by the seed and the query's number."""
    ids, _ = _labels(dataset.query)
    if (ids == ids[0]).all():
        raise BadInput(f"All queries are of identity {ids[0]}: nobody else to paste; leave out the kind 'person'.")
    return [int(np.random.default_rng((seed, i)).choice(np.flatnonzero(ids != ids[i]))) for i in batch]


def bootstrap_bands(scores: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """95 % bands of means over queries by the percentile bootstrap, every row on the same resamples.

    Args:
        scores: (..., Q), a score for each query.
        resamples: how often Q queries are drawn with replacement.
        seed: of the draws.

    Returns:
        (2, ...): the 2.5th and the 97.5th percentile of the resamples' means.
    """
    Q = scores.shape[-1]
    counts = np.random.default_rng(seed).multinomial(Q, np.full(Q, 1 / Q), resamples)  # (resamples, Q)
    bands: Floats = np.percentile(scores @ counts.T / Q, (2.5, 97.5), axis=-1)
    return bands


def robustness(table: pd.DataFrame) -> dict[str, float]:
    """How much of its mAP a model keeps when queries are hidden, by kind of occluder and over all kinds.

    The mean of mAP over positions and over ratios above 0, divided by mAP at ratio 0: 1 for a model that occlusion
    doesn't touch. It depends on the ratios, so compare it between sweeps of the same ratios only.

    Args:
        table: what `sweep` returns.

    Returns:
        A figure for each kind, and "overall", their mean.
    """
    whole = table.loc[table["ratio"] == 0, "mAP"].iloc[0]
    kept = table[table["ratio"] > 0].groupby("kind", sort=False)["mAP"].mean() / whole
    return {str(kind): float(value) for kind, value in kept.items()} | {"overall": float(kept.mean())}
