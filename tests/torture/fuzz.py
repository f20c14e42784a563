"""Every parser fed with good files that were spoilt at random: it reads them or says one sentence, nothing else.

`python -m tests.torture.fuzz N` tries about N inputs, shared out among the parsers, and prints how many each took.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_prep.world.settings import World, changed
from scmlib.errors import BadInput
from scmlib.settings import parse_epochs
from tests.torture.corpus import Case, cases

# Of the corpus: the files whose spoilt relatives are tried, by the parser that reads them.
PARSERS = {
    "weights": ("whole a.pth", "whole old.pth", "whole a.safetensors"),
    "pictures": ("whole JPEG", "whole PNG", "whole BMP", "whole WEBP", "whole GIF", "whole PPM"),
    "archives": ("whole a.zip", "whole a.tar", "whole a.tar.gz"),
    "table": ("table: identity '1'",),
    "list": ("list: good",),
    "settings": ("settings: lr -1",),
    "world": ("world: no settings",),
}


class Edit(NamedTuple):
    """A place in a file as a share of its length, what is taken out there, and what is put in."""

    place: float
    out: int
    put: bytes


EDITS = st.lists(
    st.builds(Edit, st.floats(0, 1), st.sampled_from((0, 0, 1, 1, 4, 40)), st.binary(max_size=8)),
    min_size=1,
    max_size=4,
)


def spoilt(data: bytes, edits: list[Edit]) -> bytes:
    """A file with some edits made, one after the other."""
    for edit in edits:
        at = int(edit.place * len(data))
        data = data[:at] + edit.put + data[at + edit.out :]
    return data


def fuzz_files(names: tuple[str, ...], tries: int) -> int:
    """Read spoilt relatives of files of the corpus; returns how many."""
    chosen = [case for case in cases() if case.name in names]
    assert len(chosen) == len(names)
    done = 0
    with tempfile.TemporaryDirectory() as place:
        for number, case in enumerate(chosen):
            done += fuzz_file(case, Path(place) / str(number), tries // len(chosen))
    return done


def fuzz_file(case: Case, folder: Path, tries: int) -> int:
    """Read spoilt relatives of one file."""
    folder.mkdir()
    path = case.write(folder)
    whole, done = path.read_bytes(), 0

    def read(edits: list[Edit]) -> None:
        nonlocal done
        done += 1
        shutil.rmtree(folder / "deep", ignore_errors=True)  # what an archive was unpacked to
        path.write_bytes(spoilt(whole, edits))
        with suppress(BadInput):
            case.read(path)

    many(read, EDITS, tries)
    return done


def fuzz_text(parse: Callable[[str], object], refusal: type[Exception], tries: int) -> int:
    """Parse any text."""
    done = 0

    def read(text: str) -> None:
        nonlocal done
        done += 1
        with suppress(refusal):
            parse(text)

    names = st.sampled_from(("seed=", "hidden=", "train_kinds=", "cast=", "height=", ""))
    many(read, st.builds("{}{}".format, names, st.text(max_size=20) | st.integers().map(str)), tries)
    return done


def many(read: Callable[[Any], None], inputs: st.SearchStrategy[Any], tries: int) -> None:
    """Call a function with so many inputs, the same ones every time."""
    checked = settings(
        max_examples=tries,
        derandomize=True,  # the same inputs every time
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    checked(given(inputs)(read))()


def fuzz(tries: int) -> dict[str, int]:
    """Try every parser; returns how many inputs each took."""
    share = tries // (len(PARSERS) + 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = {name: fuzz_files(names, share) for name, names in PARSERS.items()}
    taken["world's changes"] = fuzz_text(lambda text: changed(World(), [text]), BadInput, share)
    taken["epochs"] = fuzz_text(parse_epochs, ValueError, share)
    return taken


if __name__ == "__main__":
    counts = fuzz(int(sys.argv[1]))
    for parser, count in counts.items():
        print(f"{parser:>16} {count:>9,}")
    print(f"{'all':>16} {sum(counts.values()):>9,} inputs: each read or refused with one sentence")
