"""Slides: every figure once, one a slide, answers after their questions, no network; and that they fit on the wall."""

from __future__ import annotations

import html
import os
import re
import shutil
from pathlib import Path

import pytest
from nbformat import v4
from playwright.sync_api import sync_playwright

from docs.links import read_page
from docs.pages import pictures
from docs.quiz import recall
from docs.slides import Deck, Slide, blocks, embedded, rendered, write_slides
from tests.course.test_notebooks import NOTEBOOKS, each, markdown, read, tagged

CHROMIUM = shutil.which("chromium")
SMALLEST = 0.4  # of the usual size of letters, for a slide of much text


def deck(path: Path) -> list[Slide]:
    return Deck(read(path), embedded).slides


def words(page: str) -> str:
    """What is read of HTML, letters and digits alone."""
    return re.sub(r"\W+", "", html.unescape(re.sub(r"<[^>]*>", "", page)))


def test_blocks_are_parted_at_blank_lines_but_not_in_code() -> None:
    text = "One\ntwo\n\n- a\n- b\n\n<details>hint\n\nmore</details>\n\n```python\nx\n\ny\n```\nlast"
    assert blocks(text) == ["One\ntwo", "- a\n- b", "```python\nx\n\ny\n```", "last"]


@each
def test_every_figure_has_a_slide_of_its_own(path: Path) -> None:
    shown = [re.findall(r'<img [^>]*alt="([^"]*)"', slide.body) for slide in deck(path)]
    assert max(map(len, shown)) == 1
    assert [html.unescape(alt) for alts in shown for alt in alts] == [p.alt for p in pictures(read(path))]


@each
def test_every_caption_stands_under_a_picture_or_table(path: Path) -> None:
    written = re.findall(r"^\*\*(Figure \w+\.\d+)\.\*\*", markdown(read(path)), flags=re.MULTILINE)
    under = [re.findall(r"<strong>(Figure \w+\.\d+)\.</strong>", slide.caption) for slide in deck(path)]
    assert list(dict.fromkeys(name for names in under for name in names)) == written
    assert all("<img" in slide.body or "<table" in slide.body for slide in deck(path) if slide.caption)


@each
def test_an_answer_follows_its_question(path: Path) -> None:
    notebook, slides = read(path), deck(path)
    asked = [n for n, slide in enumerate(slides) if slide.kind == "question"]
    assert len(asked) == len(tagged(notebook, "predict")) + len(recall(notebook))
    assert all(slides[n + 1].kind == "answer" for n in asked)
    assert all(slide.kind != "exercise" or "<pre" in slide.body for slide in slides)
    for n in tagged(notebook, "solution"):
        body = words(notebook.cells[n].source.split('"""')[-1])
        assert body not in words("".join(slide.body + "".join(slide.notes) for slide in slides))


@each
def test_no_sentence_is_lost(path: Path) -> None:
    told = words("".join(s.heading + s.body + s.caption + "".join(s.notes) for s in deck(path)))
    for block in blocks(markdown(read(path)))[1:]:
        assert block.startswith("#") or words(rendered(block)) in told, block


def test_a_caption_belongs_to_all_frames_of_its_filmstrip() -> None:
    frame = '<p><b>{}</b></p><img src="data:image/webp;base64,AAAA" alt="frame">'
    film = v4.new_output("display_data", {"text/html": frame.format("one") + frame.format("two")})
    cells = [
        "# 09 · T\n\n**Question.** Why?",
        "## 1. Masks\n\nFirst.\n\nSecond.",
        "",
        "**Figure 9.1.** A film.\n\nThird.",
    ]
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text) for text in cells])
    notebook.cells[2] = v4.new_code_cell("film", outputs=[film])
    slides = Deck(notebook, embedded).slides
    assert [s.heading for s in slides] == ["09 · T", "1. Masks", "1. Masks · one", "1. Masks · two"]
    assert [s.caption for s in slides[2:]] == ["<p><strong>Figure 9.1.</strong> A film.</p>"] * 2
    assert [s.notes for s in slides[1:]] == [["<p>Second.</p>"], [], ["<p>Third.</p>"]]


@pytest.mark.slow
def test_slides_fit_and_follow_the_keys(tmp_path: Path) -> None:
    if CHROMIUM is None:
        assert not os.environ.get("BROWSER_REQUIRED"), "no chromium here, and .ci/run wants the browser tests"
        pytest.skip("no chromium on the path: `apt-get install chromium`, then the slides are tried in it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for path in NOTEBOOKS:
            file = write_slides(path, tmp_path)
            assert all(target.startswith("data:") for target in read_page(file).loaded)
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(file.as_uri())
            size = page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
            for number in range(1, page.locator("section").count() + 1):
                assert page.locator("section.now").get_attribute("id") == str(number)
                for box in ("slides[now]", "slides[now].querySelector('.body')"):
                    assert page.evaluate(f"{box}.scrollHeight <= {box}.clientHeight"), (path.stem, number)
                letters = page.evaluate("parseFloat(getComputedStyle(slides[now]).fontSize)")
                assert letters > SMALLEST * size, (path.stem, number)
                page.keyboard.press("ArrowRight")
            page.keyboard.press("Home")
            page.keyboard.press("n")
            assert page.locator("section.now aside").is_visible()
            page.close()
        browser.close()
