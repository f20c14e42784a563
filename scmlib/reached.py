"""The paper's figures beside those that runs on this machine reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from scmlib.recipes import FIGURES, Settings, published_recipes, recipe

# Settings that say where and how fast, not what.
ELSEWHERE = ("dataset", "net", "dataset_root", "seed", "workers")


def figure_table(runs: str | Path, dataset: str | None = None) -> pd.DataFrame:
    """Published and reached figures of every recipe.

    Args:
        runs: folder below which `scm evaluate` stored its figures, in each run's own folder.
        dataset: this data set alone.

    Returns:
        A row a source with the columns dataset, net, source (`published`, or a run folder and how its settings differ
        from the recipe's) and the figures in [0, 1]; NaN where a source has none.
    """
    rows = [
        {"dataset": settings.dataset, "net": settings.net, "source": "published", **settings.published}
        for settings in published_recipes()
    ]
    for path in sorted(Path(runs).rglob("*evaluation_*.json")):
        facts = read_json(path)
        if "dataset" in facts and "net" in facts:
            row = {"dataset": facts["dataset"], "net": facts["net"], "source": told(path, facts)}
            rows.append(row | {name: facts[name] for name in FIGURES if isinstance(facts.get(name), float)})
    table = pd.DataFrame(rows, columns=["dataset", "net", "source", *FIGURES])
    if dataset:
        table = table[table["dataset"] == dataset]
    order = {name: i for i, name in enumerate(dict.fromkeys(table["dataset"] + " " + table["net"]))}
    return table.sort_values(
        by="dataset", key=lambda _: (table["dataset"] + " " + table["net"]).map(order), kind="stable"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file holds none, which a stray file in a runs folder may not."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def told(evaluation: Path, facts: dict[str, Any]) -> str:
    """The run of an evaluation, and what it did otherwise than the recipe."""
    values = read_json(evaluation.parent / "settings.json").get("settings", {})
    try:
        settings = Settings.from_dict(values)
        meant = recipe(settings.dataset, settings.net).as_dict()
    except (ValueError, KeyError, TypeError):  # no settings, or not those of a run
        return str(evaluation.parent)
    if settings.dataset.partition(":")[0] != str(facts["dataset"]).partition(":")[0]:
        return f"{evaluation.parent} (trained on {settings.dataset})"
    changed = [
        f"{name.replace('_', '-')} {value or 'none'}"
        for name, value in settings.as_dict().items()
        if name not in (*ELSEWHERE, "weights") and value != meant[name]
    ]
    if not settings.weights and settings.published:
        changed.append("from random weights")
    return f"{evaluation.parent} ({', '.join(changed)})" if changed else str(evaluation.parent)
