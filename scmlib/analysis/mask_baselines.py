"""What the learned masks are held against: masks that see less, or were never trained to be masks.

A lift of 2 says little before one knows what a fixed stripe gets, in a world where people stand in the middle. So the
scores of the learned masks always stand beside those of five other sets of masks, on the same images:

- `SCM, mean mask`: each learned mask averaged over the images. It knows where people usually are and sees nothing;
  what the learned masks have above it comes from looking.
- `SCM, untrained`: the same network before training, see `with_statistics`. What the architecture gives by itself:
  the prior's blind stripes, and convolutions with random weights, which tell textures apart.
- `spectral clustering`: the classical algorithm on the trained network's own features, see `cluster_cells`.
- `stripes`: P horizontal stripes, ones inside and zeros outside, the same for every image. Persons stand upright, so
  stripes divide the body well without finding it.
- `uniform`: ones everywhere. Its lift is 1.
"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.analysis.mask_scores import score_masks
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.inference import branch_features, masks_of
from scmlib.mask import striped_prior
from scmlib.model import SCM

FLOOR = 1e-3  # added to every affinity, so that the graph is connected whatever the features are


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
    for batch in torch.split(pictures, batch_size):
        network(to_float(batch.to(device)))
    return network.eval()


def cluster_cells(features: Tensor, parts: int, *, seed: int = 0) -> Tensor:
    """Classical spectral clustering (Shi and Malik, 2000) of one image's cells into P parts and the background.

    The graph's nodes are the cells, and an edge weighs the cosine of the two cells' features. Leading
    eigenvectors of the normalised Laplacian and k-means give P + 1 clusters. SCM borrows the name and the walk on a
    graph, but its graph is another: P part vectors at one cell, with affinities learned end to end.

    Clusters have no names, and no label is at hand to give them any. Two rules do, from where people stand in a crop:

    - the background is the cluster that holds the most cells of the grid's border (the first one of a tie);
    - the other P are the parts, ordered by their mean row from top to bottom.

    Both fail openly: the background often falls into several clusters, and then one of them counts as a part; a
    large occluder may hold more of the border than the background does; and the second cluster from above is the
    legs in one image and the arms in another.

    Args:
        features: (C, h, w), not negative.
        parts: P.
        seed: of k-means and of the eigenvectors' first guess.

    Returns:
        Masks (P, h, w) of zeros and ones that don't overlap.

    Raises:
        BadInput: a grid of fewer cells than P + 2.
    """
    from sklearn.cluster import SpectralClustering  # here, since it takes a second to import

    h, w = features.shape[1:]
    if h * w < parts + 2:
        raise BadInput(
            f"A grid of {h} x {w} cells is too small for {parts} parts and a background: take larger images."
        )
    unit = F.normalize(features.flatten(1), dim=0)  # (C, h * w)
    clustering = SpectralClustering(parts + 1, affinity="precomputed", random_state=seed)
    labels = clustering.fit_predict((unit.T @ unit + FLOOR).double().numpy()).reshape(h, w)
    return torch.from_numpy(parts_from_top(labels, parts)).float()


def parts_from_top(labels: NDArray[np.integer], parts: int) -> NDArray[np.bool_]:
    """Clusters to masks by the two rules of `cluster_cells`.

    Args:
        labels: (h, w) cluster numbers, 0 .. P.
        parts: P.

    Returns:
        (P, h, w).
    """
    clusters = labels == np.arange(parts + 1)[:, None, None]  # (P + 1, h, w)
    border = np.ones(labels.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    background = clusters[:, border].sum(1).argmax()
    rows = np.arange(len(labels))[:, None]
    mean_row = (clusters * rows).sum((1, 2)) / np.maximum(1, clusters.sum((1, 2)))
    order = np.argsort(mean_row, kind="stable")
    masks: NDArray[np.bool_] = clusters[order[order != background]]
    return masks


def method_masks(
    model: SCM, untrained: SCM, pictures: Tensor, *, seed: int = 0, progress: bool = False
) -> dict[str, Tensor]:
    """The learned masks and those of every baseline, see the module's head.

    Args:
        model: trained; is switched to evaluation mode.
        untrained: the same network with fresh weights, `model_for(settings, 1)`; is left as it is.
        pictures: (N, 3, H, W) uint8 at the model's image size.
        seed: of spectral clustering.
        progress: whether to show a progress bar.

    Returns:
        Competitive masks (N, P, h, w) in [0, 1] by the method's name, the learned ones first.

    Raises:
        BadInput: an untrained network with another grid or number of parts, or a grid too small to be clustered.
    """
    P, (h, w) = model.config.num_parts, model.config.grid
    if untrained.config != model.config:
        raise BadInput("The untrained network is of another architecture: build it from the run's settings.")
    learned = masks_of(model, pictures)
    features = tqdm(branch_features(model, pictures), "clustering", unit="image", disable=not progress)
    return {
        "SCM": learned,
        "SCM, mean mask": learned.mean(0, keepdim=True).expand_as(learned),
        "SCM, untrained": masks_of(with_statistics(untrained, pictures), pictures),
        "spectral clustering": torch.stack([cluster_cells(image, P, seed=seed) for image in features]),
        "stripes": (1 - striped_prior(P, h, w, mask_part=1)).expand_as(learned),
        "uniform": torch.ones_like(learned),
    }


def score_methods(
    model: SCM,
    untrained: SCM,
    pictures: Tensor,
    truth: NDArray[np.uint8],
    *,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """`score_masks` of the learned masks and of every baseline, on the same images.

    Args:
        model: trained; is switched to evaluation mode.
        untrained: the same network with fresh weights, `model_for(settings, 1)`; is left as it is.
        pictures: (N, 3, H, W) uint8 at the model's image size.
        truth: (N, H, W) index maps, see `REGIONS`; any size.
        seed: of spectral clustering.
        progress: whether to show a progress bar.

    Returns:
        A tidy table with the columns method, mask, score, value.

    Raises:
        BadInput: as `method_masks` and `score_masks` do.
    """
    masks = method_masks(model, untrained, pictures, seed=seed, progress=progress)
    tables = [score_masks(competitive, truth).assign(method=name) for name, competitive in masks.items()]
    return pd.concat(tables, ignore_index=True)[["method", "mask", "score", "value"]]
