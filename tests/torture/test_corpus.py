"""Every file of the corpus comes to what is written beside it, and quickly."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from scmlib.errors import BadInput
from tests.torture.corpus import Case, cases

CASES = cases()


def outcome(case: Case, folder: Path) -> str:
    """What reading a case says; empty if it works."""
    try:
        case.read(case.write(folder))
    except BadInput as refusal:
        return str(refusal)
    return ""


def test_corpus_is_large_and_its_names_differ() -> None:
    assert len(CASES) >= 200
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
@pytest.mark.filterwarnings("ignore")  # what libraries say of such files
def test_file_from_a_stranger_comes_to_its_outcome(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    said = outcome(case, folder)
    assert re.search(case.wanted, said) if case.wanted else not said, said
    assert "\n" not in said
    assert time.process_time() - began < 10
    assert not (tmp_path / "owned").exists()
