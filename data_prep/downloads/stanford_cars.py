"""Stanford Cars: from `cars_train`, `cars_test` and `devkit` to its other form, one folder and one table.

Source: Krause, Stark, Deng and Fei-Fei, 2013: 3D Object Representations for Fine-Grained Categorization.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import savemat

from data_prep.downloads.archives import Files
from data_prep.downloads.search import by_name, files_below, refuse_missing
from scmlib.data.matlab import read_mat
from scmlib.errors import BadInput

ANNOTATIONS = {"train": "cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}

NUMBERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class")

FIELDS = np.dtype([(name, object) for name in ("relative_im_path", *NUMBERS, "test")])


def convert(unpacked: Path, dataset_root: Path) -> Files:
    """Collect all images in `car_ims` and all annotations in `cars_annos.mat`.

    Args:
        unpacked: the folder with the unpacked download.
        dataset_root: not used here; all converters take it.

    Returns:
        Each image's path in the layout and its source file, then the table and its content; nothing if the training
        annotations aren't there.

    Raises:
        BadInput: the test annotations with classes are missing, annotations can't be read, or an image is missing.
    """
    files = by_name(unpacked)
    if ANNOTATIONS["train"] not in files:
        return
    if ANNOTATIONS["test"] not in files:
        raise BadInput(
            f"{unpacked} has no {ANNOTATIONS['test']}, and the devkit's own test annotations have no classes: "
            "put that file beside the devkit."
        )
    rows = []
    for half, name in ANNOTATIONS.items():
        images = {path.name: path for path in files_below(unpacked) if path.parent.name.lower() == f"cars_{half}"}
        table = _read_annotations(files[name])
        refuse_missing([image for image, _ in table if image not in images], files[name], f"cars_{half}")
        for image, numbers in table:
            path = f"car_ims/{half}_{image}"
            rows.append((path, *numbers, int(half == "test")))
            yield path, images[image]
    yield "cars_annos.mat", _table(rows)


def _read_annotations(path: Path) -> list[tuple[str, list[int]]]:
    """File name of each image with its five `NUMBERS`: the bounding box in pixels and the class from 1."""
    try:
        rows = np.atleast_1d(read_mat(path, squeeze_me=True)["annotations"])
        return [(str(row["fname"]), [int(row[name]) for name in NUMBERS]) for row in rows]
    except Exception as error:  # a damaged file can make the reader raise anything
        raise BadInput(f"{path} can't be read as Stanford Cars' annotations ({error}): download it again.") from error


def _table(rows: list[tuple[object, ...]]) -> bytes:
    """The content of `cars_annos.mat` with these rows, each with the `FIELDS`."""
    file = BytesIO()
    savemat(file, {"annotations": np.array(rows, FIELDS)[None]})  # type: ignore[arg-type]  # a file object works too
    # The first 116 bytes are free text, where scipy writes the time. The same download must give the same bytes.
    return b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:]
