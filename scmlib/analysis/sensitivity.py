"""What a match rests on: hide a query place by place and see where its similarity to a true match falls.

Lesson: notebooks/05_do_the_masks_see.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from scmlib.analysis.statistics import Map, bootstrap_bands, spearman
from scmlib.backbone import STRIDE
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import read_pictures, to_float
from scmlib.data.records import Record
from scmlib.data.truth import PERSON, read_truth, region_share, truth_path
from scmlib.errors import BadInput
from scmlib.inference import embed, masks_of
from scmlib.model import SCM

GREY = 128  # what a patch is filled with: no colour, medium brightness

PATCH = 2 * STRIDE


def sensitivity(
    model: SCM, image: Tensor, match: Map, *, patch: int = PATCH, stride: int = STRIDE, batch_size: int = 64
) -> Map:
    """How much a query's similarity to a true match falls when a grey square hides each place of it.

    Squares stand centred on the cells of a grid; those at the border are cut off by it and hide less. With a stride
    of 16 pixels the grid is that of the masks. Similarity is the dot product of embeddings L2-normalised.

    Args:
        model: stays where it is.
        image: (3, H, W) uint8, the query at the model's image size.
        match: (E,), what a true match embeds as, see `embed` and `targets`.
        patch: side of the square, in pixels.
        stride: side of a grid cell, in pixels.
        batch_size: images at once; each is embedded with its mirror image.

    Returns:
        (H // stride, W // stride); above 0 where hiding harms, below 0 where it helps.

    Raises:
        BadInput: a patch or stride that doesn't fit the image.
    """
    _, H, W = image.shape
    if patch < 1 or not 1 <= stride <= min(H, W):
        raise BadInput(f"Patch {patch} and stride {stride} don't fit an image of {H} x {W}: take 1 pixel or more.")
    rows, columns = (_spans(n, patch, stride) for n in (H, W))  # (h, H), (w, W)
    hidden = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)  # (h * w, H, W)
    images = torch.cat([image[None], torch.where(hidden[:, None], image.new_tensor(GREY), image)])
    similarity: Map = embed(model, to_float(images), batch_size=batch_size) @ match
    falls: Map = similarity[0] - similarity[1:]
    return falls.reshape(len(rows), len(columns))


def _spans(pixels: int, patch: int, stride: int) -> Tensor:
    """Which pixels of an axis each patch hides, (pixels // stride, pixels) bool."""
    first = (2 * torch.arange(pixels // stride)[:, None] + 1) * stride // 2 - patch // 2
    at = torch.arange(pixels)
    return (first <= at) & (at < first + patch)


def sensitivity_maps(
    model: SCM,
    queries: Sequence[Record],
    matches: Sequence[Sequence[Record]],
    *,
    patch: int = PATCH,
    progress: bool = False,
) -> Map:
    """The sensitivity map of every query, see `sensitivity`, on the masks' grid.

    Args:
        model: stays where it is.
        queries: images to hide place by place, see `true_matches`.
        matches: for each query its true matches, see `targets`.
        patch: side of the grey square in pixels; its stride is a cell of the masks' grid.
        progress: whether to show a progress bar.

    Returns:
        (N, h, w); above 0 where hiding harms the match.

    Raises:
        BadInput: an image that can't be read, or a patch that doesn't fit.
    """
    pairs = zip(read_pictures(queries, model.image_size), targets(model, matches), strict=True)
    bar = tqdm(pairs, "queries hidden place by place", len(queries), disable=not progress)
    return np.stack([sensitivity(model, picture, match, patch=patch) for picture, match in bar])


def agreement(
    model: SCM, queries: Sequence[Record], falls: Map, *, interior: bool = True, seed: int = 0
) -> pd.DataFrame:
    """Do the masks look where the match rests? Rank correlation of each query's sensitivity map with other maps.

    The maps: `cooperative`, the query's cooperative mask; and what to hold it against: `mean mask`, the mean of the
    other identities' cooperative masks, which can't see this picture; `another's`, the cooperative mask of one of them;
    `centre`, nearness to the image's centre; `noise`, uniform; and `person`, the visible person's share of each cell,
    where the world knows it.

    Squares on border cells hide less, whatever lies there, and people seldom stand there: both maps are low at the
    border for reasons that have nothing to do with sight. So only interior cells count, unless all are asked for.

    Args:
        model: stays where it is.
        queries: N images, of two identities or more.
        falls: (N, h, w), their sensitivity maps.
        interior: whether the outermost rows and columns of cells are left out.
        seed: of the noise.

    Returns:
        A tidy table with the columns image, identity, map, spearman.

    Raises:
        BadInput: an image that can't be read, or queries of one identity only.
    """
    maps = other_maps(model, queries, seed=seed)
    inside = np.s_[1:-1, 1:-1] if interior else np.s_[:, :]
    return pd.DataFrame(
        (query.path.name, query.identity, name, spearman(fall[inside], drawn[i][inside]))
        for i, (query, fall) in enumerate(zip(queries, falls, strict=True))
        for name, drawn in maps.items()
    ).set_axis(["image", "identity", "map", "spearman"], axis=1)


def other_maps(model: SCM, queries: Sequence[Record], *, seed: int = 0) -> dict[str, Map]:
    """The maps that `agreement` names, (N, h, w) each on the masks' grid."""
    cooperative = masks_of(model, read_pictures(queries, model.image_size)).sum(1).numpy()  # (N, h, w)
    N, h, w = cooperative.shape
    identities = np.array([record.identity for record in queries])
    others = _others(queries)
    maps = {
        "cooperative": cooperative,
        "mean mask": np.stack([cooperative[identities != identity].mean(0) for identity in identities]),
        "another's": cooperative[others],
        "centre": np.broadcast_to(_centre(h, w), (N, h, w)),
        "noise": np.random.default_rng(seed).random((N, h, w)),
    }
    paths = [record.path for record in queries]
    if all(truth_path(path).is_file() for path in paths):
        maps["person"] = region_share(read_truth(paths), PERSON, (h, w)).numpy()
    return maps


def summary(table: pd.DataFrame) -> pd.Series[float]:
    """Mean of correlations with its 95 % band over identities.

    Args:
        table: rows of one map, with the columns identity and spearman; NaN is left out.

    Returns:
        mean, low, high and count.
    """
    known = table.dropna()
    low, high = bootstrap_bands(known["spearman"].to_numpy(), known["identity"].to_numpy())
    return pd.Series({"mean": known["spearman"].mean(), "low": low, "high": high, "count": len(known)})


def _others(queries: Sequence[Record]) -> list[int]:
    """For each query the number of one of another identity, half the list further on or as soon after as there is."""
    N, found = len(queries), []
    for i, query in enumerate(queries):
        further = ((i + N // 2 + step) % N for step in range(N))
        other = next((j for j in further if queries[j].identity != query.identity), None)
        if other is None:
            raise BadInput(f"All queries are of identity {query.identity}: give queries of two identities or more.")
        found.append(other)
    return found


def _centre(h: int, w: int) -> Map:
    """Nearness of each cell to the image's centre, (h, w)."""
    y, x = (np.linspace(-1, 1, 2 * n + 1)[1::2] for n in (h, w))
    return -np.hypot(y[:, None], x)


def targets(model: SCM, matches: Sequence[Sequence[Record]]) -> Map:
    """What to hold each query's similarity against: the mean embedding of its true matches, L2-normalised.

    A mean speaks for the identity; of a single match it is also the pose, the camera and what hides it that count.

    Args:
        model: stays where it is.
        matches: for each query its true matches, at least one.

    Returns:
        (N, E).
    """
    embedded = embed(model, [record for records in matches for record in records])
    ends = np.cumsum([len(records) for records in matches])
    means = np.stack([part.mean(0) for part in np.split(embedded, ends[:-1])])
    unit: Map = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def true_matches(dataset: ReidDataset, number: int) -> tuple[list[Record], list[list[Record]]]:
    """Queries and, for each, the gallery images of its identity that other cameras took.

    Args:
        dataset: its query and gallery splits are looked through.
        number: how many queries at most, evenly spaced among those that have a match.

    Raises:
        BadInput: no query has a true match.
    """
    gallery: dict[int, list[Record]] = {}
    for record in dataset.gallery:
        gallery.setdefault(record.identity, []).append(record)
    found = [
        (query, [r for r in gallery.get(query.identity, []) if r.camera != query.camera]) for query in dataset.query
    ]
    found = [(query, matches) for query, matches in found if matches]
    if not found:
        raise BadInput(f"No query of {dataset.root} has a true match in the gallery: check cameras and folders.")
    chosen = np.linspace(0, len(found) - 1, min(number, len(found))).round().astype(int)
    return [found[i][0] for i in chosen], [found[i][1] for i in chosen]
