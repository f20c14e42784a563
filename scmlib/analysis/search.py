"""Search with photos: who in these pictures looks like this one? And is it anybody at all?

A ranked list always has a first place, even for somebody who isn't in the gallery. An open-set search may therefore
answer "nobody" (Phillips, Grother and Micheals, 2011, "Evaluation Methods in Face Recognition"): only pictures whose
similarity reaches a threshold count. The threshold is chosen by the false-match rate, the share of pairs of different
people, *impostor pairs*, that reach it (ISO/IEC 19795-1, "Biometric performance testing and reporting").

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from scmlib.analysis.nearest import nearest
from scmlib.analysis.statistics import bootstrap_bands
from scmlib.data.images import read_pictures
from scmlib.data.records import Record, image_files
from scmlib.errors import BadInput
from scmlib.exports.embeddings import Pictures, kept_embeddings, open_pictures
from scmlib.inference import embed
from scmlib.ranking import similarities
from scmlib.runs import Run, Study, open_run

FALSE_MATCH_RATE = 1e-4  # a gallery of 1,000 other people then matches one photo in ten

MOST = 2000  # pictures whose pairs are compared, two million pairs

RATES = (1e-5, 1e-4, 1e-3, 1e-2)  # at which `open_set_rates` looks

OUTCOMES = ("nobody_absent", "right_first", "wrong_first", "nobody_present")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Impostors:
    """Pairs of pictures of different people, by which a threshold is chosen."""

    similarity: Floats  # of every pair, ascending
    source: str  # whose gallery they are of

    def threshold(self, rate: float) -> float:
        """The lowest threshold that no larger share of the pairs reaches.

        With n pairs no rate below 1/n can be told from 0; the threshold then lies just above the most similar pair.

        Args:
            rate: the false-match rate, in (0, 1].

        Raises:
            BadInput: a rate out of range.
        """
        if not 0 < rate <= 1:
            raise BadInput(
                f"A false-match rate of {rate} can't be chosen: it is a share of pairs, above 0 and up to 1."
            )
        allowed = int(rate * len(self.similarity) + 1e-9)
        refused = self.similarity[: len(self.similarity) - allowed]
        return float(np.nextafter(refused[-1], np.float32(2))) if len(refused) else -1.0

    def false_match_rate(self, similarity: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The share of the pairs that are at least so similar, for similarities of any shape."""
        below = np.searchsorted(self.similarity, similarity.astype(np.float32), side="left")
        return 1 - below / len(self.similarity)


def impostor_pairs(embeddings: Floats, identities: NDArray[Any], source: str, *, seed: int = 0) -> Impostors:
    """The similarities of all pairs of pictures that show different people.

    Args:
        embeddings: (N, D), L2-normalised; similarity is the dot product. Of more than `MOST`, so many are drawn.
        identities: (N,).
        source: what they are of.
        seed: of the draw.
    """
    if len(embeddings) > MOST:
        drawn = np.sort(np.random.default_rng(seed).choice(len(embeddings), MOST, replace=False))
        embeddings, identities = embeddings[drawn], identities[drawn]
    pairs = np.triu(identities[:, None] != identities, 1)
    return Impostors(np.sort((embeddings @ embeddings.T)[pairs]), source)


