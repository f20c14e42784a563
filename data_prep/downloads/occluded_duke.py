"""Occluded-Duke: DukeMTMC-reID's images in a new split, given by the three lists that its authors publish.

Source: Miao, Wu, Liu, Ding and Yang, 2019: Pose-Guided Feature Alignment for Occluded Person Re-identification.
"""

from __future__ import annotations

from pathlib import Path

from data_prep.downloads.archives import Files
from data_prep.downloads.search import by_name, holders, lookup, refuse_missing
from scmlib.data.datasets import dataset_folder
from scmlib.data.readers import lines
from scmlib.errors import BadInput

LISTS = {"train.list": "bounding_box_train", "query.list": "query", "gallery.list": "bounding_box_test"}


def convert(unpacked: Path, dataset_root: Path) -> Files:
    """Sort the listed images into the new splits.

    An image is found by its file name: first in the download, then in the DukeMTMC-reID folder of the data root.

    Args:
        unpacked: the folder with the unpacked download.
        dataset_root: the folder that may hold DukeMTMC-reID.

    Returns:
        Each image's path in the layout and its source file; nothing if the three lists aren't there.

    Raises:
        BadInput: the lists are there twice, or a listed image is missing.
    """
    found = holders(unpacked, LISTS)
    if not found:
        return
    if len(found) > 1:
        raise BadInput(f"{unpacked} holds {', '.join(LISTS)} twice, in {found[0]} and {found[1]}: remove one.")
    duke = dataset_folder("dukemtmc", dataset_root)
    images = (by_name(duke) if duke.is_dir() else {}) | by_name(unpacked)
    for name, folder in LISTS.items():
        listing = lookup(found[0], name)
        assert listing
        listed = [words[0].rpartition("/")[2] for words in lines(listing)]
        refuse_missing([image for image in listed if image not in images], listing, f"{unpacked} or {duke}")
        yield from ((f"{folder}/{image}", images[image]) for image in listed)
