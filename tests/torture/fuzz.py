"""Every parser fed with good files that were spoilt at random: it reads them or says one sentence, nothing else.

`python -m tests.torture.fuzz N` tries about N inputs, shared out among the parsers, and prints how many each took.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

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


TOKENS = (b"-1", b"nan", b"1e999", b"\0", b"\xff\xff\xff\xff", b"\n", b",", b"../", b"{", b'"', b"=", b"99999999999")


def spoilt(data: bytes, draw: random.Random) -> bytes:
    """A file with one to four edits: some bytes are taken out, others put in, or it ends early."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(data))
        out = draw.choice((0, 0, 1, 1, 4, 40, len(data)))
        put = draw.choice((b"", draw.randbytes(draw.randint(1, 8)), draw.choice(TOKENS)))
        data = data[:at] + put + data[at + out :]
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
    whole = path.read_bytes()

    def read(draw: random.Random) -> None:
        shutil.rmtree(folder / "deep", ignore_errors=True)  # what an archive was unpacked to
        path.write_bytes(spoilt(whole, draw))
        with suppress(BadInput):
            case.read(path)

    return many(case.name, read, tries)


def fuzz_text(name: str, parse: Callable[[str], object], refusal: type[Exception], tries: int) -> int:
    """Parse any text, most of it near to what is meant."""
    names = ("seed=", "hidden=", "train_kinds=", "cast=", "height=", "")
    values = ("", "0", "-1", "0.3", "1e999", "nan", "5-20", "bush,pillar", "(1, 2)", "True", "١")

    def read(draw: random.Random) -> None:
        text = draw.choice(names) + draw.choice(values)
        for _ in range(draw.randint(0, 3)):
            at = draw.randint(0, len(text))
            text = text[:at] + chr(draw.choice((draw.randint(32, 126), draw.randint(0, 0xD7FF)))) + text[at:]
        with suppress(refusal):
            parse(text)

    return many(name, read, tries)


def many(name: str, read: Callable[[random.Random], None], tries: int) -> int:
    """Read so many inputs, the same ones every time; one that breaks the parser is named by its number."""
    for number in tqdm(range(tries), name, leave=False, disable=None):
        try:
            read(random.Random(f"{name} {number}"))
        except Exception as error:
            error.add_note(f"This was input {number} of {name!r}.")
            raise
    return tries


def fuzz(tries: int) -> dict[str, int]:
    """Try every parser; returns how many inputs each took."""
    share = tries // (len(PARSERS) + 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = {name: fuzz_files(names, share) for name, names in PARSERS.items()}
    taken["world's changes"] = fuzz_text("world's changes", lambda text: changed(World(), [text]), BadInput, share)
    taken["epochs"] = fuzz_text("epochs", parse_epochs, ValueError, share)
    return taken


if __name__ == "__main__":
    counts = fuzz(int(sys.argv[1]))
    for parser, count in counts.items():
        print(f"{parser:>16} {count:>9,}")
    print(f"{'all':>16} {sum(counts.values()):>9,} inputs: each read or refused with one sentence")
