"""What the learned masks are held against: masks that see less, were never trained to be masks, or know the truth.

A score says little before one knows what a fixed stripe gets, in a world where people stand in the middle. So the
scores of the learned masks always stand beside those of other sets of masks, on the same pictures. Blind ones, the same
for every picture:

- `mean mask`: each learned mask averaged over training pictures. It knows where people usually are and sees nothing;
  what the learned masks have above it comes from looking.
- `mean true person`: where the person is visible on average in the training pictures, part by part (`PARTS`). No better
  guess can be made without looking.
- `middle columns`: the two middle columns of the grid, cut into P stripes. The simplest guess about a crop.
- `stripes`: P horizontal stripes, ones inside and zeros outside. Persons stand upright, so stripes divide the body well
  without finding it.
- `uniform`: ones everywhere. Its lift is 1.

Sets that look, but were not trained to mask:

- `untrained`: the same network before training, see `with_statistics`. What the architecture gives by itself: the
  prior's blind stripes, and convolutions with random weights, which tell textures apart.
- `spectral clustering`: the classical algorithm on the trained network's own features, picture by picture; a rule
  without labels says which clusters are the person, see `cluster_cells`.
- `spectral clustering, joint`: one clustering of the cells of many pictures, see `joint_clusters`.

And bounds, which are given the answer:

- `spectral clustering, best`: the same clusters, named by the truth, see `best_clusters`.
- `truth`: the visible person itself, part by part.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.analysis.mask_scores import COLUMNS, Pairs, Shares, score_changes, score_shares
from scmlib.data.datasets import ReidDataset
from scmlib.data.images import to_float
from scmlib.data.records import Record
from scmlib.data.truth import PARTS, PERSON, region_share
from scmlib.errors import BadInput
from scmlib.inference import branch_features, images_at_once, masks_of
from scmlib.mask import striped_prior
from scmlib.model import SCM
from scmlib.ranking import Labels

FLOOR = 1e-3  # added to every affinity, so that the graph is connected whatever the features are

LEARNED = "SCM"

SLOW = ("spectral clustering", "spectral clustering, best")  # cluster picture by picture

POOL = 200  # training pictures that blind masks are means over

CLUSTERED = 100  # pictures that are clustered one by one; other masks are scored on all

JOINT = 30  # training pictures whose cells are clustered together: one graph of all their cells


def training_pool(dataset: ReidDataset, number: int = POOL) -> list[Record]:
    """What masks that know no test picture are made from: evenly spaced training records, or of the gallery if none.

    Args:
        dataset: its training split, or gallery, is taken from.
        number: records at most.
    """
    records = dataset.train or dataset.gallery
    return [records[i] for i in evenly(len(records), number)]


def evenly(count: int, number: int) -> NDArray[np.intp]:
    """Positions among `count` things, evenly spaced, at most `number` of them."""
    return np.linspace(0, count - 1, min(number, count)).round().astype(np.intp)


@torch.no_grad()
def with_statistics(untrained: SCM, pictures: Tensor, batch_size: int = 64) -> SCM:
    """A copy of a fresh network whose BatchNorm statistics are those of the pictures; all weights stay random.

    With the statistics that a fresh network has (mean 0, variance 1) nothing is normalised, and how strong the masks
    come out hangs on the seed. A training run ends by estimating the statistics anew; so does the copy, as
    if it had trained for no epoch. No label is used.

    Args:
        untrained: is left as it is.
        pictures: (N, 3, H, W) uint8 at the model's image size.
        batch_size: pictures that are normalised together.
    """
    network = copy.deepcopy(untrained).eval()
    device = next(network.parameters()).device
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain average over the batches
            module.train()
    for batch in torch.split(pictures, images_at_once(batch_size)):
        network(to_float(batch.to(device)))
    return network.eval()


def cluster_cells(features: Tensor, parts: int, *, seed: int = 0) -> Tensor:
    """Classical spectral clustering (Shi and Malik, 2000) of one image's cells; the clusters that are off the border.

    SCM borrows the name and the walk on a graph, but its graph is another: P part vectors at one cell, with affinities
    learned end to end.

    Clusters have no names, and no label is at hand to give them any. Two rules do, from where people stand in a crop:

    - a cluster is background if the grid's border has a larger share of its cells than of all cells. At least one
      cluster is, so at most P are left;
    - those left are the parts, ordered by their mean row from top to bottom; masks beyond them are zero.

    Both fail openly: an occluder that stands inside the picture counts as a part, a person who is cut off by the
    picture's edge counts as background, and the second cluster from above is the legs in one image and the arms in
    another.

    Args:
        features: (C, h, w), not negative.
        parts: P.
        seed: of k-means and of the eigenvectors' first guess.

    Returns:
        Masks (P, h, w) of zeros and ones that don't overlap.

    Raises:
        BadInput: a grid of fewer cells than P + 2.
    """
    labels = cluster_labels(features[None], parts + 1, seed=seed)
    return _chosen(labels, inner_clusters(labels, parts), parts)[0]


def cluster_labels(features: Tensor, clusters: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Spectral clustering of all cells of some images: one graph, an edge weighs the cosine of two cells' features.

    Args:
        features: (N, C, h, w), not negative.
        clusters: how many.
        seed: of k-means and of the eigenvectors' first guess.

    Returns:
        (N, h, w), cluster numbers from 0.

    Raises:
        BadInput: fewer cells than the clusters and one.
    """
    from sklearn.cluster import SpectralClustering  # here, since it takes a second to import

    N, _, h, w = features.shape
    if N * h * w < clusters + 1:
        raise BadInput(f"A grid of {h} x {w} cells is too small for {clusters} clusters: take larger images.")
    unit = _unit_cells(features)
    clustering = SpectralClustering(clusters, affinity="precomputed", random_state=seed)
    labels: NDArray[np.int64] = clustering.fit_predict((unit @ unit.T + FLOOR).double().numpy())
    return labels.reshape(N, h, w).astype(np.int64)


