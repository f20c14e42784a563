"""What is told to people beside the code: the citation, the versions, the releases."""

from __future__ import annotations

import re
import tomllib

import yaml

from docs.build import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_citation_is_of_this_version() -> None:
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert facts["version"] == VERSION
    assert {"cff-version", "message", "title", "authors", "license"} <= set(facts)


def test_changelog_has_this_version() -> None:
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text().splitlines()


def test_contributing_names_targets_that_exist() -> None:
    wanted = set(re.findall(r"[`\n]make ([a-z]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"test", "site", "notebooks"} <= wanted <= targets
