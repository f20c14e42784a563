"""A few kills; `make torture` has twenty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills fork")
def test_killed_trainings_end_like_an_unbroken_one() -> None:
    """In a process of its own, for torch doesn't train in forks of a process that has trained."""
    words = [sys.executable, "-m", "tests.torture.kills", "3"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == ["1", "1", "1"]
