"""Two runs on the same test images, query by query: who is ahead, where, and by how much for sure.

The interval of a difference resamples identities of this one test. It says nothing about other trainings: two runs of
one recipe differ by chance too, so whether a *method* is better takes several trainings of each (`scm ablation`).

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from scmlib.analysis.ranked_lists import RankedLists, head_of
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.datasets import digest
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.evaluation import named
from scmlib.ranking import Ranking
from scmlib.run_folder import TEST, data_root
from scmlib.runs import Study, open_study

Run = Study | str | Path

METRICS = ("top1", "top5", "top10", "mAP", "mINP")


@dataclass(frozen=True)
class Comparison:
    """Two rankings of the same queries."""

    metrics: pd.DataFrame  # see `compare_metrics`
    queries: pd.DataFrame  # see `compare_queries`

    @property
    def wins(self) -> int:
        """Queries whose average precision is higher in the first."""
        return int((self.queries["difference"] > 0).sum())

    @property
    def losses(self) -> int:
        """Queries whose average precision is higher in the second."""
        return int((self.queries["difference"] < 0).sum())

    @property
    def ties(self) -> int:
        """Queries whose average precision is the same in both."""
        return int((self.queries["difference"] == 0).sum())

    @property
    def identities(self) -> int:
        """Identities of the queries that count."""
        return int(self.queries["identity"].nunique())

    def most_apart(self, number: int) -> list[int]:
        """Positions of the queries on which the two disagree most, of both directions in turn.

        Args:
            number: how many at most.

        Returns:
            Positions in the query split: the first's largest lead, the second's, the first's next, and so on. A query
            on which both agree is never given.
        """
        apart = self.queries["difference"].sort_values(kind="stable")
        ahead, behind = list(apart[apart > 0].index[::-1]), list(apart[apart < 0].index)
        pairs = [leads[i] for i in range(len(apart)) for leads in (ahead, behind) if i < len(leads)]
        return [int(position) for position in pairs[:number]]


def compare_runs(a: Run, b: Run, dataset: str = "", dataset_root: str | Path = "", *, seed: int = 0) -> Comparison:
    """Compare two trained runs on the same queries and gallery.

    Args:
        a: a run's folder, weights, or an open study.
        b: another; a folder is opened on the data of `a`.
        dataset: the data set to compare on, for folders; the one of `a` if empty.
        dataset_root: the folder that holds the data set's folder, for folders; that of `a` if empty.
        seed: of the bootstrap.

    Raises:
        BadInput: no run or data there, or studies that are open on different test images.
    """
    first, second = open_pair(a, b, dataset, dataset_root)
    found = compare_rankings(first.evaluation.ranking, second.evaluation.ranking, first.data.query, seed=seed)
    return replace(found, queries=named(found.queries, first.data.layout))


def open_pair(a: Run, b: Run, dataset: str = "", dataset_root: str | Path = "") -> tuple[Study, Study]:
    """Open two runs on the same data, those of the first; see `compare_runs`."""
    first = a if isinstance(a, Study) else open_study(a, dataset, dataset_root)
    second = b if isinstance(b, Study) else open_study(b, first.data.name, data_root(first.data))
    if digest(first.data, *TEST) != digest(second.data, *TEST):
        raise BadInput(
            f"{first.folder} is open on {first.data.root} and {second.folder} on {second.data.root}, which hold other "
            "test images: open both on the same data."
        )
    return first, second


def compare_rankings(a: Ranking, b: Ranking, queries: Sequence[Record], *, seed: int = 0) -> Comparison:
    """Compare two rankings of the same queries in the same gallery.

    Args:
        a: the first.
        b: the second.
        queries: whom each query shows.
        seed: of the bootstrap.
    """
    return Comparison(compare_metrics(a, b, queries, seed=seed), compare_queries(a, b, queries))


def compare_metrics(a: Ranking, b: Ranking, queries: Sequence[Record], *, seed: int = 0) -> pd.DataFrame:
    """The metrics of both, and their differences paired by query.

    The band of a difference is a percentile bootstrap over identities (Efron and Tibshirani, 1993, "An Introduction to
    the Bootstrap"), see `bootstrap_bands`.

    Returns:
        A row for each of `METRICS` (its index), with the columns a and b, in [0, 1]; difference, a less b; low and
        high, its 95 % band; and verdict: `a better` or `b better` where the whole band lies on one side of 0, else
        `not resolved`.
    """
    counted = np.isfinite(a.ap)
    identities = np.array([record.identity for record in queries])[counted]
    first, second = (np.stack([side.per_query()[name] for name in METRICS])[:, counted] for side in (a, b))  # (5, Q)
    low, high = bootstrap_bands(first - second, identities, seed=seed)
    table = pd.DataFrame({"a": first.mean(1), "b": second.mean(1)}, index=pd.Index(METRICS, name="metric"))
    table["difference"] = (first - second).mean(1)
    verdicts = np.select([low > 0, high < 0], ["a better", "b better"], "not resolved")
    return table.assign(low=low, high=high, verdict=verdicts)


def compare_queries(a: Ranking, b: Ranking, queries: Sequence[Record]) -> pd.DataFrame:
    """Both rankings, query by query.

    Returns:
        A row for each query that can match, its position in the query split as index, with the columns path, identity,
        camera; ap_a and ap_b, average precision in [0, 1]; difference, ap_a less ap_b; rank_a and rank_b, that of the
        first true match, from 1.
    """
    table = pd.DataFrame(
        {
            "path": [str(query.path) for query in queries],
            "identity": [query.identity for query in queries],
            "camera": [query.camera for query in queries],
            "ap_a": a.ap,
            "ap_b": b.ap,
            "difference": a.ap - b.ap,
            "rank_a": a.first_match + 1,
            "rank_b": b.first_match + 1,
        }
    )
    return table.dropna().astype({"rank_a": int, "rank_b": int})


def disagreements(a: Study, b: Study, comparison: Comparison, number: int = 6, length: int = 8) -> RankedLists:
    """The queries on which two runs disagree most, each with the head of its ranked list in both.

    Args:
        a: the first run.
        b: the second, open on the same data.
        comparison: of the two.
        number: queries at most.
        length: gallery images of each list.

    Returns:
        Two entries for each query, the first run's and the second's.

    Raises:
        BadInput: the two rank every query alike, or a picture can't be read.
    """
    positions = comparison.most_apart(number)
    if not positions:
        raise BadInput(f"{a.folder} and {b.folder} rank every query alike: there is nothing to show.")
    found, right, titles = [], [], []
    for at in positions:
        row = comparison.queries.loc[at]
        for name, study, side in (("A", a, "a"), ("B", b, "b")):
            head, hits = head_of(study, at, length)
            found.append(a.pictures([study.data.gallery[i] for i in head]))
            right.append(hits)
            titles.append(f"{name}: average precision {row[f'ap_{side}']:.0%}, rank {row[f'rank_{side}']}")
    shown = a.pictures([a.data.query[at] for at in positions]).repeat_interleave(2, 0)
    return RankedLists(shown, found, right, titles)
