"""The study that the explorers' tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from scmlib.runs import Study, open_study


@pytest.fixture(scope="session")
def study(run: Path) -> Study:
    return open_study(run)
