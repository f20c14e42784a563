"""CUHK03: from the original file `cuhk-03.mat` and the new protocol's config file to Market-1501's layout.

The original file (Li, Zhao, Xiao and Wang, 2014: DeepReID: Deep Filter Pairing Neural Network for Person
Re-identification) has two groups, `detected` and `labeled`, one for each kind of bounding box. A group has five camera
pairs. A pair has ten images of each identity: the first five are from one camera, the other five from the other.

The new protocol (Zhong, Zheng, Cao and Li, 2017: Re-ranking Person Re-identification with k-reciprocal Encoding) splits
the identities. Its config file names an image `PAIR_IDENTITY_VIEW_NUMBER.png`; all four count from 1.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_prep.downloads.archives import Files
from data_prep.downloads.search import by_name
from scmlib.data.matlab import read_mat
from scmlib.errors import BadInput

SPLITS = {"train_idx": "bounding_box_train", "query_idx": "query", "gallery_idx": "bounding_box_test"}

IMAGE = re.compile(r"([1-5])_(0*[1-9][0-9]*)_[12]_(0*[1-9][0-9]*)\.png")


def detected(unpacked: Path, dataset_root: Path) -> Files:
    """Convert the images whose bounding boxes come from a person detector.

    Args:
        unpacked: the folder with the unpacked download.
        dataset_root: not used here; all converters take it.

    Returns:
        Each image's path in the layout and its content as PNG; nothing if neither of the two files is there.

    Raises:
        BadInput: only one of the two files is there, or one can't be read.
    """
    return _convert(unpacked, "detected")


def labeled(unpacked: Path, dataset_root: Path) -> Files:
    """Convert the images whose bounding boxes were drawn by hand. Everything else is as in `detected`."""
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
                pairs = [file[reference][()] for reference in np.ravel(file[boxes][()])]  # each (10, identities)
                for folder, name, (pair, identity, number) in plan:
                    image = file[pairs[pair - 1][number - 1, identity - 1]][()]
                    if image.ndim != 3 or len(image) != 3:
                        raise ValueError(f"no image for {name}")  # an empty cell is stored as its shape, two numbers
                    yield f"{folder}/{name}", _png(image.T)  # MATLAB stores the axes in reverse: (3, W, H)
        except (OSError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"{files['cuhk-03.mat']} isn't the CUHK03 that {config} splits ({error}): download both again."
            ) from error


def _read_config(path: Path) -> list[tuple[str, str, tuple[int, int, int]]]:
    """Read which images the protocol uses.

    Returns:
        For each image: its folder in the layout, its new name, and its (camera pair, identity, number) in the original
        file, each counted from 1.

    Raises:
        BadInput: the file can't be read, or an image name has another form.
    """
    plan = []
    try:
        content = read_mat(path)
        names = [str(np.squeeze(name)) for name in content["filelist"].ravel()]
        labels, cameras = content["labels"].ravel(), content["camId"].ravel()
        for split, folder in SPLITS.items():
            for i in content[split].ravel().astype(int) - 1:
                match = IMAGE.fullmatch(names[i])
                if not match or i < 0:
                    raise ValueError(f"'{names[i][:80]}' isn't PAIR_IDENTITY_VIEW_NUMBER.png")
                new = f"{int(labels[i]):04d}_c{int(cameras[i])}_{names[i]}"
                plan.append((folder, new, (int(match[1]), int(match[2]), int(match[3]))))
    except Exception as error:  # a damaged file can make the reader raise anything
        raise BadInput(f"{path} can't be read as CUHK03's new protocol ({error}): download it again.") from error
    return plan


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """The content of a PNG file with an image (H, W, 3)."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(file, "png")
    return file.getvalue()
