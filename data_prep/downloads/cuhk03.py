"""CUHK03 from its one original file, `cuhk-03.mat`, split by the new protocol's config file, to Market-1501's layout.

The original file has a group for each way of finding the boxes, `detected` and `labeled`: five pairs of cameras, in
each a row of ten images for every identity, the first five from one camera and the others from the other. The config
names an image `PAIR_IDENTITY_VIEW_NUMBER.png`, all counted from 1.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from data_prep.downloads.archives import Files, by_name
from scmlib.errors import BadInput

SPLITS = {"train_idx": "bounding_box_train", "query_idx": "query", "gallery_idx": "bounding_box_test"}

IMAGE = re.compile(r"([1-5])_(0*[1-9][0-9]*)_[12]_(0*[1-9][0-9]*)\.png")


def detected(unpacked: Path, dataset_root: Path) -> Files:
    """The images inside the boxes that a detector found; nothing where the source isn't of this form.

    Args:
        unpacked: what the download holds.
        dataset_root: not needed here.

    Raises:
        BadInput: one of the two files is missing or can't be read.
    """
    return _convert(unpacked, "detected")


def labeled(unpacked: Path, dataset_root: Path) -> Files:
    """The images inside the boxes that were drawn by hand; as `detected` for the rest."""
    return _convert(unpacked, "labeled")


def _convert(unpacked: Path, boxes: str) -> Files:
    config = f"cuhk03_new_protocol_config_{boxes}.mat"
    files = by_name(unpacked)
    there = [name for name in ("cuhk-03.mat", config) if name in files]
    if len(there) == 1:
        absent = config if there[0] == "cuhk-03.mat" else "cuhk-03.mat"
        raise BadInput(f"{unpacked} holds {there[0]} without {absent}: put both in one folder and give it as --source.")
    if there:
        plan = _read_config(files[config])
        try:
            with h5py.File(files["cuhk-03.mat"]) as file:
                pairs = [file[reference][()] for reference in np.ravel(file[boxes][()])]  # of references, (10, ids)
                for place, name, (pair, identity, number) in plan:
                    image = file[pairs[pair - 1][number - 1, identity - 1]][()]
                    if image.ndim != 3 or len(image) != 3:
                        raise ValueError(f"no image for {name}")  # an empty cell is stored as its shape, two numbers
                    yield f"{place}/{name}", _png(image.T)  # MATLAB's axes come in reverse: (3, W, H)
        except (OSError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"{files['cuhk-03.mat']} isn't CUHK03 as {config} splits it ({error}): get it anew."
            ) from error


def _read_config(path: Path) -> list[tuple[str, str, tuple[int, int, int]]]:
    """For each image its folder, its new name, and its camera pair, identity and number in the original file."""
    plan = []
    try:
        content = loadmat(path)
        names = [str(np.squeeze(name)) for name in content["filelist"].ravel()]
        labels, cameras = content["labels"].ravel(), content["camId"].ravel()
        for split, place in SPLITS.items():
            for i in content[split].ravel().astype(int) - 1:
                match = IMAGE.fullmatch(names[i])
                if not match or i < 0:
                    raise ValueError(f"'{names[i][:80]}' isn't PAIR_IDENTITY_VIEW_NUMBER.png")
                new = f"{int(labels[i]):04d}_c{int(cameras[i])}_{names[i]}"
                plan.append((place, new, (int(match[1]), int(match[2]), int(match[3]))))
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise BadInput(f"{path} can't be read as CUHK03's new protocol ({error}): get it anew.") from error
    return plan


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) as a PNG file's content."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(file, "png")
    return file.getvalue()
