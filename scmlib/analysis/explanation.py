"""What a match rests on, by several maps: Grad-CAM of the similarity, hiding place by place, and the network's masks.

Each map claims to show the places that a query's similarity to its true matches rests on. `insertion_deletion` judges
them all alike, beside two that can't know: noise, and the mean mask of other people's queries. Grad-CAM and sensitivity
are made with the true matches at hand; the masks see the query alone.

Lesson: notebooks/05_do_the_masks_see.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from scmlib.analysis.insertion import CURVES, STEPS, areas, insertion_deletion
from scmlib.analysis.sensitivity import other_maps, sensitivity_maps, targets, true_matches
from scmlib.analysis.statistics import Map, simultaneous_bands
from scmlib.data.images import to_float
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.model import SCM
from scmlib.runs import Study, open_study

GRAD_CAM = "Grad-CAM"

CONTROLS = ("noise", "mean mask")  # what maps are held against


@dataclass(frozen=True)
class Explanation:
    """The answer of `explain`, for N queries, K maps of each and S steps."""

    queries: list[Record]
    maps: dict[str, Map]  # (N, h, w) each, by name
    curves: Map  # (N, K, 2, S + 1), see `insertion_deletion`
    table: pd.DataFrame  # see `judge`
    study: Study


def similarity_cam(model: SCM, image: Tensor, match: Map) -> Map:
    """Grad-CAM of a query's similarity to a true match, by Captum.

    The channels of the last feature maps, each times the mean of its gradient over the cells, added, and cut off below
    0 (Selvaraju et al., 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization"). The
    score is no class's but the similarity, as in Chen et al., 2020, "Adapting Grad-CAM for Embedding Networks". Both
    branches have last feature maps, and the picture and its mirror image both count, as in `embed`: all are added, the
    mirror image's turned back.

    Args:
        model: is switched to evaluation mode; stays where it is.
        image: (3, H, W) uint8, the query at the model's image size.
        match: (E,), L2-normalised, see `targets`.

    Returns:
        (h, w), 0 or more.

    Raises:
        BadInput: Captum isn't installed.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError as absent:
        raise BadInput("Captum is not installed: pip install 'scmlib[explain]'.") from absent
    model.eval()
    device = next(model.parameters()).device
    towards = torch.as_tensor(match, device=device)

    def similarity(images: Tensor) -> Tensor:
        embeddings: Tensor = model(torch.cat([images, images.flip(3)])).embeddings.flatten(1)  # (2, E)
        return F.normalize(embeddings.sum(0, keepdim=True), dim=1) @ towards

    pixels = to_float(image[None]).to(device)
    layers = [branch for branch in (model.branch_1, model.branch_2) if not isinstance(branch, nn.Identity)]
    both = sum(LayerGradCam(similarity, layer).attribute(pixels).detach() for layer in layers)  # (2, 1, h, w)
    found: Map = (both[0, 0] + both[1, 0].flip(1)).relu().cpu().numpy()
    return found


def explain(
    run: Study | str | Path,
    dataset: str = "",
    dataset_root: str | Path = "",
    *,
    queries: int = 30,
    steps: int = STEPS,
    seed: int = 0,
    progress: bool = False,
) -> Explanation:
    """Maps of what the matches of some queries rest on, each judged by insertion and deletion.

    The maps: `Grad-CAM` (`similarity_cam`), `sensitivity`, the `cooperative` mask; the visible `person`, where the data
    know it; and as controls `mean mask`, the mean of the other identities' cooperative masks, and `noise`.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.
        queries: how many, evenly spaced; of two identities or more.
        steps: of the curves.
        seed: of noise, equal cells and the bootstrap.
        progress: whether to show progress bars.

    Raises:
        BadInput: no run or data there, Captum isn't installed, or a variant that reads more than the picture.
    """
    study = run if isinstance(run, Study) else open_study(run, dataset, dataset_root)
    model = study.model
    looked, matches = true_matches(study.data, queries)
    pictures, towards = study.pictures(looked), targets(model, matches)
    maps = {GRAD_CAM: np.stack([similarity_cam(model, *pair) for pair in zip(pictures, towards, strict=True)])}
    maps["sensitivity"] = sensitivity_maps(model, looked, matches, progress=progress)
    others = other_maps(model, looked, seed=seed)
    maps |= {name: others[name] for name in ("cooperative", "person", *CONTROLS) if name in others}
    stacked = np.stack(list(maps.values()), 1)  # (N, K, h, w)
    each = tqdm(zip(pictures, towards, stacked, strict=True), "curves", len(looked), disable=not progress)
    curves = np.stack([insertion_deletion(model, *one, steps=steps, seed=seed) for one in each])
    table = judge(areas(curves), list(maps), [query.identity for query in looked], seed=seed)
    return Explanation(looked, maps, curves, table, study)


def judge(found: Map, names: Sequence[str], identities: Sequence[int], *, seed: int = 0) -> pd.DataFrame:
    """The areas of all maps, and each held against the controls.

    Args:
        found: (N, K, 2), the areas below both curves of each query's maps.
        names: of the K maps, the controls among them.
        identities: of the N queries.
        seed: of the bootstrap.

    Returns:
        A row for each curve, map and control with the columns curve, map, area (mean over the queries), against,
        control (its area), difference, area less control, paired by query, with its 95 % band low and high over
        identities, which holds together with the others of its curve; and finding: `better` or `worse` where the band
        leaves 0 out (a larger area is better for insertion, a smaller one for deletion), else `not resolved`.
    """
    pairs = [(name, control) for control in CONTROLS for name in names if name not in CONTROLS]
    pairs.append(("mean mask", "noise"))
    at = [[names.index(name) for name in side] for side in zip(*pairs, strict=True)]
    rows = []
    for curve, sign in zip(range(2), (1, -1), strict=True):
        areas_of = found[:, :, curve].T.astype(float)  # (K, N)
        scores = areas_of[at[0]] - areas_of[at[1]]
        bands = simultaneous_bands(scores, identities, np.ones_like(scores), seed=seed)
        for i, ((name, control), difference, low, high) in enumerate(zip(pairs, *bands, strict=True)):
            ends = sorted((sign * low, sign * high))
            said = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "not resolved"
            row = (CURVES[curve], name, areas_of[at[0][i]].mean(), control, areas_of[at[1][i]].mean())
            rows.append((*row, difference, low, high, said))
    columns = ["curve", "map", "area", "against", "control", "difference", "low", "high", "finding"]
    return pd.DataFrame(rows, columns=columns)
