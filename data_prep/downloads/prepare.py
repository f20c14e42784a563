"""A data set from a download: found or converted, checked, and put below the data root. All of it or nothing.

The layouts are those of `scmlib.data.layouts`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from data_prep.downloads import cuhk03, msmt17, occluded_duke, stanford_cars
from data_prep.downloads.archives import Files, link_folder, put, unpack
from data_prep.downloads.search import folders_in, holders, lacking, lookup
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.data.layouts import LAYOUTS, layout_of
from scmlib.errors import BadInput


class Source(NamedTuple):
    """Where to get a data set, and how to convert it if the download doesn't have its layout."""

    terms: str
    # Takes the unpacked download and the data root, yields the files of the layout; none if it can't read the download.
    convert: Callable[[Path, Path], Files] | None = None
    # If a download has these lists, they give the split; folders that already have the layout are the old split.
    lists: tuple[str, ...] = ()


WITHDRAWN = (
    "DukeMTMC was taken down in 2019, after press reports that filming and release went beyond what the university's "
    "ethics board had approved, and with it the data sets made from it: only for those who hold it lawfully, to check "
    "published figures."
)

CUHK03 = (
    "CUHK03 from its authors (Li and others, 2014), by a request form, for academic research; with the new protocol "
    "(Zhong and others, 2017) either as a zip in this layout, or as cuhk-03.mat beside the protocol's config files."
)

SOURCES = {
    "market1501": Source("From its authors' project page (Zheng and others, 2015), for academic research."),
    "dukemtmc": Source(WITHDRAWN),
    "occluded_duke": Source(
        f"Its authors (Miao and others, 2019) publish three lists, which split DukeMTMC-reID anew. {WITHDRAWN}",
        occluded_duke.convert,
        tuple(occluded_duke.LISTS),
    ),
    "p_dukemtmc": Source(f"Images of DukeMTMC-reID, chosen and sorted by Zhuo and others (2018). {WITHDRAWN}"),
    "msmt17": Source(
        "By request from its authors (Wei and others, 2018), under a signed agreement, for academic research. Two "
        "versions exist, the second with faces blurred: write down which one you have.",
        msmt17.convert,
    ),
    "npdetected": Source(CUHK03, cuhk03.detected),
    "nplabeled": Source(CUHK03, cuhk03.labeled),
    "veri776": Source("By request from its authors (Liu and others, 2016), for non-commercial research."),
    "vehicleid": Source(
        "PKU VehicleID, by request from its authors at Peking University (Liu and others, 2016), for academic research."
    ),
    "car196": Source(
        "Made at Stanford (Krause and others, 2013), for research; its authors' page is no longer kept up, and copies "
        "come in two forms: cars_annos.mat with car_ims/, or cars_train/, cars_test/ and devkit/.",
        stanford_cars.convert,
    ),
    "cub200": Source(
        "Openly from Caltech's data archive (Wah and others, 2011), for non-commercial research and education; the "
        "images belong to their photographers."
    ),
    "university1652": Source("By request from its authors (Zheng and others, 2020), for academic research."),
    "occluded_reid": Source(
        "From its authors' project page (Zhuo and others, Occluded Person Re-identification, 2018), for non-commercial "
        "research."
    ),
    "partial_reid": Source(
        "From its authors at Sun Yat-sen University (Zheng and others, Partial Person Re-identification, 2015), for "
        "non-commercial research."
    ),
    "partial_ilids": Source(
        "Made from the i-LIDS pictures of 119 people by cropping (Zheng and others, 2015; He and others, Deep Spatial "
        "Feature Reconstruction for Partial Person Re-identification, 2018), for research; i-LIDS itself belongs to "
        "the UK Home Office, whose terms hold."
    ),
}


