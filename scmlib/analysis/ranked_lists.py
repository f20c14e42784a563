"""Ranked lists of a run, its queries chosen by outcome: where it fails, where it succeeds, or by what hides them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from scmlib.errors import BadInput
from scmlib.evaluation import named, per_query, ranked_gallery
from scmlib.runs import Study, open_study

CHOICES = ("worst", "best", "random", "occluder")


class RankedLists(NamedTuple):
    """What `draw_ranked_lists` draws."""

    queries: Tensor  # (N, 3, H, W) uint8
    found: list[Tensor]  # for each query (k, 3, H, W), best first
    right: list[list[bool]]  # whether each of them shows the query's identity
    titles: list[str]  # a line for each query


@dataclass(frozen=True)
class ChosenLists:
    """The answer of `ranked_lists`."""

    queries: pd.DataFrame  # the rows of `per_query` that were chosen, in a world with the column occluder
    # A row a gallery image: query (its path), position from 1, path, identity, camera, similarity in [-1, 1], right.
    found: pd.DataFrame
    study: Study

    def drawing(self) -> RankedLists:
        """What `figures.draw_ranked_lists` draws: `draw_ranked_lists(*answer.drawing())`."""
        by_path = {str(record.path): record for record in (*self.study.data.query, *self.study.data.gallery)}
        lists = [self.found[self.found["query"] == path] for path in self.queries["path"]]
        titles = []
        for row in self.queries.to_dict("records"):
            hidden = f"{row['occluder']}: " if row.get("occluder") else ""
            titles.append(f"{hidden}average precision {row['mAP']:.0%}, rank {row['rank']}")
        return RankedLists(
            self.study.pictures([by_path[path] for path in self.queries["path"]]),
            [self.study.pictures([by_path[path] for path in rows["path"]]) for rows in lists],
            [list(rows["right"]) for rows in lists],
            titles,
        )


def ranked_lists(
    run: Study | str | Path,
    dataset: str = "",
    dataset_root: str | Path = "",
    *,
    by: str = "worst",
    queries: int = 6,
    length: int = 10,
    seed: int = 0,
) -> ChosenLists:
    """The ranked lists of some queries, by the protocol: images of the query's own identity and camera are left out.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.
        by: which queries, see `choose`.
        queries: how many at most.
        length: gallery images of each list.
        seed: of the draw, for `random`.

    Raises:
        BadInput: no run or data there, or a choice that isn't one of `CHOICES` or that the data can't answer.
    """
    study = run if isinstance(run, Study) else open_study(run, dataset, dataset_root)
    table = per_query(study.evaluation.ranking, study.data.query)
    if study.occluders:
        table["occluder"] = [study.occluders.get(Path(path).name, "") for path in table["path"]]
    chosen = choose(table, by, queries, seed=seed)
    rows = []
    for at in chosen:
        query, (head, hits) = study.data.query[at], head_of(study, at, length)
        similarity = study.evaluation.query[at] @ study.evaluation.gallery[head].T
        for position, (i, hit, value) in enumerate(zip(head, hits, similarity, strict=True), 1):
            image = study.data.gallery[i]
            row = (str(query.path), position, str(image.path), image.identity, image.camera, float(value), hit)
            rows.append(row)
    columns = ["query", "position", "path", "identity", "camera", "similarity", "right"]
    layout, found = study.data.layout, pd.DataFrame(rows, columns=columns)
    return ChosenLists(named(table.loc[chosen], layout), named(found, layout), study)


def choose(table: pd.DataFrame, by: str, number: int, *, seed: int = 0) -> list[int]:
    """Positions of some queries.

    - worst, best: those of the lowest, or highest, average precision.
    - random: drawn without looking at the outcome.
    - occluder: of each kind of occluder the query of the middle average precision, kinds in alphabetical order; in a
      drawn world alone.

    Args:
        table: a row a query, see `per_query`; the column occluder says what hides it.
        by: one of `CHOICES`.
        number: of queries at most. A query without a true match is never chosen; ties go by the order of the table.
        seed: of the draw.

    Raises:
        BadInput: an unknown choice, or occluders that nobody knows.
    """
    precision = table["mAP"].dropna()
    if by not in CHOICES:
        raise BadInput(f"'{by}' is no way to choose queries: take one of {', '.join(CHOICES)}.")
    if by == "random":
        drawn = np.random.default_rng(seed).choice(len(precision), min(number, len(precision)), replace=False)
        return [int(at) for at in precision.index[drawn]]
    ordered = precision.sort_values(kind="stable", ascending=by != "best")
    if by != "occluder":
        return [int(at) for at in ordered.index[:number]]
    if "occluder" not in table:
        raise BadInput("Only a drawn world knows what hides its people: choose worst, best or random.")
    kinds = ordered.groupby(table["occluder"].reindex(ordered.index))
    return [int(rows.index[(len(rows) - 1) // 2]) for kind, rows in kinds if kind][:number]


def head_of(study: Study, query: int, length: int) -> tuple[list[int], list[bool]]:
    """The head of one query's ranked list, see `ranked_gallery`.

    Args:
        study: open on its data.
        query: position in the query split.
        length: images to give.
    """
    similarity = study.evaluation.query[query] @ study.evaluation.gallery.T
    return ranked_gallery(similarity, study.data.query[query], study.data.gallery, length)
