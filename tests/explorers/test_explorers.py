"""Every control of every explorer over its range, errors as sentences, steady memory, and the printed twins."""

from __future__ import annotations

import gc
import re
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets import Checkbox, SelectionSlider, ToggleButtons
from scmlib.explorers.views import Ranker, probe, view_masks

from scmlib import explore_masks, explore_prior, explore_ranking, explore_schedule, occlusion_lab
from scmlib.analysis.occluders import occlude
from scmlib.data.datasets import open_dataset
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.explorers.widgets import ERROR, Explorer
from scmlib.figures.masks import draw_prior
from scmlib.figures.style import alt_text
from scmlib.inference import embed
from scmlib.runs import Study, open_study
from tests.trees import write_tree

OPENERS: dict[str, Callable[[Study], Explorer]] = {
    "masks": explore_masks,
    "lab": occlusion_lab,
    "ranking": explore_ranking,
    "prior": lambda study: explore_prior(),
    "schedule": lambda study: explore_schedule(),
}


@pytest.fixture(scope="module")
def study(run: Path) -> Study:
    return open_study(run)


def values_of(control: Any) -> list[Any]:
    """Values from one end of a control's range to the other."""
    if isinstance(control, Checkbox):
        return [False, True]
    if isinstance(control, (SelectionSlider, ToggleButtons)):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return [*values[:4], values[-1]]
    steps = np.linspace(control.min, control.max, 5)
    return [int(step) if isinstance(control.value, int) else float(step) for step in steps]


@pytest.mark.parametrize("name", OPENERS)
def test_every_control_over_its_range(name: str, study: Study) -> None:
    explorer = OPENERS[name](study)
    assert explorer.message.value == ""
    for key, control in explorer.controls.items():
        assert control.description, key  # its label
        before, pictures = control.value, set()
        for value in values_of(control):
            control.value = value
            told = explorer.message.value
            allowed = name == "schedule" or name == "prior"  # some settings don't fit each other, and are told so
            assert not told or (allowed and "can't be drawn" not in told), (key, value, told)
            pictures.add(explorer.picture.value)
        assert len(pictures) > 1, key
        control.value = before
    assert re.search(r'<img src="data:image/webp;base64,[^"]+" alt="[^"]{20,}', explorer.picture.value)


def test_filters_narrow_the_images(study: Study) -> None:
    explorer = explore_masks(study)
    filters = {widget.description: widget for widget in explorer.bar.children[:3]}
    record = study.data.query[3]
    filters["identity"].value = str(record.identity)
    left = [value for _, value in explorer.controls["image"].options]
    assert left == [i for i, r in enumerate(study.data.query) if r.identity == record.identity]
    cameras = {str(study.data.query[i].camera) for i in left}
    filters["camera"].value = next(value for value in filters["camera"].options if value not in cameras)
    assert "No image fits" in explorer.message.value
    filters["camera"].value = ""
    assert explorer.message.value == ""
    filters["identity"].value = "nobody"
    assert "No image fits" in explorer.message.value
    filters["identity"].value = ""
    assert len(explorer.controls["image"].options) == len(study.data.query)
    assert len(filters["occluder"].options) > 2


def test_data_without_cameras_or_answers_have_no_such_filters(study: Study, tmp_path: Path) -> None:
    write_tree("p_dukemtmc", tmp_path)
    explorer = explore_masks(replace(study, data=open_dataset("p_dukemtmc", tmp_path)))
    assert [widget.description for widget in explorer.bar.children[:2]] == ["identity", "image"]
    assert "cam" not in explorer.controls["image"].options[0][0]


def test_no_embedding_chosen_is_a_sentence(study: Study) -> None:
    explorer = explore_ranking(study)
    for key in list(explorer.controls)[1:]:
        explorer.controls[key].value = False
    assert ERROR in explorer.message.value
    assert 'role="alert"' in explorer.message.value
    assert "No embedding is chosen" in explorer.message.value


def test_an_exception_in_a_callback_is_told() -> None:
    explorer = explore_prior()
    picture = explorer.picture.value

    def broken(**_: Any) -> Any:
        return 1 // 0

    explorer.draw = broken
    explorer.controls["parts"].value = 2
    assert "ZeroDivisionError" in explorer.message.value
    assert explorer.picture.value == picture


def test_a_filmstrip_draws_the_same_function(study: Study) -> None:
    explorer = explore_masks(study)
    film = explorer.filmstrip(part=[1, 2], opacity=[0.2, 0.9])
    assert [title for title, _ in film.frames] == ["part 1, opacity 0.2", "part 2, opacity 0.9"]
    explorer.controls["part"].value, explorer.controls["opacity"].value = 2, 0.9
    alt = alt_text(film.frames[1][1])
    assert f'alt="{alt}"' in explorer.picture.value
    assert film._repr_html_().count("<img") == 2
    assert explore_ranking(study).filmstrip(global_mean=[False]).frames[0][0] == "global mean off"
    with pytest.raises(BadInput, match="No control is called 'colour'"):
        explorer.filmstrip(colour=[1])
    with pytest.raises(BadInput, match="one length"):
        explorer.filmstrip(part=[1, 2], opacity=[0.5])


