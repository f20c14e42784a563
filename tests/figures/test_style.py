from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from scmlib import figures
from scmlib.figures.report import Section, write_report
from scmlib.ranking import rank

rng = np.random.default_rng(0)
PICTURES = rng.integers(0, 256, (4, 32, 16, 3), dtype=np.uint8)
MASKS = rng.random((4, 3, 2, 1), dtype=np.float32)
LOG = pd.DataFrame(
    {
        "epoch": [1, 2],
        "loss": [3.0, 2.5],
        **{f"cross_entropy_{i}": [4.0, 3.0] for i in range(6)},
        "triplet_0": [0.7, 0.6],
        "triplet_1": [0.7, 0.5],
        "overlap": [30.0, 20.0],
        "learning_rate": [0.01, 0.1],
        "seconds": [1.0, 1.0],
    }
)
RANKING = rank(rng.normal(size=(20, 4)), rng.normal(size=(60, 4)), rng.integers(0, 5, 20), rng.integers(0, 5, 60))

DRAWN = {
    "training": (lambda: figures.draw_training(LOG), "from 3.00 in epoch 1 to 2.50 in epoch 2"),
    "cmc": (lambda: figures.draw_cmc({"ours": RANKING}), f"mAP {RANKING.mAP:.1%}"),
    "masks": (
        lambda: figures.draw_masks(PICTURES, MASKS, np.zeros((4, 32, 16), np.uint8), list("abcd")),
        f"reaches {MASKS.sum(1).max():.2f}",
    ),
    "masks without truth": (lambda: figures.draw_masks(PICTURES[:1], MASKS[:1]), "Masks of 1 images"),
    "ranked lists": (
        lambda: figures.draw_ranked_lists(PICTURES[:2], [PICTURES, PICTURES[:3]], [[True] * 4, [False] * 3]),
        "1 of the 2 have a true match in first place",
    ),
    "sheet": (lambda: figures.draw_sheet(PICTURES, 3), "4 images, 3 in a row"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_figure_says_its_numbers_in_words_and_draws(name: str) -> None:
    draw, said = DRAWN[name]
    figure = draw()
    assert said in figures.alt_text(figure)
    data = figures.png(figure)
    with Image.open(io.BytesIO(data)) as image:
        assert image.text["Description"] == figures.alt_text(figure)  # type: ignore[attr-defined]
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert figures.png(draw()) == data  # equal input, equal picture


def test_curves_of_many_parts_are_drawn() -> None:
    many = LOG.assign(**{f"cross_entropy_{i}": LOG["loss"] for i in range(14)})
    assert len(figures.draw_training(many).axes[0].get_lines()) == 14


def test_axes_of_plots_are_labelled() -> None:
    for figure in (figures.draw_training(LOG), figures.draw_cmc({"ours": RANKING})):
        for axes in figure.axes:
            assert axes.get_ylabel()
            assert axes.get_xlabel() or axes.get_shared_x_axes()


def test_right_and_wrong_differ_by_more_than_colour() -> None:
    figure = figures.draw_ranked_lists(PICTURES[:1], [PICTURES[:2]], [[True, False]])
    right, wrong = figure.axes[1], figure.axes[2]
    assert right.texts[0].get_text() != wrong.texts[0].get_text()
    assert right.patches[0].get_linestyle() != wrong.patches[0].get_linestyle()


def test_masks_share_one_scale() -> None:
    figure = figures.draw_masks(PICTURES, MASKS)
    masks = [axes.images[1] for axes in figure.axes if len(axes.images) == 2]  # each over its grey picture
    assert len(masks) == 4 * (3 + 1)
    limits = {image.get_clim() for image in masks if image.get_cmap().name == figures.MASKS}
    assert limits == {(0.0, float(MASKS.sum(1).max()))}


def test_alt_text_is_escaped_in_html() -> None:
    figure = Figure()
    figure.set_label('a "b" < c & d')
    assert 'alt="a &quot;b&quot; &lt; c &amp; d"' in figures.html(figure)


def test_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": ["<SCM>"], "top1": ["80.0%"]})
    sections = [Section("Curve", "What it shows.", figures.draw_training(LOG), table, "A caption.")]
    page = write_report(tmp_path / "deep" / "report.html", "Title", "Lead & more.", sections, {"seed": 0}).read_text()
    assert "Lead &amp; more." in page
    assert "&lt;SCM&gt;" in page
    assert 'src="data:image/webp;base64,' in page
    assert "http" not in page
    assert page.count("<img") == page.count("alt=") == 1
