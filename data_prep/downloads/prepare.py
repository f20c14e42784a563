"""From a download to the layout that `scmlib.layouts` says, checked before it appears: all of it or nothing."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tqdm.auto import tqdm

from data_prep.downloads import cuhk03, msmt17, occluded_duke, stanford_cars
from data_prep.downloads.archives import Files, folders_in, holders, lacking, link_folder, lookup, put, unpack
from scmlib.data.datasets import dataset_folder, open_dataset
from scmlib.data.layouts import LAYOUTS, layout_of
from scmlib.errors import BadInput


class Source(NamedTuple):
    """Where a data set may be had, and what to do if it comes in another form than its layout."""

    terms: str
    # Unpacked source and data root, to the files of the layout; none where the source is of yet another form.
    convert: Callable[[Path, Path], Files] | None = None
    # Where these lists are, folders in the layout are the split that they replace.
    lists: tuple[str, ...] = ()


WITHDRAWN = (
    "DukeMTMC was withdrawn by its authors in 2019 over the consent of the people in it, and with it the data sets "
    "made from it: only for those who hold it lawfully, to check published figures."
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
        "By request from its authors (Wei and others, 2018), under a signed agreement, for academic research.",
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
    """Bring a data set from a download to its layout below the data root, and return its folder.

    All or nothing: the folder appears, by one renaming, after `open_dataset` could read it. A folder that is already
    there and can be read is left as it is. The source is never changed; a folder's files are linked where the disk
    allows it, so that they take no room. What a run that was killed left behind, the next one removes.

    Args:
        name: a key of `SOURCES`.
        source: a zip or a tar archive, or a folder.
        dataset_root: the folder that holds the data sets' folders; made where it doesn't exist.
        progress: whether to show bars.

    Raises:
        BadInput: an unknown name, a source that is missing, can't be unpacked or isn't this data set, a folder of its
            name that isn't in the layout, no room on the disk.
    """
    if name not in SOURCES:
        raise BadInput(f"'{name}' isn't made from a download: choose one of {', '.join(SOURCES)}.")
    source, root = Path(source), Path(dataset_root)
    final, partial = dataset_folder(name, root), root / f".prepare-{name}.partial"
    if _is_there(name, root):
        return final
    if not source.exists():
        raise BadInput(f"{source} is missing: give --source the archive that you hold, or the folder it unpacks to.")
    if source.resolve().is_relative_to(partial.resolve()):
        raise BadInput(
            f"{source} lies in what a run that was killed left behind: give the download itself as --source."
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
            final.rmdir()  # it's empty
        arranged.rename(final)
    except BadInput as error:
        raise BadInput(str(error).replace(str(unpacked), str(source))) from error
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        where = f" ({error.filename})" if error.filename else ""
        raise BadInput(f"{source} can't be brought to {final}: {reason}{where}; mend that and try again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _is_there(name: str, root: Path) -> bool:
    """Whether the data set is there already; a folder of its name that can't be read as such is an error."""
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
    """Find the data set in what was unpacked, or convert it, and move it to where `_check` reads it."""
    layout, source = layout_of(name), SOURCES[name]
    arranged = dataset_folder(name, unpacked.parents[1])
    arranged.parent.mkdir(parents=True, exist_ok=True)
    resplit = bool(source.lists) and bool(holders(unpacked, source.lists))
    found = None if resplit else _choose(name, holders(unpacked, layout.needs))
    if found:
        for place in layout.needs:
            _put_right(found, place)
        found.rename(arranged)
    elif not (source.convert and _write(source.convert(unpacked, root), arranged, progress)):
        raise BadInput(_misfit(name, unpacked))
    return arranged


def _choose(name: str, fits: list[Path]) -> Path | None:
    """The one folder that is the data set: by its own name, else by no other data set's."""
    own = Path(layout_of(name).folder).name.lower()
    others = {Path(layout.folder).name.lower() for layout in LAYOUTS.values()} - {own}
    named = [folder for folder in fits if folder.name.lower() == own]
    fits = named or [folder for folder in fits if folder.name.lower() not in others]
    if len(fits) > 1:
        raise BadInput(
            f"Several folders could be {name}: {', '.join(map(str, fits))}; give one of them alone as --source."
        )
    return fits[0] if fits else None


def _put_right(folder: Path, place: str) -> None:
    """Give a place below a folder the letter case of the layout."""
    for part in place.split("/"):
        found = lookup(folder, part)
        assert found
        folder = found.rename(folder / part)


def _write(files: Files, folder: Path, progress: bool) -> bool:
    """Make the files that a converter yields; returns whether there were any."""
    made = 0
    for place, content in tqdm(files, desc="arranging", unit="file", disable=not progress):
        target = folder / place
        if target.exists():
            raise BadInput(f"Two images of the source have the name {place}: its lists don't fit, download it again.")
        put(content, target)
        made += 1
    return made > 0


def _misfit(name: str, unpacked: Path) -> str:
    """Why nothing in a source is the data set, said of the folder that comes closest."""
    needs = layout_of(name).needs
    # The first of the best: the one nearest to the top, so long as the folders are sorted.
    best = min(folders_in(unpacked), key=lambda folder: len(lacking(folder, needs)))
    if not lacking(best, needs):
        return f"{best} is by its name another data set than {name}: rename it if it is {name} all the same."
    there = sorted(best.iterdir())
    while len(there) == 1 and there[0].is_dir():  # a folder with nothing beside it says nothing
        best, there = there[0], sorted(there[0].iterdir())
    found = ", ".join(path.name for path in there[:8]) + (", ..." if len(there) > 8 else "")
    missing = ", ".join(lacking(best, needs))
    return f"{best} isn't {name}: {missing} missing, found {found or 'nothing'}; give all of it as one folder."


def _check(name: str, partial: Path, source: Path) -> None:
    """Read what was arranged as it will be read."""
    try:
        open_dataset(name, partial)
    except BadInput as error:
        found = str(error).replace(f"{partial}{os.sep}", "")
        raise BadInput(f"{source} can't be used as {name}: {found}") from error
