"""Small trees of the known data sets, in their layouts and as they are downloaded, with what a reader must find."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from scmlib.data.datasets import ReidDataset
from scmlib.data.records import Record

FOLDERS = {
    "market1501": "Market-1501-v15.09.15",
    "dukemtmc": "DukeMTMC-reID",
    "occluded_duke": "Occluded_Duke",
    "p_dukemtmc": "P-DukeMTMC-reid",
    "msmt17": "MSMT17",
    "npdetected": "cuhk03-np/detected",
    "nplabeled": "cuhk03-np/labeled",
    "veri776": "VeRi",
    "vehicleid": "VehicleID_V1.0",
    "car196": "CARS",
    "cub200": "CUB_200_2011",
    "university1652": "University-Release",
}
NAMES = tuple(FOLDERS)

TEST_FOLDERS = {
    "occluded_reid": "Occluded_REID",
    "partial_reid": "Partial-REID_Dataset",
    "partial_ilids": "Partial_iLIDS",
}
TEST_ONLY = tuple(TEST_FOLDERS)


class Row(NamedTuple):
    """An image that a reader must find."""

    path: str  # below the data set's folder
    identity: int
    camera: int | None  # None where the data set has no camera rule


# train, query and gallery; train and test where query and gallery are one list or are drawn from one.
Expected = dict[str, list[Row]]


@dataclass
class Tree:
    """Files by their paths, a path with a slash at its end being an empty folder, and what they mean."""

    size: tuple[int, int]  # width and height of an image
    files: dict[str, bytes] = field(default_factory=dict)
    rows: Expected = field(default_factory=dict)

    def add(self, split: str, path: str, identity: int, camera: int | None = None) -> None:
        """An image, and that it's expected in a split."""
        self.draw(path, identity)
        self.rows.setdefault(split, []).append(Row(path, identity, camera))

    def draw(self, path: str, identity: int) -> None:
        """An image of the identity's colour, with noise of its own."""
        colour = np.random.default_rng(identity + 1).integers(40, 215, 3)
        noise = np.random.default_rng(zlib.crc32(path.encode())).integers(-40, 41, (self.size[1], self.size[0], 3))
        file = io.BytesIO()
        kind = {"jpg": "jpeg", "tif": "tiff"}.get(path.rpartition(".")[2].lower(), path.rpartition(".")[2])
        Image.fromarray((colour + noise).astype(np.uint8)).save(file, kind)
        self.files[path] = file.getvalue()

    def write(self, folder: Path) -> None:
        """All files below a folder."""
        write_files(self.files, folder)


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Files by their paths."""
    for path, content in files.items():
        target = folder / path
        (target if path.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            target.write_bytes(content)


# ---- in their layouts


class Names(NamedTuple):
    """How a data set in Market-1501's layout names its files."""

    stem: Callable[[int, int, int], str]  # identity, camera, count
    cameras: tuple[int, int]
    train: tuple[int, ...] = (2, 7, 11, 30)
    test: tuple[int, ...] = (1, 5, 9)
    places: tuple[str, str, str] = ("bounding_box_train", "query", "bounding_box_test")
    suffix: str = ".jpg"


def _cuhk03_stem(who: int, camera: int, count: int) -> str:
    return f"{who:04d}_c{camera}_{1 + who % 2}_{1 + who // 2:03d}_{camera}_{count + 1 + 5 * (camera == 2):02d}"


CUHK03 = Names(_cuhk03_stem, (1, 2), suffix=".png")
DUKE = Names(lambda who, camera, count: f"{who:04d}_c{camera}_f{count + 46182:07d}", (2, 8))
MARKET = {
    # identity 7 is in both halves
    "market1501": Names(lambda who, camera, n: f"{who:04d}_c{camera}s1_{n + 1:06d}_00", (1, 6), test=(1, 5, 7)),
    "dukemtmc": DUKE,
    "occluded_duke": DUKE,
    "msmt17": Names(
        lambda who, camera, n: f"{who:04d}_c{camera:02d}_{n:03d}_0303morning_{n + 8:04d}_0",
        (1, 15),
        train=(0, 1, 2, 3),
        test=(0, 1, 2),  # other people than those for training, numbered anew
    ),
    "npdetected": CUHK03,
    "nplabeled": CUHK03,
    "veri776": Names(
        lambda who, camera, n: f"{who:04d}_c{camera:03d}_{n + 16450:08d}_0",
        (2, 20),
        places=("image_train", "image_query", "image_test"),
    ),
}