@dataclass(frozen=True)
class Search:
    """The answer of `search`."""

    photos: list[Record]
    found: list[list[Record]]  # for each photo, the most similar pictures of the gallery, best first
    gallery: Pictures
    # A row a picture found: photo, rank from 1, path, similarity in [-1, 1], false_match_rate (the share of impostor
    # pairs at least as similar), accepted (whether it reaches the threshold); and where known identity, and whether it
    # is the photo's, right. Missing values stand for what nobody knows.
    table: pd.DataFrame
    impostors: Impostors | None  # None where no pairs of known people are at hand; nothing is accepted or refused then
    threshold: float  # similarity; NaN without impostors
    rate: float  # the false-match rate that it was chosen for
    image_size: tuple[int, int]  # the model's, (height, width) in pixels

    def rows(self, photo: int) -> pd.DataFrame:
        """The rows of `table` that belong to one photo."""
        return self.table[self.table["photo"] == str(self.photos[photo].path)]

    def nobody(self, photo: int) -> bool | None:
        """Whether no picture reaches the threshold, for one photo; None without a threshold."""
        return None if self.impostors is None else not self.rows(photo)["accepted"].any()

    def drawing(self, most: int = 8) -> dict[str, Any]:
        """What `figures.draw_ranked_lists` draws of the first photos; `draw_ranked_lists(**answer.drawing())`.

        Args:
            most: photos.
        """
        lists = [self.rows(photo) for photo in range(min(most, len(self.photos)))]
        titles, captions = [], []
        for photo, rows in enumerate(lists):
            titles.append(self.photos[photo].path.stem + ("\nnobody" if self.nobody(photo) else ""))
            known = [""] * len(rows) if rows["identity"].isna().all() else [f"\n{who}" for who in rows["identity"]]
            below = [", below" if counts is False else "" for counts in rows["accepted"]]
            told = zip(rows["similarity"], below, known, strict=True)
            captions.append([f"{value:.2f}{short}{who}" for value, short, who in told])
        return {
            "queries": read_pictures(self.photos[: len(lists)], self.image_size),
            "found": [read_pictures(found, self.image_size) for found in self.found[: len(lists)]],
            "right": [[None if pd.isna(hit) else bool(hit) for hit in rows["right"]] for rows in lists],
            "titles": titles,
            "captions": captions,
            "accepted": [list(rows["accepted"]) for rows in lists] if self.impostors else (),
        }


def search(
    run: Run | str | Path,
    photos: str | Path | Sequence[str | Path],
    gallery: str | Path,
    dataset_root: str | Path = "",
    *,
    top: int = 10,
    false_match_rate: float = FALSE_MATCH_RATE,
    workers: int = 0,
    progress: bool = False,
) -> Search:
    """Find who in a gallery looks like the person of a photo.

    Every picture of the gallery is compared, whichever camera took it; a photo that lies in the gallery finds itself.
    Embeddings of the gallery are kept with the run (`kept_embeddings`).

    Impostor pairs are those of the gallery, where it says who is who and has enough of them for the rate; else those of
    the run's own data set, if it is at hand. A threshold of other data may not fit: pictures of another kind are more
    or less alike.

    Args:
        run: opened, or the folder of a run.
        photos: pictures, or folders whose pictures are taken.
        gallery: the name of a data set, whose gallery split is taken, or a folder, see `open_pictures`.
        dataset_root: the folder that holds the folder of a data set given by name.
        top: pictures to find for each photo, or all if there are fewer.
        false_match_rate: of pairs of different people; chooses the threshold.
        workers: processes that read pictures.
        progress: whether to show a progress bar.

    Raises:
        BadInput: no run, photos or pictures there, a picture that can't be read, or a rate out of range.
    """
    run = run if isinstance(run, Run) else open_run(run)
    given = [photos] if isinstance(photos, (str, Path)) else photos
    named = [path for one in map(Path, given) for path in (image_files(one) if one.is_dir() else [one])]
    paths = list(dict.fromkeys(named))
    asked = [Record(path, -1, -1, margin=run.margin) for path in paths]
    pictures = open_pictures(run, gallery, dataset_root, splits=("gallery",))
    embedded = kept_embeddings(run, pictures.records, workers=workers, progress="gallery" if progress else "")
    impostors = _impostors(run, pictures, embedded, false_match_rate, workers=workers, progress=progress)
    at, similarity = nearest(embed(run.model, asked), embedded, min(max(top, 1), len(embedded)))
    threshold = impostors.threshold(false_match_rate) if impostors else float("nan")
    names, known = pictures.identities, _known(pictures)
    rows = []
    for path, positions, values in zip(paths, at, similarity, strict=True):
        rates = impostors.false_match_rate(values) if impostors else np.full(len(values), np.nan)
        who = known.get(path.resolve())
        for rank, (position, value, rate) in enumerate(zip(positions, values, rates, strict=True), 1):
            row: dict[str, Any] = {"photo": str(path), "rank": rank, "path": str(pictures.records[position].path)}
            row |= {"similarity": float(value), "false_match_rate": float(rate)}
            row["accepted"] = bool(value >= threshold) if impostors else None
            row["identity"] = names[position].item() if pictures.data else None
            row["right"] = bool(names[position] == who) if who is not None else None
            rows.append(row)
    found = [[pictures.records[position] for position in positions] for positions in at]
    table = pd.DataFrame(rows)
    return Search(asked, found, pictures, table, impostors, threshold, false_match_rate, run.model.image_size)


