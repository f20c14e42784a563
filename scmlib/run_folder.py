"""A run folder: its files, what it says about its training, and where its data are found again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scmlib.data.datasets import ReidDataset, digest, fingerprint
from scmlib.data.layouts import LAYOUTS, PROTOCOLS
from scmlib.errors import BadInput
from scmlib.files import parse_json, read_json
from scmlib.launch import program
from scmlib.settings import Settings

SETTINGS = "settings.json"  # the run's facts: settings, classes, data, versions
LOG = "log.csv"  # a row an epoch
STATE = "state.pt"  # what a training goes on from
PREVIOUS = "state.previous.pt"  # the state before it, for the case that the last one is damaged
DAMAGED = "state.damaged.pt"  # a state that couldn't be read, kept aside
WEIGHTS = "model.safetensors"  # the final weights, with the facts in their header

TEST = ("query", "gallery")


def read_facts(folder: Path) -> dict[str, Any]:
    """What a run folder's `settings.json` says, its settings checked.

    Raises:
        BadInput: the file is missing or damaged.
    """
    path = folder / SETTINGS
    try:
        facts: dict[str, Any] = parse_json(path.read_text())
        return {**facts, "settings": Settings.from_dict(facts["settings"]), "versions": dict(facts["versions"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} can't be read ({error}): train again with another --out.") from error


def begun(folder: Path) -> bool:
    """Whether a folder holds a training that can be gone on with."""
    return (folder / STATE).is_file() or (folder / PREVIOUS).is_file()


def resume_command(folder: Path) -> str:
    """The command that goes on with an unfinished run, in as many processes; its flags are taken from the folder."""
    processes = read_json(folder / SETTINGS).get("processes", 1)
    return shlex.join([*program(processes), "train", "--resume", "--out", str(folder)])


def data_root(dataset: ReidDataset) -> Path:
    """The folder that holds the data set's own folder, absolute."""
    depth = len(Path(dataset.layout.folder).parts)
    return dataset.root.absolute().parents[depth - 1]


def data_facts(dataset: ReidDataset, folder: Path) -> dict[str, Any]:
    """What a run folder records of its data: where they lay, how many images, and what tells them from others.

    A digest is of names, identities and cameras; a fingerprint is of the files' bytes.

    Args:
        dataset: what it is trained on.
        folder: the run folder.
    """
    root = data_root(dataset)
    return {
        "root": str(root),
        "from_run": os.path.relpath(root, folder.absolute()),
        "counts": counts(dataset),
        "train_digest": digest(dataset, "train"),
        "test_digest": digest(dataset, *TEST),
        "train_fingerprint": fingerprint(dataset, "train"),
        "test_fingerprint": fingerprint(dataset, *TEST),
    }


def counts(dataset: ReidDataset) -> dict[str, int]:
    """Images of each split."""
    return {split: len(records) for split, records in dataset.splits.items()}


def find_data_root(dataset: str, given: str | Path, run: Path, facts: Mapping[str, Any]) -> Path:
    """The data root of a run's data set, wherever the run was opened from or moved to.

    Where the call says; else where the data were when the run was trained; else beside the run: as they lay then,
    seen from the run, and in a folder of the data root's name next to the run's.

    Args:
        dataset: name of the data set to open; the run's own, or another below the same root.
        given: the data root, if the call says it.
        run: the run folder.
        facts: the run's, see `read_facts`; empty for weights that say nothing.

    Raises:
        BadInput: the data are in none of these places.
    """
    recorded = facts.get("data")
    seen = recorded if isinstance(recorded, dict) else {}  # earlier versions recorded the settings' root alone
    root = Path(facts["settings"].dataset_root if facts else "data")
    run = run.absolute()
    places = [
        Path(str(seen.get("root", root.absolute()))),
        Path(os.path.normpath(run / str(seen.get("from_run", Path("..") / root.name)))),
        run.parent / root.name,
    ]
    layout = (LAYOUTS | PROTOCOLS).get(dataset)
    folder = layout.folder if layout else dataset
    looked = list(dict.fromkeys([Path(given)] if given else places))
    for place in looked:
        if (place / folder).is_dir():
            return place
    raise BadInput(
        f"{folder} is missing in {', '.join(map(str, looked))}: say which folder holds it, with dataset_root in "
        "Python, --dataset-root on the command line."
    )
