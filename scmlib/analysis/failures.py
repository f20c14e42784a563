"""Where a run fails: its metrics by what is known about each query, and whom it takes for whom.

Questions come from what the data know: cameras, views, and every column of their table. In a drawn world these are
occluder, visible share, pose and what the people look like; in a table of your own, any further column of `images.csv`.

Many groups are looked at, and some would stand out by chance. So the bands of all groups of one question hold together
(`simultaneous_bands`), and a group's difference is a finding only where its band leaves 0 out. A group of too few
identities is counted and never judged. Still, of twenty questions without any true difference one has a finding.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scmlib.analysis.comparison import METRICS
from scmlib.analysis.statistics import simultaneous_bands
from scmlib.data.records import Record
from scmlib.data.tables import COLUMNS, TABLE
from scmlib.errors import BadInput
from scmlib.evaluation import Evaluation, named, per_query, rank_records
from scmlib.ranking import similarities
from scmlib.runs import Study, open_study

LEAST = 10  # identities in a group, and outside it, from which on it is judged

MOST = 30  # different values of a column that is a question; more are names rather than groups

QUARTERED = 8  # different numbers; a column of more of them is cut into quarters

ANSWERS = Path("ground_truth") / TABLE  # what a drawn world knows about each image

LEFT_OUT = (*COLUMNS, "file", "hidden")  # columns that are no questions; `hidden` is what `visible` leaves

FOUND = ("lower", "higher")  # findings; others are `not resolved` and `too few identities`


@dataclass(frozen=True)
class Failures:
    """The answer of `failures`."""

    metric: str  # that groups are judged by
    groups: pd.DataFrame  # a row a group of every question: question, and the columns of `compare_groups`
    pairs: pd.DataFrame  # see `camera_pairs`; empty without cameras
    likeness: pd.DataFrame  # see `shared_facts`
    negatives: pd.DataFrame  # see `hardest_negatives`
    study: Study

    @property
    def confusions(self) -> pd.DataFrame:
        """Who is taken for whom, the most frequent first.

        Returns:
            A row a pair of people: identity, negative_identity, queries (of the former, with the latter ahead of every
            true match), and of (its queries in all).
        """
        wrong = self.negatives[self.negatives["margin"] <= 0]
        pairs = wrong.groupby(["identity", "negative_identity"]).size().rename("queries").reset_index()
        pairs["of"] = pairs["identity"].map(self.negatives["identity"].value_counts())
        return pairs.sort_values("queries", ascending=False, kind="stable", ignore_index=True)

    def drawing(self, number: int = 6) -> dict[str, Any]:
        """What `figures.draw_ranked_lists` draws of the hardest negatives: `draw_ranked_lists(**answer.drawing())`.

        Args:
            number: of queries at most, each with this negative and its best match, the more similar of the two first.
        """
        data, rows = self.study.data, self.negatives.head(number)
        by_path = {str(record.path): record for record in (*data.query, *data.gallery)}
        ahead = list(rows["margin"] <= 0)
        found, captions = [], []
        for row, first in zip(rows.to_dict("records"), ahead, strict=True):
            order = ("negative", "match") if first else ("match", "negative")
            found.append(self.study.pictures([by_path[row[side]] for side in order]))
            captions.append([f"similarity {row[f'{side}_similarity']:.2f}" for side in order])
        return {
            "queries": self.study.pictures([by_path[path] for path in rows["path"]]),
            "found": found,
            "right": [[not first, first] for first in ahead],
            "titles": [f"best match: rank {rank}" for rank in rows["rank"]],
            "captions": captions,
        }


def failures(
    run: Study | str | Path,
    dataset: str = "",
    dataset_root: str | Path = "",
    *,
    metric: str = "mAP",
    least: int = LEAST,
    seed: int = 0,
) -> Failures:
    """Compare the groups of a run's queries, by everything that its data know, and look at its hardest negatives.

    Args:
        run: an open study, or the folder of a run.
        dataset: the data set to look at, for a run folder; the run's own if empty.
        dataset_root: the folder that holds the data set's folder; the run's own if empty.
        metric: that groups are judged by, one of top1, top5, top10, mAP, mINP.
        least: identities that a group, and the queries outside it, must have to be judged; 2 or more.
        seed: of the bootstrap.

    Raises:
        BadInput: no run or data there, an unknown metric, or data that know nothing that queries differ in.
    """
    if metric not in METRICS:
        raise BadInput(f"'{metric}' is no metric to judge by: take one of {', '.join(METRICS)}.")
    if least < 2:
        raise BadInput(f"Groups of {least} identities can't be judged: a band takes 2 at least.")
    study = run if isinstance(run, Study) else open_study(run, dataset, dataset_root)
    data, evaluation = study.data, study.evaluation
    table = per_query(evaluation.ranking, data.query)
    known = known_facts(study, data.query)
    asked = {str(name): labels for name in known if (labels := grouped(known[name])).nunique() > 1}
    if not asked:
        raise BadInput(
            f"{data.name} knows nothing about its queries that they differ in: give {data.root / TABLE} further "
            "columns beside path, such as the weather or what hides the person."
        )
    counted = np.isfinite(evaluation.ranking.ap)
    found = [
        compare_groups(labels[counted], table[counted], metric, least=least, seed=seed) for labels in asked.values()
    ]
    groups = pd.concat(found, keys=list(asked), names=["question", None]).reset_index("question").reset_index(drop=True)
    negatives = hardest_negatives(evaluation, data.query, data.gallery)
    return Failures(
        metric,
        groups,
        camera_pairs(study, metric, least=least, seed=seed),
        shared_facts(known, known_facts(study, data.gallery), negatives, data.gallery, seed=seed),
        named(negatives, data.layout),
        study,
    )


def known_facts(study: Study, records: Sequence[Record]) -> pd.DataFrame:
    """What the data know about pictures, beside whom they show.

    Args:
        study: open on data.
        records: of one of its splits.

    Returns:
        A row for each record with the columns camera (where there is a camera rule), view (where the data set has
        folders by view), and those of the table: a drawn world's, or `images.csv` in the data set's folder, which any
        data set may have. Texts; missing where unknown.

    Raises:
        BadInput: a table that can't be read.
    """
    data = study.data
    facts = pd.DataFrame(index=range(len(records)))
    if data.layout.camera_rule:
        names = data.layout.camera_names
        facts["camera"] = [names[record.camera] if names else str(record.camera) for record in records]
    if any(record.view for record in records):
        facts["view"] = [record.view or None for record in records]
    source = next((data.root / name for name in (ANSWERS, TABLE) if (data.root / name).is_file()), None)
    if source is None:
        return facts
    try:
        table = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
        table.columns = table.columns.str.strip().str.lower()
        paths = [str(PurePosixPath(path.strip())) for path in table["file" if "file" in table else "path"]]
        rows = table.set_axis(paths).reindex([record.path.relative_to(data.root).as_posix() for record in records])
    except (ValueError, KeyError) as error:
        raise BadInput(f"{source} isn't a table with a line for each picture and a column path: {error}.") from error
    if "occluder" in rows and study.has_truth:
        rows["occluder"] = rows["occluder"].replace("", "nothing")
    for name in rows.columns.difference(list(LEFT_OUT), sort=False):
        facts[name.replace("_", " ")] = rows[name].str.strip().replace("", None).to_numpy()
    return facts


def grouped(values: pd.Series[Any]) -> pd.Series[Any]:
    """A column as groups: texts as they are, many different numbers as quarters of equal size.

    Returns:
        The same rows, their categories in order; missing where unknown, and everywhere if there are more than `MOST`
        different texts.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().equals(values.isna()) and numbers.nunique() > QUARTERED:
        edges = np.unique(np.quantile(numbers.dropna(), (0, 0.25, 0.5, 0.75, 1), method="nearest"))
        names = [f"{low:.10g} to {high:.10g}" for low, high in pairwise(edges)]
        return pd.cut(numbers, list(edges), labels=names, include_lowest=True)
    texts = sorted(values.dropna().unique(), key=lambda text: (len(text) if text.isdecimal() else 0, text))
    return pd.Series(pd.Categorical(values if len(texts) <= MOST else [None] * len(values), texts))


