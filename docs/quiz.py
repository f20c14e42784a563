"""The quiz bank, from the notebooks: `python -m docs.quiz [FOLDER]` writes `quiz.json` and `quiz.xml` for Moodle.

Recall questions come with the answers that stand behind their folds, predictions as free questions with what the
committed notebook found. A learning platform that reads Moodle's XML takes both over.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import click
import nbformat
from nbconvert.filters import markdown2html
from nbformat import NotebookNode

from docs.pages import Picture, notebooks, pictures
from notebooks.editions import tags

ROOT = Path(__file__).parents[1]
RECALL = re.compile(r"<details><summary>(.*?)</summary>\s*(.*?)\s*</details>", re.DOTALL)
LOCAL = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")  # links that lead nowhere outside the course
FOUND = "What the course's own run found: "
HEADING = re.compile(r"^##+ (?:\d+\. )?(.+)$", re.MULTILINE)


class Question(NamedTuple):
    """A question with the answer that a teacher compares with, both in Markdown."""

    name: str  # e.g. `01 recall 2`, the same after the next export
    notebook: str
    kind: str  # "recall" or "prediction"
    heading: str  # of the section
    text: str
    answer: str
    figure: Picture | None = None  # that the question is about


def unlinked(text: str) -> str:
    """Markdown without links into the course's folder."""
    return LOCAL.sub(r"\1", text)


def recall(notebook: NotebookNode) -> list[tuple[str, str]]:
    """The recall questions with their answers."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return RECALL.findall(text.partition("\n## Recall")[2].partition("\n## ")[0])


def found(cell: NotebookNode) -> str:
    """What a cell's outputs say, in words: statements as they are, figures by their alt texts."""
    told = [output.data.get("text/markdown") or "" for output in cell.outputs if "data" in output]
    alts = [
        picture.alt.removeprefix("Guesses and outcomes. ")
        for picture in pictures(nbformat.v4.new_notebook(cells=[cell]))
    ]
    return "\n\n".join(text.replace(": no guess, found ", ": ") for text in [*alts, *told] if text)


def predictions(notebook: NotebookNode) -> Iterator[tuple[str, str, str, Picture | None]]:
    """Section, question, answer, and the figure above it in its section, of each prediction."""
    cells, heading, section = notebook.cells, "", 0
    for number, cell in enumerate(cells):
        if cell.cell_type != "markdown":
            continue
        if heads := HEADING.findall(cell.source):
            heading, section = heads[-1], number
        if "predict" in tags(cell):
            answer = next(c for c in cells[number:] if "answer" in tags(c))
            above = list(pictures(nbformat.v4.new_notebook(cells=cells[section:number])))
            text = HEADING.sub("", cell.source).replace("**Predict.** ", "").strip()
            yield heading, text, found(answer), above[-1] if above else None


def questions(path: Path) -> list[Question]:
    """All questions of a notebook, in its order."""
    notebook = nbformat.read(path, as_version=4)
    short = path.stem.split("_")[0]
    asked = [
        Question(f"{short} prediction {n}", path.stem, "prediction", heading, unlinked(text), FOUND + answer, figure)
        for n, (heading, text, answer, figure) in enumerate(predictions(notebook), 1)
    ]
    recalled = [
        Question(f"{short} recall {n}", path.stem, "recall", "Recall", unlinked(text), unlinked(answer))
        for n, (text, answer) in enumerate(recall(notebook), 1)
    ]
    return asked + recalled


def outcomes() -> str:
    """What the committed run found for each prediction, as the end of the instructor's guide in Markdown."""
    bank = [question for path in notebooks(ROOT) for question in questions(path) if question.kind == "prediction"]
    told = [f"**{q.name}**, {q.heading}\n\n{q.answer.removeprefix(FOUND)}\n" for q in bank]
    return "\n".join(["\n<details><summary>The outcomes</summary>\n", *told, "</details>\n"])


def as_json(bank: Sequence[Question]) -> str:
    """The bank for programs: a list of objects, texts in Markdown, a figure by its words."""
    rows = [question._asdict() | {"figure": question.figure and question.figure.alt} for question in bank]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def as_moodle(bank: Sequence[Question]) -> str:
    """The bank as Moodle imports it: a category a notebook, free questions, the answer for teacher and learner."""
    quiz = ET.Element("quiz")

    def formatted(parent: ET.Element, tag: str, markdown: str) -> ET.Element:
        element = ET.SubElement(parent, tag, format="html")
        ET.SubElement(element, "text").text = markdown2html(markdown).strip()
        return element

    category = None
    for question in bank:
        if question.notebook != category:
            category = question.notebook
            element = ET.SubElement(ET.SubElement(quiz, "question", type="category"), "category")
            ET.SubElement(element, "text").text = f"$course$/scmlib/{category}"
        entry = ET.SubElement(quiz, "question", type="essay")
        ET.SubElement(ET.SubElement(entry, "name"), "text").text = f"{question.name}: {question.heading}"
        text = formatted(entry, "questiontext", question.text)
        if question.figure:
            name = f"figure.{question.figure.suffix}"
            words = html.escape(question.figure.alt)
            text[0].text = f'{text[0].text}<p><img src="@@PLUGINFILE@@/{name}" alt="{words}"></p>'
            file = ET.SubElement(text, "file", name=name, path="/", encoding="base64")
            file.text = b64encode(question.figure.content).decode()
        formatted(entry, "generalfeedback", question.answer)
        for tag, value in (("defaultgrade", "1"), ("idnumber", question.name), ("responseformat", "editor")):
            ET.SubElement(entry, tag).text = value
        formatted(entry, "graderinfo", question.answer)
    ET.indent(quiz)
    return ET.tostring(quiz, encoding="unicode", xml_declaration=True)


def write_quiz(folder: Path) -> int:
    """Write the bank of all notebooks into a folder, and say how many questions it has."""
    bank = [question for path in notebooks(ROOT) for question in questions(path)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quiz.json").write_text(as_json(bank), encoding="utf-8")
    (folder / "quiz.xml").write_text(as_moodle(bank), encoding="utf-8")
    return len(bank)


@click.command()
@click.argument("folder", type=Path, default=ROOT / "build" / "teaching")
def main(folder: Path) -> None:
    """Write the quiz bank."""
    click.echo(f"{folder / 'quiz.xml'} and quiz.json: {write_quiz(folder)} questions.")


if __name__ == "__main__":
    main()
