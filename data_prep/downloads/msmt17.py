"""MSMT17: from a folder for each identity and four lists, as its authors give it, to Market-1501's layout.

Source: Wei, Zhang, Gao and Tian, 2018: Person Transfer GAN to Bridge Domain Gap for Person Re-identification.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.downloads.archives import Files, safe_path
from data_prep.downloads.search import holders, lacking, lookup, refuse_missing
from scmlib.data.readers import lines, numbered
from scmlib.errors import BadInput

LISTS = {
    "list_train.txt": "bounding_box_train",
    "list_val.txt": "bounding_box_train",
    "list_query.txt": "query",
    "list_gallery.txt": "bounding_box_test",
}

# Folders of the training and the test images; in the second version the faces are blurred.
FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))


def convert(unpacked: Path, dataset_root: Path) -> Files:
    """Rename the listed images as in Market-1501.

    Args:
        unpacked: the folder with the unpacked download.
        dataset_root: not used here; all converters take it.

    Returns:
        Each image's path in the layout and its source file; nothing if neither lists nor image folders are there.

    Raises:
        BadInput: a list or a folder is missing, the lists are there twice, a line has another form, or a listed image
            is missing.
    """
    homes = holders(unpacked, ["list_train.txt"])
    if len(homes) > 1:
        raise BadInput(f"{unpacked} holds MSMT17's lists twice, in {homes[0]} and {homes[1]}: give one as --source.")
    bare = [here for pair in FOLDERS for here in holders(unpacked, pair)]  # image folders, perhaps without lists
    for here in homes or bare[:1]:
        train, test = next((pair for pair in FOLDERS if not lacking(here, pair)), FOLDERS[0])
        missing = lacking(here, (*LISTS, train, test))
        if missing:
            raise BadInput(f"{here} holds a part of MSMT17, without {', '.join(missing)}: complete the download.")
        for name, folder in LISTS.items():
            listing, images = lookup(here, name), lookup(here, train if folder == "bounding_box_train" else test)
            assert listing
            assert images
            listed = [_named(words, listing) for words in lines(listing)]
            refuse_missing([old for old, _ in listed if not (images / old).is_file()], listing, str(images))
            yield from ((f"{folder}/{new}", images / old) for old, new in listed)


def _named(words: list[str], listing: Path) -> tuple[str, str]:
    """The path and the new name, as in Market-1501, from a line `PATH IDENTITY`.

    The camera is the third field of the file name.
    """
    form = "FOLDER/ID_INDEX_CAMERA_REST IDENTITY"
    fields = safe_path(words[0], listing).name.split("_", 3)
    if len(words) != 2 or len(fields) != 4 or not re.fullmatch("[0-9]+", fields[2]):
        raise BadInput(f"{listing} has the line '{' '.join(words)[:80]}' where {form} belongs: mend or remove it.")
    _, index, camera, rest = fields
    return words[0], f"{numbered(words[1], listing, form):04d}_c{camera}_{index}_{rest}"
