from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from scmlib import figures
from scmlib.analysis.search import OUTCOMES, RATES, Impostors, impostor_pairs, open_set_rates, search
from scmlib.cli.main import cli
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.errors import BadInput
from scmlib.figures.style import alt_text
from scmlib.inference import embed
from scmlib.runs import Run, open_run, open_study


def naive_pairs(embeddings: NDArray[np.float32], identities: list[int]) -> list[float]:
    """Similarities of all pairs of different people, by a double loop."""
    return sorted(
        float(embeddings[i] @ embeddings[j])
        for i in range(len(embeddings))
        for j in range(i)
        if identities[i] != identities[j]
    )


def test_impostor_pairs_equal_a_double_loop() -> None:
    rng = np.random.default_rng(0)
    embeddings, identities = rng.normal(size=(30, 8)).astype(np.float32), rng.integers(0, 6, 30)
    impostors = impostor_pairs(embeddings, identities, "numbers")
    assert np.allclose(impostors.similarity, naive_pairs(embeddings, list(identities)), atol=1e-5)


def test_many_pictures_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scmlib.analysis.search.MOST", 10)
    embeddings, identities = np.eye(40, dtype=np.float32), np.arange(40)
    assert len(impostor_pairs(embeddings, identities, "numbers").similarity) == 45


@pytest.mark.parametrize(
    ("rate", "reaching"), [(0.001, 0), (0.09, 0), (0.1, 1), (0.25, 2), (0.3, 3), (0.45, 4), (0.6, 6), (1, 10)]
)
def test_threshold_by_hand(rate: float, reaching: int) -> None:
    """Ten pairs; the rate allows so many of them, and the two of 0.5 reach a threshold together or not at all."""
    values = np.array([-0.2, 0.0, 0.1, 0.2, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9], np.float32)
    threshold = Impostors(values, "ten").threshold(rate)
    assert (values >= np.float32(threshold)).sum() == reaching
    # No lower threshold keeps the rate: the next pair below it would be one too many.
    below = values[values < np.float32(threshold)]
    assert not len(below) or (values >= below[-1]).sum() > rate * 10


def test_false_match_rates_by_hand() -> None:
    impostors = Impostors(np.array([0.1, 0.2, 0.2, 0.4], np.float32), "four")
    assert list(impostors.false_match_rate(np.array([0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5]))) == [
        *(1, 1, 0.75, 0.75, 0.25, 0.25, 0)
    ]