def _unit_cells(features: Tensor) -> Tensor:
    """Features (N, C, h, w) of all cells, (N * h * w, C), L2-normalised."""
    return F.normalize(features.permute(0, 2, 3, 1).flatten(0, 2), dim=1)


def inner_clusters(labels: NDArray[np.integer[Any]], parts: int) -> list[int]:
    """The clusters that the two rules of `cluster_cells` take for parts, from top to bottom; all images count together.

    Args:
        labels: (N, h, w), cluster numbers from 0 to P.
        parts: P.
    """
    border = np.ones(labels.shape[1:], dtype=bool)
    border[1:-1, 1:-1] = False
    share = [border[np.nonzero(labels == k)[1:]].mean() if (labels == k).any() else 1.0 for k in range(parts + 1)]
    return _from_top(labels, [k for k in range(parts + 1) if share[k] < border.mean()])


def _from_top(labels: NDArray[np.integer[Any]], chosen: Sequence[int]) -> list[int]:
    """Clusters, each with cells, in the order of their mean rows."""
    return sorted(chosen, key=lambda k: float(np.nonzero(labels == k)[1].mean()))


def _chosen(labels: NDArray[np.integer[Any]], order: Sequence[int], parts: int) -> Tensor:
    """Some clusters as masks (N, P, h, w) of zeros and ones; zeros where there are fewer of them than P."""
    masks = torch.zeros(len(labels), parts, *labels.shape[1:])
    for i, k in enumerate(order):
        masks[:, i] = torch.from_numpy(labels == k)
    return masks


def best_clusters(labels: NDArray[np.integer[Any]], person: Tensor, parts: int) -> Tensor:
    """One image's clusters to masks by the truth: each has the visible person's share of its area as its value.

    No other values of the clusters tell person and background better apart, so this bounds what any naming of them can
    reach. The cluster with the smallest share is left out.

    Args:
        labels: (h, w), cluster numbers from 0 to P.
        person: (h, w), the visible person's share of each cell.
        parts: P.

    Returns:
        (P, h, w) in [0, 1].
    """
    share = {int(k): float(person.numpy()[labels == k].mean()) for k in np.unique(labels)}
    order = _from_top(labels[None], sorted(share, key=lambda k: -share[k])[:parts])
    values = torch.tensor([share[k] for k in order] + [0.0] * (parts - len(order)))
    return _chosen(labels[None], order, parts)[0] * values[:, None, None]


def joint_clusters(features: Tensor, known: Tensor, parts: int, *, seed: int = 0) -> Tensor:
    """Masks from one spectral clustering of the cells of many images: a cluster is the same thing in all of them.

    The known images' cells make one graph, and the rules of `cluster_cells` name its clusters. A cell of another image
    belongs to the cluster whose mean direction of features is nearest to its own.

    Args:
        features: (N, C, h, w) of the images to mask.
        known: (M, C, h, w) of the images whose cells are clustered.
        parts: P.
        seed: see `cluster_cells`.

    Returns:
        (N, P, h, w) of zeros and ones.
    """
    labels = cluster_labels(known, parts + 1, seed=seed)
    member = F.one_hot(torch.from_numpy(labels.ravel()), parts + 1).float()  # (cells, P + 1)
    means = F.normalize(member.T @ _unit_cells(known), dim=1)  # (P + 1, C)
    nearest = (_unit_cells(features) @ means.T).argmax(1).reshape(len(features), *features.shape[2:])
    return _chosen(nearest.numpy(), inner_clusters(labels, parts), parts)