def compare_groups(
    labels: pd.Series[Any], queries: pd.DataFrame, metric: str = "mAP", *, least: int = LEAST, seed: int = 0
) -> pd.DataFrame:
    """The metrics of some groups of queries, and of each group the difference to all queries of the other groups.

    Args:
        labels: (Q,) categories; a query with none belongs nowhere.
        queries: a row a query that can match, see `per_query`.
        metric: that is compared.
        least: identities that a group, and the queries outside it, must have to be judged.
        seed: of the bootstrap.

    Returns:
        A row a group: group, queries, identities; top1, top5, top10, mAP and mINP in [0, 1]; difference, of the metric;
        low and high, its 95 % band, which holds together with those of the other rows; and finding: `lower` or `higher`
        where the band leaves 0 out, `not resolved`, or `too few identities`, where the last three numbers are missing.
    """
    known = labels.notna().to_numpy()
    identities, scores = queries["identity"].to_numpy()[known], queries[metric].to_numpy(float)[known]
    names = [name for name in labels.cat.categories if (labels == name).any()]
    inside = np.stack([(labels == name).to_numpy(bool)[known] for name in names])
    people = np.array([[len(np.unique(identities[side])) for side in (row, ~row)] for row in inside])
    table = pd.DataFrame({"group": names, "queries": inside.sum(1), "identities": people[:, 0]})
    for name in METRICS:
        values = queries[name].to_numpy(float)[known]
        table[name] = [float(values[row].mean()) for row in inside]
    bands = np.full((3, len(names)), np.nan)
    if (judged := (people >= least).all(1)).any():
        sides = inside[judged].astype(float)
        bands[:, judged] = simultaneous_bands(scores, identities, sides, 1 - sides, seed=seed)
    return _with_findings(table, bands)


