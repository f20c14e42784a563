from __future__ import annotations

import torch

from scmlib.figures.method import draw_walk
from scmlib.figures.style import alt_text
from tests.figures.examples import pictures


def test_walk_tells_how_alike_the_parts_become() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).expand(1, 1, 2, 2)
    walk = torch.tensor([[0.75, 0.25], [0.25, 0.75]]).expand(1, 1, 2, 2)
    told = alt_text(draw_walk(pictures(1)[0], vectors, walk, [(0, 0)], [0, 1, 50]))
    # after one step (0.75, 0.25) and (0.25, 0.75): cosine 0.375 / 0.625
    assert "the walk keeps 0.75, 0.75 of each part" in told
    assert "0.00 after 0, 0.60 after 1, 1.00 after 50 steps" in told
