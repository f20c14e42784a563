"""What an explorer shows, computed: one picture's masks and what they come from, and one query's ranked list."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scmlib.analysis.mask_scores import mass_on
from scmlib.analysis.search import Impostors
from scmlib.data.images import to_float
from scmlib.data.records import Record
from scmlib.errors import BadInput
from scmlib.evaluation import rank_records, ranked_gallery
from scmlib.inference import branch_features, embed, masks_of
from scmlib.model import SCM, embedding_names
from scmlib.ranking import Ranking, rank
from scmlib.runs import Study

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MaskFacts:
    """One picture's masks and what they come from, P parts on a grid of h x w cells."""

    picture: Tensor  # (3, H, W) uint8
    competitive: Tensor  # (P, h, w) in [0, 1]
    affinity: Tensor  # (h, w, P, P): each cell's affinities between the parts, before the softmax
    walk: Tensor  # (h, w, P, P): each cell's transition matrix between the parts, rows summing to 1
    prior: Tensor  # (P, h, w), learned
    truth: NDArray[np.uint8] | None  # (H, W) index map, see `REGIONS`, where it is known


@torch.no_grad()
def mask_facts(model: SCM, picture: Tensor, truth: NDArray[np.uint8] | None = None) -> MaskFacts:
    """One picture's masks, and what the mask module makes them from.

    Args:
        model: is switched to evaluation mode.
        picture: (3, H, W) uint8 at the model's image size.
        truth: its index map, if there is one.
    """
    device = next(model.parameters()).device
    features = branch_features(model, picture[None]).to(device)  # (1, C, h, w)
    competitive, _ = model.scm(features)
    parts, att = model.scm.part_vectors(features), model.scm.att
    given = (competitive, att.affinity(parts), att.walk(parts), model.scm.learnable_masks)
    masks, affinity, walk, prior = (x[0].detach().cpu() for x in given)
    return MaskFacts(picture, masks, affinity, walk, prior, truth)


class Listing(NamedTuple):
    """One query's ranked list: its head, and where its true matches stand."""

    head: list[int]  # gallery positions, best first, junk left out
    right: list[bool]  # whether each shows the query's identity
    rank: int  # of the first true match, from 1
    similarity: float  # to the most similar true match, in [-1, 1]
    ap: float  # average precision


@dataclass(frozen=True)
class Ranker:
    """Ranks a study's gallery by some of the 3 + P embeddings."""

    study: Study
    chosen: tuple[int, ...]  # positions of the embeddings that count

    def __post_init__(self) -> None:
        if not self.chosen:
            raise BadInput("No embedding is chosen, so nothing can be compared: choose one at least.")

    def part(self, embeddings: Floats) -> Floats:
        """The chosen columns of (N, (3 + P) * D) embeddings, L2-normalised again."""
        count = len(embedding_names(self.study.settings.num_part))
        columns = embeddings.reshape(len(embeddings), count, -1)[:, list(self.chosen)].reshape(len(embeddings), -1)
        unit: Floats = columns / np.maximum(np.linalg.norm(columns, axis=1, keepdims=True), 1e-12)
        return unit

    @cached_property
    def query(self) -> Floats:
        """(Q, E), the study's own queries."""
        return self.part(self.study.evaluation.query)

    @cached_property
    def gallery(self) -> Floats:
        """(G, E)."""
        return self.part(self.study.evaluation.gallery)

    @cached_property
    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Identity and camera of each gallery image."""
        ids, cameras = np.array([(r.identity, r.camera) for r in self.study.data.gallery]).T
        return ids, cameras

    @cached_property
    def ranking(self) -> Ranking:
        """The metrics over all queries."""
        return rank_records(self.query, self.gallery, self.study.data.query, self.study.data.gallery)

    def listing(self, query: Record, embedded: Floats, length: int) -> Listing:
        """The ranked list of one query.

        Args:
            query: says who it is and under which camera.
            embedded: (E,), what it, or a changed picture of it, embeds as; see `part`.
            length: of the head.

        Raises:
            BadInput: the gallery holds no true match.
        """
        similarity = self.gallery @ embedded  # (G,)
        ids, cameras = self.labels
        matches = (ids == query.identity) & (cameras != query.camera)
        if not matches.any():
            raise BadInput(f"{query.path.name} has no true match in the gallery: choose another query.")
        one = rank(embedded[None], self.gallery, [query.identity], ids, [query.camera], cameras)
        head, right = ranked_gallery(similarity, query, self.study.data.gallery, length)
        return Listing(head, right, int(one.first_match[0]) + 1, float(similarity[matches].max()), float(one.ap[0]))


@dataclass(frozen=True)
class Probe:
    """A query's picture, as it is or with something in front of it: its masks and its ranked list."""

    picture: Tensor  # (3, H, W) uint8
    cooperative: Tensor  # (h, w) in [0, P]
    occluder: Tensor  # (H, W) bool, where the picture was covered
    on_occluder: float  # share of the cooperative mask's mass that lies on it
    listing: Listing


def probe(ranker: Ranker, query: Record, picture: Tensor, occluder: Tensor, length: int) -> Probe:
    """Compute a query's mask and rank the gallery for it.

    Args:
        ranker: of the study; its embeddings are cached there.
        query: says who it is and under which camera.
        picture: (3, H, W) uint8 at the model's image size, changed or not.
        occluder: (H, W) bool, where it was changed.
        length: of the ranked list's head.

    Raises:
        BadInput: the gallery holds no true match.
    """
    model = ranker.study.model
    cooperative = masks_of(model, picture[None]).sum(1)  # (1, h, w)
    embedded = ranker.part(embed(model, to_float(picture[None])))[0]
    listing = ranker.listing(query, embedded, length)
    return Probe(picture, cooperative[0], occluder, float(mass_on(cooperative, occluder[None])), listing)


class Answer(NamedTuple):
    """What an open-set search for one query gives."""

    head: list[int]  # gallery positions, best first
    right: list[bool]  # whether each shows the query's identity
    similarity: list[float]  # of each, in [-1, 1]
    threshold: float  # from which similarity on a picture counts
    rate: float  # the false-match rate that it was chosen for
    present: bool  # whether the gallery searched holds the query's person

    @property
    def accepted(self) -> list[bool]:
        """Whether each reaches the threshold."""
        return [value >= self.threshold for value in self.similarity]


def open_set_answer(
    study: Study, impostors: Impostors, query: int, *, present: bool, rate: float, length: int
) -> Answer:
    """Search a study's gallery for a query, whichever camera took its pictures.

    Args:
        study: open on its data.
        impostors: pairs of different people, which turn the rate into a threshold.
        query: position in the query split.
        present: whether the person's own pictures stay in the gallery.
        rate: the false-match rate, in (0, 1].
        length: pictures to give, or all if there are fewer.
    """
    similarity = study.evaluation.gallery @ study.evaluation.query[query]  # (G,)
    same = np.array([record.identity == study.data.query[query].identity for record in study.data.gallery])
    order = np.argsort(-similarity, kind="stable")
    head = (order if present else order[~same[order]])[:length]
    values = [float(value) for value in similarity[head]]
    there = present and bool(same.any())
    return Answer(head.tolist(), same[head].tolist(), values, impostors.threshold(rate), rate, there)