def _market(name: str, tree: Tree, scale: int) -> None:
    names = MARKET[name]
    train, query, gallery = names.places
    one, other = names.cameras
    suffixes = [".jpg", ".JPG", ".png", ".tif"] if name == "market1501" else [names.suffix]
    for k, who in enumerate(names.train * scale):
        who += k // len(names.train) * 100
        for i in range(4 * scale):
            camera, suffix = names.cameras[i % 2], suffixes[i % len(suffixes)]
            tree.add("train", f"{train}/{names.stem(who, camera, i // 2)}{suffix}", who, camera)
    for k, who in enumerate(names.test * scale):
        who += k // len(names.test) * 100
        for camera in names.cameras:
            tree.add("query", f"{query}/{names.stem(who, camera, 0)}{names.suffix}", who, camera)
        for camera, count in ((one, 1), (other, 1), (other, 2)):
            tree.add("gallery", f"{gallery}/{names.stem(who, camera, count)}{names.suffix}", who, camera)
    if name == "market1501":
        tree.draw(f"{gallery}/-1_c1s1_000099_00.jpg", -1)
        tree.add("gallery", f"{gallery}/0000_c3s1_000098_00.jpg", 0, 3)
    tree.files |= {f"{train}/Thumbs.db": b"windows", f"{gallery}/readme.txt": b"hello"}


def _p_dukemtmc(name: str, tree: Tree, scale: int) -> None:
    for who in range(1, 4 * scale + 1):
        for kind in ("occluded", "whole"):
            for i in range(2 * scale):
                tree.add("train", f"train/{kind}_body_images/{who:04d}/{who:04d}_c{i + 1}_{kind[0]}{i}.jpg", who)
    for who in range(51, 3 * scale + 51):
        for split, kind, count in (("query", "occluded", 1), ("gallery", "whole", 2)):
            for i in range(count):
                tree.add(split, f"test/{kind}_body_images/{who:04d}/{who:04d}_c{i + 1}_{kind[0]}{i}.JPG", who)
    tree.files |= {"train/whole_body_images/0099/": b"", "test/whole_body_images/0098/Thumbs.db": b"windows"}


def _vehicleid(name: str, tree: Tree, scale: int) -> None:
    lists: dict[str, list[str]] = {}

    def vehicle(identity: int, files: list[str], count: int) -> None:
        for _ in range(count):
            number = f"{100 - len(tree.files):07d}" if len(tree.files) < 100 else f"{len(tree.files):07d}"
            tree.draw(f"image/{number}.jpg", identity)
            for split in files:
                listing = "train_list" if split == "train" else f"test_list_{split.partition(':')[2] or 800}"
                tree.rows.setdefault(split, []).append(Row(f"image/{number}.jpg", identity, None))
                lists.setdefault(listing, []).append(f"{number} {identity}\n")

    for identity in range(10, 10 + 4 * scale):
        vehicle(identity, ["train"], 4 * scale)
    for identity in range(500, 500 + 3 * scale):
        vehicle(identity, ["test", "test:1600", "test:2400"], 3)
    vehicle(900, ["test:1600", "test:2400"], 2)
    vehicle(901, ["test:2400"], 2)
    for listing, content in lists.items():
        tree.files[f"train_test_split/{listing}.txt"] = "".join(content).encode()
    tree.files["image/Thumbs.db"] = b"windows"


def _classes(train: Iterable[int], test: Iterable[int], scale: int) -> list[tuple[str, int]]:
    """Split and class of each image."""
    return [
        (split, number)
        for split, numbers in (("train", train), ("test", test))
        for number in numbers
        for _ in range(4 * scale)
    ]


BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


def car_table(rows: list[tuple[Any, ...]], *fields: str) -> bytes:
    """A .mat file of Stanford's form: `annotations`, a 1 x N struct array."""
    file = io.BytesIO()
    table = np.array(rows, np.dtype([(name, object) for name in fields]))
    savemat(file, {"annotations": table[None]})  # type: ignore[arg-type]  # a file object will do
    return file.getvalue()


def _car196(name: str, tree: Tree, scale: int) -> None:
    table: list[tuple[Any, ...]] = []
    for i, (split, number) in enumerate(_classes((98, 1, 50, 2), (196, 99, 150), scale), 1):
        path = f"car_ims/{i:06d}.jpg" if i != 3 else "car_ims/a car 000003.JPG"
        tree.add(split, path, number)
        table.append((path, 2, 3, 12, 24, number, i % 2))
    tree.files["cars_annos.mat"] = car_table(table, "relative_im_path", *BOX, "class", "test")


def _cub200(name: str, tree: Tree, scale: int) -> None:
    paths, classes = "", ""
    for i, (split, number) in enumerate(_classes((1, 2, 50, 100), (101, 150, 200), scale), 1):
        kind = "001.Black footed_Albatross" if number == 1 else f"{number:03d}.Bird"
        path = f"{kind}/{kind[4:]}_{i:04d}.jpg"
        tree.add(split, f"images/{path}", number)
        paths, classes = f"{paths}{i} {path}\n", f"{i} {number}\n{classes}"  # joined by number, not by line
    tree.files |= {"images.txt": paths.encode(), "image_class_labels.txt": classes.encode(), "README": b"hello"}


def _university1652(name: str, tree: Tree, scale: int) -> None:
    for who in range(3, 3 + 4 * scale):
        tree.add("train", f"train/satellite/{who:04d}/{who:04d}.jpg", who)
        for i in range(1, 3 * scale + 1):
            tree.add("train", f"train/drone/{who:04d}/image-{i:02d}.jpeg", who)
        tree.draw(f"train/street/{who:04d}/1.jpg", who)
    for who in range(842, 842 + 3 * scale):
        for split, place in (("query", "query_satellite"), ("gallery:drone", "gallery_satellite")):
            tree.add(split, f"test/{place}/{who:04d}/{who:04d}.jpg", who)
        for split, place in (("gallery", "gallery_drone"), ("query:drone", "query_drone")):
            for i in (1, 2):
                tree.add(split, f"test/{place}/{who:04d}/image-{i:02d}.jpeg", who)
    tree.add("gallery:drone", "test/gallery_satellite/0900/0900.jpg", 900)  # in no other split, as 250 of the real ones
    tree.files["test/gallery_drone/0901/"] = b""


def _occluded_reid(name: str, tree: Tree, scale: int) -> None:
    for who in range(1, 3 * scale + 1):
        for split, kind in (("query", "occluded"), ("gallery", "whole")):
            for i in (1, 2):
                tree.add(split, f"{kind}_body_images/{who:03d}/{who:03d}_{i:02d}.tif", who)


def _partial_reid(name: str, tree: Tree, scale: int) -> None:
    for who in range(1, 3 * scale + 1):
        kinds = {"query": "occluded", "query:partial": "partial", "gallery": "whole"}
        for split, kind in kinds.items():
            for i in (1, 2):
                tree.add(split, f"{kind}_body_images/{who:03d}_{i:03d}.jpg", who)
    tree.files["whole_body_images/Thumbs.db"] = b"windows"


def _partial_ilids(name: str, tree: Tree, scale: int) -> None:
    for who in range(1, 3 * scale + 1):
        for split, place in (("query", "Probe"), ("gallery", "Gallery")):
            tree.add(split, f"{place}/{who:03d}.jpg", who)


BUILDERS = {
    **dict.fromkeys(MARKET, _market),
    "p_dukemtmc": _p_dukemtmc,
    "vehicleid": _vehicleid,
    "car196": _car196,
    "cub200": _cub200,
    "university1652": _university1652,
    "occluded_reid": _occluded_reid,
    "partial_reid": _partial_reid,
    "partial_ilids": _partial_ilids,
}


