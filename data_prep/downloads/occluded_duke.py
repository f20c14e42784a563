"""Occluded-Duke: DukeMTMC-reID's images, split anew by the three lists that its authors publish."""

from __future__ import annotations

from pathlib import Path

from data_prep.downloads.archives import Files, by_name, holders, lookup, refuse_missing
from scmlib.data.datasets import dataset_folder
from scmlib.data.readers import lines
from scmlib.errors import BadInput

LISTS = {"train.list": "bounding_box_train", "query.list": "query", "gallery.list": "bounding_box_test"}


def convert(unpacked: Path, dataset_root: Path) -> Files:
    """The listed images, found by their names in the source, else in the DukeMTMC-reID folder of the data root.

    Args:
        unpacked: what the download holds; without the lists nothing is yielded.
        dataset_root: the folder that may hold DukeMTMC-reID.

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
    for name, place in LISTS.items():
        listing = lookup(found[0], name)
        assert listing
        listed = [words[0].rpartition("/")[2] for words in lines(listing)]
        refuse_missing([image for image in listed if image not in images], listing, f"{unpacked} or {duke}")
        yield from ((f"{place}/{image}", images[image]) for image in listed)
