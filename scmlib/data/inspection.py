"""What is off about a data set, told before an hour of training: counts, files, splits, matches, duplicates.

Lesson: notebooks/A1_data_sets_and_own_pictures.ipynb.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.contrib.concurrent import thread_map

from scmlib.data.datasets import ReidDataset
from scmlib.data.images import open_picture, orientation, upright_rgb
from scmlib.data.layouts import Count
from scmlib.data.records import Record, is_bystander, is_image
from scmlib.errors import BadInput

NAMED = 5  # files or identities that a finding names; the table holds all
ODD_SHARE = 0.05  # pictures of another shape are odd ones out if there are no more than these, or one


class Look(NamedTuple):
    """What an image file shows when it is decoded."""

    width: int = 0  # pixels, upright
    height: int = 0
    mode: str = ""  # Pillow's, as stored
    orientation: int = 1  # EXIF, as stored
    frames: int = 1  # or pages
    blank: bool = False  # nearly black or nearly white all over
    digest: str = ""  # of the pixels as they are read
    problem: str = ""  # what is wrong with the file; empty if nothing is


@dataclass(frozen=True)
class Inspection:
    """What was seen of a data set."""

    counts: pd.DataFrame  # see `count_table`, with columns for the sizes and the modes of the images
    images: pd.DataFrame  # a row an image: split, path, identity, camera, and the fields of `Look`
    findings: list[str]  # a sentence each, the gravest first; empty where all is well


def inspect_dataset(dataset: ReidDataset, *, progress: bool = False) -> Inspection:
    """Decode every image and look for what would spoil a training or an evaluation.

    Args:
        dataset: its records are read; nothing is changed.
        progress: whether to show a progress bar.
    """
    people, cameras = dataset.layout.identity_names, dataset.layout.camera_names
    rows = [
        (
            split,
            record.path,
            people[record.identity] if people else record.identity,
            cameras[record.camera] if cameras else record.camera,
        )
        for split, records in dataset.splits.items()
        for record in records
    ]
    seen = look_at([row[1] for row in rows], progress)
    images = pd.DataFrame(
        [(*row, *look) for row, look in zip(rows, seen, strict=True)],
        columns=["split", "path", "identity", "camera", *Look._fields],
    )
    findings = [
        *_files(images),
        *_shared_identities(dataset),
        *_duplicates(images),
        *_queries(dataset),
        *_left_out(dataset),
        *_shapes(images),
        *_kinds(images),
        *_differences(dataset),
    ]
    return Inspection(count_table(dataset).assign(size=_sizes(images), modes=_modes(images)), images, findings)


def examine(path: Path) -> Look:
    """Decode an image file as `read_image` does, and see what it is."""
    try:
        if path.stat().st_size == 0:
            return Look(problem="is empty")
        with open_picture(path) as file:
            mode, turned = file.mode, orientation(file)
            image = upright_rgb(file)
            frames = getattr(file, "n_frames", 1)
    except (BadInput, OSError) as error:
        return Look(problem=str(error).removeprefix(f"{path} "))
    darkest, brightest = np.array(image.getextrema()).T  # (3,) each
    blank = bool(brightest.max() < 16 or darkest.min() > 239)
    digest = hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest()
    return Look(*image.size, mode, turned, frames, blank, digest)


def broken_images(records: Sequence[Record], *, progress: bool = False) -> list[Path]:
    """Those images of records that can't be decoded, sorted.

    Args:
        records: whose files to decode.
        progress: whether to show a progress bar.
    """
    paths = [record.path for record in records]
    return sorted(path for path, look in zip(paths, look_at(paths, progress), strict=True) if look.problem)


def look_at(paths: Sequence[Path], progress: bool) -> list[Look]:
    """What each image file shows."""
    # Threads are enough: reading and decoding leave the interpreter free.
    seen: list[Look] = thread_map(
        examine, paths, max_workers=os.cpu_count(), desc="decoding", unit="image", disable=not progress
    )
    return seen


def left_out(dataset: ReidDataset) -> list[Path]:
    """Files in the folders of a data set that no split reads and that somebody may miss, sorted.

    Those are files of a kind that doesn't count as a picture, and pictures in folders where nothing is read. Systems'
    own files, notes, and what a layout leaves out by its rules (junk detections, images outside the lists) aren't.
    """
    read = {record.path for records in dataset.splits.values() for record in records}
    folders = {path.parent for path in read}
    for place in dataset.layout.needs:
        for here, below, _ in os.walk(dataset.root / place):
            below[:] = [name for name in below if not is_bystander(name)]
            folders.add(Path(here))
    using = {path.parent for path in read}
    found = (path for folder in folders for path in folder.iterdir() if path not in read and path.is_file())
    return sorted(
        path for path in found if not is_bystander(path.name) and not (is_image(path) and path.parent in using)
    )


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


def _modes(images: pd.DataFrame) -> pd.Series[str]:
    """Pillow's modes as stored, the most frequent first, by split."""
    good = images[images["problem"] == ""]
    told = {}
    for split, modes in good.groupby("split")["mode"]:
        counts = modes.value_counts()
        told[split] = str(counts.index[0]) if len(counts) == 1 else ", ".join(f"{m} {n:,}" for m, n in counts.items())
    return pd.Series(told, dtype=str)


