"""A clinic of broken evaluations: each commits one classic fault, so that one learns to know it by its figures.

The real evaluation has no such switch; everything here goes through its parts on purpose in a wrong way.

Lesson: notebooks/04_ranking.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from scmlib.data.datasets import ReidDataset
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.inference import raw_embeddings
from scmlib.model import SCM
from scmlib.ranking import Ranking, rank

NUDGE = 1e-6  # what a true match's similarity is raised by, to win a tie and nothing else


@dataclass(frozen=True)
class Side:
    """One side of a ranking: embeddings (N, D), not normalised, and who and which camera each row shows."""

    embeddings: Tensor
    identities: Tensor
    cameras: Tensor

    @classmethod
    def of(cls, embeddings: Tensor, records: list[Record]) -> Side:
        """Embeddings of records."""
        ids, cameras = zip(*((record.identity, record.camera) for record in records), strict=True)
        return cls(embeddings, torch.tensor(ids), torch.tensor(cameras))

    def take(self, rows: Tensor) -> Side:
        """Some rows, in the order given."""
        return Side(self.embeddings[rows], self.identities[rows], self.cameras[rows])


@dataclass(frozen=True)
class Specimen:
    """All that an evaluation can be got wrong with."""

    train: Side
    query: Side
    gallery: Side


def specimen_of(model: SCM, dataset: ReidDataset, *, progress: bool = False) -> Specimen:
    """Embed all three splits of a data set once, for every fault.

    Raises:
        BadInput: a data set without a camera rule, on which half of the faults can't be committed, or without a split.
    """
    dataset.require("train", "query", "gallery")
    if not dataset.layout.camera_rule:
        raise BadInput(f"{dataset.name} has no camera rule to break: take a data set with cameras for the clinic.")

    def side(name: str, records: list[Record]) -> Side:
        raw = raw_embeddings(model, records, progress=name if progress else "")
        return Side.of(raw, records)

    return Specimen(side("train", dataset.train), side("query", dataset.query), side("gallery", dataset.gallery))


def right(specimen: Specimen) -> Ranking:
    """The evaluation as it should be."""
    return _rank(specimen.query, specimen.gallery)


def _rank(query: Side, gallery: Side, *, camera_rule: bool = True, normalised: bool = True) -> Ranking:
    q, g = (F.normalize(s.embeddings, dim=1) if normalised else s.embeddings for s in (query, gallery))
    cameras = (query.cameras.numpy(), gallery.cameras.numpy()) if camera_rule else (None, None)
    return rank(q, g, query.identities.numpy(), gallery.identities.numpy(), *cameras)


def same_camera_matches_kept(specimen: Specimen) -> Ranking:
    """Matches of the query's own camera count: the same background, often the next frame."""
    return _rank(specimen.query, specimen.gallery, camera_rule=False)


def within(side: Side) -> Ranking:
    """A split ranked against itself: the first image that each camera took of each person is a query.

    All images are the gallery; a query itself is junk there, for it is of its own identity and camera.
    """
    seen, first = set[tuple[int, int]](), []
    for row, who in enumerate(zip(side.identities.tolist(), side.cameras.tolist(), strict=True)):
        if who not in seen:
            seen.add(who)
            first.append(row)
    return _rank(side.take(torch.tensor(first)), side)


def identities_leaked(specimen: Specimen) -> Ranking:
    """Tested on people who were trained on."""
    return within(specimen.train)


def not_normalised(specimen: Specimen) -> Ranking:
    """Dot products of embeddings of any length: long ones come first whatever they show."""
    return _rank(specimen.query, specimen.gallery, normalised=False)


def query_left_in_gallery(specimen: Specimen) -> Ranking:
    """The queries are in the gallery too, under another camera number: everybody finds himself, and rank 1 is 100 %."""
    query, gallery = specimen.query, specimen.gallery
    unseen = int(max(query.cameras.max(), gallery.cameras.max())) + 1
    parts = [(gallery, gallery.cameras), (query, torch.full_like(query.cameras, unseen))]
    joined = Side(
        torch.cat([side.embeddings for side, _ in parts]),
        torch.cat([side.identities for side, _ in parts]),
        torch.cat([cameras for _, cameras in parts]),
    )
    return _rank(query, joined)


def optimistic_ties(specimen: Specimen) -> Ranking:
    """A true match wins every tie; shown on a collapsed model, whose embeddings are all the same.

    The identities and cameras are the specimen's; further dimensions, one a person, raise a match above the others by
    almost nothing, as a sort does that happens to find matches first.
    """
    query, gallery = collapsed(specimen)
    people, at = torch.unique(torch.cat([query.identities, gallery.identities]), return_inverse=True)
    hint = F.one_hot(at, len(people)).double() * NUDGE**0.5
    q, g = (
        torch.cat([F.normalize(side.embeddings.double(), dim=1), rows], 1)
        for side, rows in zip(
            (query, gallery), (hint[: len(query.identities)], hint[len(query.identities) :]), strict=True
        )
    )
    cameras = (query.cameras.numpy(), gallery.cameras.numpy())
    return rank(q, g, query.identities.numpy(), gallery.identities.numpy(), *cameras)


def collapsed(specimen: Specimen) -> tuple[Side, Side]:
    """What a model gives that maps every image to one point."""
    query, gallery = (
        replace(side, embeddings=torch.ones_like(side.embeddings)) for side in (specimen.query, specimen.gallery)
    )
    return query, gallery


def gallery_shuffled(specimen: Specimen, *, seed: int = 0) -> Ranking:
    """The gallery's embeddings are in another order than its labels: chance, however good the model."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(specimen.gallery.identities)))
    gallery = replace(specimen.gallery, embeddings=specimen.gallery.embeddings[order])
    return _rank(specimen.query, gallery)


class Fault(NamedTuple):
    """One way to get it wrong, and what it is held against."""

    broken: Callable[[Specimen], Ranking]
    symptom: str
    sound: Callable[[Specimen], Ranking] = right


FAULTS = {
    "same-camera matches kept": Fault(
        same_camera_matches_kept, "Higher; pictures of the query's own camera lead the lists, often the next frame."
    ),
    "identities leaked": Fault(
        identities_leaked,
        "Higher than by the same protocol on people never seen; other data sets by the same model are far below.",
        lambda specimen: within(specimen.gallery),
    ),
    "embeddings not normalised": Fault(
        not_normalised, "Lower; a few gallery images with long embeddings turn up in everybody's list."
    ),
    "query left in the gallery": Fault(
        query_left_in_gallery, "Rank-1 is 100 % for every model, an untrained one too, while mAP hardly moves."
    ),
    "optimistic ties": Fault(
        optimistic_ties,
        "A collapsed model, which gives every image the same embedding, scores 100 %; a healthy one hardly changes.",
        lambda specimen: _rank(*collapsed(specimen)),
    ),
    "gallery shuffled": Fault(
        gallery_shuffled, "Chance, though the training went well and single ranked lists, looked at, seem right."
    ),
}