def _known(pictures: Pictures) -> dict[Path, Any]:
    """Whom each test picture of the gallery's data set shows, by its path; empty in a folder."""
    if pictures.data is None:
        return {}
    test = [*pictures.data.query, *pictures.data.gallery]
    named = Pictures(pictures.name, test, [], pictures.data)
    return {record.path.resolve(): who for record, who in zip(test, named.identities, strict=True)}


def _impostors(
    run: Run, gallery: Pictures, embedded: Floats, rate: float, *, workers: int, progress: bool
) -> Impostors | None:
    """Pairs of the gallery, or of the run's own where that has too few for the rate; None where nobody is known."""
    pairs = [impostor_pairs(embedded, gallery.identities, gallery.name)] if gallery.data else []
    if not pairs or rate * len(pairs[0].similarity) < 1:
        try:
            others = open_pictures(run, run.settings.dataset, splits=("gallery",))
        except BadInput:  # the run was moved without its data
            pass
        else:
            label = "impostors" if progress else ""
            theirs = kept_embeddings(run, others.records, workers=workers, progress=label)
            pairs.append(impostor_pairs(theirs, others.identities, others.name))
    most = max(pairs, key=lambda some: len(some.similarity), default=None)
    return most if most and len(most.similarity) else None


def open_set_rates(study: Study, rates: Sequence[float] = RATES, *, seed: int = 0) -> pd.DataFrame:
    """How often a search says *nobody* rightly and wrongly, at several false-match rates.

    Every query is searched twice: in the gallery without the pictures of its person, where *nobody* is right, and in
    the whole gallery, where the person is there. As in `search` all cameras count. The second side's shares are the
    detection and identification rate at rank 1 and what it misses (Phillips, Grother and Micheals, 2011, "Evaluation
    Methods in Face Recognition").

    Args:
        study: open on data that say who is who.
        rates: false-match rates, each of which chooses a threshold by the gallery's impostor pairs.
        seed: of the impostors' draw and of the bootstrap.

    Returns:
        A row a rate: false_match_rate, threshold, queries; and the shares of the queries, in [0, 1], with the ends of
        their 95 % bands over identities (`_low`, `_high`): nobody_absent (the person isn't there and nobody is found),
        right_first, wrong_first and nobody_present (the person is there; the three add up to 1).

    Raises:
        BadInput: no two identities in the gallery, or no query whose person is there.
    """
    names = np.array([record.identity for record in study.data.gallery])
    asked = np.array([record.identity for record in study.data.query])
    impostors = impostor_pairs(study.evaluation.gallery, names, study.data.name, seed=seed)
    there = np.isin(asked, names)
    if not there.any() or not len(impostors.similarity):
        raise BadInput(f"{study.data.name} can't be searched for known people: no query's person is in the gallery.")
    others, best, right = [], [], []  # for each query: most similar other person; most similar of all; is it right?
    query, gallery = (torch.from_numpy(side) for side in (study.evaluation.query[there], study.evaluation.gallery))
    for rows, similarity in similarities(query, gallery):
        same = torch.from_numpy(asked[there][rows, None] == names)
        top = similarity.max(1)
        best.append(top.values.clone())
        right.append(same.gather(1, top.indices[:, None])[:, 0])
        others.append(similarity.masked_fill(same, -torch.inf).amax(1))
    strangers, first, hit = (torch.cat(parts).numpy() for parts in (others, best, right))
    table = []
    for rate in rates:
        threshold = np.float32(impostors.threshold(rate))
        reached = first >= threshold
        outcomes = (strangers < threshold, reached & hit, reached & ~hit, ~reached)
        shares = np.stack(outcomes).astype(float)  # (4, Q)
        low, high = bootstrap_bands(shares, asked[there], seed=seed)
        row = {"false_match_rate": rate, "threshold": float(threshold), "queries": int(there.sum())}
        for name, *ends in zip(OUTCOMES, shares.mean(1), low, high, strict=True):
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), map(float, ends), strict=True))
        table.append(row)
    return pd.DataFrame(table)