def _with_findings(table: pd.DataFrame, bands: NDArray[np.float64]) -> pd.DataFrame:
    """The table with its bands, (3, rows), and what they say."""
    difference, low, high = bands
    said = np.select([np.isnan(difference), high < 0, low > 0], ["too few identities", *FOUND], "not resolved")
    return table.assign(difference=difference, low=low, high=high, finding=said)


def camera_pairs(study: Study, metric: str = "mAP", *, least: int = LEAST, seed: int = 0) -> pd.DataFrame:
    """The metrics of every pair of cameras: queries of one, ranked among the gallery pictures of the other alone.

    Only queries with a match under that camera count. Cameras with fewer gallery pictures are easier; `pictures` says
    how many there are.

    Args:
        study: open on its data.
        metric: that pairs are judged by.
        least: see `compare_groups`.
        seed: of the bootstrap.

    Returns:
        A row a pair: query_camera, gallery_camera, pictures, and what `compare_groups` gives except group. The others
        that a pair is held against are the queries of all other pairs. Empty without a camera rule.
    """
    data, evaluation = study.data, study.evaluation
    if not data.layout.camera_rule:
        return pd.DataFrame()
    names = data.layout.camera_names
    told = {c: names[c] if names else str(c) for c in {record.camera for record in (*data.query, *data.gallery)}}
    parts, labels, sizes = [], [], {}
    for camera in sorted({record.camera for record in data.gallery}):
        there = [i for i, record in enumerate(data.gallery) if record.camera == camera]
        people = {data.gallery[i].identity for i in there}
        asking = [i for i, q in enumerate(data.query) if q.identity in people and q.camera != camera]
        if asking:
            queries, gallery = [data.query[i] for i in asking], [data.gallery[i] for i in there]
            ranking = rank_records(evaluation.query[asking], evaluation.gallery[there], queries, gallery)
            parts.append(per_query(ranking, queries))
            labels += [(told[query.camera], told[camera]) for query in queries]
            sizes[told[camera]] = len(there)
    pairs = list(dict.fromkeys(sorted(labels)))
    at = pd.Series([pairs.index(label) for label in labels]).astype("category")
    table = compare_groups(at, pd.concat(parts, ignore_index=True), metric, least=least, seed=seed)
    sides = pd.DataFrame([pairs[int(i)] for i in table["group"]], columns=["query_camera", "gallery_camera"])
    sides["pictures"] = sides["gallery_camera"].map(sizes)
    return sides.join(table.drop(columns="group"))


