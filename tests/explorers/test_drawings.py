"""What the explorers draw, from made-up facts: words that fit and say the numbers, equal bytes for equal input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from scmlib.errors import BadInput
from scmlib.explorers import drawings
from scmlib.explorers.facts import Answer, Listing, MaskFacts, Probe
from scmlib.figures.style import COMPETITIVE, alt_text, png
from scmlib.model import embedding_names
from tests.figures.canvas import outside, overlapping, pillow_words, size
from tests.figures.examples import RANKING, TALL, WIDE, masks, pictures, truth


def facts(parts: int, height: int, width: int, known: bool) -> MaskFacts:
    competitive = masks(1, parts, height, width)[0]
    affinity = torch.linspace(-1, 1, (height // 16) * (width // 16) * parts**2)
    affinity = affinity.reshape(height // 16, width // 16, parts, parts)
    answer = truth(1, height, width)[0] if known else None
    picture = pictures(1, height, width)[0]
    return MaskFacts(picture, competitive, affinity, affinity.softmax(-1), 1 - competitive, answer)


def listing(length: int) -> Listing:
    return Listing([*range(length)], [i % 2 == 0 for i in range(length)], 1, 0.75, 0.5)


def probed(share: float, height: int, width: int, length: int) -> Probe:
    occluder = torch.arange(height)[:, None].expand(height, width) < share * height
    return Probe(pictures(1, height, width)[0], masks(1, 1, height, width)[0, 0], occluder, share / 2, listing(length))


def lab(height: int, width: int, length: int) -> Callable[[], Figure]:
    before, after = (probed(share, height, width, length) for share in (0.0, 0.25))
    return partial(drawings.draw_lab, before, after, lambda position: before.picture)


def listed(height: int, width: int, length: int, parts: int) -> Callable[[], Figure]:
    query, names = pictures(1, height, width)[0], embedding_names(parts)
    return partial(drawings.draw_listing, query, listing(length), lambda position: query, RANKING, names)


def lineup(count: int, height: int, width: int, pick: int) -> Callable[[], Figure]:
    candidates = pictures(count, height, width)
    return partial(drawings.draw_lineup, candidates[0], candidates, [i == 1 for i in range(count)], pick)


def question(height: int, width: int, length: int) -> Callable[[], Figure]:
    picture, answer = pictures(1, height, width)[0], truth(1, height, width)[0]
    return partial(drawings.draw_question, picture, answer, 0.25, listing(length), lambda position: picture)


def answered(height: int, width: int, length: int, threshold: float) -> Callable[[], Figure]:
    picture = pictures(1, height, width)[0]
    right, similarity = [i % 2 == 0 for i in range(length)], [0.9 - 0.1 * i for i in range(length)]
    answer = Answer([*range(length)], right, similarity, threshold, 1e-4, True)
    return partial(drawings.draw_answer, picture, answer, lambda position: picture)


EXAMPLES: dict[str, dict[str, tuple[Callable[[], Figure], str]]] = {
    "draw_mask_facts": {
        "usual": (partial(drawings.draw_mask_facts, facts(3, 96, 48, True), part=2, cell=(1, 2)), "In cell 1, 2"),
        "one tall": (partial(drawings.draw_mask_facts, facts(1, *TALL, False), height=1.2), "answer isn't known"),
        "14 parts, wide": (partial(drawings.draw_mask_facts, facts(14, *WIDE, True), threshold=0.5), "reach 0.50"),
    },
    "draw_lab": {
        "usual": (lab(96, 48, 6), "before: similarity to the nearest true match 0.75"),
        "one tall": (lab(*TALL, 1), "1 of the first 1 right"),
        "wide": (lab(*WIDE, 2), "25% of the picture hidden"),
    },
    "draw_lineup": {
        "usual": (lineup(10, 96, 48, 0), "Nothing is picked yet."),
        "right": (lineup(4, *TALL, 2), "Number 2 is right."),
        "wrong": (lineup(5, *WIDE, 5), "Number 5 is wrong."),
    },
    "draw_question": {
        "usual": (question(96, 48, 6), "25% of the person hidden"),
        "one tall": (question(*TALL, 1), "first 1 gallery images"),
        "wide": (question(*WIDE, 2), "first true match at rank 1"),
    },
    "draw_answer": {
        "usual": (answered(96, 48, 8, 0.75), "2 reach the threshold, the others are drawn pale."),
        "one tall": (answered(*TALL, 2, 0.95), "The person is in the gallery. Answer: nobody."),
        "wide": (answered(*WIDE, 3, 0.5), "Answer: somebody, and the first picture is right."),
    },
    "draw_listing": {
        "usual": (listed(96, 48, 8, 3), f"mAP {RANKING.mAP:.1%}"),
        "one tall": (listed(*TALL, 1, 1), "first 1 gallery images"),
        "14 parts": (listed(*WIDE, 4, 14), "competitive 14 max"),
    },
}
CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases]


def test_every_drawing_has_examples() -> None:
    defined = {name for name, value in vars(drawings).items() if getattr(value, "__module__", "") == drawings.__name__}
    assert {name for name in defined if name.startswith("draw_")} == set(EXAMPLES)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_words_fit_and_say_the_numbers(name: str, case: str) -> None:
    draw, said = EXAMPLES[name][case]
    with pillow_words() as written:
        figure = draw()
    assert len(written) > 4
    assert said in alt_text(figure)
    assert outside(written, size(figure)) == []
    assert overlapping(written) == []
    assert png(figure) == png(draw())


def test_the_chosen_part_is_framed_in_the_colour_of_its_kind() -> None:
    seen = facts(3, 96, 48, False)
    wanted = np.array([int(COMPETITIVE[i : i + 2], 16) for i in (1, 3, 5)])
    framed = [drawings.draw_mask_facts(seen, part=part).images[0].get_array() for part in (1, 3)]
    columns = [np.flatnonzero((np.asarray(sheet) == wanted).all(-1).any(0)).mean() for sheet in framed]
    assert columns[0] < columns[1]


@pytest.mark.parametrize(("part", "cell"), [(0, (0, 0)), (4, (0, 0)), (1, (6, 0)), (1, (0, 3)), (1, (-1, 0))])
def test_a_part_or_cell_that_isnt_there_is_refused(part: int, cell: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="isn't there"):
        drawings.draw_mask_facts(facts(3, 96, 48, False), part=part, cell=cell)
