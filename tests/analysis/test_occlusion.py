from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from scmlib.analysis.occluders import KINDS, POSITIONS, draw_occluder, occlude
from scmlib.analysis.occlusion import embedding_groups, robustness, sweep
from scmlib.checkpoints import load_model
from scmlib.data import truth
from scmlib.data.datasets import ReidDataset, open_dataset
from scmlib.data.images import read_image, to_float
from scmlib.errors import BadInput
from scmlib.evaluation import evaluate, rank_records
from scmlib.inference import embed
from scmlib.model import SCM
from tests.trees import write_tree

IMAGE = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 40, 20), dtype=np.uint8))
PERSON = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 50, 30), dtype=np.uint8))


def hide(kind: str, ratio: float, position: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    return occlude(IMAGE, kind=kind, ratio=ratio, position=position, seed=seed, people=[PERSON])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS), st.sampled_from(POSITIONS), st.floats(0, 0.6), st.floats(0, 0.6), st.integers(0, 2**32 - 1)
)
def test_occluder_meets_its_area_and_grows_in_place(
    kind: str, position: str, less: float, more: float, seed: int
) -> None:
    less, more = sorted((less, more))
    (small, inner), (large, outer) = hide(kind, less, position, seed), hide(kind, more, position, seed)
    assert large.shape == IMAGE.shape
    assert large.dtype == torch.uint8
    assert outer.sum() == round(more * 800)
    assert not (inner & ~outer).any()
    assert torch.equal(large[:, ~outer], IMAGE[:, ~outer])
    assert torch.equal(large[:, inner], small[:, inner])
    assert torch.equal(large, hide(kind, more, position, seed)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("position", POSITIONS)
def test_nothing_hidden_leaves_the_image_as_it_is(kind: str, position: str) -> None:
    image, mask = hide(kind, 0, position)
    assert torch.equal(image, IMAGE)
    assert not mask.any()


@pytest.mark.parametrize("kind", ["block", "person"])
@pytest.mark.parametrize(
    ("position", "rows", "columns"),
    [
        ("top", slice(0, 10), slice(None)),
        ("bottom", slice(30, 40), slice(None)),
        ("middle", slice(15, 25), slice(None)),
        ("left", slice(None), slice(0, 5)),
        ("right", slice(None), slice(15, 20)),
    ],
)
def test_bands_lie_where_they_should(kind: str, position: str, rows: slice, columns: slice) -> None:
    wanted = torch.zeros(40, 20, dtype=torch.bool)
    wanted[rows, columns] = True
    assert torch.equal(hide(kind, 0.25, position)[1], wanted)


@pytest.mark.parametrize("position", POSITIONS)
def test_object_is_one_piece_that_no_rectangle_holds(position: str) -> None:
    for seed in range(5):
        image = torch.zeros(3, 96, 48, dtype=torch.uint8)
        hidden, mask = occlude(image, kind="object", ratio=0.3, position=position, seed=seed)
        assert ndimage.label(mask)[1] == 1
        y, x = np.nonzero(mask.numpy())
        assert mask.sum() < 0.9 * (np.ptp(y) + 1) * (np.ptp(x) + 1)
        assert hidden[:, mask].float().std() > 5  # textured
        if position in ("top", "bottom"):
            assert ((y < 48).mean() > 0.9) == (position == "top")
        if position in ("left", "right"):
            assert ((x < 24).mean() > 0.9) == (position == "left")


def test_block_has_one_colour_and_another_seed_another_block() -> None:
    image, mask = hide("block", 0.3, "random", 1)
    assert (image[:, mask] == image[:, mask][:, :1]).all()
    other, elsewhere = hide("block", 0.3, "random", 2)
    assert not torch.equal(image, other)
    assert not torch.equal(mask, elsewhere)


def test_pasted_person_is_nearer_and_centred_on_the_band() -> None:
    # The upper half of the other person is red, the lower blue; in the middle of the band the two meet.
    person = torch.zeros(3, 40, 20, dtype=torch.uint8)
    person[0, :20], person[2, 20:] = 255, 255
    image, mask = occlude(IMAGE, kind="person", ratio=0.5, position="middle", seed=0, people=[person])
    assert mask[10:30].all()
    assert (image[0, 10:19] == 255).all()
    assert (image[2, 21:30] == 255).all()
    # What stands at the bottom edge shows the upper half alone.
    image, _ = occlude(IMAGE, kind="person", ratio=0.5, position="bottom", seed=0, people=[person])
    assert (image[0, 20:39] == 255).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "tree"}, "Unknown kind of occluder 'tree': choose one of block"),
        ({"position": "behind"}, "Unknown position 'behind': choose one of top"),
        ({"ratio": 0.7}, "0.7 is out of range"),
        ({"ratio": -0.1}, "-0.1 is out of range"),
        ({"ratio": float("nan")}, "nan is out of range"),
        ({"kind": "person"}, "nobody to paste"),
        ({"image": to_float(IMAGE)}, "[3, 40, 20] torch.float32"),
        ({"image": IMAGE[None]}, "[1, 3, 40, 20]"),
    ],
)
def test_bad_input_is_named(wrong: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"image": IMAGE, "kind": "block", "ratio": 0.2, "position": "top", "seed": 0}
    with pytest.raises(BadInput, match=re.escape(message)):
        occlude(**arguments | wrong)


