"""Where a run fails: groups, camera pairs and hardest negatives against double loops, and no finding out of noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scmlib import figures
from scmlib.analysis.failures import Failures, compare_groups, failures, grouped, known_facts
from scmlib.errors import BadInput
from scmlib.evaluation import rank_records
from scmlib.figures.style import alt_text
from scmlib.runs import Study, open_study
from tests.cli.test_analysis import scm

METRICS = ["top1", "top5", "top10", "mAP", "mINP"]


@pytest.fixture(scope="module")
def study(run: Path) -> Study:
    return open_study(run)


@pytest.fixture(scope="module")
def answer(study: Study) -> Failures:
    return failures(study, least=4)


def test_groups_equal_a_loop_over_the_worlds_table(answer: Failures, study: Study) -> None:
    facts = pd.read_csv(study.data.root / "ground_truth" / "images.csv", keep_default_na=False)
    facts["path"] = [str(study.data.root / file) for file in facts["file"]]
    scores = pd.DataFrame({"path": [str(q.path) for q in study.data.query]} | study.evaluation.ranking.per_query())
    rows = scores.dropna().merge(facts, on="path")
    for question in ("occluder", "skin", "girth", "upper_colour", "view", "pose", "camera"):
        found = answer.groups[answer.groups["question"] == question.replace("_", " ")]
        assert sorted(found["group"]) == sorted({str(value) for value in rows[question]})
        for row in found.to_dict("records"):
            inside = rows[rows[question].astype(str) == row["group"]]
            outside = rows[rows[question].astype(str) != row["group"]]
            assert (row["queries"], row["identities"]) == (len(inside), inside["identity"].nunique())
            assert [row[name] for name in METRICS] == pytest.approx(list(inside[METRICS].mean()))
            few = min(inside["identity"].nunique(), outside["identity"].nunique()) < 4
            assert (row["finding"] == "too few identities") == few == np.isnan(row["difference"])
            if not few:
                assert row["difference"] == pytest.approx(inside["mAP"].mean() - outside["mAP"].mean())
                assert row["low"] < row["difference"] < row["high"]
                side = {(True, False): "lower", (False, True): "higher"}
                assert row["finding"] == side.get((row["high"] < 0, row["low"] > 0), "not resolved")
    assert "hidden" not in set(answer.groups["question"])
    visible = answer.groups[answer.groups["question"] == "visible"]
    assert len(visible) == 4
    assert visible["queries"].sum() == len(rows)


def test_camera_pairs_equal_rankings_in_one_camera(answer: Failures, study: Study) -> None:
    data, evaluation = study.data, study.evaluation
    assert len(answer.pairs) == 6  # three cameras
    for row in answer.pairs.to_dict("records"):
        asking = [i for i, q in enumerate(data.query) if str(q.camera) == row["query_camera"]]
        there = [i for i, g in enumerate(data.gallery) if str(g.camera) == row["gallery_camera"]]
        sides = [data.query[i] for i in asking], [data.gallery[i] for i in there]
        ranking = rank_records(evaluation.query[asking], evaluation.gallery[there], *sides)
        assert row["mAP"] == pytest.approx(ranking.mAP)
        assert (row["queries"], row["pictures"]) == (ranking.num_valid, len(there))


def test_hardest_negatives_equal_sorting_everything(answer: Failures, study: Study) -> None:
    data, similarity = study.data, study.evaluation.query @ study.evaluation.gallery.T
    assert answer.negatives["margin"].is_monotonic_increasing
    for at, row in zip(answer.negatives.index, answer.negatives.to_dict("records"), strict=True):
        query = data.query[int(at)]
        strangers = [i for i, g in enumerate(data.gallery) if g.identity != query.identity]
        matches = [i for i, g in enumerate(data.gallery) if g.identity == query.identity and g.camera != query.camera]
        worst, best = (max(side, key=lambda i: similarity[at, i]) for side in (strangers, matches))
        assert (row["path"], row["negative"], row["match"]) == tuple(
            str(record.path) for record in (query, data.gallery[worst], data.gallery[best])
        )
        assert row["margin"] == pytest.approx(similarity[at, best] - similarity[at, worst], abs=1e-5)
        assert (row["margin"] <= 0) == (row["rank"] > 1)
    wrong = answer.negatives[answer.negatives["rank"] > 1]
    assert answer.confusions["queries"].sum() == len(wrong)
    for pair in answer.confusions.to_dict("records"):
        mine = answer.negatives[answer.negatives["identity"] == pair["identity"]]
        ahead = mine[(mine["rank"] > 1) & (mine["negative_identity"] == pair["negative_identity"])]
        assert (pair["queries"], pair["of"]) == (len(ahead), len(mine))


def test_shared_facts_equal_a_double_loop(answer: Failures, study: Study) -> None:
    data = study.data
    mine, theirs = known_facts(study, data.query), known_facts(study, data.gallery)
    position = {str(record.path): i for i, record in enumerate(data.gallery)}
    assert {"camera", "skin", "upper colour", "occluder"} <= set(answer.likeness["fact"])
    for row in answer.likeness.to_dict("records"):
        shared, usual = [], []
        for at, path in zip(answer.negatives.index.astype(int).tolist(), answer.negatives["negative"], strict=True):
            value = mine[row["fact"]][at]
            shared.append(theirs[row["fact"]][position[path]] == value)
            strangers = [i for i, g in enumerate(data.gallery) if g.identity != data.query[at].identity]
            usual.append(np.mean([theirs[row["fact"]][i] == value for i in strangers]))
        assert row["shared"] == pytest.approx(np.mean(shared))
        assert row["usual"] == pytest.approx(np.mean(usual))
        assert row["difference"] == pytest.approx(np.mean(shared) - np.mean(usual))


def queries_of(rng: np.random.Generator, people: int, harm: np.ndarray | float = 0.0) -> pd.DataFrame:
    """Four queries of each person, people of different difficulty; `harm` (queries,) is taken off."""
    scores = rng.beta(2, 1, people).repeat(4) * 0.7 + 0.3 * rng.random(4 * people) - harm
    return pd.DataFrame({"identity": np.arange(people).repeat(4)} | dict.fromkeys(METRICS, scores))


def test_noise_seldom_gives_a_finding_and_harm_does() -> None:
    rng = np.random.default_rng(0)
    labels = pd.Series(rng.choice(list("abcde"), 100).repeat(4)).astype("category")
    chance = [compare_groups(labels, queries_of(rng, 100))["finding"].ne("not resolved").any() for _ in range(60)]
    assert sum(chance) <= 8  # 3 expected; more than 8 by chance in 0.2 % of tests
    harm = 0.5 * (labels == "c").to_numpy()
    said = compare_groups(labels, queries_of(rng, 100, harm)).set_index("group")["finding"]
    assert said["c"] == "lower"


def test_few_people_are_counted_and_not_judged() -> None:
    queries = queries_of(np.random.default_rng(0), 40)
    labels = pd.Series(np.where(queries["identity"] < 9, "few", "many")).astype("category")
    queries.loc[labels == "few", METRICS] = 0.0  # however clear it looks
    table = compare_groups(labels, queries).set_index("group")
    assert list(table["finding"]) == ["too few identities"] * 2  # nine outside are too few as well
    assert list(table["identities"]) == [9, 31]
    assert table.loc["few", "mAP"] == 0
    assert compare_groups(labels, queries, least=9).set_index("group").loc["few", "finding"] == "lower"


def test_groups_of_columns() -> None:
    assert list(grouped(pd.Series(["10", "9", None, "10"])).cat.categories) == ["9", "10"]
    quarters = grouped(pd.Series([str(i / 8) for i in range(16)]))
    assert quarters.value_counts(sort=False).to_dict() == {
        "0 to 0.5": 5, "0.5 to 1": 4, "1 to 1.375": 3, "1.375 to 1.875": 4
    }  # fmt: skip
    assert grouped(pd.Series([f"name {i}" for i in range(31)])).isna().all()


def test_columns_of_your_own_table_are_questions(study: Study, tmp_path: Path) -> None:
    # A data set of the user's own, with a further column and an empty cell in it.
    data = replace(study.data, root=study.data.root)
    lines = ["path,identity, Weather ,note"]
    for i, record in enumerate([*data.query, *data.gallery]):
        weather = "" if i == 0 else ("rain", "sun ")[i % 2]
        lines.append(f"{record.path.relative_to(data.root).as_posix()},{record.identity},{weather},note {i}")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    moved = [replace(r, path=tmp_path / r.path.relative_to(data.root)) for r in data.query]
    facts = known_facts(replace(study, data=replace(data, root=tmp_path, query=moved)), moved)
    assert list(facts.columns) == ["camera", "weather", "note"]
    assert facts["weather"].isna().tolist() == [True] + [False] * (len(moved) - 1)
    assert set(facts["weather"][1:]) == {"rain", "sun"}


def test_a_broken_table_is_named(study: Study, tmp_path: Path) -> None:
    bare = replace(study, data=replace(study.data, root=tmp_path))
    for text in ("name,weather\na.jpg,rain\n", "path,weather\na.jpg,rain\na.jpg,sun\n", 'path\na,b,c\n"', ""):
        (tmp_path / "images.csv").write_text(text)
        with pytest.raises(BadInput, match=r"images\.csv isn't a table with a line for each picture and a column path"):
            known_facts(bare, [replace(study.data.query[0], path=tmp_path / "b.jpg")])


def test_nothing_known_is_said(study: Study) -> None:
    layout = replace(study.data.layout, camera_rule=False)
    bare = replace(study, data=replace(study.data, layout=layout, root=Path("nowhere")))
    with pytest.raises(
        BadInput, match=r"knows nothing about its queries that they differ in: give nowhere/images\.csv further"
    ):
        failures(bare)
    with pytest.raises(BadInput, match="'rank' is no metric to judge by"):
        failures(study, metric="rank")
    with pytest.raises(BadInput, match="Groups of 1 identities"):
        failures(study, least=1)


def test_figures_say_what_was_found(answer: Failures) -> None:
    table = answer.groups.assign(difference=-0.2, low=-0.3, high=-0.1, finding="lower")
    alt = alt_text(figures.draw_failures(table))
    assert f"{table['question'][0]} {table['group'][0]} -20.0% (-30.0% to -10.0%)" in alt
    clean = answer.groups.assign(finding="not resolved")
    assert "No finding." in alt_text(figures.draw_failures(clean))
    pairs = answer.pairs.assign(finding="too few identities", difference=np.nan)
    figure = figures.draw_camera_pairs(pairs)
    assert f"{pairs['mAP'].max():.1%}" in alt_text(figure)
    assert f"{pairs['mAP'][0]:.0%}\nn {pairs['queries'][0]}" in [text.get_text() for text in figure.axes[0].texts]
    assert f"{len(answer.likeness)} facts" in alt_text(figures.draw_likeness(answer.likeness))
    drawing = answer.drawing(3)
    first = answer.negatives.iloc[0]
    assert f"similarity {first['match_similarity']:.2f}" in drawing["captions"][0]
    assert drawing["right"][0] == [first["margin"] > 0, first["margin"] <= 0]


def test_failures_of_a_run(run: Path, data_root: Path, tmp_path: Path) -> None:
    where = ["--dataset-root", data_root, "--out", tmp_path, "--least", 4]
    answer = json.loads(scm("failures", run, *where, "--json"))
    table = pd.read_csv(tmp_path / "failures.csv", keep_default_na=False)
    assert [row["group"] for row in answer["rows"]] == list(table["group"].astype(str))
    assert answer["queries"] > 0
    assert set(METRICS) <= set(answer["rows"][0]) & set(answer["camera_pairs"][0])
    assert answer["negatives"][0]["margin"] == min(row["margin"] for row in answer["negatives"])
    for name in ("", "_cameras", "_likeness", "_negatives"):
        assert (tmp_path / f"failures{name}.png").is_file()
        assert (tmp_path / f"failures{name}.csv").is_file()
    said = scm("failures", run, *where, "--metric", "top1")
    assert f"groups in {table['question'].nunique() + 1} questions" in said
    assert "have somebody else in first place" in said
