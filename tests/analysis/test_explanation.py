"""Grad-CAM against gradients by hand, and maps judged against controls."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from scmlib import figures
from scmlib.analysis.explanation import CONTROLS, explain, judge, similarity_cam
from scmlib.analysis.insertion import areas
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.figures.style import alt_text
from scmlib.inference import embed
from scmlib.model import masked_pools
from scmlib.runs import Study, open_study
from scmlib.variants import build_model
from tests.cli.test_analysis import scm


@pytest.fixture(scope="module")
def study(run: Path) -> Study:
    return open_study(run)


def test_grad_cam_equals_gradients_by_hand(study: Study) -> None:
    model, image = study.model, study.pictures(study.data.query[:1])[0]
    match = embed(model, study.data.gallery[:1])[0]
    pixels = to_float(image[None])
    wanted = np.zeros((6, 3))
    x1, x2 = model.branches(torch.cat([pixels, pixels.flip(3)]))
    masks = model.scm(x2)
    raw = model.read_out(masked_pools(x1, x2, *masks), *masks).embeddings.flatten(1).sum(0)
    score = F.normalize(raw, dim=0) @ torch.from_numpy(match)
    assert score.item() == pytest.approx((embed(model, image[None]) @ match)[0], abs=1e-5)
    for features, gradient in zip((x1, x2), torch.autograd.grad(score, (x1, x2)), strict=True):
        for mirrored in (False, True):
            a, g = features[int(mirrored)].detach().numpy(), gradient[int(mirrored)].numpy()
            cam = sum(g[c].mean() * a[c] for c in range(len(a)))
            wanted += cam[:, ::-1] if mirrored else cam
    assert np.abs(wanted).max() > 0
    assert similarity_cam(model, image, match) == pytest.approx(wanted.clip(0), abs=1e-5 * np.abs(wanted).max())


def test_a_network_with_one_branch_has_a_map(study: Study) -> None:
    torch.manual_seed(0)
    model = build_model("regnet_y_tiny", 5, image_size=(96, 48), variant="global-only").eval()
    match = embed(model, study.data.gallery[:1])[0]
    assert similarity_cam(model, study.pictures(study.data.query[:1])[0], match).shape == (6, 3)


def test_without_captum_the_way_out_is_said(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(BadInput, match=r"Captum is not installed: pip install 'scmlib\[explain\]'"):
        explain(study, queries=2)


def test_maps_are_held_against_controls() -> None:
    rng = np.random.default_rng(0)
    names = ["good", "useless", "noise", "mean mask"]
    found = np.stack([rng.normal(0.5, 0.05, (40, 2)) for _ in names], 1)
    found[:, 0] += (0.2, -0.2)  # more area by insertion, less by deletion
    table = judge(found, names, list(np.arange(40)))
    assert len(table) == 2 * 5
    for row in table.to_dict("records"):
        at, curve = (
            [names.index(row["map"]), names.index(row["against"])],
            ("insertion", "deletion").index(row["curve"]),
        )
        assert (row["area"], row["control"]) == pytest.approx(tuple(found[:, at, curve].mean(0)))
        assert row["difference"] == pytest.approx(row["area"] - row["control"])
        assert row["low"] <= row["difference"] <= row["high"]
        assert (row["finding"] == "better") == (row["map"] == "good")
    turned = judge(-found, names, list(np.arange(40)))
    assert set(turned[turned["map"] == "good"]["finding"]) == {"worse"}


def test_explanations_of_a_run(study: Study, run: Path, data_root: Path, tmp_path: Path) -> None:
    answer = explain(study, queries=4, steps=3)
    assert list(answer.maps) == ["Grad-CAM", "sensitivity", "cooperative", "person", *CONTROLS]
    assert answer.curves.shape == (4, 6, 2, 4)
    row = answer.table.iloc[0]
    assert row["area"] == pytest.approx(areas(answer.curves)[:, 0, 0].mean())
    said = alt_text(figures.draw_insertion(answer.curves, list(answer.maps)))
    assert f"insertion: Grad-CAM {row['area']:.2f}" in said
    helped = answer.maps | {
        "sensitivity": -np.abs(answer.maps["sensitivity"])
    }  # hiding any place helps: no value above 0
    figures.draw_explanation(study.pictures(answer.queries), helped).canvas.draw()
    assert "Grad-CAM, sensitivity" in alt_text(figures.draw_explanation(study.pictures(answer.queries), answer.maps))
    where = ["--dataset-root", data_root, "--out", tmp_path, "--queries", 3]
    told = json.loads(scm("explain", run, *where, "--json"))
    assert told["queries"] == 3
    assert [row["map"] for row in told["rows"]] == list(pd.read_csv(tmp_path / "explanation.csv")["map"])
    assert f"Grad-CAM {told['rows'][0]['area']:.3f}, noise" in scm("explain", run, *where)
    assert (tmp_path / "explanation.png").is_file()
    assert (tmp_path / "explanation_curves.png").is_file()
