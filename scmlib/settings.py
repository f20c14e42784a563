"""Settings of a run: the paper's 24 published recipes, and laptop-sized ones beside them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Annotated, Any, get_type_hints

from scmlib.errors import BadInput

METRICS = ("top1", "top5", "top10", "mAP", "Recall@1", "Recall@2", "Recall@4", "Recall@8", "NMI")


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run's outcome. Names are the flags of the released train.py, with _ for -.

    Raises:
        BadInput: a value out of range.
    """

    dataset: Annotated[str, "data set"]
    net: Annotated[str, "backbone"]
    img_height: Annotated[int, "pixels, a multiple of 16"]
    img_width: Annotated[int, "pixels, a multiple of 16"]
    batch_size: Annotated[int, "images a step"]
    lr: Annotated[float, "peak learning rate"]
    epochs: Annotated[tuple[int, int], "warm-up, and the epoch where the cosine would end"]
    instance_num: Annotated[int, "images that an identity has in a batch"]
    erasing: Annotated[float, "largest share of an image that random erasing takes; 0: none"]
    mask_part: Annotated[int, "chunks of rows that a part's prior starts blind to; 0: none"]
    kernel_size: Annotated[int, "pooling window of the overlap loss, in grid cells"]
    num_part: Annotated[int, "parts, one competitive mask each"]
    triplet_weight: Annotated[float, "weight of each triplet term"]
    mask_weight: Annotated[float, "weight of the overlap, which is summed over the batch"]
    feat_num: Annotated[int, "length of an embedding; 0: the branch's channels"]
    reduce_num: Annotated[int, "length of a part's vector in the mask module"]
    freeze: Annotated[str, "what takes no gradient: stem or none"]
    ema_ratio: Annotated[float, "weight averaging starts at this share of the epochs; 1: none"]
    ema_extra: Annotated[int, "epochs after the cosine's end"]
    dataset_root: Annotated[str, "folder that holds the data sets' folders"] = "data"
    seed: Annotated[int, "of everything random"] = 0
    weights: Annotated[str, "what to start from: a run, a weights file, or `imagenet` for torchvision's"] = ""
    workers: Annotated[int, "processes that read images; 0: the main one"] = 0
    variant: Annotated[str, "the paper's model, scm, or a control: see scmlib.variants"] = "scm"
    precision: Annotated[str, "fp32, fp16 or bf16, mixed; auto: fp16 on a GPU, fp32 elsewhere"] = "auto"

    def __post_init__(self) -> None:
        checks = {
            "lr": self.lr > 0,
            "batch_size": self.batch_size > 1,
            "instance_num": self.instance_num > 0,
            "epochs": len(self.epochs) == 2 and 0 < self.epochs[0] < self.epochs[1],
            "seed": self.seed >= 0,
            "kernel_size": 0 < self.kernel_size <= max(1, min(self.image_size) // 16),
            "triplet_weight": self.triplet_weight >= 0,
            "mask_weight": self.mask_weight >= 0,
            "freeze": self.freeze in ("stem", "none"),
            "ema_ratio": 0 < self.ema_ratio <= 1,
            "ema_extra": self.ema_extra >= 0,
            "workers": self.workers >= 0,
            "precision": self.precision in ("auto", "fp32", "fp16", "bf16"),
        }
        for name, fits in checks.items():
            if not fits:
                value = getattr(self, name)
                raise BadInput(f"--{name.replace('_', '-')} {value} is out of range: see `scm train --help`.")

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.img_height, self.img_width

    @property
    def last_epoch(self) -> int:
        """Epochs are counted from 1 to this one."""
        return self.epochs[1] + self.ema_extra

    @property
    def published(self) -> dict[str, float]:
        """The metrics that the authors print for this data set and network; empty where they print none."""
        row = _table().get((self.dataset, self.net), {})
        return {name: float(row[name]) for name in METRICS if row.get(name)}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """The reverse of `as_dict`; unknown keys are passed over.

        Raises:
            TypeError: a value of another kind, or one that is missing.
            BadInput: a value out of range.
        """
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["epochs"] = tuple(known["epochs"])
        hints: dict[str, Any] = get_type_hints(cls)
        for name, value in known.items():
            kinds: Any = {float: (int, float), tuple[int, int]: tuple}.get(hints[name], hints[name])
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"{name} is {value!r}")
        return cls(**known)


# Seconds instead of minutes, to see that everything works; metrics mean nothing then.
QUICK: dict[str, Any] = {
    "img_height": 96,
    "img_width": 48,
    "batch_size": 8,
    "instance_num": 2,
    "kernel_size": 2,
    "epochs": (1, 2),
    "ema_extra": 0,
}


@cache
def _table() -> dict[tuple[str, str], dict[str, str]]:
    text = resources.files("scmlib").joinpath("recipes.csv").read_text()
    return {(row["dataset"], row["net"]): row for row in csv.DictReader(text.splitlines())}


def recipe(dataset: str, net: str) -> Settings:
    """The settings that a data set and a network are trained with.

    The paper's rows stand as published. Other networks take the data set's row for `regnet_y_800mf`; `regnet_y_tiny`,
    which starts from random weights on a laptop, takes the synthetic world's row at half the data set's image size.
    Another protocol on a data set (`vehicleid:1600`) is trained like the data set itself. Any other name, such as a
    table of your own pictures or a data set for testing alone, takes the rows of Market-1501; whether there is such a
    data set is `open_dataset`'s to say.
    """
    table = _table()
    name, _, variant = dataset.partition(":")
    if variant:
        return replace(recipe(name, net), dataset=dataset)
    if (row := table.get((dataset, net))) is not None:
        return _settings(row)
    if dataset == "synthetic":
        return replace(_settings(table["synthetic", "regnet_y_tiny"]), net=net)
    if (paper := table.get((dataset, "regnet_y_800mf"))) is None:
        return replace(recipe("market1501", net), dataset=dataset)
    if net != "regnet_y_tiny":
        return replace(_settings(paper), net=net)
    height, width = int(paper["img-height"]) // 2, int(paper["img-width"]) // 2
    return replace(_settings(table["synthetic", net]), dataset=dataset, img_height=height, img_width=width)


def as_flag(name: str, settings: Settings) -> tuple[str, str]:
    """One setting as the command line takes it: `epochs` to (`--epochs`, `5,75`)."""
    value = getattr(settings, name)
    return f"--{name.replace('_', '-')}", ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def as_flags(settings: Settings) -> list[str]:
    """The flags of `scm train` that give these settings: data set, net, data root, and all that isn't the recipe's."""
    meant = recipe(settings.dataset, settings.net)
    always = ("dataset", "net", "dataset_root")
    names = [name for name, value in settings.as_dict().items() if name in always or value != getattr(meant, name)]
    return [part for name in names for part in as_flag(name, settings)]


def published_recipes() -> list[Settings]:
    """The paper's 24 recipes, in the table's order."""
    return [settings for row in _table().values() if (settings := _settings(row)).published]


def _settings(row: dict[str, str]) -> Settings:
    values = {name.replace("-", "_"): value for name, value in row.items() if name not in METRICS}
    kinds = get_type_hints(Settings)
    return Settings(**{name: PARSERS.get(kinds[name], kinds[name])(value) for name, value in values.items()})


def parse_epochs(text: str) -> tuple[int, int]:
    """`5,75` to (5, 75).

    Raises:
        ValueError: the text is of another form.
    """
    warm_up, last = text.split(",")
    return int(warm_up), int(last)


PARSERS: dict[Any, Callable[[str], Any]] = {tuple[int, int]: parse_epochs}
