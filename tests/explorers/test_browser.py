"""Each notebook with explorers in a real JupyterLab in headless Chromium: run all, then move every kind of control."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, sync_playwright

from notebooks.execute import FOLDER
from tests.course.test_notebooks import NOTEBOOKS, read, with_parameters

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
IDLE = """() => { const kernel = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel;
                  return !!kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle' }"""
RUN_ALL = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); return null }"
SETTINGS = {  # no pop-up that asks about news; every cell in the page, seen or not
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@contextmanager
def lab(root: Path) -> Iterator[tuple[str, str]]:
    """A JupyterLab on a folder; its address and token."""
    for name, values in SETTINGS.items():
        path = root / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, places = secrets.token_hex(16), {"SETTINGS_DIR": ".settings", "WORKSPACES_DIR": ".workspaces"}
    environment = {
        **os.environ,
        **{f"JUPYTERLAB_{key}": str(root / place) for key, place in places.items()},
        "JUPYTER_RUNTIME_DIR": str(root / ".runtime"),
        "JUPYTER_CONFIG_DIR": str(root / ".config"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    command += ["--LabApp.extension_manager=readonly", "--expose-app-in-browser"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (root / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (root / "lab.log").read_text()[-2000:]
                time.sleep(0.25)
        yield address, token
    finally:
        server.terminate()
        server.wait(20)


def settled(page: Page, picture: Locator, before: str) -> str:
    """A digest of the picture once it differs from before, the kernel is idle and nothing moved for half a second."""
    last, still = "", 0
    for _ in range(300):
        try:
            now = hashlib.sha256((picture.get_attribute("src", timeout=2000) or "").encode()).hexdigest()
        except Exception:  # the picture is replaced just now
            now = ""
        still = still + 1 if now and now == last and now != before and page.evaluate(IDLE) else 0
        if still == 5:
            return now
        last = now
        time.sleep(0.1)
    raise AssertionError("the picture did not change")


def slide(page: Page, handle: Locator, bar: Locator) -> None:
    """Drag a slider's handle to the right end of its bar."""
    handle.scroll_into_view_if_needed()
    start, track = handle.bounding_box(), bar.bounding_box()
    assert start
    assert track
    height = start["y"] + start["height"] / 2
    page.mouse.move(start["x"] + start["width"] / 2, height)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.99, height, steps=20)
    page.mouse.up()


def press(page: Page, control: Locator, key: str) -> None:
    """Press a key as somebody does who came there without a mouse."""
    control.focus()
    page.keyboard.press(key)


def enter(field: Locator, text: str) -> None:
    """Write into a field."""
    field.fill(text)
    field.press("Enter")


def move_every_kind(page: Page, explorer: Locator) -> set[str]:
    """Move every kind of control that an explorer has, by key and by mouse; each move must change the picture."""
    handles, bars = explorer.locator(".noUi-handle"), explorer.locator(".noUi-base")
    moves: dict[str, Callable[[], None]] = {}
    if count := (buttons := explorer.locator(".widget-toggle-button")).count():  # first: a slider may hang on them
        moves["buttons by key"] = lambda: press(page, buttons.nth(1), "Space")
        moves["buttons by mouse"] = lambda: buttons.nth(count - 1 if count > 2 else 0).click()
    if sliders := handles.count():
        third = min(2, sliders - 1)
        moves["first slider by key"] = lambda: press(page, handles.first, "ArrowRight")
        moves["slider by key"] = lambda: press(page, handles.nth(third), "ArrowRight")
        moves["slider by mouse"] = lambda: slide(page, handles.nth(third), bars.nth(third))
    if (boxes := explorer.locator("input[type=checkbox]")).count():
        moves["box by key"] = lambda: press(page, boxes.first, "Space")
        moves["box by mouse"] = lambda: boxes.nth(1).click()
    if (fields := explorer.locator("input[type=text]")).count():
        last = explorer.locator("datalist option").nth(-1).get_attribute("value") or ""
        moves["field by key"] = lambda: enter(fields.last, last)
    picture = explorer.locator(".widget-html-content img").first
    picture.scroll_into_view_if_needed()
    seen = settled(page, picture, "")
    for move in moves.values():
        move()
        seen = settled(page, picture, seen)
    return set(moves)


def check_labels(explorer: Locator) -> None:
    """Every control has a label, and it isn't cut off."""
    controls = explorer.locator(".widget-slider, .widget-combobox, .widget-toggle-buttons, .widget-checkbox").all()
    assert controls
    for control in controls:
        label = control.locator(".widget-label, .widget-label-basic").last
        assert label.inner_text().strip("\u200b ")  # a tick box has an empty label beside its own
        assert label.evaluate("label => label.scrollWidth <= label.clientWidth"), label.inner_text()


SLIDERS = {"first slider by key", "slider by key", "slider by mouse"}
BUTTONS, BOXES = {"buttons by key", "buttons by mouse"}, {"box by key", "box by mouse"}
MOVES = {  # of each explorer of a notebook, from top to bottom
    "01_find_her": [BUTTONS, BUTTONS | SLIDERS],
    "02_the_method": [SLIDERS | {"field by key"}],
    "03_training": [SLIDERS],
    "04_ranking": [SLIDERS | BOXES, BUTTONS | SLIDERS],
    "05_do_the_masks_see": [BUTTONS | SLIDERS],
    "06_are_they_worth_it": [BUTTONS | SLIDERS],
}


def test_every_notebook_with_an_explorer_is_tried() -> None:
    calls = re.compile(r"^ *(?:\w+ = )?(?:explore_\w+|occlusion_lab|find_her)\(", re.MULTILINE)
    sources = {path.stem: [cell.source for cell in read(path).cells if cell.cell_type == "code"] for path in NOTEBOOKS}
    made = {name: len(calls.findall("\n".join(cells))) for name, cells in sources.items()}
    assert {name: count for name, count in made.items() if count} == {name: len(of) for name, of in MOVES.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVES)
def test_explorers_move_in_the_browser(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if CHROMIUM is None:
        assert not os.environ.get("BROWSER_REQUIRED"), "no chromium here, and .ci/run wants the browser test"
        pytest.skip("no chromium on the path: `apt-get install chromium`, then this test runs JupyterLab in it")
    root, runs = tmp_path_factory.mktemp("lab"), tmp_path_factory.getbasetemp() / "notebook_runs"
    notebook = with_parameters(
        read(FOLDER / f"{name}.ipynb"),
        DATASET="synthetic",
        DATASET_ROOT="",
        NET="regnet_y_tiny",
        RUNS=str(runs),
        QUICK=True,
    )
    nbformat.write(notebook, root / "lesson.ipynb")
    shutil.copytree(FOLDER / "results", root / "results")
    with lab(root) as (address, token), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        outside: list[str] = []
        errors: list[str] = []
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else outside.append(r.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto(f"{address}/lab/tree/lesson.ipynb?token={token}")
        page.wait_for_function(IDLE, timeout=90_000)
        page.evaluate(RUN_ALL)
        prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
        assert all(text.strip("[]: ").isdigit() for text in prompts.all_inner_texts())
        explorers = page.locator(".jp-OutputArea .widget-vbox:has(> .widget-html img)").all()
        for explorer in explorers:
            check_labels(explorer)
        assert [move_every_kind(page, explorer) for explorer in explorers] == MOVES[name]
        assert page.locator(".scmlib-error").count() == 0
        browser.close()
    assert outside == []
    assert errors == []
