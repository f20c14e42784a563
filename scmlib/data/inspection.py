"""What is off about a data set, told before an hour of training: counts, files, splits, matches, duplicates.

Lesson: notebooks/01_data_preparation.ipynb.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from scmlib.data.datasets import ReidDataset
from scmlib.data.layouts import Count

NAMED = 5  # files or identities that a finding names; the table holds all


@dataclass(frozen=True)
class Inspection:
    """What was seen of a data set."""

    counts: pd.DataFrame  # see `count_table`, with a column for the image sizes
    images: pd.DataFrame  # a row an image: split, path, identity, camera, width, height, digest, problem
    findings: list[str]  # a sentence each, the gravest first; empty where all is well


def inspect_dataset(dataset: ReidDataset, *, progress: bool = False) -> Inspection:
    """Decode every image and look for what would spoil a training or an evaluation.

    Args:
        dataset: its records are read; nothing is changed.
        progress: whether to show a progress bar.
    """
    rows = [
        (split, record.path, record.identity, record.camera)
        for split, records in dataset.splits.items()
        for record in records
    ]
    # Threads are enough: reading and decoding leave the interpreter free.
    seen = thread_map(
        examine,
        [row[1] for row in rows],
        max_workers=os.cpu_count(),
        desc="decoding",
        unit="image",
        disable=not progress,
    )
    images = pd.DataFrame(
        [(*row, *look) for row, look in zip(rows, seen, strict=True)],
        columns=["split", "path", "identity", "camera", "width", "height", "digest", "problem"],
    )
    findings = [
        *_files(images),
        *_shared_identities(dataset),
        *_duplicates(images),
        *_queries(dataset),
        *_differences(dataset),
    ]
    return Inspection(count_table(dataset).assign(size=_sizes(images)), images, findings)


def examine(path: Path) -> tuple[int, int, str, str]:
    """Width, height, a digest of the decoded pixels, and what is wrong with an image file (empty if nothing is)."""
    try:
        if path.stat().st_size == 0:
            return 0, 0, "", "is empty"
        with Image.open(path) as file:
            image = file.convert("RGB")
    except Exception as error:  # whatever a damaged file makes the decoder raise
        return 0, 0, "", f"can't be read ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return *image.size, hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest(), ""


def count_table(dataset: ReidDataset) -> pd.DataFrame:
    """Images, identities and cameras of each split beside the published numbers; -1 where none is published.

    Returns:
        A row a split: images, published_images, identities, published_identities, cameras (0 without a camera rule).
    """
    rows = {}
    for split, records in dataset.splits.items():
        published = dataset.layout.published.get(split, Count(-1))
        rows[split] = {
            "images": len(records),
            "published_images": published.images,
            "identities": len({record.identity for record in records}),
            "published_identities": -1 if published.identities is None else published.identities,
            "cameras": len({record.camera for record in records}) if dataset.layout.camera_rule else 0,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _sizes(images: pd.DataFrame) -> pd.Series[str]:
    """Least, median and largest width x height in pixels, by split."""
    good = images[images["problem"] == ""].groupby("split")[["width", "height"]]
    if good.ngroups == 0:
        return pd.Series(dtype=str)
    least, middle, most = good.min(), good.median().astype(int), good.max()
    texts = [frame["width"].astype(str) + "x" + frame["height"].astype(str) for frame in (least, middle, most)]
    return texts[0].where(texts[0] == texts[2], texts[0] + " to " + texts[2] + ", median " + texts[1])


def _some(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:NAMED]) + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def _files(images: pd.DataFrame) -> list[str]:
    bad = images[images["problem"] != ""]
    empty = bad[bad["problem"] == "is empty"]
    broken = bad[bad["problem"] != "is empty"]
    found = [f"{len(empty)} empty files: {_some(empty['path'])}."] if len(empty) else []
    if len(broken):
        told = [f"{path} {problem}" for path, problem in zip(broken["path"], broken["problem"], strict=True)]
        found.append(f"{len(broken)} files that aren't whole images: {_some(told)}.")
    return found


def _shared_identities(dataset: ReidDataset) -> list[str]:
    test = {record.identity for split, records in dataset.splits.items() if split != "train" for record in records}
    shared = sorted(test & {record.identity for record in dataset.train})
    if not shared or dataset.layout.restarts:
        return []
    return [f"{len(shared)} identities are in training and test, so test figures flatter: {_some(shared)}."]


def _duplicates(images: pd.DataFrame) -> list[str]:
    readable = images[images["problem"] == ""]
    found = []
    splits = list(dict.fromkeys(readable["split"]))
    first = {split: readable[readable["split"] == split].drop_duplicates("digest") for split in splits}
    for i, one in enumerate(splits):
        for other in splits[i + 1 :]:
            pairs = first[one].merge(first[other], on="digest")
            if len(pairs):
                told = [f"{a} = {b}" for a, b in zip(pairs["path_x"], pairs["path_y"], strict=True)]
                found.append(f"{len(pairs)} pictures are in {one} and in {other}: {_some(told)}.")
    return found


def _queries(dataset: ReidDataset) -> list[str]:
    """Queries that no figure counts, and why."""
    cameras = dataset.gallery_cameras()
    absent = [q.path.name for q in dataset.query if q.identity not in cameras]
    own = [q.path.name for q in dataset.query if cameras.get(q.identity) == {q.camera}]
    found = []
    if absent:
        found.append(f"{len(absent)} queries have no match: their identity isn't in the gallery: {_some(absent)}.")
    if own:
        why = "their own camera's" if dataset.layout.camera_rule else "themselves"
        found.append(f"{len(own)} queries have no match: the only images of their identity are {why}: {_some(own)}.")
    return found


def _differences(dataset: ReidDataset) -> list[str]:
    """Where the counts aren't the published ones."""
    table = count_table(dataset)
    return [
        f"{split} has {ours:,} {kind} where {published:,} are published (a part of the data set, perhaps)."
        for kind in ("images", "identities")
        for split, ours, published in zip(table.index, table[kind], table[f"published_{kind}"], strict=True)
        if published not in (-1, ours)
    ]