def some(names: Iterable[object]) -> str:
    """The first `NAMED` of some names, and how many more there are."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:NAMED]) + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def _many(number: int, one: str, more: str) -> str:
    """So many of something, in the singular where there is one."""
    return f"{number} {one if number == 1 else more}"


def _files(images: pd.DataFrame) -> list[str]:
    bad = images[images["problem"] != ""]
    empty = bad[bad["problem"] == "is empty"]
    broken = bad[bad["problem"] != "is empty"]
    found = [f"{_many(len(empty), 'empty file', 'empty files')}: {some(empty['path'])}."] if len(empty) else []
    if len(broken):
        told = [
            f"{path} {problem.rstrip('.')}" for path, problem in zip(broken["path"], broken["problem"], strict=True)
        ]
        number = _many(len(broken), "file that isn't a whole image", "files that aren't whole images")
        found.append(f"{number}: {some(told)}.")
    return found


def _shared_identities(dataset: ReidDataset) -> list[str]:
    test = {record.identity for split, records in dataset.splits.items() if split != "train" for record in records}
    shared = sorted(test & {record.identity for record in dataset.train})
    if not shared or dataset.layout.restarts:
        return []
    names = map(dataset.layout.identity_name, shared)
    number = _many(len(shared), "identity is", "identities are")
    return [f"{number} in training and in test, so the test's figures are too good: {some(names)}."]


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
                found.append(
                    f"{_many(len(pairs), 'picture is', 'pictures are')} in {one} and in {other}: {some(told)}."
                )
    return found


def _queries(dataset: ReidDataset) -> list[str]:
    """Queries that no figure counts, and why."""
    cameras = dataset.gallery_cameras()
    absent = [q.path.name for q in dataset.query if q.identity not in cameras]
    own = [q.path.name for q in dataset.query if cameras.get(q.identity) == {q.camera}]
    found = []
    if absent:
        number = _many(len(absent), "query has", "queries have")
        found.append(f"{number} no match, for the identity isn't in the gallery: {some(absent)}.")
    if own:
        why = "by the query's own camera" if dataset.layout.camera_rule else "the query itself"
        number = _many(len(own), "query has", "queries have")
        found.append(f"{number} no match, for all images of the identity are {why}: {some(own)}.")
    return found


def _left_out(dataset: ReidDataset) -> list[str]:
    missed = left_out(dataset)
    return (
        [f"{_many(len(missed), 'file', 'files')} not read as pictures and left out: {some(missed)}."] if missed else []
    )


def _shapes(images: pd.DataFrame) -> list[str]:
    """The few pictures of another shape than the rest: how far their aspect is from the median, on a log scale."""
    good = images[images["problem"] == ""]
    aspect = np.log(good["width"].to_numpy() / good["height"].to_numpy())
    off = np.abs(aspect - np.median(aspect)) if len(good) else aspect
    odd = good[off > max(np.log(1.1), 6 * np.median(off))] if len(good) else good
    if not 0 < len(odd) <= max(1, ODD_SHARE * len(good)):
        return []
    told = [
        f"{path} ({width}x{height})" for path, width, height in odd[["path", "width", "height"]].itertuples(index=False)
    ]
    return [f"{_many(len(odd), 'picture is', 'pictures are')} of another shape than the rest: {some(told)}."]


def _kinds(images: pd.DataFrame) -> list[str]:
    """What was done to pictures when they were read, and those that show nothing."""
    found = []
    if len(blank := images[images["blank"]]):
        found.append(
            f"{_many(len(blank), 'picture is', 'pictures are')} nearly black or white all over: {some(blank['path'])}."
        )
    if len(turned := images[images["orientation"] != 1]):
        counts = ", ".join(f"{o}: {n:,}" for o, n in turned["orientation"].value_counts().sort_index().items())
        number = _many(len(turned), "picture is", "pictures are")
        found.append(f"{number} stored turned and read upright (EXIF orientation {counts}).")
    if len(several := images[images["frames"] > 1]):
        number = _many(len(several), "file holds", "files hold")
        found.append(f"{number} several frames, of which the first is read: {some(several['path'])}.")
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
