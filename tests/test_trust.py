"""What `SECURITY.md` promises: no network unless asked, and names from strangers shown, not obeyed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from scmlib.explorers.widgets import Explorer, Filmstrip
from scmlib.figures.report import Section, write_report

# Ends the process at the first step to another machine, whoever in it takes it.
FORBID = """
import os, sys

def hear(event, arguments):
    asked = event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
    # Sockets between processes of one machine have a path for an address.
    if asked or (event == "socket.connect" and not isinstance(arguments[1], (str, bytes))):
        os.write(2, f"asked for the network: {event} {arguments[1:]}".encode())
        os._exit(77)

sys.addaudithook(hear)
"""


def without_network(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that ends where it asks for the network."""
    return subprocess.run([sys.executable, "-c", FORBID + code, *words], capture_output=True, text=True)


@pytest.mark.slow
def test_main_job_and_every_module_ask_for_no_network(tmp_path: Path) -> None:
    """The world, a training, its evaluation and report; then every module of the package."""
    code = """
import pkgutil, importlib, scmlib
from scmlib.cli.main import cli
cli(["demo", "--quick", "--out", sys.argv[1]], standalone_mode=False)
for module in pkgutil.walk_packages(scmlib.__path__, "scmlib."):
    if module.name != "scmlib.__main__":
        importlib.import_module(module.name)
"""
    done = without_network(code, str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "demo" / "report.html").is_file()


@pytest.mark.parametrize(
    "code",
    [
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import socket; socket.socket().connect(('127.0.0.1', 9))",
        "import torch; torch.hub.load_state_dict_from_url('http://127.0.0.1:9/a.pth', model_dir=sys.argv[1])",
    ],
)
def test_whoever_asks_for_the_network_is_caught(code: str, tmp_path: Path) -> None:
    done = without_network(code, str(tmp_path))
    assert done.returncode == 77
    assert "asked for the network" in done.stderr


HOSTILE = '<script>alert("1")</script>'


def hostile_figure() -> Figure:
    """A figure about somebody whose name is a program."""
    figure = Figure(label=f"Pictures of {HOSTILE}")
    figure.text(0.5, 0.5, HOSTILE)
    return figure


def test_report_shows_a_hostile_name_and_does_not_obey_it(tmp_path: Path) -> None:
    table = pd.DataFrame({HOSTILE: [HOSTILE]})
    section = Section(HOSTILE, HOSTILE, hostile_figure(), table, HOSTILE)
    page = write_report(tmp_path / "report.html", HOSTILE, HOSTILE, [section], {HOSTILE: HOSTILE}).read_text()
    assert "<script" not in page
    assert page.count("&lt;script") >= 9


def test_notebooks_show_a_hostile_name_and_do_not_obey_it() -> None:
    explorer = Explorer(hostile_figure, {})
    explorer._tell(HOSTILE)
    shown = explorer.picture.value + explorer.message.value + Filmstrip([(HOSTILE, hostile_figure())])._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script") == 4
