"""A few thousand spoilt inputs; `make torture` tries a million."""

from __future__ import annotations

from tests.torture.fuzz import PARSERS, fuzz


def test_every_parser_reads_or_refuses_spoilt_input() -> None:
    taken = fuzz(3000)
    assert taken.keys() > PARSERS.keys()
    assert sum(taken.values()) >= 2000