def test_share_of_a_region_is_hidden_wherever_it_lies() -> None:
    region = torch.zeros(40, 20, dtype=torch.bool)
    region[30:, 5:10] = True  # 50 pixels, far from where the occluder begins
    occluder = draw_occluder("block", "top", (40, 20), seed=0)
    for ratio in (0, 0.1, 0.5, 0.6):
        image, mask = occluder.cover(IMAGE, ratio, region)
        rows = 30 + 10 * ratio if ratio else 0  # a band from the top, pixel by pixel along its last row
        assert rows - 1 <= mask.sum() / 20 <= rows + 1
        assert (mask & region).sum() == round(50 * ratio)
        assert torch.equal(image[:, ~mask], IMAGE[:, ~mask])


TABLE = pd.DataFrame(
    [
        ("all", kind, "random", "the picture", ratio, mAP, mAP - 0.1, mAP + 0.1, mAP, mAP - 0.1, mAP + 0.1, 7)
        for kind, curve in {"block": (0.8, 0.6, 0.2), "person": (0.8, 0.4, 0.0)}.items()
        for ratio, mAP in zip((0.0, 0.25, 0.5), curve, strict=True)
    ],
    columns=[
        *("embeddings", "kind", "position", "hidden", "ratio"),
        *("mAP", "mAP_low", "mAP_high", "top1", "top1_low", "top1_high", "queries"),
    ],
)


def test_robustness_of_a_table_with_known_answers() -> None:
    assert robustness(TABLE) == pytest.approx({"block": 0.5, "person": 0.25, "overall": 0.375})


@pytest.fixture(scope="module")
def data(data_root: Path) -> ReidDataset:
    """The quick world with its first queries and one that has no match."""
    whole = open_dataset("synthetic", data_root)
    stray = replace(whole.query[0], identity=99999)
    return replace(whole, query=[stray, *whole.query[:9]])


@pytest.fixture(scope="module")
def model(run: Path) -> SCM:
    return load_model(run)[0]