@pytest.mark.parametrize(
    ("name", "key"),
    [("masks", "opacity"), ("lab", "across"), ("ranking", "query"), ("prior", "rows"), ("schedule", "epochs")],
)
def test_a_move_is_drawn_at_once(name: str, key: str, study: Study) -> None:
    explorer = OPENERS[name](study)
    control, seconds = explorer.controls[key], []
    for value in values_of(control) * 5:
        began = time.perf_counter()
        control.value = value
        seconds.append(time.perf_counter() - began)
    print(f"{name}: {1000 * np.median(seconds):.0f} ms from move to picture, median of {len(seconds)}")
    assert np.median(seconds) < 0.5  # 150 ms is wanted of a quiet machine; this one may be busy


@pytest.mark.parametrize("name", ["masks", "lab"])
def test_memory_is_steady(name: str, study: Study) -> None:
    explorer = OPENERS[name](study)
    slider = explorer.controls["opacity" if name == "masks" else "across"]

    def move(times: int) -> None:
        for i in range(times):
            slider.value = (i % 11) / 10

    move(60)
    gc.collect()
    tracemalloc.start()
    move(60)
    gc.collect()
    first = tracemalloc.get_traced_memory()[0]
    move(380 if name == "masks" else 60)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert grown < 2**20


def test_a_view_holds_what_the_model_gives(study: Study) -> None:
    image = study.pictures(study.data.query[:1])[0]
    view = view_masks(study.model, image)
    with torch.no_grad():
        output = study.model(to_float(image[None]))
    np.testing.assert_allclose(view.competitive, output.competitive[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(view.walk.sum(-1), 1, atol=1e-5)
    assert view.walk.shape == view.affinity.shape == (*view.competitive.shape[1:], 3, 3)
    np.testing.assert_allclose(view.walk, torch.from_numpy(view.affinity).softmax(-1).numpy(), atol=1e-6)


def test_all_embeddings_rank_as_the_evaluation_does(study: Study) -> None:
    ranker = Ranker(study, (0, 1, 2, 3, 4, 5))
    np.testing.assert_allclose(ranker.ranking.ap, study.evaluation.ranking.ap, atol=1e-6)
    listing = ranker.listing(study.data.query[0], ranker.query[0], 5)
    assert listing.rank == study.evaluation.ranking.first_match[0] + 1
    assert listing.ap == pytest.approx(study.evaluation.ranking.ap[0])
    assert listing.right == [study.data.gallery[i].identity == study.data.query[0].identity for i in listing.head]


def test_a_probe_of_the_bare_query_is_the_query(study: Study) -> None:
    query = study.data.query[0]
    image = study.pictures([query])[0]
    ranker = Ranker(study, (0, 1, 2, 3, 4, 5))
    bare = probe(ranker, query, image, torch.zeros(image.shape[1:], dtype=torch.bool), 5)
    assert (bare.occluder.sum(), bare.on_occluder) == (0, 0)
    assert bare.listing.rank == study.evaluation.ranking.first_match[0] + 1
    hidden, occluder = occlude(image, kind="block", ratio=0.3, position=(0.5, 0.5), seed=0)
    seen = probe(ranker, query, hidden, occluder, 5)
    assert seen.occluder.mean() == pytest.approx(0.3, abs=0.01)
    similarity = embed(study.model, to_float(hidden[None]))[0] @ study.evaluation.gallery.T
    matches = [r.identity == query.identity and r.camera != query.camera for r in study.data.gallery]
    assert seen.listing.similarity == pytest.approx(float(similarity[matches].max()), abs=1e-5)


@pytest.mark.parametrize("point", [(0.0, 0.0), (0.5, 0.5), (1.0, 0.2)])
def test_an_occluder_stands_where_it_is_put(point: tuple[float, float]) -> None:
    _, mask = occlude(torch.zeros(3, 96, 48, dtype=torch.uint8), kind="block", ratio=0.1, position=point, seed=0)
    at = (min(95, int(point[0] * 96)), min(47, int(point[1] * 48)))
    assert mask[at]
    assert mask.sum() == round(0.1 * 96 * 48)


def test_a_point_outside_the_image_is_refused() -> None:
    with pytest.raises(BadInput, match="outside the image"):
        occlude(torch.zeros(3, 96, 48, dtype=torch.uint8), kind="block", ratio=0.1, position=(1.2, 0), seed=0)


def test_learned_priors_stand_below_their_start(study: Study) -> None:
    learned = study.model.scm.learnable_masks[0].detach().numpy()
    assert "Learned priors" in alt_text(draw_prior(3, 1, 6, 3, learned))


def test_a_study_knows_its_data(study: Study, data_root: Path) -> None:
    assert study.has_truth
    assert len(study.log) == study.settings.last_epoch
    assert study.data.query == open_dataset("synthetic", data_root).query
    lonely = Study(study.model, study.settings, study.data, data_root)
    with pytest.raises(BadInput, match="log"):
        _ = lonely.log
