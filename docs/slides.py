"""Slides from the notebooks: `python -m docs.slides [FOLDER]`, by default `build/teaching/slides`.

One HTML file a notebook, which needs no network. A slide has one picture with its caption; the answer to a prediction
is on the slide after it. Lists, tables, quotations and code are shown; prose is kept as the speaker's notes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import click
import nbformat
from jinja2 import Environment, FileSystemLoader
from nbconvert.filters import markdown2html
from nbformat import NotebookNode

from docs.pages import IMAGE, notebooks, title
from docs.quiz import ROOT, recall, unlinked
from notebooks.editions import behind_predictions, tags

SILENT = {"parameters", "check", "solution"}  # cells that show nothing
CAPTION = re.compile(r"\*\*Figure \w+\.\d+\.\*\*")
HEADING = re.compile(r"(##+) (.+)")
SHOWN = re.compile(r"([->|]|\d+\. |```)")  # how blocks begin that are looked at and not spoken
LABEL = re.compile(r"<p><b>(.*?)</b></p>")  # over a frame of a filmstrip
Source = Callable[[int, str, str], str]  # where a picture lies, by its number, suffix and base64


@dataclass
class Slide:
    """What is seen at once."""

    kind: str  # title, section, picture, question, answer, exercise
    heading: str
    body: str = ""  # HTML
    caption: str = ""  # HTML
    notes: list[str] = field(default_factory=list)  # HTML


def rendered(markdown: str) -> str:
    """Markdown as HTML, without links into the course's folder."""
    return str(markdown2html(unlinked(markdown))).strip()


def blocks(markdown: str) -> list[str]:
    """Paragraphs, lists and fenced code; what is folded is left out."""
    text = re.sub(r"<details>.*?</details>", "", markdown, flags=re.DOTALL)
    found = re.findall(r"```.*?```|(?:(?!\n\n|```).)+", text, flags=re.DOTALL)
    return [block.strip() for block in found if block.strip()]


class Deck:
    """The slides of a notebook, made cell by cell."""

    def __init__(self, notebook: NotebookNode, source: Source) -> None:
        self.source, self.numbers = source, count(1)
        self.heading, self.recall = title(notebook), recall(notebook)
        self.slides: list[Slide] = []
        self.newest: list[list[Slide]] = []  # slides of the latest code cell, by the output that they show
        _, *opening = blocks(notebook.cells[0].source)
        self.add("title", "\n\n".join(b for b in opening if SHOWN.match(b) or b.startswith("**Question.**")))
        self.slides[-1].notes = [rendered(block) for block in opening]
        answers = behind_predictions(notebook)
        for number, cell in enumerate(notebook.cells[1:], 1):
            marks = set(tags(cell))
            if cell.cell_type == "markdown":
                self.tell(cell.source, "question" if "predict" in marks else "section")
            elif "exercise" in marks:
                self.slides[-1].body += rendered(f"```python\n{cell.source}\n```")
            elif not marks & SILENT:
                self.show(cell, "answer" if number in answers else "picture")

    def add(self, kind: str, markdown: str) -> None:
        """A slide of text under the heading that holds."""
        self.slides.append(Slide(kind, self.heading, rendered(markdown)))

    def tell(self, text: str, kind: str) -> None:
        """A text cell: a slide for each heading, captions to their pictures, prose to the notes."""
        for piece in re.split(r"^(?=##+ )", text, flags=re.MULTILINE):
            head = HEADING.match(piece)
            if head:
                self.heading = head[2]
            told = blocks(piece[head.end() :] if head else piece)
            self.caption([block for block in told if CAPTION.match(block)])
            told = [block for block in told if not CAPTION.match(block)]
            if self.heading == "Recall":
                for question, answer in self.recall:
                    self.add("question", question)
                    self.add("answer", f"*{question}*\n\n{answer}")
            elif kind == "question" or (head and head[2].startswith("Exercise")):
                self.pass_on(told, kind if kind == "question" else "exercise", told)
            else:
                self.pass_on(told, "section", [b for n, b in enumerate(told) if (head and n == 0) or SHOWN.match(b)])

    def pass_on(self, told: list[str], kind: str, shown: list[str]) -> None:
        """Blocks of text: some are shown on a slide of their own, the rest is spoken."""
        if shown:
            self.add(kind, "\n\n".join(shown))
        self.slides[-1].notes += [rendered(block) for block in told if block not in shown]

    def caption(self, captions: list[str]) -> None:
        """Captions belong to the outputs of the code cell above, one each; the last one to all that are left.

        Pictures come first: a table has a caption where there are more captions than outputs with a picture.
        """
        if not captions:
            return
        drawn = [group for group in self.newest if "<img" in group[0].body]
        for n, group in enumerate(drawn if len(drawn) >= len(captions) else self.newest):
            for slide in group:  # all frames of a filmstrip
                slide.caption = rendered(captions[min(n, len(captions) - 1)])

    def show(self, cell: NotebookNode, kind: str) -> None:
        """A code cell: a slide for each picture and each table it shows, and one for its statements."""
        said: list[str] = []
        self.newest = []
        for output in cell.outputs:
            data = output.get("data", {})
            page = data.get("text/html", "")
            labels, before = LABEL.findall(page), len(self.slides)
            for n, found in enumerate(IMAGE.finditer(page)):
                image = f'<img src="{self.source(next(self.numbers), found[1], found[2])}" alt="{found[3]}">'
                heading = f"{self.heading} · {labels[n]}" if labels else self.heading
                self.slides.append(Slide(kind, heading, image))
            if "<table" in page:
                table = re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL)
                self.slides.append(Slide(kind, self.heading, table))
            self.newest += [group] if (group := self.slides[before:]) else []
            said += [data["text/markdown"]] if "text/markdown" in data else []
        if said:
            self.add(kind, "\n\n".join(said))


def embedded(number: int, suffix: str, base64: str) -> str:
    """A picture inside the page."""
    return f"data:image/{suffix};base64,{base64}"


def write_slides(path: Path, folder: Path, source: Source = embedded) -> Path:
    """Write a notebook's slides.

    Args:
        path: the notebook, executed.
        folder: where to; made if it isn't there.
        source: says where the pictures lie.
    """
    notebook = nbformat.read(path, as_version=4)
    templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = templates.get_template("slides.html").render(title=title(notebook), slides=Deck(notebook, source).slides)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{path.stem}.html").write_text(page, encoding="utf-8")
    return folder / f"{path.stem}.html"


@click.command()
@click.argument("folder", type=Path, default=ROOT / "build" / "teaching" / "slides")
def main(folder: Path) -> None:
    """Write the slides."""
    for path in notebooks(ROOT):
        click.echo(write_slides(path, folder))


if __name__ == "__main__":
    main()
