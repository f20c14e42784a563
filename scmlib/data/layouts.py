"""Known data sets as data: folders, splits, published counts, protocol, framing.

The synthetic world, the twelve data sets of the paper, and three benchmarks of occluded and partial pictures, which are
for testing alone: models that are tested on them are trained elsewhere, on Market-1501 in the papers.

Lesson: notebooks/A1_data_sets_and_own_pictures.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from scmlib.data.readers import (
    ABSENT,
    Classes,
    IdentityFolders,
    ListedImages,
    MarketFolder,
    NumberedFiles,
    Split,
    bird_table,
    car_table,
)
from scmlib.errors import BadInput


class Count(NamedTuple):
    """Published size of a split; None where it isn't given."""

    images: int
    identities: int | None = None


@dataclass(frozen=True)
class Layout:
    """A data set's folder below the data root, its splits, its protocol and how its images are framed."""

    folder: str
    train: Split
    query: Split
    gallery: Split
    published: dict[str, Count]
    # ranking: query against gallery. draws: one image of each identity drawn as gallery. retrieval: every test image
    # against all others.
    protocol: Literal["ranking", "draws", "retrieval"] = "ranking"
    camera_rule: bool = True  # gallery images of the query's own identity and camera don't count
    restarts: bool = False  # the test identities are numbered anew: the same number is another person
    margin: int = 0  # resized to so many pixels more, then cropped: at random for training, from the centre for testing
    pad: int = 8  # symmetric padding before the random crop of training
    satellite: str = ""  # a view with one image an identity in a batch, turned by any angle in training
    # A table's own texts, where they aren't numbers: a record's identity or camera is the position of its text.
    identity_names: tuple[str, ...] = ()
    camera_names: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Folders and files that must be there, below the data set's own."""
        return tuple(dict.fromkeys(place for split in (self.train, self.query, self.gallery) for place in split.needs))

    @property
    def test_only(self) -> bool:
        """Whether there is no training split."""
        return self.train is ABSENT

    def identity_name(self, identity: int) -> str:
        """A record's identity as people write it."""
        return self.identity_names[identity] if self.identity_names else str(identity)


def _counts(train: tuple[int, int], query: tuple[int, int], gallery: int | None = None) -> dict[str, Count]:
    counts = {"train": Count(*train), "query": Count(*query)}
    return counts | ({"gallery": Count(gallery)} if gallery else {})


def _market(folder: str, counts: dict[str, Count], *, restarts: bool = False) -> Layout:
    train, query, gallery = (MarketFolder(place) for place in ("bounding_box_train", "query", "bounding_box_test"))
    return Layout(folder, train, query, gallery, counts, restarts=restarts)


def _classes(
    folder: str, table: Callable[[Path], list[tuple[str, int]]], needs: tuple[str, ...], counts: dict[str, Count]
) -> Layout:
    half = counts["train"].identities or 0
    train, test = Classes(needs, table, 1, half), Classes(needs, table, half + 1, 2 * half)
    return Layout(folder, train, test, test, counts, "retrieval", camera_rule=False, margin=32)


VEHICLEID = Layout(
    "VehicleID_V1.0",
    ListedImages("train_test_split/train_list.txt"),
    ListedImages("train_test_split/test_list_800.txt"),
    ListedImages("train_test_split/test_list_800.txt"),
    _counts((113_346, 13_164), (6_532, 800), 800),
    "draws",
    camera_rule=False,
)

UNIVERSITY = Layout(
    "University-Release",
    IdentityFolders(("train/satellite", "train/drone")),
    IdentityFolders(("test/query_satellite",)),
    IdentityFolders(("test/gallery_drone",)),
    _counts((38_555, 701), (701, 701), 51_355),
    camera_rule=False,
    pad=12,
    satellite="satellite",
)


def _test_only(folder: str, query: Split, gallery: Split, images: int, identities: int) -> Layout:
    published = dict.fromkeys(("query", "gallery"), Count(images, identities))
    return Layout(folder, ABSENT, query, gallery, published, camera_rule=False)


PARTIAL_REID = _test_only(
    "Partial-REID_Dataset",
    NumberedFiles("occluded_body_images"),
    NumberedFiles("whole_body_images"),
    300,
    60,
)

LAYOUTS = {
    "synthetic": _market("Synthetic-Pedestrians", {}),
    "market1501": _market("Market-1501-v15.09.15", _counts((12_936, 751), (3_368, 750), 15_913)),
    "dukemtmc": _market("DukeMTMC-reID", _counts((16_522, 702), (2_228, 702), 17_661)),
    "occluded_duke": _market("Occluded_Duke", _counts((15_618, 702), (2_210, 519), 17_661)),
    "p_dukemtmc": Layout(
        "P-DukeMTMC-reid",
        IdentityFolders(("train/occluded_body_images", "train/whole_body_images")),
        IdentityFolders(("test/occluded_body_images",)),
        IdentityFolders(("test/whole_body_images",)),
        _counts((12_927, 665), (2_163, 634), 9_053),
        camera_rule=False,
    ),
    "msmt17": _market("MSMT17", _counts((32_621, 1_041), (11_659, 3_060), 82_161), restarts=True),
    "npdetected": _market("cuhk03-np/detected", _counts((7_365, 767), (1_400, 700), 5_332)),
    "nplabeled": _market("cuhk03-np/labeled", _counts((7_368, 767), (1_400, 700), 5_328)),
    "veri776": Layout(
        "VeRi",
        MarketFolder("image_train"),
        MarketFolder("image_query"),
        MarketFolder("image_test"),
        _counts((37_778, 576), (1_678, 200), 11_579),
    ),
    "vehicleid": VEHICLEID,
    "car196": _classes("CARS", car_table, ("cars_annos.mat", "car_ims"), _counts((8_054, 98), (8_131, 98))),
    "cub200": _classes(
        "CUB_200_2011",
        bird_table,
        ("images.txt", "image_class_labels.txt", "images"),
        _counts((5_864, 100), (5_924, 100)),
    ),
    "university1652": UNIVERSITY,
    "occluded_reid": _test_only(
        "Occluded_REID",
        IdentityFolders(("occluded_body_images",)),
        IdentityFolders(("whole_body_images",)),
        1_000,
        200,
    ),
    "partial_reid": PARTIAL_REID,
    "partial_ilids": _test_only("Partial_iLIDS", NumberedFiles("Probe"), NumberedFiles("Gallery"), 119, 119),
}

# Other protocols on the same files.
PROTOCOLS = {
    "university1652:drone": replace(
        UNIVERSITY,
        query=IdentityFolders(("test/query_drone",)),
        gallery=IdentityFolders(("test/gallery_satellite",)),
        published=_counts((38_555, 701), (37_855, 701), 951),
    ),
    "partial_reid:partial": replace(PARTIAL_REID, query=NumberedFiles("partial_body_images")),
    **{
        f"vehicleid:{size}": replace(
            VEHICLEID,
            query=ListedImages(f"train_test_split/test_list_{size}.txt"),
            gallery=ListedImages(f"train_test_split/test_list_{size}.txt"),
            published={"train": Count(113_346, 13_164)},
        )
        for size in (1600, 2400)
    },
}


def layout_of(name: str) -> Layout:
    """The layout of a known data set, or of another protocol on its files (`university1652:drone`, `vehicleid:1600`).

    Raises:
        BadInput: an unknown name.
    """
    layouts = LAYOUTS | PROTOCOLS
    if name not in layouts:
        raise BadInput(f"Unknown data set '{name}': choose one of {', '.join(layouts)}.")
    return layouts[name]