@pytest.fixture(scope="module")
def mine(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the run, which keeps embeddings of its own."""
    return open_run(shutil.copytree(run, tmp_path_factory.mktemp("runs") / "mine"))


def test_a_search_equals_sorting_all_similarities(mine: Run, data_root: Path) -> None:
    data = open_dataset("synthetic", data_root)
    asked = data.query[:3]
    answer = search(mine, [record.path for record in asked], "synthetic", top=4, false_match_rate=0.02)
    gallery, identities = embed(mine.model, data.gallery), [record.identity for record in data.gallery]
    similarity = embed(mine.model, asked) @ gallery.T
    pairs = np.array(naive_pairs(gallery, identities))
    assert answer.impostors is not None
    assert answer.impostors.source == "synthetic"
    assert (pairs >= answer.threshold - 1e-5).mean() <= 0.02 + 1 / len(pairs)
    for photo, query in enumerate(asked):
        rows = answer.rows(photo)
        best = np.argsort(-similarity[photo], kind="stable")[:4]
        assert list(rows["path"]) == [str(data.gallery[i].path) for i in best]
        assert list(rows["rank"]) == [1, 2, 3, 4]
        assert np.allclose(rows["similarity"], similarity[photo, best], atol=1e-5)
        assert list(rows["identity"]) == [identities[i] for i in best]
        assert list(rows["right"]) == [identities[i] == query.identity for i in best]
        assert list(rows["accepted"]) == list(rows["similarity"] >= answer.threshold)
        rates = [(pairs >= value - 1e-6).mean() for value in similarity[photo, best]]
        assert np.allclose(rows["false_match_rate"], rates, atol=2 / len(pairs))
        assert answer.nobody(photo) == (not rows["accepted"].any())


def test_strict_rate_finds_nobody_and_loose_one_everybody(mine: Run, data_root: Path) -> None:
    photo = open_dataset("synthetic", data_root).query[0].path
    everybody = search(mine, photo, "synthetic", false_match_rate=1)
    assert everybody.nobody(0) is False
    assert everybody.table["accepted"].all()
    answer = search(mine, photo, "synthetic", top=10_000)
    assert len(answer.table) == len(open_dataset("synthetic", data_root).gallery)
    assert answer.impostors is not None
    highest = answer.impostors.similarity[-1]
    assert answer.rate * len(answer.impostors.similarity) < 1  # so few pairs allow none above the threshold
    assert list(answer.table["accepted"]) == list(answer.table["similarity"].astype(np.float32) > highest)


def test_a_folder_is_judged_by_the_runs_own_impostors(mine: Run, data_root: Path, tmp_path: Path) -> None:
    folder = dataset_folder("synthetic", data_root) / "bounding_box_test"
    photo = sorted(folder.glob("*.jpg"))[5]
    answer = search(mine, [photo, photo], folder, top=3)
    assert len(answer.photos) == 1  # given twice, searched once
    assert answer.table["path"][0] == str(photo)  # it lies in the gallery and finds itself
    assert answer.table["similarity"][0] == pytest.approx(1, abs=1e-5)
    assert answer.table[["identity", "right"]].isna().all(axis=None)
    assert answer.impostors is not None
    assert answer.impostors.source == "synthetic"
    moved = open_run(shutil.copytree(mine.folder, tmp_path / "far" / "away"))
    moved.facts["data"] = {"root": str(tmp_path), "from_run": "nowhere"}
    without = search(moved, photo, folder, top=3)
    assert without.impostors is None
    assert without.nobody(0) is None
    assert list(without.table["path"]) == list(answer.table["path"])
    said = alt_text(figures.draw_ranked_lists(**without.drawing()))
    assert said == "Ranked lists of 1 queries, 3 images each; nobody says whom they show."


def test_search_for_scripts_and_for_people(mine: Run, data_root: Path, tmp_path: Path) -> None:
    def scm(*arguments: object) -> str:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    photos = [record.path for record in open_dataset("synthetic", data_root).query[:2]]
    asked = ["search", mine.folder, *photos, "--gallery", "synthetic", "--top", 3, "--out", tmp_path]
    answer = json.loads(scm(*asked, "--json"))
    assert [one["photo"] for one in answer["photos"]] == [str(photo) for photo in photos]
    table = pd.read_csv(tmp_path / "search.csv")
    for one in answer["photos"]:
        assert {"path", "similarity", "identity", "right", "accepted", "rank", "false_match_rate"} == set(
            one["found"][0]
        )
        rows = table[table["photo"] == one["photo"]]
        assert [found["path"] for found in one["found"]] == list(rows["path"])
        assert [found["right"] for found in one["found"]] == list(rows["right"])
    said = scm(*asked, "--false-match-rate", 1)
    assert f"{photos[0]}: 3 reach the threshold" in said
    assert "A picture counts from -1.000 on" in said
    assert (tmp_path / "search.png").is_file()
    assert (tmp_path / "search_threshold.png").is_file()


def test_open_set_rates_equal_a_loop_over_queries(run: Path, tmp_path: Path) -> None:
    study = open_study(run)
    table = open_set_rates(study, (0.01, 0.3))
    gallery, names = study.evaluation.gallery, [record.identity for record in study.data.gallery]
    pairs = np.array(naive_pairs(gallery, names), np.float32)
    for row in table.to_dict("records"):
        assert (pairs >= row["threshold"] + 1e-5).mean() <= row["false_match_rate"]
        outcomes = []
        for record, embedded in zip(study.data.query, study.evaluation.query, strict=True):
            similarity = [float(embedded @ other) for other in gallery]
            strangers = [value for value, name in zip(similarity, names, strict=True) if name != record.identity]
            at = int(np.argmax(similarity))
            reached, hit = similarity[at] >= row["threshold"], names[at] == record.identity
            outcomes.append((max(strangers) < row["threshold"], reached and hit, reached and not hit, not reached))
        for name, wanted in zip(OUTCOMES, np.mean(outcomes, 0), strict=True):
            assert row[name] == pytest.approx(wanted), name
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert table["queries"].iloc[0] == len(study.data.query)
    asked = ["openset", str(run), "--out", str(tmp_path)]
    answer = json.loads(CliRunner().invoke(cli, [*asked, "--json"], catch_exceptions=False).stdout)
    assert [row["false_match_rate"] for row in answer["rows"]] == list(RATES)
    assert "24 queries, each searched without its person" in CliRunner().invoke(cli, asked).stdout
    assert (tmp_path / "openset.csv").is_file()
    assert (tmp_path / "openset.png").is_file()


def test_what_cannot_be_searched_is_said(mine: Run, data_root: Path, tmp_path: Path) -> None:
    photo = open_dataset("synthetic", data_root).query[0].path
    with pytest.raises(BadInput, match="false-match rate of 2 can't be chosen"):
        search(mine, photo, "synthetic", false_match_rate=2)
    with pytest.raises(BadInput, match=r"gone\.jpg is missing"):
        search(mine, tmp_path / "gone.jpg", "synthetic")
    with pytest.raises(BadInput, match="is no folder"):
        search(mine, photo, tmp_path / "gone")


def test_the_figure_of_open_set_rates_says_its_numbers() -> None:
    shares = {"nobody_absent": 0.9, "right_first": 0.7, "wrong_first": 0.1, "nobody_present": 0.2}
    row = {f"{name}{end}": share for name, share in shares.items() for end in ("", "_low", "_high")}
    table = pd.DataFrame([{"false_match_rate": rate, "queries": 5} | row for rate in (0.001, 0.01)])
    figure = figures.draw_open_set(table)
    said = figures.alt_text(figure)
    assert "At false-match rates of 0.001, 0.01, of 5 queries: nobody, rightly 90%, 90%; the right person first" in said
    assert "nobody, wrongly 20%, 20%" in said
    lines = [line for axes in figure.axes for line in axes.lines]
    assert [np.asarray(line.get_ydata()).tolist() for line in lines] == [[share, share] for share in shares.values()]