def build(name: str, *, small: bool = True) -> Tree:
    """The files of a data set in its layout, below its own folder; twice as many identities and images if not small."""
    tree = Tree((16, 32) if small else (32, 64))
    base, _, variant = name.partition(":")
    BUILDERS[base](base, tree, 1 if small else 2)
    splits = [split for split in tree.rows if ":" not in split]
    tree.rows = {split: sort_rows(tree.rows.get(f"{split}:{variant}", tree.rows[split])) for split in splits}
    return tree


def sort_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows by path, folder by folder."""
    return sorted(rows, key=lambda row: row.path.split("/"))


def write_tree(name: str, root: Path, *, small: bool = True) -> Expected:
    """Write a data set (or a variant, `vehicleid:1600`) below a data root; returns what a reader must find."""
    tree = build(name, small=small)
    tree.write(root / (FOLDERS | TEST_FOLDERS)[name.partition(":")[0]])
    return tree.rows


def found(data: ReidDataset) -> Expected:
    """What a reader did find, in the same form."""

    def rows(records: list[Record]) -> list[Row]:
        rule = data.layout.camera_rule
        return [Row(r.path.relative_to(data.root).as_posix(), r.identity, r.camera if rule else None) for r in records]

    if data.layout.protocol == "draws":
        return {"train": rows(data.train), "test": sort_rows(rows(data.query + data.gallery))}
    if data.layout.protocol == "retrieval":
        assert data.query is data.gallery
        return {"train": rows(data.train), "test": rows(data.query)}
    return {split: rows(records) for split, records in data.splits.items()}


# ---- as they are downloaded


def build_download(name: str, *, small: bool = True) -> tuple[dict[str, bytes], Tree]:
    """The files of a download, and the tree that it leads to."""
    tree = build(name, small=small)
    if name == "msmt17":
        return _msmt17_download(tree), tree
    if name == "occluded_duke":
        return _occluded_duke_download(tree), tree
    if name in ("npdetected", "nplabeled"):
        boxes = name.removeprefix("np")
        both = {"detected": build("npdetected", small=small), "labeled": build("nplabeled", small=small)}
        return {"cuhk-03.mat": _cuhk03_mat(both), **_cuhk03_config(boxes, both[boxes])}, tree
    if name == "car196":
        return _car196_download(tree)
    return {f"release/another name/{path}": content for path, content in tree.files.items()}, tree


def write_download(name: str, folder: Path, *, small: bool = True) -> Expected:
    """Write a data set as it's downloaded; returns what a reader must find after it was prepared."""
    files, tree = build_download(name, small=small)
    write_files(files, folder)
    return tree.rows


def _msmt17_download(tree: Tree) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    lists = dict.fromkeys(("train", "val", "query", "gallery"), "")
    for split, rows in tree.rows.items():
        for i, row in enumerate(rows):
            who, camera, index, rest = Path(row.path).name.split("_", 3)
            path = f"{who}/{who}_{index}_{camera[1:]}_{rest}"
            files[f"MSMT17_V1/{'train' if split == 'train' else 'test'}/{path}"] = tree.files[row.path]
            lists["val" if split == "train" and i % 5 == 0 else split] += f"{path} {row.identity}\n"
    return files | {f"MSMT17_V1/list_{name}.txt": text.encode() for name, text in lists.items()}


def _occluded_duke_download(tree: Tree) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    # Their places in DukeMTMC-reID are others than the lists say.
    places = {"train": "bounding_box_train", "query": "bounding_box_test", "gallery": "query"}
    for split, rows in tree.rows.items():
        names = [Path(row.path).name for row in rows]
        files[f"lists/{split}.list"] = "\n".join(names).encode()
        files |= {f"DukeMTMC-reID/{places[split]}/{n}": tree.files[r.path] for n, r in zip(names, rows, strict=True)}
    unlisted = Tree(tree.size)
    unlisted.draw("DukeMTMC-reID/bounding_box_train/0099_c2_f0000001.jpg", 99)
    return files | unlisted.files


