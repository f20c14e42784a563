from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scmlib import figures
from scmlib.analysis.comparison import compare_runs
from scmlib.analysis.failures import failures
from scmlib.analysis.ranked_lists import choose, ranked_lists
from scmlib.cli.main import cli
from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.evaluation import per_query
from scmlib.runs import Study, open_study, store_evaluation
from tests.trees import write_tree

TABLE = pd.DataFrame(
    {
        "mAP": [0.5, 0.2, np.nan, 0.9, 0.2, 0.7],
        "occluder": ["car", "car", "car", "pole", "", "car"],
    }
)


@pytest.mark.parametrize(
    ("by", "number", "wanted"),
    [
        ("worst", 3, [1, 4, 0]),
        ("best", 2, [3, 5]),
        ("best", 9, [3, 5, 0, 1, 4]),
        ("occluder", 9, [0, 3]),  # of the cars 0.2, 0.5 and 0.7 count
        ("occluder", 1, [0]),
    ],
)
def test_queries_chosen_by_hand(by: str, number: int, wanted: list[int]) -> None:
    assert choose(TABLE, by, number) == wanted


def test_random_queries_depend_on_the_seed_alone() -> None:
    drawn = [choose(TABLE, "random", 5, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == [0, 1, 3, 4, 5]
    shuffled = TABLE.assign(mAP=TABLE["mAP"].to_numpy()[[1, 0, 2, 5, 3, 4]])
    assert choose(shuffled, "random", 2) == choose(TABLE, "random", 2)  # whatever the outcome


def test_a_choice_that_cannot_be_made_is_said() -> None:
    with pytest.raises(BadInput, match="'hardest' is no way to choose queries: take one of worst, best"):
        choose(TABLE, "hardest", 3)
    with pytest.raises(BadInput, match="Only a drawn world knows"):
        choose(TABLE[["mAP"]], "occluder", 3)


@pytest.fixture(scope="module")
def study(run: Path) -> Study:
    return open_study(run)


def test_lists_equal_sorting_all_similarities(study: Study) -> None:
    answer = ranked_lists(study, by="best", queries=3, length=5)
    evaluation, data = study.evaluation, study.data
    positions = np.argsort(-evaluation.ranking.ap, kind="stable")[:3]
    assert list(answer.queries["path"]) == [str(data.query[i].path) for i in positions]
    assert list(answer.queries["mAP"]) == list(evaluation.ranking.ap[positions])
    for at in positions:
        query, similarity = data.query[at], evaluation.query[at] @ evaluation.gallery.T
        rows = answer.found[answer.found["query"] == str(query.path)]
        order = [
            i
            for i in np.argsort(-similarity, kind="stable")
            if (data.gallery[i].identity, data.gallery[i].camera) != (query.identity, query.camera)
        ][:5]
        assert list(rows["path"]) == [str(data.gallery[i].path) for i in order]
        assert list(rows["position"]) == [1, 2, 3, 4, 5]
        assert list(rows["right"]) == [data.gallery[i].identity == query.identity for i in order]
        assert np.allclose(rows["similarity"], similarity[order], atol=1e-6)
    drawn = answer.drawing()
    assert drawn.queries.shape[0] == len(drawn.found) == len(drawn.titles) == 3
    assert f"average precision {answer.queries['mAP'].iloc[0]:.0%}, rank 1" in drawn.titles[0]
    figures.draw_ranked_lists(*drawn)


def test_the_table_of_queries_adds_up_to_the_metrics(study: Study) -> None:
    table, ranking = per_query(study.evaluation.ranking, study.data.query), study.evaluation.ranking
    means = table[["top1", "top5", "top10", "mAP", "mINP"]].mean()
    assert dict(means) == pytest.approx({**ranking.metrics(), "mINP": ranking.mINP})
    assert list(table["identity"]) == [record.identity for record in study.data.query]
    assert (table["rank"].eq(1) == table["top1"].eq(1)).all()


def test_lists_of_a_run(run: Path, data_root: Path, tmp_path: Path) -> None:
    def scm(*arguments: object) -> str:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    asked = ["lists", run, "--by", "occluder", "--top", 4, "--out", tmp_path]
    answer = json.loads(scm(*asked, "--json"))
    kinds = [row["occluder"] for row in answer["queries"]]
    assert kinds == sorted(set(kinds))
    table = pd.read_csv(tmp_path / "lists_occluder.csv")
    for row in answer["queries"]:
        assert [one["path"] for one in row["found"]] == list(table[table["query"] == row["path"]]["path"])
        assert len(row["found"]) == 4
    assert Path(answer["queries"][0]["path"]).name in scm(*asked)
    assert (tmp_path / "lists_occluder.png").is_file()


def test_an_evaluation_leaves_a_table_of_its_queries(run: Path, tmp_path: Path) -> None:
    mine, root = shutil.copytree(run, tmp_path / "mine"), tmp_path / "data"
    write_tree("market1501", root)
    asked = ["evaluate", str(mine), "--dataset", "market1501", "--dataset-root", str(root)]
    said = CliRunner().invoke(cli, asked, catch_exceptions=False).stdout
    (table,) = mine.glob("evaluation_market1501_*.csv")
    (facts,) = mine.glob("evaluation_market1501_*.json")
    assert f"query by query in {table.name}" in said
    assert pd.read_csv(table)["mAP"].mean() == pytest.approx(json.loads(facts.read_text())["mAP"])


def test_people_and_cameras_of_a_table_are_told_by_their_texts(run: Path, data_root: Path, tmp_path: Path) -> None:
    data = open_dataset("synthetic", data_root)
    told = {split: [r for r in getattr(data, split) if r.identity < 16] for split in ("query", "gallery")}
    lines = ["path,identity,camera,split"]
    for split, records in told.items():
        for r in records:
            name = f"{split}-{r.path.name}"
            shutil.copy(r.path, tmp_path / name)
            lines.append(f"{name},person {chr(65 + r.identity % 26)},door {'xyz'[r.camera % 3]},{split}")
    (tmp_path / "images.csv").write_text("\n".join(lines))
    study = replace(open_study(run, tmp_path.name, tmp_path.parent), folder=tmp_path)
    answer = ranked_lists(study, queries=2, length=3)
    found = [failures(study, least=2).negatives, per_query_table(study), answer.queries, answer.found]
    for table in (*found, compare_runs(study, study).queries):
        assert table["identity"].str.startswith("person ").all()
        assert table["camera"].str.startswith("door ").all()
    assert found[0]["negative_identity"].str.startswith("person ").all()


def per_query_table(study: Study) -> pd.DataFrame:
    """The table that an evaluation leaves."""
    return pd.read_csv(store_evaluation(study, study.evaluation)[1].with_suffix(".csv"))