def hardest_negatives(evaluation: Evaluation, queries: Sequence[Record], gallery: Sequence[Record]) -> pd.DataFrame:
    """For each query the most similar picture of somebody else, and the most similar true match.

    Args:
        evaluation: of the queries in the gallery.
        queries: Q records.
        gallery: G records.

    Returns:
        A row for each query that can match, the smallest margin first, its position in the query split as index: path,
        identity, camera, rank (of the first true match), negative (a path), negative_identity, negative_camera,
        negative_similarity, match (a path), match_similarity; and margin, match_similarity less negative_similarity:
        0 or less where the wrong person comes first.
    """
    ids, cams = ([np.array([getattr(r, name) for r in side]) for side in (queries, gallery)]
                 for name in ("identity", "camera"))  # fmt: skip
    best = []
    query, there = (torch.from_numpy(side) for side in (evaluation.query, evaluation.gallery))
    for rows, similarity in similarities(query, there):
        same = torch.from_numpy(ids[0][rows, None] == ids[1])
        match = same & torch.from_numpy(cams[0][rows, None] != cams[1])
        best.append([similarity.masked_fill(~kind, -torch.inf).max(1) for kind in (~same, match)])
    (values, at), (most, where) = ([torch.cat([b[side][i] for b in best]).numpy() for i in (0, 1)] for side in (0, 1))
    table = per_query(evaluation.ranking, queries)[["path", "identity", "camera", "rank"]]
    table["negative"] = [str(gallery[i].path) for i in at]
    table["negative_identity"], table["negative_camera"] = ids[1][at], cams[1][at]
    table = table.assign(negative_similarity=values.astype(float), match=[str(gallery[i].path) for i in where])
    table = table.assign(match_similarity=most.astype(float), margin=most.astype(float) - values)
    valid: pd.DataFrame = table[np.isfinite(table["margin"])]
    return valid.sort_values("margin", kind="stable")


def shared_facts(
    queries: pd.DataFrame,
    gallery: pd.DataFrame,
    negatives: pd.DataFrame,
    records: Sequence[Record],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """What do hardest negatives share with their queries more often than other strangers do?

    Args:
        queries: what is known of the Q queries, see `known_facts`.
        gallery: of the G gallery pictures.
        negatives: see `hardest_negatives`.
        records: G, whom the gallery shows.
        seed: of the bootstrap.

    Returns:
        A row a fact: fact; queries and identities, those whose fact and whose hardest negative's fact are known;
        shared, the share of these queries whose hardest negative has the same; usual, the share of all pictures of
        other people that have the same, mean over these queries; difference, shared less usual, with its 95 % band low
        and high, which holds together with those of the other facts; and finding, `lower`, `higher` or `not resolved`.
    """
    position = {str(record.path): i for i, record in enumerate(records)}
    at = [position[path] for path in negatives["negative"]]
    people, whom = np.unique([record.identity for record in records], return_inverse=True)
    asking = np.searchsorted(people, negatives["identity"])
    rows, shares = [], []
    for fact in queries.columns.intersection(gallery.columns, sort=False):
        theirs, values = pd.factorize(gallery[fact])  # -1 where unknown
        if not 2 <= len(values) <= MOST:
            continue
        given = queries[fact].loc[negatives.index]
        mine = pd.Index(values).get_indexer(given)
        known = given.notna().to_numpy() & (theirs[at] >= 0)
        own = np.zeros((len(people), len(values)))  # pictures of each person with each value
        np.add.at(own, (whom[theirs >= 0], theirs[theirs >= 0]), 1)
        others = own.sum(0) - own[asking]  # (Q, values)
        usual = np.where(mine >= 0, others[np.arange(len(mine)), mine], 0) / others.sum(1).clip(1)
        shared = mine == theirs[at]
        shares.append((np.where(known, shared - usual, 0), known.astype(float)))
        witnesses = negatives["identity"][known].nunique()
        rows.append((fact, int(known.sum()), witnesses, shared[known].mean(), usual[known].mean()))
    table = pd.DataFrame(rows, columns=["fact", "queries", "identities", "shared", "usual"])
    if table.empty:
        return _with_findings(table, np.empty((3, 0)))
    differences, weights = (np.stack(side) for side in zip(*shares, strict=True))
    bands = simultaneous_bands(differences, negatives["identity"].to_numpy(), weights, seed=seed)
    return _with_findings(table, np.stack(bands))
