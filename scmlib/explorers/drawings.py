"""What the explorers draw: pure functions from tables and arrays to figures."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from scmlib.analysis.mask_scores import lift
from scmlib.data.truth import OCCLUDER, PERSON, region_share
from scmlib.errors import BadInput
from scmlib.explorers.facts import Answer, Listing, MaskFacts, Probe
from scmlib.figures.panels import Panel, blend, blocks, coloured, draw_panels
from scmlib.figures.style import COMPETITIVE, REGION_MAP, RIGHT, WRONG
from scmlib.ranking import Ranking

Gallery = Callable[[int], Tensor]  # the picture, (3, H, W) uint8, at a position of the gallery

PALE = 0.3  # how much is left of a picture that doesn't count

OUTLINE = 2  # pixels, of what was put in front

FRAMES = {True: RIGHT, False: WRONG}


def draw_mask_facts(
    seen: MaskFacts,
    *,
    part: int = 1,
    cell: tuple[int, int] = (0, 0),
    opacity: float = 0.7,
    threshold: float = 0.0,
    height: float = 2.0,
) -> Figure:
    """The masks of one picture; below them the truth, what the masks come from at one cell, and what they score.

    Args:
        seen: see `mask_facts`.
        part: whose mask is framed and whose prior is shown, from 1.
        cell: row and column of the grid, from 0; its affinities between parts are shown.
        opacity: of the masks over the picture, in [0, 1].
        threshold: cells of a lower mask value show the picture alone.
        height: of a picture, in inches.
    """
    P, h, w = seen.competitive.shape
    if not (1 <= part <= P and 0 <= cell[0] < h and 0 <= cell[1] < w):
        raise BadInput(f"Part {part} or cell {cell} isn't there: there are {P} parts on a grid of {h} x {w}.")
    cooperative, (pixels, width) = seen.competitive.sum(0), seen.picture.shape[1:]
    top = max(1.0, float(cooperative.max()))
    mark = (cell[1] / w, cell[0] / h, 1 / w, 1 / h)
    masks = [Panel(seen.picture, "picture", f"cell {cell[0]}, {cell[1]}", cell=mark)]
    for i, mask in enumerate(seen.competitive, 1):
        frame = COMPETITIVE if i == part else ""
        shown = blend(seen.picture, mask, top, opacity, threshold)
        masks.append(Panel(shown, f"competitive {i}", f"{mask[cell]:.2f} there", frame, mark))
    shown = blend(seen.picture, cooperative, top, opacity, threshold)
    masks.append(Panel(shown, "cooperative", f"{cooperative[cell]:.2f} there", cell=mark))
    prior, walk = seen.prior[part - 1], seen.walk[cell]
    shaded = blocks(
        prior, float(seen.prior.max()), (pixels, width), f"prior of part {part}", f"{prior[cell]:z.2f} there"
    )
    affinity = seen.affinity[cell]
    most = float(affinity.abs().max())
    alike = blocks(affinity, most, (pixels, pixels), f"{P} × {P} affinity there", "cosine × factor", signed=True)
    mixes = blocks(walk, 1.0, (pixels, pixels), "random walk there", "softmax of each row")
    sources = [shaded._replace(cell=mark), alike._replace(numbers=affinity), mixes._replace(numbers=walk)]
    if seen.truth is not None:
        sources.insert(0, Panel(coloured(seen.truth, REGION_MAP), "truth", "grey: occluder"))
    scores = f"{_scores_line(seen, cooperative, threshold)} Masks: dark is 0, bright is {top:.2f}."
    alt = (
        f"Masks of one picture. In cell {cell[0]}, {cell[1]} the competitive masks are "
        f"{_joined(seen.competitive[:, cell[0], cell[1]])}; the transition matrix between the parts there has "
        f"{_joined(walk.diag())} on its diagonal. Part {part} is framed; its prior there is "
        f"{prior[cell]:z.2f}. {scores}"
    )
    return draw_panels([masks, sources], alt, height=height, text=scores)


def _joined(values: Tensor) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _scores_line(seen: MaskFacts, cooperative: Tensor, threshold: float) -> str:
    """What the cooperative mask of one picture scores, in words."""
    told = f"Cooperative mask: {float((cooperative >= max(threshold, 1e-6)).float().mean()):.0%} of the cells"
    told += f" reach {threshold:.2f}." if threshold else " are above zero."
    if seen.truth is None:
        return told + " No index map: the answer isn't known."
    grid = (cooperative.shape[0], cooperative.shape[1])
    lifts = [
        lift(cooperative[None], region_share(seen.truth[None], regions, grid)) for regions in (PERSON, (OCCLUDER,))
    ]
    on = ["not shown" if np.isnan(value) else f"{value:.2f}" for value in lifts]
    return f"{told} Lift on the visible person: {on[0]}; on the occluder: {on[1]}."


def _listed(listing: Listing, gallery: Gallery) -> list[Panel]:
    """The head of a ranked list; right and wrong by colour, line and sign."""
    signs = {True: "\N{CHECK MARK} right", False: "\N{BALLOT X} wrong"}
    return [
        Panel(gallery(position), f"{rank}", signs[hit], FRAMES[hit])
        for rank, (position, hit) in enumerate(zip(listing.head, listing.right, strict=True), 1)
    ]


def draw_lab(before: Probe, after: Probe, gallery: Gallery, *, height: float = 1.9) -> Figure:
    """A query as it is and below it with an occluder: masks, similarity, and the head of the ranked list.

    Args:
        before: the query as it is.
        after: the same with something in front of it.
        gallery: the picture at a position of the gallery.
        height: of a picture, in inches.
    """
    from scipy.ndimage import binary_erosion  # here, since it takes long to import

    top = max(1.0, float(before.cooperative.max()), float(after.cooperative.max()))
    rows, told = [], []
    for name, seen in (("before", before), ("after", after)):
        facts = f"match {seen.listing.similarity:.2f}, rank {seen.listing.rank}"
        mass = f"{seen.on_occluder:.0%} on it" if seen.occluder.any() else "nothing added"
        inner = torch.from_numpy(binary_erosion(seen.occluder, iterations=OUTLINE))
        masked = blend(seen.picture, seen.cooperative, top).masked_fill(seen.occluder & ~inner, 255)
        rows.append(
            [
                Panel(seen.picture, name, facts),
                Panel(masked, "cooperative", mass),
                *_listed(seen.listing, gallery),
            ]
        )
        told.append(
            f"{name}: similarity to the nearest true match {seen.listing.similarity:.2f}, first true match at rank "
            f"{seen.listing.rank}, {sum(seen.listing.right)} of the first {len(seen.listing.head)} right"
        )
    text = f"{after.occluder.float().mean():.0%} of the picture hidden, outlined in white on the mask; "
    text += f"{after.on_occluder:.0%} of the mask lies on it. Mask: dark is 0, bright is {top:.2f}."
    return draw_panels(
        rows, f"A query before and after it is hidden. {'; '.join(told)}. {text}", height=height, text=text
    )


def draw_lineup(query: Tensor, candidates: Tensor, right: Sequence[bool], pick: int = 0) -> Figure:
    """A query and numbered pictures, one or more of which show the same person; a pick is framed, right or wrong.

    Args:
        query: (3, H, W) uint8.
        candidates: (N, 3, H, W) uint8.
        right: whether each shows the query's identity.
        pick: number of the picture picked, from 1; 0 for none, and then nothing tells which is right.
    """
    signs = {True: "\N{CHECK MARK} her", False: "\N{BALLOT X} not her"}
    panels = [
        Panel(picture, f"{number}", signs[hit] if number == pick else "", FRAMES[hit] if number == pick else "")
        for number, (picture, hit) in enumerate(zip(candidates, right, strict=True), 1)
    ]
    half = -(-len(panels) // 2)
    verdict = f"Number {pick} is {'right' if right[pick - 1] else 'wrong'}." if pick else "Nothing is picked yet."
    alt = f"A query and {len(panels)} numbered gallery pictures in two rows. {verdict}"
    return draw_panels([[Panel(query, "query"), *panels[:half]], [Panel(query, "query"), *panels[half:]]], alt)


def draw_question(
    picture: Tensor, truth: NDArray[np.uint8], hidden: float, listing: Listing, gallery: Gallery
) -> Figure:
    """A query drawn on demand, what its pixels show, and the head of its ranked list.

    Args:
        picture: (3, H, W) uint8.
        truth: (H', W') index map.
        hidden: share of the person that the occluder hides.
        listing: its ranked list.
        gallery: the picture at a position of the gallery.
    """
    facts = f"similarity to the nearest true match {listing.similarity:.2f}, first true match at rank {listing.rank}"
    text = f"{hidden:.0%} of the person hidden; {facts}; average precision {listing.ap:.0%}."
    alt = f"A drawn query, its index map and its first {len(listing.head)} gallery images. {text}"
    question = [Panel(picture, "query"), Panel(coloured(truth, REGION_MAP), "truth", "grey: occluder")]
    return draw_panels([[*question, *_listed(listing, gallery)]], alt, height=2.2, text=text)


def draw_listing(query: Tensor, listing: Listing, gallery: Gallery, ranking: Ranking, names: Sequence[str]) -> Figure:
    """A query, the head of its ranked list, and the metrics of all queries, with some of the embeddings.

    Args:
        query: its picture.
        listing: its ranked list.
        gallery: the picture at a position of the gallery.
        ranking: of all queries.
        names: the embeddings that count.
    """
    metrics = ", ".join(f"{name.replace('top', 'rank-')} {value:.1%}" for name, value in ranking.metrics().items())
    below = f"rank {listing.rank}, AP {listing.ap:.0%}"
    text = "\n".join(textwrap.wrap(f"{' + '.join(names)}: {metrics} over {ranking.num_valid} queries.", 110))
    alt = (
        f"A query and its first {len(listing.head)} gallery images by {', '.join(names)}: {sum(listing.right)} are "
        f"right, the first true match stands at rank {listing.rank}, average precision {listing.ap:.0%}. "
        f"All queries: {metrics}."
    )
    return draw_panels([[Panel(query, "query", below), *_listed(listing, gallery)]], alt, height=1.9, text=text)


def draw_answer(query: Tensor, answer: Answer, gallery: Gallery) -> Figure:
    """A query, the most similar pictures, which of them reach the threshold, and what the search answers.

    Args:
        query: its picture.
        answer: of the search.
        gallery: the picture at a position of the gallery.
    """
    panels = [Panel(query, "query")]
    rows = zip(answer.head, answer.right, answer.similarity, answer.accepted, strict=True)
    for rank, (position, hit, value, counts) in enumerate(rows, 1):
        picture = gallery(position)
        pale = (255 - PALE * (255 - picture.float())).to(torch.uint8)
        sign = "\N{CHECK MARK}" if hit else "\N{BALLOT X}"
        above, below = (f"{rank}", f"{value:.2f} {sign}") if counts else (f"({rank})", f"{value:.2f}, below")
        panels.append(Panel(picture if counts else pale, above, below, FRAMES[hit] if counts else ""))
    first = "right" if answer.right[:1] == [True] else "wrong"
    said = f"somebody, and the first picture is {first}" if any(answer.accepted) else "nobody"
    there = "is in the gallery" if answer.present else "isn't in the gallery"
    text = (
        f"Threshold {answer.threshold:.2f}, for a false-match rate of {100 * answer.rate:g} %. The person {there}. "
        f"Answer: {said}."
    )
    alt = (
        f"A query and the {len(answer.head)} most similar gallery pictures; {sum(answer.accepted)} reach the "
        f"threshold, the others are drawn pale. {text}"
    )
    return draw_panels([panels], alt, height=1.9, text=text)
