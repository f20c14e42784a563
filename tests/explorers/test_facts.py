"""What the explorers show, held against the model and the evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scmlib.analysis.occluders import occlude
from scmlib.analysis.search import impostor_pairs, open_set_rates
from scmlib.data.images import to_float
from scmlib.errors import BadInput
from scmlib.explorers.facts import Ranker, mask_facts, open_set_answer, probe
from scmlib.inference import embed
from scmlib.runs import Study


def test_mask_facts_are_what_the_model_gives(study: Study) -> None:
    image = study.pictures(study.data.query[:1])[0]
    facts = mask_facts(study.model, image)
    with torch.no_grad():
        output = study.model(to_float(image[None]))
    np.testing.assert_allclose(facts.competitive, output.competitive[0], atol=1e-5)
    np.testing.assert_allclose(facts.walk.sum(-1), 1, atol=1e-5)
    assert facts.walk.shape == facts.affinity.shape == (*facts.competitive.shape[1:], 3, 3)
    np.testing.assert_allclose(facts.walk, facts.affinity.softmax(-1), atol=1e-6)


def test_all_embeddings_rank_as_the_evaluation_does(study: Study) -> None:
    ranker = Ranker(study, (0, 1, 2, 3, 4, 5))
    np.testing.assert_allclose(ranker.ranking.ap, study.evaluation.ranking.ap, atol=1e-6)
    listing = ranker.listing(study.data.query[0], ranker.query[0], 5)
    assert listing.rank == study.evaluation.ranking.first_match[0] + 1
    assert listing.ap == pytest.approx(study.evaluation.ranking.ap[0])
    assert listing.right == [study.data.gallery[i].identity == study.data.query[0].identity for i in listing.head]


def test_a_probe_of_the_bare_query_is_the_query(study: Study) -> None:
    query = study.data.query[0]
    image = study.pictures([query])[0]
    ranker = Ranker(study, (0, 1, 2, 3, 4, 5))
    bare = probe(ranker, query, image, torch.zeros(image.shape[1:], dtype=torch.bool), 5)
    assert (int(bare.occluder.sum()), bare.on_occluder) == (0, 0)
    assert bare.listing.rank == study.evaluation.ranking.first_match[0] + 1
    hidden, occluder = occlude(image, kind="block", ratio=0.3, position=(0.5, 0.5), seed=0)
    seen = probe(ranker, query, hidden, occluder, 5)
    assert float(seen.occluder.float().mean()) == pytest.approx(0.3, abs=0.01)
    similarity = embed(study.model, to_float(hidden[None]))[0] @ study.evaluation.gallery.T
    matches = [r.identity == query.identity and r.camera != query.camera for r in study.data.gallery]
    assert seen.listing.similarity == pytest.approx(float(similarity[matches].max()), abs=1e-5)


def test_the_share_on_the_occluder_is_the_masks_own(study: Study) -> None:
    query = study.data.query[0]
    picture = study.pictures([query])[0]
    occluder = torch.zeros(picture.shape[1:], dtype=torch.bool)
    occluder[: picture.shape[1] // 2] = True  # whole rows of cells
    seen = probe(Ranker(study, (0,)), query, picture, occluder, 3)
    rows = seen.cooperative.sum(1)
    assert seen.on_occluder == pytest.approx(float(rows[: len(rows) // 2].sum() / rows.sum()), abs=1e-5)


def test_a_part_of_the_embeddings_is_normalised_anew(study: Study) -> None:
    ranker = Ranker(study, (1, 3))
    whole = study.evaluation.query.reshape(len(ranker.query), 6, -1)
    columns = np.concatenate([whole[:, 1], whole[:, 3]], 1)
    np.testing.assert_allclose(ranker.query, columns / np.linalg.norm(columns, axis=1, keepdims=True), atol=1e-6)


def test_no_embedding_is_refused(study: Study) -> None:
    with pytest.raises(BadInput, match="No embedding is chosen"):
        Ranker(study, ())


def test_searches_one_by_one_give_the_open_set_rates(study: Study) -> None:
    names = np.array([record.identity for record in study.data.gallery])
    impostors = impostor_pairs(study.evaluation.gallery, names, "gallery")
    (row,) = open_set_rates(study, [0.1]).to_dict("records")

    def ask(query: int, present: bool) -> tuple[bool, bool]:
        answer = open_set_answer(study, impostors, query, present=present, rate=0.1, length=1)
        assert answer.threshold == row["threshold"]
        assert answer.present == present
        return any(answer.accepted), answer.right[0]

    absent, there = ([ask(query, present) for query in range(len(study.data.query))] for present in (False, True))
    assert row["nobody_absent"] == np.mean([not found for found, _ in absent])
    assert row["nobody_present"] == np.mean([not found for found, _ in there])
    assert row["right_first"] == np.mean([found and right for found, right in there])
    assert not any(right for _, right in absent)