def true_masks(truth: NDArray[np.uint8], grid: tuple[int, int], parts: int) -> Tensor:
    """The visible person as masks: head, trunk and legs (`PARTS`) for three parts; else each is the whole person.

    Args:
        truth: (N, H, W) index maps.
        grid: (h, w).
        parts: P.

    Returns:
        (N, P, h, w), shares of each cell.
    """
    regions = PARTS if parts == len(PARTS) else (PERSON,) * parts
    return torch.stack([region_share(truth, region, grid) for region in regions], 1)


class Views(NamedTuple):
    """Pictures and what is known of them; any mask set is made from these."""

    pictures: Tensor  # (N, 3, H, W) uint8 at the model's image size
    truth: NDArray[np.uint8]  # (N, H', W') index maps, see `REGIONS`

    def some(self, rows: NDArray[np.intp]) -> Views:
        """Some of the pictures."""
        return Views(self.pictures[rows], self.truth[rows])


Method = Callable[[Views], Tensor]  # gives competitive masks (N, P, h, w), not negative


def mask_methods(model: SCM, untrained: SCM, training: Views, *, seed: int = 0) -> dict[str, Method]:
    """What makes the learned masks, and those of every baseline, by name, see the module's head; the learned first.

    Args:
        model: trained; is switched to evaluation mode.
        untrained: the same network with fresh weights, `model_for(settings, 1)`; is left as it is.
        training: pictures that no score is computed on; the blind masks are means over them.
        seed: of spectral clustering.

    Raises:
        BadInput: an untrained network with another grid or number of parts.
    """
    P, grid = model.config.num_parts, model.config.grid
    if untrained.config != model.config:
        raise BadInput("The untrained network is of another architecture: build it from the run's settings.")
    fresh = with_statistics(untrained, training.pictures)
    stripes = 1 - striped_prior(P, *grid, mask_part=1)
    columns = torch.zeros(grid)
    columns[:, (grid[1] - 1) // 2 : grid[1] // 2 + 1] = 1
    known = branch_features(model, training.pictures[evenly(len(training.pictures), JOINT)])

    def blind(masks: Tensor) -> Method:
        return lambda views: masks.mean(0, keepdim=True).expand(len(views.pictures), -1, -1, -1)

    def clustered(views: Views) -> Tensor:
        return torch.stack([cluster_cells(image, P, seed=seed) for image in branch_features(model, views.pictures)])

    def best(views: Views) -> Tensor:
        features, person = branch_features(model, views.pictures), region_share(views.truth, PERSON, grid)
        labels = [cluster_labels(image[None], P + 1, seed=seed)[0] for image in features]
        return torch.stack([best_clusters(*pair, P) for pair in zip(labels, person, strict=True)])

    return {
        LEARNED: lambda views: masks_of(model, views.pictures),
        "mean mask": blind(masks_of(model, training.pictures)),
        "mean true person": blind(true_masks(training.truth, grid, P)),
        "middle columns": blind(stripes * columns),
        "stripes": blind(stripes),
        "uniform": blind(torch.ones_like(stripes)),
        "untrained": lambda views: masks_of(fresh, views.pictures),
        "spectral clustering": clustered,
        "spectral clustering, joint": lambda views: joint_clusters(
            branch_features(model, views.pictures), known, P, seed=seed
        ),
        "spectral clustering, best": best,
        "truth": lambda views: true_masks(views.truth, grid, P),
    }


def score_methods(
    methods: Mapping[str, Method],
    views: Views,
    identities: Labels,
    pairs: Pairs | None = None,
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """`score_masks` and `score_changes` of every set of masks, on the same pictures.

    Sets that cluster picture by picture are slow: they see at most `CLUSTERED` evenly spaced pictures and pairs.

    Args:
        methods: see `mask_methods`.
        views: the pictures to score on.
        identities: (N,), of the pictures.
        pairs: pictures with and without their occluders; without them no changes are scored.
        progress: whether to show a progress bar.

    Returns:
        A tidy table with the columns method, mask, score, value, low, high.

    Raises:
        BadInput: a grid too small to be clustered.
    """
    tables: list[pd.DataFrame] = []
    shares: Shares | None = None
    for name, masks in tqdm(methods.items(), "mask sets", disable=not progress):
        rows = evenly(len(views.pictures), CLUSTERED if name in SLOW else len(views.pictures))
        competitive = masks(views.some(rows))
        shares = shares or Shares.of(views.truth, (competitive.shape[2], competitive.shape[3]))
        found = [score_shares(competitive, shares.some(rows), np.asarray(identities)[rows])]
        if pairs is not None:
            some = pairs.some(evenly(len(pairs.identities), len(rows)))
            occluded, free = masks(Views(some.occluded, some.truth)), masks(Views(some.free, some.truth_free))
            found.append(score_changes(occluded, free, some))
        tables += [table.assign(method=name) for table in found]
    return pd.concat(tables, ignore_index=True)[["method", *COLUMNS]]
