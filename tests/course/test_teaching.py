"""The instructor's guide, held to the course: every notebook and every prediction, minutes that add up, the rubric."""

from __future__ import annotations

import re
from pathlib import Path

from docs.quiz import ROOT, questions
from tests.course.test_notebooks import EXERCISE, NOTEBOOKS, TIME, each, markdown, read, tagged

GUIDE = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
SESSIONS = re.split(r"^(?=## )", GUIDE, flags=re.MULTILINE)
ROW = re.compile(r"^\| (.+?) \| (\d+) \| (\d+) \| .*\|$", re.MULTILINE)  # part, minutes alone, minutes together
LINK = re.compile(r"\]\(\.\./notebooks/(\w+\.ipynb)#([^)]+)\)")
HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub and the site make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def session_of(path: Path) -> str:
    """The part of the guide about a notebook."""
    found = [text for text in SESSIONS if f"\n[Notebook {path.stem.split('_')[0]}](../notebooks/{path.name})." in text]
    assert len(found) == 1, f"{path.name} has no session of its own in docs/teaching.md"
    return found[0]


@each
def test_session_lasts_90_minutes_and_gives_what_the_notebook_asks(path: Path) -> None:
    rows = [(part, int(alone), int(together)) for part, alone, together in ROW.findall(session_of(path))]
    told = markdown(read(path))
    time = re.search(TIME, told)
    assert time
    assert sum(alone for _, alone, _ in rows) == int(time[4])
    assert sum(alone + together for _, alone, together in rows) == 90
    exercises = {part.removeprefix("Exercise "): alone for part, alone, _ in rows if part.startswith("Exercise")}
    asked = re.findall(EXERCISE, told)
    assert exercises == {f"{chapter}.{n}": int(minutes) for chapter, n, _, minutes, more in asked if not more}


@each
def test_every_section_and_every_prediction_has_its_row(path: Path) -> None:
    notebook, session = read(path), session_of(path)
    parts = " ".join(part for part, _, _ in ROW.findall(session))
    for section in re.findall(r"^## (\d\. .+)$", markdown(notebook), re.MULTILINE):
        assert f"](../notebooks/{path.name}#{slug(section)})" in parts, section
    names = [question.name for question in questions(path) if question.kind == "prediction"]
    for name, cell in zip(names, tagged(notebook, "predict"), strict=True):
        above = "\n\n".join(one.source for one in notebook.cells[: cell + 1] if one.cell_type == "markdown")
        anchor = slug([heading for heading in HEADING.findall(above) if not heading.startswith("Exercise")][-1])
        row = re.search(
            rf"^\| \[{name}\]\(\.\./notebooks/{path.name}#{anchor}\) \| .+ \| .+ \|$", session, re.MULTILINE
        )
        assert row, f"{name}, under #{anchor}"
    assert "*Prepare:*" in session
    assert "*Open question: " in session


def test_capstone_takes_the_notebooks_minutes_and_points() -> None:
    session = next(text for text in SESSIONS if "capstone--two-hours" in text and "**Rubric**" in text)
    asked = markdown(read(next(path for path in NOTEBOOKS if path.stem.startswith("06")))).split("\n## Capstone")[1]
    plan = [int(minutes) for minutes in re.findall(r"(\d+)(?: minutes)? (?:to|for)", asked.split("**Rubric**")[0])]
    minutes = [int(alone) for alone in re.findall(r"^\| [^|]+ \| (\d+) \| [^|]+ \|$", session, re.MULTILINE)]
    assert minutes == plan
    assert sum(minutes[:-1]) == 90  # the last part is done at home
    rubric = re.findall(r"^\| [^|]+ \| (\d) \| [^|]+ \| ([^|]*)\| [^|]* \|$", session, re.MULTILINE)
    assert [points for points, _ in rubric] == re.findall(r"^\| (\d) \|", asked, re.MULTILINE)
    for points, partial in rubric:
        assert re.findall(r"(\d): ", partial) == [str(n) for n in range(int(points) - 1, 0, -1)]


def test_links_lead_to_headings() -> None:
    anchors = {path.name: {slug(heading) for heading in HEADING.findall(markdown(read(path)))} for path in NOTEBOOKS}
    for name, anchor in LINK.findall(GUIDE):
        assert anchor in anchors[name], f"{name}#{anchor}"
