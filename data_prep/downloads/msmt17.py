"""MSMT17 as its authors give it, a folder for each identity and four lists, to Market-1501's layout."""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.downloads.archives import Files, holders, lacking, lookup, refuse_missing, safe_path
from scmlib.data.readers import lines, numbered
from scmlib.errors import BadInput

LISTS = {
    "list_train.txt": "bounding_box_train",
    "list_val.txt": "bounding_box_train",
    "list_query.txt": "query",
    "list_gallery.txt": "bounding_box_test",
}

# The second version blurs the faces.
FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))


def convert(unpacked: Path, dataset_root: Path) -> Files:
    """The listed images under Market-1501's names; nothing where the source isn't of this form.

    Args:
        unpacked: what the download holds.
        dataset_root: not needed here.

    Raises:
        BadInput: lists or folders are missing or there twice, a line is of another form, a listed image is missing.
    """
    homes = holders(unpacked, ["list_train.txt"])
    if len(homes) > 1:
        raise BadInput(f"{unpacked} holds MSMT17's lists twice, in {homes[0]} and {homes[1]}: give one as --source.")
    bare = [here for pair in FOLDERS for here in holders(unpacked, pair)]  # its images, without the lists
    for here in homes or bare[:1]:
        train, test = next((pair for pair in FOLDERS if not lacking(here, pair)), FOLDERS[0])
        missing = lacking(here, (*LISTS, train, test))
        if missing:
            raise BadInput(f"{here} holds a part of MSMT17, without {', '.join(missing)}: complete the download.")
        for name, place in LISTS.items():
            listing, images = lookup(here, name), lookup(here, train if place == "bounding_box_train" else test)
            assert listing
            assert images
            listed = [_named(words, listing) for words in lines(listing)]
            refuse_missing([old for old, _ in listed if not (images / old).is_file()], listing, str(images))
            yield from ((f"{place}/{new}", images / old) for old, new in listed)


def _named(words: list[str], listing: Path) -> tuple[str, str]:
    """A line `PATH IDENTITY`: the path, and a name as in Market-1501; the camera is the file name's third field."""
    form = "FOLDER/ID_INDEX_CAMERA_REST IDENTITY"
    fields = safe_path(words[0], listing).name.split("_", 3)
    if len(words) != 2 or len(fields) != 4 or not re.fullmatch("[0-9]+", fields[2]):
        raise BadInput(f"{listing} has the line '{' '.join(words)[:80]}' where {form} belongs: mend or remove it.")
    _, index, camera, rest = fields
    return words[0], f"{numbered(words[1], listing, form):04d}_c{camera}_{index}_{rest}"