def test_sweep_equals_ranking_each_condition_by_itself(
    model: SCM, data: ReidDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scmlib.analysis.occlusion.QUERIES", 4)
    table = sweep(
        model,
        data,
        kinds=["object", "block"],
        ratios=[0.4, 0, 0.2],
        positions=["left", "random"],
        groups=embedding_groups(model.embedding_names),
        seed=3,
    )
    assert len(table) == 4 * 2 * 2 * 3
    assert (table["queries"] == 9).all()
    assert (table["hidden"] == "the visible person").all()
    assert list(table["ratio"][:3]) == [0, 0.2, 0.4]
    parts = {"all": range(6), "global": [0, 2], "cooperative": [1], "parts": [3, 4, 5]}
    gallery = embed(model, data.gallery).reshape(len(data.gallery), 6, -1)
    people = np.isin(truth.read_truth([query.path for query in data.query]), truth.PERSON)
    assert people.shape[1:] == model.image_size
    for row in table.to_dict("records"):
        hidden = [
            draw_occluder(str(row["kind"]), str(row["position"]), model.image_size, (3, i)).cover(
                read_image(query.path, model.image_size), row["ratio"], torch.from_numpy(people[i])
            )[0]
            for i, query in enumerate(data.query)
        ]
        kept = list(parts[str(row["embeddings"])])
        embedded = embed(model, to_float(torch.stack(hidden))).reshape(len(data.query), 6, -1)
        query, others = (F.normalize(torch.from_numpy(x[:, kept]).flatten(1), dim=1) for x in (embedded, gallery))
        ranking = rank_records(query.numpy(), others.numpy(), data.query, data.gallery)
        assert row["mAP"] == pytest.approx(ranking.mAP, abs=1e-6)
        assert row["top1"] == pytest.approx(ranking.cmc[0])
        assert row["mAP_low"] <= row["mAP"] <= row["mAP_high"]
        assert row["top1_low"] <= row["top1"] <= row["top1_high"]


def test_persons_are_pasted_from_other_identities(model: SCM, data: ReidDataset) -> None:
    table = sweep(model, data, kinds=["person"], ratios=[0.5])
    assert list(table["ratio"]) == [0, 0.5]
    assert table.equals(sweep(model, data, kinds=["person"], ratios=[0.5]))
    alone = replace(data, query=[query for query in data.query if query.identity == data.query[1].identity])
    with pytest.raises(BadInput, match="nobody else to paste"):
        sweep(model, alone, kinds=["person"], ratios=[0.5])
    assert set(sweep(model, alone, kinds=["block", "block"], ratios=[0.5])["ratio"]) == {0, 0.5}


def test_sweep_that_hides_nothing_is_refused(model: SCM, data: ReidDataset) -> None:
    with pytest.raises(BadInput, match="give a hidden share above 0"):
        sweep(model, data, ratios=[0])


def test_fine_grained_images_are_framed_and_never_find_themselves(model: SCM, tmp_path: Path) -> None:
    write_tree("cub200", tmp_path)
    birds = open_dataset("cub200", tmp_path)
    table = sweep(model, birds, kinds=["block"], ratios=[0.3])
    whole = evaluate(model, birds).ranking
    assert table["mAP"][0] == pytest.approx(whole.mAP)
    assert table["queries"][0] == whole.num_valid
    assert set(table["hidden"]) == {"the picture"}  # nobody knows where the bird is
    unframed = [replace(record, margin=0) for record in birds.query]
    assert {record.margin for record in birds.query} == {32}
    assert not np.allclose(embed(model, birds.query), embed(model, unframed))


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.5, 0.5), (1.0, 0.2)])
def test_an_occluder_stands_where_it_is_put(point: tuple[float, float]) -> None:
    _, mask = occlude(torch.zeros(3, 96, 48, dtype=torch.uint8), kind="block", ratio=0.1, position=point, seed=0)
    at = (min(95, int(point[0] * 96)), min(47, int(point[1] * 48)))
    assert mask[at]
    assert mask.sum() == round(0.1 * 96 * 48)


def test_a_point_outside_the_image_is_refused() -> None:
    with pytest.raises(BadInput, match="outside the image"):
        occlude(torch.zeros(3, 96, 48, dtype=torch.uint8), kind="block", ratio=0.1, position=(1.2, 0), seed=0)
