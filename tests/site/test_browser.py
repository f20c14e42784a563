"""The site in headless Chromium: what moves there, equal to torch; nothing comes from another host; on a phone too."""

from __future__ import annotations

import functools
import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, sync_playwright

from docs.build import ROOT
from docs.live import open_site_study, shown_queries
from scmlib.inference import embed, masks_of

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.slow
TOLERANCE = 1e-4  # to torch
SLOWEST = 100  # milliseconds that most moves may take
BLOCK = torch.tensor([86, 98, 72], dtype=torch.uint8)[:, None, None]  # its colour


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site, served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        assert not os.environ.get("BROWSER_REQUIRED"), "no chromium here, and .ci/run wants the browser tests"
        pytest.skip("no chromium on the path: `apt-get install chromium`, then the site is tried in it")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page that must neither ask another host for anything nor report an error."""
    opened, wrong = browser.new_page(viewport={"width": 1300, "height": 950}), []
    local = (address, "data:", "blob:")
    opened.on("request", lambda request: None if request.url.startswith(local) else wrong.append(request.url))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    yield opened
    opened.close()
    assert wrong == []


def moves(page: Page) -> int:
    return int(page.evaluate("window.scmLive ? window.scmLive.moves : 0"))


def test_network_on_the_page_follows_and_equals_torch(page: Page, address: str, site: Path) -> None:
    if not (site / "_static" / "live" / "facts.json").is_file():
        pytest.skip("npm could not fetch onnxruntime-web, so this site was built without the network on the page")
    page.goto(f"{address}live.html")
    page.wait_for_function("window.scmLive", timeout=60_000)
    picture = page.locator("#live-picture")
    first = page.evaluate("window.scmLive")
    picture.focus()
    took = []
    for key in ("ArrowUp", "ArrowLeft", "+", *["ArrowUp"] * 6):
        before = moves(page)
        page.keyboard.press(key)
        page.wait_for_function(f"window.scmLive.moves > {before}")
        took.append(page.evaluate("window.scmLive.milliseconds"))
    assert np.median(took) < SLOWEST
    by_key = page.evaluate("window.scmLive")
    assert by_key["block"]["top"] < first["block"]["top"]
    assert by_key["block"]["high"] > first["block"]["high"]
    box = picture.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(500)
    by_mouse = page.evaluate("window.scmLive")
    assert by_mouse["block"]["top"] != by_key["block"]["top"]
    assert by_mouse["competitive"] != by_key["competitive"]
    study = open_site_study(site.parent / "world")
    for seen in (first, by_mouse):
        hidden = study.pictures([shown_queries(study)[seen["query"]]])
        top, left, high, wide = (seen["block"][name] for name in ("top", "left", "high", "wide"))
        hidden[0, :, top : top + high, left : left + wide] = torch.tensor([86, 98, 72], dtype=torch.uint8)[
            :, None, None
        ]
        masks, embedding = masks_of(study.model, hidden)[0].flatten().numpy(), embed(study.model, hidden)
        assert np.abs(masks - seen["competitive"]).max() < TOLERANCE
        assert np.abs(embedding[0] - seen["embedding"]).max() < TOLERANCE
        query = shown_queries(study)[seen["query"]]
        junk = {i for i, r in enumerate(study.data.gallery) if (r.identity, r.camera) == (query.identity, query.camera)}
        similarity = study.evaluation.gallery @ embedding[0]
        order = [int(i) for i in np.argsort(-similarity) if int(i) not in junk]
        assert seen["head"] == order[: len(seen["head"])]
        rank = next(n for n, i in enumerate(order, 1) if study.data.gallery[i].identity == query.identity)
        assert seen["rank"] == rank
    assert f"rank {by_mouse['rank']}." in page.locator("#live-told").inner_text()


def test_explorers_move_by_keyboard(page: Page, address: str, site: Path) -> None:
    page.goto(f"{address}explore.html")
    explorers = page.locator(".frames").all()
    assert len(explorers) == (ROOT / "docs" / "explore.md").read_text().count("\n<!-- ")
    for explorer in explorers:
        seen = []
        for key in ("End", "Home"):
            for control in explorer.locator("input, select").all():
                control.focus()
                page.keyboard.press(key)
            picture = explorer.locator("img")
            picture.scroll_into_view_if_needed()
            picture.evaluate("picture => picture.decode()")  # fails where there is none
            seen.append((picture.get_attribute("src"), picture.get_attribute("alt")))
            assert explorer.locator("[role=status]").inner_text() == seen[-1][1]
        assert len({source for source, _ in seen}) == len({alt for _, alt in seen}) == 2
        frames = json.loads(explorer.locator("script").inner_text())
        assert {f"{name}.webp" for name in frames} == {path.name for path in (site / str(seen[0][0])).parent.iterdir()}


@pytest.mark.parametrize("name", ["index.html", "live.html", "explore.html", "gallery.html", "notebooks/glossary.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_on_a_phone(name: str, scheme: str, browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(address + name)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.close()
