"""What the notebooks share: where their run comes from, and what a learner is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from scmlib import course, pieces
from scmlib.course import (
    SHARES,
    STEPS,
    batch_facts,
    check,
    compare,
    explore_world,
    keep_sketch,
    kept_sketch,
    layer_shapes,
    lineup,
    open_course,
    open_course_data,
    say,
    shortened,
    show_source,
    wrong_hits,
)
from scmlib.data.datasets import open_dataset
from scmlib.data.loading import PKSampler
from scmlib.data.records import Record
from scmlib.data.truth import OCCLUDER, read_truth
from scmlib.errors import BadInput
from scmlib.figures.style import alt_text
from scmlib.figures.training import POSITIONS
from scmlib.mask import clamp_unit, striped_prior
from scmlib.runs import open_study
from scmlib.settings import recipe
from scmlib.variants import build_model
from tests.trees import write_tree


def double(x: Any) -> Any:
    return 2 * x


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x: 2 * x, "✓ Right, on all 2 cases."),
        (lambda x: None, "✗ Not yet. Case 1 of 2"),
        (lambda x: 3 * x, "gave 3, but should give 2"),
        (lambda x: x + 1, "Case 2 of 2"),
        (lambda x: 1 // 0, "stopped with ZeroDivisionError"),
        (lambda x: "two", "where plain numbers are wanted"),
        (lambda x: np.ones(3), "gave the shape (3,), but should give ()"),
    ],
)
def test_check_says_what_is_wrong(answer: Callable[[Any], Any], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(answer, double, [(1.0,), (2.0,)])
    assert told in capsys.readouterr().out


def test_check_names_the_place_in_an_array_and_compares_words_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    check(lambda x: x, double, [(torch.tensor([0.0, 0.0, 3.0]),)])
    assert "is wrong at [2]: it gave 3 there, but should give 6." in capsys.readouterr().out
    check(lambda: "rate too low", lambda: "rate too high", [()])
    assert "gave 'rate too low', but should give 'rate too high'." in capsys.readouterr().out


def test_check_takes_any_sequence_for_a_list_and_leaves_the_arguments_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for right in (lambda n: range(n), lambda n: np.arange(n), lambda n: tuple(range(n)), lambda n: torch.arange(n)):
        check(right, lambda n: list(range(n)), [(3,)])
        assert "✓" in capsys.readouterr().out
    check(lambda n: [0, 2, 1], lambda n: list(range(n)), [(3,)])
    assert "is wrong at [1]: it gave 2 there, but should give 1." in capsys.readouterr().out
    check(lambda n: [0], lambda n: list(range(n)), [(3,)])
    assert "gave a list of length 1, but should give one of length 3." in capsys.readouterr().out
    values = np.ones(3)
    check(lambda x: x.fill(0) or x, lambda x: 0 * x, [(values,)])
    assert "✓" in capsys.readouterr().out
    assert values.sum() == 3


def test_check_names_the_mistake_and_gives_the_function_to_go_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = {"You squared it.": lambda x: x * x, "You halved it.": lambda x: x / 2}
    cases = [(2.0,), (3.0,)]  # the square of 2 is right by accident
    squared, right = (lambda x: x**2), (lambda x: x + x)
    assert check(squared, double, cases, mistakes) is double
    said = capsys.readouterr().out
    assert "You squared it." in said
    assert "halved" not in said
    assert check(lambda x: 7 * x, double, cases, mistakes) is double
    assert "You" not in capsys.readouterr().out
    assert check(right, double, cases, mistakes) is right
    check(torch.nn.Identity(), double, cases)
    assert "Identity(2.0) gave 2, but should give 4" in capsys.readouterr().out


def test_a_sketch_is_kept_with_the_runs(tmp_path: Path) -> None:
    assert kept_sketch(tmp_path / "runs") == {}
    sketch: dict[str, list[float | None]] = {"with masks": [0.8, 0.7, 0.6, None, 0.2], "without": [None] * len(SHARES)}
    keep_sketch(tmp_path / "runs", sketch)
    keep_sketch(tmp_path / "runs", {name: [None] * len(SHARES) for name in sketch})  # an empty one
    assert kept_sketch(tmp_path / "runs") == sketch


def test_wrong_hits_are_held_against_the_whole_gallery(data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    queries, gallery = data.query[:2], data.gallery
    others = [i for i, r in enumerate(gallery) if r.identity not in {q.identity for q in queries}]
    same, other = (
        next(i for i in others if (gallery[i].camera == queries[0].camera) is wanted) for wanted in (True, False)
    )
    similarity = np.zeros((2, len(gallery)), np.float32)
    similarity[0, same] = similarity[1, other] = 1
    shares = wrong_hits(similarity, queries, gallery, data)
    hits = [gallery[same], gallery[other]]
    wanted = np.mean([hit.camera == q.camera for hit, q in zip(hits, queries, strict=True)])
    covered = [bool((read_truth([r.path]) == OCCLUDER).any()) for r in (*hits, *gallery)]
    assert shares["wrong hits: the query's camera"] == wanted
    assert shares["gallery: the query's camera"] == np.mean([r.camera == q.camera for q in queries for r in gallery])
    assert shares["wrong hits: something in front"] == np.mean(covered[:2])
    assert shares["gallery: something in front"] == np.mean(covered[2:])


def test_batch_facts_tell_a_pk_batch_from_others() -> None:
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    fixed = batch_facts(lambda labels, P, K, rng: [0, 1, 3, 4])
    drawn = batch_facts(lambda labels, P, K, rng: [0, 0, *rng.choice([3, 4, 5], 2, replace=False)])
    first = batch_facts(
        lambda labels, P, K, rng: [i for who in rng.choice(3, P, replace=False) for i in range(3 * who, 3 * who + K)]
    )
    assert fixed(labels, 2, 2) == [4, 2, 2, 2, 4, 0, 0]
    assert drawn(labels, 2, 2) == [4, 2, 2, 2, 3, 0, 0]
    assert first(labels, 2, 2) == [4, 2, 2, 2, 4, 1, 0]  # other people, but always the same pictures of them
    assert batch_facts(pieces.pk_batch)(labels, 2, 2) == [4, 2, 2, 2, 4, 1, 1]
    with pytest.raises(ValueError, match="flat list"):
        batch_facts(lambda labels, P, K, rng: [[0, 1], [3, 4]])(labels, 2, 2)  # type: ignore[list-item]
    assert batch_facts(lambda labels, P, K, rng: None)(labels, 2, 2) is None


def test_guesses_stand_beside_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    figure = compare({"a": 10, "b": None, "not asked": 3}, {"a": 12.0, "b": 5.0}, "per cent")
    assert alt_text(figure) == "Guesses and outcomes. a: guessed 10, found 12; b: no guess, found 5."
    assert not capsys.readouterr().out
    assert "a: guessed 10, found 12" in alt_text(compare({"a": 10}, pd.Series({"a": 12.0})))
    compare({"a": None}, {"a": 1.0})
    assert "You haven't guessed" in capsys.readouterr().out


def test_prose_and_source_are_shown_to_pages_with_and_without_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(course, "display", lambda data, raw: shown.append(data))
    say("**7** of 10.")
    show_source(clamp_unit, striped_prior, last=1)
    code = "return torch.where((x >= 0) & (x <= 1), x, x.detach().clamp(0, 1))\n\n\nreturn prior"
    for data, text in zip(shown, ("**7** of 10.", f"```python\n{code}\n```"), strict=True):
        assert data == {"text/markdown": text, "text/plain": text}


def test_a_lineup_holds_one_true_match_and_the_most_similar_others() -> None:
    query = Record(Path(), 1, 1, -1)
    gallery = [Record(Path(), i % 4, i % 3, -1) for i in range(24)]
    similarity = np.linspace(1, 0, 24, dtype=np.float32)
    chosen = lineup(similarity, query, gallery, 7)
    assert len(set(chosen)) == len(chosen) == 7
    assert sum(gallery[i].identity == 1 for i in chosen) == 1
    assert not any((gallery[i].identity, gallery[i].camera) == (1, 1) for i in chosen)
    assert {0, 2, 3} <= set(chosen)  # the most similar of others
    assert chosen == lineup(similarity, query, gallery, 7) != lineup(similarity, query, gallery, 7, seed=1)
    few = [Record(Path(), 1, 2, -1), Record(Path(), 2, 2, -1)]
    assert sorted(lineup(similarity[:2], query, few)) == [0, 1]


def test_the_world_is_drawn_to_order(run: Path) -> None:
    explorer = explore_world(open_study(run))
    assert explorer.message.value == ""
    for name, value in {"camera": 2, "view": "back", "occluder": "vehicle", "hidden": 0.5, "chance": 3}.items():
        before = explorer.picture.value
        explorer.controls[name].value = value
        assert explorer.message.value == ""
        assert explorer.picture.value != before, name
    share = re.search(r"(\d+)% of the person hidden", explorer.picture.value)
    assert share
    assert 47 <= int(share[1]) <= 53
    assert [title for title, _ in explorer.filmstrip(hidden=[0.1, 0.4]).frames] == [
        "hidden share 0.1",
        "hidden share 0.4",
    ]


def test_shapes_are_what_comes_out_of_each_piece() -> None:
    model = build_model("regnet_y_tiny", 4, image_size=(96, 48), num_parts=2)
    shapes = layer_shapes(model)
    assert shapes["picture"] == (3, 96, 48)
    assert shapes["stem"][1:] == (48, 24)
    assert shapes["branch_1"] == shapes["branch_2"] == (512, 6, 3)
    assert shapes["scm"] == (2, 6, 3)
    assert set(shapes) == set(POSITIONS)  # all that `draw_network` draws
    assert not any(piece._forward_hooks for piece in model.modules())


def test_a_short_training_of_other_data_keeps_to_its_steps(tmp_path: Path) -> None:
    write_tree("market1501", tmp_path)
    data, settings = open_dataset("market1501", tmp_path), recipe("market1501", "regnet_y_tiny")
    short = shortened(replace(settings, batch_size=4, instance_num=2), data, quick=False)
    steps = len(PKSampler(data.train, 4, 2, 0))
    assert short.epochs[1] * steps <= max(STEPS, 2 * steps)
    assert short.last_epoch == short.epochs[1] <= settings.epochs[1]


def test_data_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    for opener in (open_course, open_course_data):
        with pytest.raises(BadInput, match="Market-1501"):
            opener("market1501", tmp_path, tmp_path)


@pytest.mark.slow
def test_the_second_notebook_finds_the_first_ones_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = open_course(runs=tmp_path, quick=True)
    assert "No finished run in" in capsys.readouterr().out
    second = open_course(runs=tmp_path, quick=True)
    assert "No finished run" not in capsys.readouterr().out
    assert first.folder == second.folder
    weights = [dict(study.model.state_dict()) for study in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