def _pixels(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def _cuhk03_mat(trees: dict[str, Tree]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for boxes, tree in trees.items():
            pairs = file.create_dataset(boxes, (1, 5), h5py.ref_dtype)
            images = {
                tuple(path[:-4].split("_")[-4:]): data for path, data in tree.files.items() if path[-4:] == ".png"
            }
            for pair in range(1, 6):
                people = max((int(key[1]) for key in images if int(key[0]) == pair), default=1) + 1
                cell = file.create_dataset(f"#refs#/{boxes}_{pair}", (10, people), h5py.ref_dtype)
                pairs[0, pair - 1] = cell.ref
                for who in range(1, people + 1):
                    for number in range(1, 11):
                        key = (str(pair), f"{who:03d}", str(1 + number // 6), f"{number:02d}")
                        # An empty cell is two numbers, its shape.
                        data = _pixels(images[key]).T if key in images else np.zeros(2, np.uint64)
                        image = file.create_dataset(f"#refs#/{boxes}_{pair}_{who}_{number}", data=data)
                        cell[number - 1, who - 1] = image.ref
    return content.getvalue()


def _cuhk03_config(boxes: str, tree: Tree) -> dict[str, bytes]:
    rows = [(split, row) for split, rows in tree.rows.items() for row in rows]
    names = np.empty((len(rows), 1), object)
    names[:, 0] = [Path(row.path).name.split("_", 2)[2] for _, row in rows]
    content = {
        "filelist": names,
        "labels": np.array([[float(row.identity)] for _, row in rows]),
        "camId": np.array([[float(row.camera or 0)] for _, row in rows]),
    }
    for split in tree.rows:
        content[f"{split}_idx"] = np.array([[i] for i, (where, _) in enumerate(rows, 1) if where == split], np.uint16)
    file = io.BytesIO()
    savemat(file, content)  # type: ignore[arg-type]
    return {f"config/cuhk03_new_protocol_config_{boxes}.mat": file.getvalue()}


def _car196_download(tree: Tree) -> tuple[dict[str, bytes], Tree]:
    """The devkit's halves are others than the classes' halves: both hold every class."""
    files: dict[str, bytes] = {}
    new, tables = Tree(tree.size), {"train": list[tuple[Any, ...]](), "test": list[tuple[Any, ...]]()}
    for split, rows in tree.rows.items():
        for i, row in enumerate(rows):
            half = "train" if i % 2 else "test"
            image = f"{len(tables[half]) + 1:05d}.jpg"
            tables[half].append((2, 3, 12, 24, row.identity, image))
            files[f"stanford_cars/cars_{half}/{image}"] = tree.files[row.path]
            new.files[f"car_ims/{half}_{image}"] = tree.files[row.path]
            new.rows.setdefault(split, []).append(Row(f"car_ims/{half}_{image}", row.identity, None))
    new.rows = {split: sort_rows(rows) for split, rows in new.rows.items()}
    blind = [(*row[:4], row[5]) for row in tables["test"]]  # as the devkit has it, without the classes
    files["stanford_cars/devkit/cars_train_annos.mat"] = car_table(tables["train"], *BOX, "class", "fname")
    files["stanford_cars/devkit/cars_test_annos.mat"] = car_table(blind, *BOX, "fname")
    files["stanford_cars/cars_test_annos_withlabels.mat"] = car_table(tables["test"], *BOX, "class", "fname")
    return files, new


def pack(folder: Path, archive: Path) -> Path:
    """Put what a folder holds into a zip or, by its suffix, a tar."""
    paths = sorted(folder.rglob("*"))
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in paths:
                packed.write(path, path.relative_to(folder))
    else:
        kind = {".tgz": "gz", ".tar": ""}.get(archive.suffix, archive.suffix[1:])
        with tarfile.open(archive, f"w:{kind}") as tar:  # type: ignore[call-overload]
            for path in paths:
                tar.add(path, f"./{path.relative_to(folder)}", recursive=False)
    return archive