def prepare(name: str, source: str | Path, dataset_root: str | Path, *, progress: bool = True) -> Path:
    """Bring a data set from a download to its layout below the data root.

    All or nothing: the folder is renamed to its final name only after `open_dataset` could read it. A folder that is
    already there and can be read is left as it is. The source is never changed. Files of a source folder are
    hard-linked where the disk allows it, so that they take no extra space. If a run is killed, the next one removes
    what it left behind.

    Args:
        name: a key of `SOURCES`.
        source: a zip or a tar archive, or a folder.
        dataset_root: the folder that holds the data sets' folders; made where it doesn't exist.
        progress: whether to show bars.

    Returns:
        The data set's folder.

    Raises:
        BadInput: the name is unknown; the source is missing, can't be unpacked or isn't this data set; a folder with
            the data set's name exists in another layout; a file can't be read or written; or the disk has no room.
    """
    if name not in SOURCES:
        raise BadInput(f"'{name}' isn't a data set that comes as a download: choose one of {', '.join(SOURCES)}.")
    source, root = Path(source), Path(dataset_root)
    final, partial = dataset_folder(name, root), root / f".prepare-{name}.partial"
    if _is_there(name, root):
        return final
    if not source.exists():
        raise BadInput(f"{source} is missing: give --source the archive that you have, or the folder it unpacks to.")
    if source.resolve().is_relative_to(partial.resolve()):
        raise BadInput(
            f"{source} is in a folder that an interrupted run left behind: give the download itself as --source."
        )
    unpacked = partial / "unpacked" / (source.resolve().name if source.is_dir() else source.stem)
    try:
        if partial.exists():
            shutil.rmtree(partial)
        unpacked.mkdir(parents=True)
        (link_folder if source.is_dir() else unpack)(source, unpacked, progress=progress)
        arranged = _arrange(name, unpacked, root, progress)
        _check(name, partial, source)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            final.rmdir()  # `_is_there` found it empty
        arranged.rename(final)
    except BadInput as error:
        raise BadInput(str(error).replace(str(unpacked), str(source))) from error
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        where = f" ({error.filename})" if error.filename else ""
        raise BadInput(f"{source} can't be prepared in {final}: {reason}{where}; solve this and try again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _is_there(name: str, root: Path) -> bool:
    """Whether the data set is already there.

    Raises:
        BadInput: a folder with its name exists, but can't be read as this data set.
    """
    folder = dataset_folder(name, root)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        open_dataset(name, root)
    except BadInput as error:
        raise BadInput(
            f"{folder} exists, but isn't in the layout of {name}: rename it and give it as --source ({error})"
        ) from error
    return True


def _arrange(name: str, unpacked: Path, root: Path, progress: bool) -> Path:
    """Find the data set in the unpacked download, or convert it, and move it to where `_check` reads it.

    Raises:
        BadInput: the download isn't this data set, or only a part of it.
    """
    layout, source = layout_of(name), SOURCES[name]
    arranged = dataset_folder(name, unpacked.parents[1])
    arranged.parent.mkdir(parents=True, exist_ok=True)
    resplit = bool(source.lists) and bool(holders(unpacked, source.lists))
    found = None if resplit else _choose(name, holders(unpacked, layout.needs))
    if found:
        for path in layout.needs:
            _correct_case(found, path)
        found.rename(arranged)
    elif not (source.convert and _write(source.convert(unpacked, root), arranged, progress)):
        raise BadInput(_misfit(name, unpacked))
    return arranged


def _choose(name: str, fits: list[Path]) -> Path | None:
    """Choose the folder of the data set: the one with its name, else one that has no other data set's name.

    Args:
        name: of the data set.
        fits: the folders that have everything the layout needs.

    Raises:
        BadInput: more than one is left.
    """
    own = Path(layout_of(name).folder).name.lower()
    others = {Path(layout.folder).name.lower() for layout in LAYOUTS.values()} - {own}
    named = [folder for folder in fits if folder.name.lower() == own]
    fits = named or [folder for folder in fits if folder.name.lower() not in others]
    if len(fits) > 1:
        raise BadInput(
            f"Several folders could be {name}: {', '.join(map(str, fits))}; give one of them alone as --source."
        )
    return fits[0] if fits else None


def _correct_case(folder: Path, path: str) -> None:
    """Rename the parts of a path below a folder to the layout's letter case."""
    for part in path.split("/"):
        found = lookup(folder, part)
        assert found
        folder = found.rename(folder / part)


def _write(files: Files, folder: Path, progress: bool) -> bool:
    """Create the files that a converter yields.

    Returns:
        Whether there were any.

    Raises:
        BadInput: two files have the same path.
    """
    made = 0
    for path, content in tqdm(files, desc="arranging", unit="file", disable=not progress):
        target = folder / path
        if target.exists():
            raise BadInput(
                f"Two images of the source would get the name {path}: its lists are wrong, download it again."
            )
        put(content, target)
        made += 1
    return made > 0


def _misfit(name: str, unpacked: Path) -> str:
    """The message for a source that isn't the data set: what the closest folder lacks, and what it holds."""
    needs = layout_of(name).needs
    # `min` takes the first of equals. The folders are sorted, so that a folder comes before those inside it.
    best = min(folders_in(unpacked), key=lambda folder: len(lacking(folder, needs)))
    if not lacking(best, needs):
        return f"{best} has the name of another data set than {name}: rename it if it is {name}."
    there = sorted(best.iterdir())
    while len(there) == 1 and there[0].is_dir():  # a single folder tells nothing: look inside
        best, there = there[0], sorted(there[0].iterdir())
    found = ", ".join(path.name for path in there[:8]) + (", ..." if len(there) > 8 else "")
    missing = ", ".join(lacking(best, needs))
    return f"{best} isn't {name}: {missing} missing, found {found or 'nothing'}; give the whole data set as one folder."


def _check(name: str, partial: Path, source: Path) -> None:
    """Open the arranged data set as it will be opened later.

    Raises:
        BadInput: it can't be read.
    """
    try:
        open_dataset(name, partial)
    except BadInput as error:
        found = str(error).replace(f"{partial}{os.sep}", "")
        raise BadInput(f"{source} can't be used as {name}: {found}") from error
