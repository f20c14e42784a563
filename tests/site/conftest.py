"""The site, built once for all of its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.build import build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site; its reference names the modules alone, and its explorers have few steps."""
    return build(tmp_path_factory.mktemp("site"), whole=False)
