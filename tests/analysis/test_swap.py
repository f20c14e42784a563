"""Masks exchanged at test time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from scmlib.analysis import swap
from scmlib.analysis.mask_baselines import training_pool, true_masks
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.analysis.swap import compare, embed_swapped, foreign_masks, pooled_gains, swap_masks
from scmlib.checkpoints import load_model
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.images import read_pictures, to_float
from scmlib.data.truth import read_truth
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate, rank_records
from scmlib.inference import batches_of, embed
from scmlib.mask import clamp_unit
from scmlib.model import SCM
from scmlib.variants import build_model

MASKS = ["own", "mean", "other", "no walk", "no prior", "stripes", "uniform", "truth"]


@pytest.fixture(scope="module")
def data(data_root: Path) -> ReidDataset:
    whole = open_dataset("synthetic", data_root)
    return replace(whole, query=whole.query[:9], train=whole.train[::4])


@pytest.fixture(scope="module")
def model(run: Path) -> SCM:
    return load_model(run)[0]


@pytest.fixture(scope="module")
def table(model: SCM, data: ReidDataset) -> pd.DataFrame:
    return swap_masks(model, data).set_index("masks")


def test_own_masks_give_what_evaluate_gives(model: SCM, data: ReidDataset, table: pd.DataFrame) -> None:
    ranking = evaluate(model, data).ranking
    assert list(table.index) == MASKS
    # Up to rounding: `evaluate` takes a picture and its mirror image through the network together.
    assert table.loc["own", "mAP"] == pytest.approx(ranking.mAP, abs=1e-6)
    assert table.loc["own", "top1"] == ranking.cmc[0]
    assert (table.loc["own"].filter(regex="difference|low|high") == 0).all()
    assert (table["queries"] == ranking.num_valid).all()
    assert (table["identities"] == len({record.identity for record in data.query})).all()


def test_batches_of_another_size_change_nothing(model: SCM, data: ReidDataset, table: pd.DataFrame) -> None:
    with batches_of(5):
        again = swap_masks(model, data).set_index("masks")
    assert np.allclose(again[["mAP", "top1", "mINP"]], table[["mAP", "top1", "mINP"]], atol=1e-6)


def test_differences_are_paired_and_lie_in_their_bands(table: pd.DataFrame) -> None:
    for metric in ("mAP", "top1", "mINP"):
        assert np.allclose(table[f"{metric}_difference"], table[metric] - table[metric].iloc[0])
        assert (table[f"{metric}_low"] <= table[f"{metric}_difference"] + 1e-12).all()
        assert (table[f"{metric}_difference"] <= table[f"{metric}_high"] + 1e-12).all()


def test_swapped_embeddings_equal_a_model_that_is_given_the_masks(model: SCM, data: ReidDataset) -> None:
    pool, records = data.train[:5], data.query[:3]
    seen = torch.rand(2, 5, 3, *model.config.grid)
    foreign = foreign_masks(seen, pool, records)
    ones = dict.fromkeys(("own", "no walk", "no prior", *foreign), torch.ones(6))
    ones["stripes"] = torch.tensor([1.0, 2, 1, 3, 1, 1])
    found = embed_swapped(model, records, foreign, ones)
    pictures, scm = to_float(read_pictures(records, model.image_size)), model.scm
    assert np.allclose(found["own"], embed(model, pictures), atol=1e-6)

    def naive(name: str, images: torch.Tensor, mirrored: int) -> torch.Tensor:
        """Picture by picture, part by part."""
        rows = []
        for i, image in enumerate(images):
            x1, x2 = (x[0] for x in model.branches(image[None]))
            if name in foreign:
                masks = foreign[name][mirrored, min(i, foreign[name].shape[1] - 1)]
            else:
                vectors = scm.part_vectors(x2[None])
                maps = scm.read_out(vectors if name == "no walk" else scm.att(vectors))[0]
                masks = clamp_unit(maps * (1 if name == "no prior" else scm.learnable_masks[0]))
            pooled = [x1.mean((1, 2)), (x2 * masks.sum(0)).mean((1, 2)), x1.amax((1, 2))]
            pooled += [(x2 * mask).amax((1, 2)) for mask in masks]
            read = zip(pooled, ones[name], model.feat_list, model.bn_list, strict=True)
            rows.append(torch.cat([norm(reduce(x[None] * gain))[0] for x, gain, reduce, norm in read]))
        return torch.stack(rows)

    with torch.inference_mode():
        for name, rows in found.items():
            both = naive(name, pictures, 0) + naive(name, pictures.flip(3), 1)
            assert np.allclose(rows, F.normalize(both, dim=1), atol=1e-5), name


def test_foreign_masks_come_from_others_and_know_nothing_of_a_picture(data: ReidDataset) -> None:
    pool = data.train[:6]
    identities = [record.identity for record in pool]
    seen = torch.arange(6.0)[None, :, None, None, None].expand(2, 6, 3, 6, 2)  # a mask says whose it is
    foreign = foreign_masks(seen, pool, pool, seed=3)
    assert foreign["mean"].unique().tolist() == [2.5]
    takes = foreign["other"][0, :, 0, 0, 0].long().tolist()
    assert all(identities[taken] != own for taken, own in zip(takes, identities, strict=True))
    assert torch.equal(foreign["other"], foreign_masks(seen, pool, pool, seed=3)["other"])
    assert foreign["stripes"][0, 0, :, :, 0].tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]]
    assert foreign["uniform"].min() == 1
    with pytest.raises(BadInput, match="nobody else's masks"):
        foreign_masks(seen[:, :1], pool[:1], pool[:1])


def test_gains_undo_the_scale_of_masks(model: SCM, data: ReidDataset) -> None:
    pool = data.train[:6]
    scale = torch.tensor([0.5, 1.0, 3.0])[:, None, None]
    stripes = foreign_masks(torch.rand(2, 6, 3, *model.config.grid), pool, pool)["stripes"]
    gains = pooled_gains(model, pool, {"stripes": stripes, "scaled": scale * stripes, "none": 0 * stripes})
    assert gains["own"].tolist() == [1] * 6
    assert gains["scaled"][[0, 2]].tolist() == [1, 1]  # the global embeddings have no masks
    assert torch.allclose(gains["scaled"][3:] * scale.flatten(), gains["stripes"][3:])
    assert gains["none"][[1, 3, 4, 5]].tolist() == [1] * 4


def test_true_parts_are_given_to_the_learned_ones_that_they_overlap(
    model: SCM, data: ReidDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = true_masks(read_truth([r.path for r in training_pool(data)]), model.config.grid, 3)
    turned = torch.stack([parts, parts.flip(3)])[:, :, [2, 0, 1]]  # legs, head, trunk
    monkeypatch.setattr(swap, "_own_masks", lambda *_: turned)
    given = []
    monkeypatch.setattr(swap, "embed_swapped", lambda _, records, foreign, *__, **___: given.append(foreign["truth"]))
    monkeypatch.setattr(swap, "compare", lambda *_, **__: None)
    swap_masks(model, data)
    legs = true_masks(read_truth([r.path for r in data.query]), model.config.grid, 3)[:, 2]
    assert torch.equal(given[0][0, :, 0], legs)
    assert torch.equal(given[0][1, :, 0], legs.flip(2))


def test_bands_resample_identities(data: ReidDataset) -> None:
    rng = np.random.default_rng(0)
    query, gallery = (
        {name: rng.standard_normal((len(records), 4)).astype(np.float32) for name in MASKS}
        for records in (data.query, data.gallery)
    )
    table = compare(data, query, gallery, seed=5)
    mean, own = (rank_records(query[name], gallery[name], data.query, data.gallery) for name in ("mean", "own"))
    apart = mean.ap - own.ap
    low, high = bootstrap_bands(apart, [record.identity for record in data.query], seed=5)
    row = table.set_index("masks").loc["mean"]
    assert row["mAP_difference"] == pytest.approx(apart.mean())
    assert (row["mAP_low"], row["mAP_high"]) == (pytest.approx(low), pytest.approx(high))


def test_variants_without_masks_of_their_own_are_named(data: ReidDataset) -> None:
    with pytest.raises(BadInput, match="'global-only' has no masks to exchange"):
        swap_masks(build_model("regnet_y_tiny", 4, image_size=(96, 48), variant="global-only"), data)
