"""The quiz bank: every question of the notebooks with its answer, the same in both files, as Moodle reads it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from docs.quiz import as_json, as_moodle, questions, write_quiz
from tests.course.test_notebooks import NOTEBOOKS, each, found_by_comparing, markdown, read, tagged


def text(element: ET.Element, tag: str) -> str:
    found = element.find(f"{tag}/text")
    assert found is not None, tag
    return found.text or ""


@each
def test_every_question_is_there_with_its_answer(path: Path) -> None:
    notebook, bank = read(path), questions(path)
    kinds = [question.kind for question in bank]
    assert kinds.count("prediction") == len(tagged(notebook, "predict"))
    assert kinds.count("recall") == markdown(notebook).split("\n## Recall")[1].split("\n## ")[0].count("<summary>")
    for question in bank:
        assert len(question.text) > 15, question.name
        assert len(question.answer) > 40, question.name
        assert "](../" not in question.text + question.answer
        assert "None" not in question.answer
        assert "no guess" not in question.answer
    told = " ".join(question.answer for question in bank)
    for cell in (notebook.cells[n] for n in tagged(notebook, "answer")):
        assert all(number in told for number in found_by_comparing(cell))


@each
def test_a_question_tells_no_answer(path: Path) -> None:
    for question in questions(path):
        assert question.answer.removeprefix("What the course's own run found: ") not in question.text


def test_both_files_hold_the_same_questions(tmp_path: Path) -> None:
    count = write_quiz(tmp_path)
    rows = json.loads((tmp_path / "quiz.json").read_text(encoding="utf-8"))
    entries = ET.parse(tmp_path / "quiz.xml").getroot().findall("question[@type='essay']")
    assert count == len(rows) == len(entries) >= 5 * len(NOTEBOOKS)
    assert len({row["name"] for row in rows}) == count
    assert [row["name"] for row in rows] == [entry.findtext("idnumber") for entry in entries]


@pytest.mark.parametrize("path", NOTEBOOKS[:1], ids=lambda path: path.stem)
def test_moodle_reads_texts_categories_and_figures(path: Path) -> None:
    bank = questions(path)
    category, *entries = ET.fromstring(as_moodle(bank)).findall("question")
    assert text(category, "category") == f"$course$/scmlib/{path.stem}"
    for question, entry in zip(bank, entries, strict=True):
        assert entry.get("type") == "essay"
        assert text(entry, "name") == f"{question.name}: {question.heading}"
        assert text(entry, "graderinfo") == text(entry, "generalfeedback")
        assert text(entry, "generalfeedback").startswith("<p>")
        files = entry.findall("questiontext/file")
        assert len(files) == bool(question.figure) == text(entry, "questiontext").count("@@PLUGINFILE@@/")
        for file in files:
            Image.open(io.BytesIO(base64.b64decode(file.text or ""))).verify()
            assert f"@@PLUGINFILE@@/{file.get('name')}" in text(entry, "questiontext")
    assert json.loads(as_json(bank))[0]["figure"].startswith("A query and 10 numbered")
