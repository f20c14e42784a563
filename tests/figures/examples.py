"""An example of every figure at its usual size and at its extremes, and what its alt text must say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from scmlib import figures
from scmlib.analysis.ablation import VARIANTS
from scmlib.analysis.verification import BINS, Verification
from scmlib.data.truth import REGIONS
from scmlib.figures.masks import NAMES, WANTED
from scmlib.figures.panels import Panel, blend, blocks
from scmlib.figures.training import POSITIONS
from scmlib.ranking import rank

Example = tuple[Callable[[], Figure], str]  # draws it; words of its alt text

rng = np.random.default_rng(0)
LONG = "the occluded query of person 0123 by camera 6, seen from behind"
FILE = "0002_c1s1_000451_03_a_file_with_a_very_long_name_without_any_space.jpg"


def pictures(number: int, height: int = 96, width: int = 48) -> Tensor:
    return torch.from_numpy(rng.integers(0, 256, (number, 3, height, width), dtype=np.uint8))


def masks(number: int, parts: int, height: int = 96, width: int = 48) -> Tensor:
    return torch.from_numpy(rng.random((number, parts, height // 16, width // 16), dtype=np.float32))


def truth(number: int, height: int = 96, width: int = 48) -> np.ndarray:
    return rng.integers(0, len(REGIONS), (number, height, width), dtype=np.uint8)


def occluders(ratios: list[float], height: int = 96, width: int = 48) -> Tensor:
    return torch.stack([torch.arange(height)[:, None].expand(height, width) >= height * (1 - r) for r in ratios])


def log(epochs: int, parts: int) -> pd.DataFrame:
    falling = np.linspace(3.0, 1.0, epochs)
    terms = {f"cross_entropy_{i}": falling + 0.1 * i for i in range(3 + parts)}
    others = {"triplet_0": falling / 4, "triplet_1": falling / 5, "overlap": 10 * falling}
    return pd.DataFrame({"epoch": range(1, epochs + 1), "loss": falling, **terms, **others, "learning_rate": 0.1})


def scores(methods: int, name: str = "method {}") -> pd.DataFrame:
    rows = [
        (name.format(m), mask, score, float(rng.uniform(0, 2)))
        for m in range(methods)
        for mask in ("cooperative", "competitive 1")
        for score in WANTED
        if (mask, score) not in (("cooperative", "parts"), ("cooperative", "overlap"))
    ]
    return pd.DataFrame(rows, columns=["method", "mask", "score", "value"])


def sweep(
    kinds: list[str], positions: list[str], ratios: list[float], groups: Sequence[str] = ("all",)
) -> pd.DataFrame:
    rows = [
        {"embeddings": group, "kind": kind, "position": position, "hidden": "the picture"}
        | {"ratio": ratio, "queries": 80}
        | {f"{name}{end}": 0.8 - ratio + shift for name in ("mAP", "top1") for end, shift in ENDS.items()}
        for group in groups
        for kind in kinds
        for position in positions
        for ratio in ratios
    ]
    return pd.DataFrame(rows)


ENDS = {"": 0.0, "_low": -0.05, "_high": 0.05}


def read_outs(parts: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"part": range(1, parts + 1), "below": 0.5, "above": 0.16, "stuck": 0.2, "position": 0.25, "picture": 1.0}
    )


def growth(names: list[str]) -> pd.DataFrame:
    sizes = [2_500, 5_000, 10_000, 20_000]
    rows = [(name, size, (i + 1) * size / 1e4, 5.0 + i) for i, name in enumerate(names) for size in sizes]
    return pd.DataFrame(rows, columns=["work", "size", "seconds", "mebibytes"])


def failing(questions: dict[str, list[str]]) -> pd.DataFrame:
    rows = [
        {"question": question, "group": name, "queries": 40, "difference": 0.1 * (i - 1)}
        | {"low": 0.1 * (i - 1) - 0.05, "high": 0.1 * (i - 1) + 0.05}
        | {"finding": ("lower", "not resolved", "higher", "too few identities")[i % 4]}
        for question, names in questions.items()
        for i, name in enumerate(names)
    ]
    return pd.DataFrame(rows)


def camera_pairs(cameras: list[str]) -> pd.DataFrame:
    both = [(a, b) for a in cameras for b in cameras if a != b]
    table = pd.DataFrame(both, columns=["query_camera", "gallery_camera"]).assign(pictures=1200, queries=300, mAP=0.5)
    steps = np.linspace(-0.3, 0.3, len(table))
    return table.assign(difference=steps, low=steps - 0.1, high=steps + 0.1).assign(
        finding=np.where(steps > 0.1, "higher", np.where(steps < -0.1, "lower", "not resolved"))
    )


def open_set(rates: list[float]) -> pd.DataFrame:
    shares = {"nobody_absent": 0.9, "right_first": 0.7, "wrong_first": 0.1, "nobody_present": 0.2}
    row = {f"{name}{end}": share for name, share in shares.items() for end in ("", "_low", "_high")}
    return pd.DataFrame([{"false_match_rate": rate, "queries": 400} | row for rate in rates])


def worths(masks: list[str], ratios: list[float], groups: Sequence[str] = ("all",)) -> pd.DataFrame:
    rows = []
    for m, name in enumerate(masks):
        for group in groups:
            for ratio in ratios:
                ahead, auc = 0.05 * m * (1 - ratio), 0.9 - 0.1 * m
                values = {"mAP": 0.8 - ratio - ahead, "ahead": ahead, "grown": -0.05 * m * ratio, "auc": auc}
                values |= {"top1": values["mAP"] + 0.1, "top1_ahead": ahead}
                bands = {f"{c}_{end}": v + d for c, v in values.items() for end, d in (("low", -0.02), ("high", 0.02))}
                rows.append({"masks": name, "embeddings": group, "ratio": ratio, **values, **bands})
    return pd.DataFrame(rows).assign(hidden="the visible person", queries=80, identities=20)


def swaps(names: list[str]) -> pd.DataFrame:
    own = {"queries": 400, "identities": 100}
    return pd.DataFrame(
        {"masks": name, **own}
        | {
            f"{metric}{end}": value
            for metric in ("mAP", "top1", "mINP")
            for end, value in {"": 0.7, "_difference": -0.02 * i, "_low": -0.03 * i, "_high": -0.01 * i}.items()
        }
        for i, name in enumerate(names)
    )


def mass(names: list[str]) -> pd.DataFrame:
    rows = [(name, hidden, hidden * 0.5) for name in names for hidden in (0.1, 0.3)]
    return pd.DataFrame(rows, columns=["mask", "hidden", "on_it"])


def agreement(names: list[str], queries: int) -> pd.DataFrame:
    rows = [(f"{q}.jpg", name, 0.6 - 0.1 * i) for i, name in enumerate(names) for q in range(queries)]
    return pd.DataFrame(rows, columns=["image", "map", "spearman"])


def inspected(splits: list[str], identities: int, cameras: int) -> pd.DataFrame:
    rows = [(s, p, c + 1) for s in splits for p in range(identities) for c in range(cameras) if (p + c) % 3]
    return pd.DataFrame(rows, columns=["split", "identity", "camera"])


def trainings(names: list[str], seeds: int) -> pd.DataFrame:
    rows = [(n, s, 0.7 + 0.01 * s - 0.02 * i * (1 + s % 2)) for i, n in enumerate(names) for s in range(seeds)]
    table = pd.DataFrame(rows, columns=["variant", "world", "mAP"])
    return table.assign(role="reported", seed=0, lr=0.3, top1=0.8, person_lift=2.0)


def gates(names: list[str]) -> pd.DataFrame:
    said = {"open_dataset": "", "check_ready": [None, "no", ""], "inspect_dataset": ["", "twice", None], "ranking": ""}
    return pd.DataFrame({**said, "rank1": [0.0125, np.nan, 0.975], "queries": [80, np.nan, 80]}, index=names)


def gallery(names: list[str]) -> pd.DataFrame:
    roles = ["stranger", "junk", "match"]
    rows = [(n, 1500 + i, 6, 0.9 - 0.1 * i, roles[i % 3]) for i, n in enumerate(names)]
    return pd.DataFrame(rows, columns=["image", "identity", "camera", "similarity", "role"])


def found(number: int) -> pd.DataFrame:
    right = [True, False, None]
    similarity = np.linspace(0.3, 0.9, number)
    return pd.DataFrame({"similarity": similarity, "right": [right[i % 3] for i in range(number)]})


def intervals(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"mean": 0.7, "low": 0.6, "high": 0.8}, index=names)


def compared(names: list[str], queries: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    metrics = pd.DataFrame({"a": 0.75, "b": 0.7, "difference": 0.05, "low": -0.01, "high": 0.1}, index=names)
    apart = np.linspace(-0.4, 0.5, queries).clip(0) - np.linspace(0.4, -0.5, queries).clip(0)
    return metrics, pd.DataFrame({"identity": np.arange(queries) // 2, "difference": apart})


def distances(names: list[str]) -> pd.DataFrame:
    return swaps(names).rename(columns={"masks": "distance"}).assign(against=names[0])


def pairs(spread: float) -> Verification:
    drawn = np.random.default_rng(0).normal((0.6, 0.1), spread, (900, 2)).clip(-0.99, 0.99)
    counts = [np.histogram(column, BINS, (-1, 1))[0].astype(float) for column in drawn.T]
    return Verification(*(np.stack([count, count]) for count in counts))


def panels(count: int, height: int, width: int, words: str) -> list[list[Panel]]:
    picture, cells = pictures(1, height, width)[0], masks(1, 3)[0]
    row = [Panel(blend(picture, cells[0], 1.0), words, words, "#000000") for _ in range(count)]
    return [row, [blocks(cells[1] - 0.5, 0.5, (height, width), words, words, signed=True)._replace(numbers=cells[1])]]


RANKING = rank(rng.normal(size=(20, 4)), rng.normal(size=(60, 4)), rng.integers(0, 5, 20), rng.integers(0, 5, 60))
POINTS = np.array([[0, 0], [0.5, 0.2], [3, 0], [3.2, 0.4]])
AFFINITY = np.exp(-(np.linalg.norm(POINTS[:, None] - POINTS, axis=2) ** 2))
RATIOS = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
TALL, WIDE = (192, 64), (64, 192)
VECTORS = torch.from_numpy(rng.normal(size=(6, 3, 3, 32)))
WALK = (3 * VECTORS @ VECTORS.mT / 32).softmax(-1)
SHAPE = dict.fromkeys(POSITIONS, (256, 24, 8))

EXAMPLES: dict[str, dict[str, Example]] = {
    "draw_ablation": {
        "usual": (partial(figures.draw_ablation, trainings(list(VARIANTS), 5)), "no walk +2.8%"),
        "two short": (partial(figures.draw_ablation, trainings(["SCM", "b"], 2)), "b +3.0%"),
    },
    "draw_agreement": {
        "usual": (
            partial(figures.draw_agreement, agreement(["person", "noise"], 12)),
            "12 queries' sensitivity maps with other maps: person 0.60",
        ),
        "one query, long names": (partial(figures.draw_agreement, agreement([LONG], 1)), "0.60"),
    },
    "draw_camera_pairs": {
        "usual": (partial(figures.draw_camera_pairs, camera_pairs(["1", "2", "3"])), "6 pairs, from 50.0%"),
        "twelve": (partial(figures.draw_camera_pairs, camera_pairs([*map(str, range(1, 13))])), "132 pairs"),
    },
    "draw_cmc": {
        "usual": (partial(figures.draw_cmc, {"SCM": RANKING, "colour": RANKING}), f"mAP {RANKING.mAP:.1%}"),
        "one": (partial(figures.draw_cmc, {"SCM": RANKING}, 5), f"SCM {RANKING.cmc[0]:.1%} at rank 1"),
        "many": (partial(figures.draw_cmc, {f"{i}: {LONG}"[:40]: RANKING for i in range(8)}, 50), "7: the"),
    },
    "draw_comparison": {
        "usual": (
            partial(figures.draw_comparison, *compared(["top1", "top5", "top10", "mAP", "mINP"], 40)),
            "mAP 75.0% and 70.0%, difference +5.0% (-1.0% to +10.0%)",
        ),
        "long names": (partial(figures.draw_comparison, *compared(["mAP"], 2), (LONG, f"not {LONG}")), f"not {LONG}"),
    },
    "draw_cut": {
        "usual": (partial(figures.draw_cut, POINTS, AFFINITY, np.array([-1, -1, 1, 1])), "2 are above zero"),
        "far": (partial(figures.draw_cut, 1e4 * POINTS, AFFINITY, np.array([-1e-5, 0, 0, 1])), "1 are above zero"),
    },
    "draw_diffusion": {
        "usual": (
            partial(figures.draw_diffusion, np.linspace(-1, 1, 70).reshape(7, 10), np.repeat([0, 1], 5)),
            "over 6 steps",
        ),
        "two nodes": (partial(figures.draw_diffusion, np.array([[1.0, -1], [0, 0]]), np.array([0, 1])), "from 1.00"),
    },
    "draw_divergence": {
        "usual": (
            partial(figures.draw_divergence, {"resumed": [0.0, 0.0, 0.0], "moved": [1e-7, 1e-3, 0.5]}),
            "resumed 0e+00 before and 0e+00 after; moved 1e-07 before and 5e-01 after",
        ),
        "long name": (partial(figures.draw_divergence, {LONG[:40]: [1e-9, 2.0]}), "over 1 epochs"),
        "many steps": (
            partial(figures.draw_divergence, {"a": np.logspace(-7, 0, 300).tolist()}, "step"),
            "over 299 steps",
        ),
    },
    "draw_gates": {
        "usual": (
            partial(figures.draw_gates, gates(["sound", "misnamed", "twice"]), ["open_dataset", "check_ready"]),
            "sound: noticed by no check, rank-1 1.2%",
        ),
        "long names": (
            partial(
                figures.draw_gates,
                gates([LONG, f"not {LONG}", "3"]),
                ["open_dataset", "check_ready", "inspect_dataset", "ranking"],
            ),
            "rank-1 97.5%",
        ),
    },
    "draw_grid": {
        "usual": (
            partial(figures.draw_grid, [list(pictures(6)), list(pictures(5))], ["seen", "known"], [["camera 1"] * 6]),
            "Rows: seen; known.",
        ),
        "maps": (partial(figures.draw_grid, [list(pictures(2)), list(truth(2))], ["picture", "index map"]), "map"),
        "one tall": (partial(figures.draw_grid, [[pictures(1, *TALL)[0]]], [LONG], [[LONG]]), LONG),
        "one wide": (partial(figures.draw_grid, [[pictures(1, *WIDE)[0]]], [LONG], [[LONG]]), LONG),
        "many, long": (
            partial(figures.draw_grid, [list(pictures(12))] * 2, [LONG, FILE], [[LONG] * 12, [FILE] * 12]),
            FILE,
        ),
    },
    "draw_growing_masks": {
        "usual": (
            partial(
                figures.draw_growing_masks,
                pictures(3),
                torch.stack([masks(3, 3) * e / 10 for e in range(11)]),
                range(11),
                truth(3),
            ),
            "mean mask value 0.00 in epoch 0,",
        ),
        "one epoch, tall": (
            partial(figures.draw_growing_masks, pictures(1, *TALL), torch.ones(1, 1, 1, 12, 4), [100]),
            "1.00 in epoch 100",
        ),
        "one wide": (
            partial(figures.draw_growing_masks, pictures(1, *WIDE), torch.zeros(2, 1, 2, 4, 12), [0, 1]),
            "0.00 in epoch 1",
        ),
    },
    "draw_growing_occluder": {
        "usual": (
            partial(figures.draw_growing_occluder, pictures(7), occluders(RATIOS), masks(7, 1)[:, 0], RATIOS),
            "0% at 0%",
        ),
        "one tall": (
            partial(
                figures.draw_growing_occluder, pictures(1, *TALL), occluders([1], *TALL), torch.ones(1, 12, 4), [1]
            ),
            "100% at 100%",
        ),
        "one wide": (
            partial(
                figures.draw_growing_occluder, pictures(1, *WIDE), occluders([0], *WIDE), torch.zeros(1, 4, 12), [0]
            ),
            "0% at 0%",
        ),
    },
    "draw_growth": {
        "usual": (partial(figures.draw_growth, growth(["rank"])), "exponent 1.00"),
        "several": (partial(figures.draw_growth, growth(["a", "b", "c"])), "c: time in seconds"),
    },
    "draw_guesses": {
        "usual": (partial(figures.draw_guesses, {"a": 0.5, "b": None}, {"a": 0.7, "b": 0.2}, "mAP"), "b: no guess"),
        "equal": (partial(figures.draw_guesses, {"a": 3.0}, {"a": 3.0}), "guessed 3, found 3"),
        "long": (partial(figures.draw_guesses, {LONG: 1e6}, {LONG: -1e-6}, LONG), "found -1e-06"),
    },
    "draw_insertion": {
        "usual": (
            partial(figures.draw_insertion, np.full((5, 3, 2, 10), 0.5), ["cooperative", "mean mask", "noise"]),
            "insertion: cooperative 0.50, mean mask 0.50, noise 0.50",
        ),
        "six": (
            partial(
                figures.draw_insertion,
                rng.random((3, 6, 2, 4)),
                ["Grad-CAM", "sensitivity", "cooperative", "person", "noise", "mean mask"],
            ),
            "deletion: Grad-CAM",
        ),
    },
    "draw_inspection": {
        "usual": (
            partial(figures.draw_inspection, inspected(["train", "query", "gallery"], 30, 6), True),
            "6 cameras took 60 to 60 images each",
        ),
        "no cameras": (partial(figures.draw_inspection, inspected(["train"], 2, 2), False), "median"),
        "many cameras": (partial(figures.draw_inspection, inspected(["query", "gallery"], 9, 40), True), "40 cameras"),
    },
    "draw_intervals": {
        "usual": (partial(figures.draw_intervals, intervals(["ours", "colour"]), "mAP"), "colour: 70.0% (60.0% to"),
        "long": (partial(figures.draw_intervals, intervals([LONG]), LONG), LONG),
    },
    "draw_likeness": {
        "usual": (
            partial(figures.draw_likeness, failing({"": ["hat", "bag"]}).rename(columns={"group": "fact"})),
            "for 2 facts, with simultaneous 95 % bands. Findings: hat -10.0%",
        ),
        "long, many": (
            partial(figures.draw_likeness, failing({"": [LONG] * 25}).rename(columns={"group": "fact"})),
            "25 facts",
        ),
    },
    "draw_losses": {
        "usual": (partial(figures.draw_losses, {"a": [2.0, 1.0], "b": [2.5, 2.25]}, 2.4849), "Guessing costs 2.48."),
        "one step, many": (partial(figures.draw_losses, {f"{i} {LONG}"[:40]: [2.0] for i in range(12)}, 9.9), "9.90"),
    },
    "draw_magnitudes": {
        "usual": (
            partial(figures.draw_magnitudes, 2.0 ** rng.uniform(-40, -10, 1000), 2.0**16),
            "times 65,536: 0.0% become zero",
        ),
        "one, too large": (
            partial(figures.draw_magnitudes, np.array([0.0, -2.0]), 2.0**20),
            "Sizes of 1 numbers and what half precision holds. as they are: 0.0% become zero, 0.0% are too large; "
            "times 1,048,576: 0.0% become zero, 100.0% are too large",
        ),
    },
    "draw_mask_steps": {
        "usual": (
            partial(figures.draw_mask_steps, pictures(1)[0], *masks(4, 3)),
            "From prior to mask. part 1: prior 0.",
        ),
        "one part, zeros": (
            partial(figures.draw_mask_steps, pictures(1, *WIDE)[0], *torch.zeros(4, 1, 4, 12)),
            "map 0.00 to 0.00, mask 0.00 to 0.00",
        ),
    },
    "draw_masks": {
        "usual": (
            partial(figures.draw_masks, pictures(4), masks(4, 3), truth(4), ["average precision 98%"] * 4),
            "Masks of 4 images",
        ),
        "one": (partial(figures.draw_masks, pictures(1), masks(1, 1)), "Masks of 1 images"),
        "one tall": (partial(figures.draw_masks, pictures(1, *TALL), masks(1, 3, *TALL), None, [FILE]), "Masks of 1"),
        "one wide": (
            partial(figures.draw_masks, pictures(1, *WIDE), masks(1, 3, *WIDE), truth(1, *WIDE), [LONG]),
            "Masks of 1",
        ),
        "14 parts": (partial(figures.draw_masks, pictures(2), masks(2, 14), None, [LONG] * 2), "competitive 1 to 14"),
        "black": (partial(figures.draw_masks, pictures(1), torch.zeros(1, 3, 6, 3)), "reaches 0.00"),
    },
    "draw_mask_module": {
        "usual": (partial(figures.draw_mask_module, 512, (12, 6), 3, 32), "each of the 72 cells"),
        "large": (partial(figures.draw_mask_module, 2048, (24, 24), 14, 128), "part vectors 14 × 128"),
    },
    "draw_mass": {
        "usual": (partial(figures.draw_mass, mass(["own", "mean"])), "hides 30% of the picture: own 15%; mean 15%"),
        "many, long": (partial(figures.draw_mass, mass([f"{i} {LONG}" for i in range(6)])), "15%"),
    },
    "draw_network": {
        "usual": (partial(figures.draw_network, SHAPE, 3, 256), "3 competitive"),
        "one part, large": (
            partial(figures.draw_network, dict.fromkeys(POSITIONS, (1024, 128, 128)), 1, 2048),
            "1 competitive",
        ),
        "14 parts": (partial(figures.draw_network, SHAPE, 14, 256), "14 competitive"),
    },
    "draw_open_set": {
        "usual": (partial(figures.draw_open_set, open_set([1e-5, 1e-4, 1e-3])), "nobody, rightly 90%, 90%, 90%"),
        "one": (partial(figures.draw_open_set, open_set([0.01])), "At false-match rates of 0.01, of 400 queries"),
    },
    "draw_own_training": {
        "usual": (
            partial(figures.draw_own_training, [log(8, 3), log(8, 3) * 1.1], log(5, 3), 8, 3.47),
            "cross-entropy (nats): reference 1.00 to 1.10 in its last epoch, yours 1.00 in epoch 5",
        ),
        "before the first epoch": (
            partial(figures.draw_own_training, [log(1, 3)], pd.DataFrame(), 1, 0.7),
            "1 reference trainings. cross-entropy (nats): reference 3.00 to 3.00 in its last epoch;",
        ),
    },
    "draw_panels": {
        "usual": (
            partial(figures.draw_panels, panels(5, 96, 48, "a part"), "Five panels", text="words\nbelow"),
            "Five",
        ),
        "tall, long": (partial(figures.draw_panels, panels(1, *TALL, LONG), "One panel", height=1.2, text=LONG), "One"),
        "wide": (partial(figures.draw_panels, panels(2, *WIDE, "1"), "Two wide panels"), "Two"),
    },
    "draw_precision": {
        "usual": (partial(figures.draw_precision, [False, True, True]), "ranks 2, 3"),
        "one": (partial(figures.draw_precision, [True]), "ranks 1:"),
        "14 in a row": (partial(figures.draw_precision, [True] * 14), "1.000"),
    },
    "draw_prior": {
        "usual": (partial(figures.draw_prior, 3, 1, 12, learned=masks(1, 3)[0]), "Learned priors reach"),
        "14 parts": (partial(figures.draw_prior, 14, 1, 24), "Priors of 14 parts"),
        "one part": (partial(figures.draw_prior, 1, 0, 2, 24), "Priors of 1 parts"),
    },
    "draw_ranked_lists": {
        "usual": (
            partial(
                figures.draw_ranked_lists,
                pictures(2),
                [pictures(10), pictures(9)],
                [[True] * 10, [False] * 9],
                ["average precision 98%", "average precision 2%"],
                [["camera 1"] * 10, ["camera 12"] * 9],
            ),
            "1 of the 2 have a true match in first place",
        ),
        "one tall": (
            partial(figures.draw_ranked_lists, pictures(1, *TALL), [pictures(1, *TALL)], [[True]], [FILE], [[FILE]]),
            "Ranked lists of 1 queries, 1 images each",
        ),
        "one wide": (
            partial(figures.draw_ranked_lists, pictures(1, *WIDE), [pictures(3, *WIDE)], [[False] * 3], [LONG]),
            "0 of the 1",
        ),
        "search": (
            partial(
                figures.draw_ranked_lists,
                pictures(3),
                [pictures(4)] * 3,
                [[True, False, True, None], [None] * 4, [None] * 4],
                ["somebody", "perhaps", "nobody"],
                [["0.81\nANN"] * 4, ["0.66, below"] * 4, ["0.66, below"] * 4],
                [[True, True, False, False], [True, False, False, False], [False] * 4],
            ),
            "67% of the images shown are true matches; so many of each reach the threshold, the others are drawn pale: "
            "2, 1, none",
        ),
        "strangers": (
            partial(figures.draw_ranked_lists, pictures(1), [pictures(2)], [[None, None]]),
            "nobody says whom they show.",
        ),
    },
    "draw_explanation": {
        "usual": (
            partial(figures.draw_explanation, pictures(2), {"cooperative": rng.normal(size=(2, 6, 3)).astype("f4")}),
            "2 queries, each beside maps of what its match rests on: cooperative.",
        ),
        "nothing": (
            partial(figures.draw_explanation, pictures(1), {f"map {i}": np.zeros((1, 6, 3), "f4") for i in range(6)}),
            "map 5",
        ),
    },
    "draw_failures": {
        "usual": (
            partial(figures.draw_failures, failing({"occluder": ["pole", "sign", "plant"], "view": ["front", "back"]})),
            "occluder pole -10.0% (-15.0% to -5.0%)",
        ),
        "long, many": (
            partial(
                figures.draw_failures, failing({f"question {i}": [LONG, "b", "c", "d"] for i in range(20)}), "top1"
            ),
            "80 groups in 20 questions",
        ),
    },
    "draw_false_matches": {
        "usual": (
            partial(figures.draw_false_matches, np.linspace(-0.5, 0.8, 5000).astype(np.float32), 0.75, found(12)),
            "193 of them (0.039) reach the threshold 0.75; so do 3 of the 12 pictures found",
        ),
        "one pair": (
            partial(figures.draw_false_matches, np.array([0.1], np.float32), 0.2, found(1)),
            "from 1 pairs of pictures of different people",
        ),
    },
    "draw_distances": {
        "usual": (
            partial(figures.draw_distances, distances(["paper", "re-ranked", "visible"])),
            "re-ranked 70.0%, -2.0%",
        ),
        "one": (partial(figures.draw_distances, distances(["paper", "alike"])), "(-3.0% to -1.0%) to paper"),
    },
    "draw_embedding_sweep": {
        "usual": (
            partial(
                figures.draw_embedding_sweep,
                sweep(["block", "object", "person"], ["random"], RATIOS, ["all", "global", "cooperative", "parts"]),
            ),
            "all 25%, global 25%",
        ),
        "one": (
            partial(figures.draw_embedding_sweep, sweep(["block"], ["random"], [0, 0.1], ["global"])),
            "global 88%",
        ),
    },
    "draw_read_out": {
        "usual": (
            partial(figures.draw_read_out, {"before training": read_outs(3), "trained": read_outs(3)}),
            "trained, part 3: 50% below 0, 16% above 1, 20% of the cells stuck, deviation 0.25 between cells and 1.00",
        ),
        "one part": (partial(figures.draw_read_out, {"trained": read_outs(1)}), "Read-outs of 1 parts."),
    },
    "draw_schedule": {
        "usual": (partial(figures.draw_schedule, 0.3, (5, 60), 0.5, 10), "weights of 41 epochs averaged, from 30 on"),
        "shortest": (partial(figures.draw_schedule, 1e-5, (1, 2), 1, 0), "no averaging"),
    },
    "draw_resamples": {
        "usual": (
            partial(
                figures.draw_resamples,
                {"people drawn": rng.normal(0.7, 0.02, 500), "queries drawn": rng.normal(0.7, 0.01, 500)},
                0.7,
                "mAP",
            ),
            "mAP 70.0%, and over resamples. people drawn: 95 % from 6",
        ),
        "equal, long": (partial(figures.draw_resamples, {LONG: np.full(9, 0.5)}, 0.5, LONG), "95 % from 50.0% to 50.0"),
    },
    "draw_scores": {
        "usual": (partial(figures.draw_scores, scores(6)), "Scores of the masks of 6 methods. method 0: auc"),
        "one, long": (partial(figures.draw_scores, scores(1, LONG + " {}")), LONG),
    },
    "draw_sensitivity": {
        "usual": (
            partial(figures.draw_sensitivity, pictures(4), masks(4, 1)[:, 0].numpy() - 0.5, masks(4, 1)[:, 0]),
            "the match of 4 queries",
        ),
        "one tall": (
            partial(
                figures.draw_sensitivity, pictures(1, *TALL), np.ones((1, 12, 4)), masks(1, 1, *TALL)[:, 0], [FILE]
            ),
            "1.000 off the similarity",
        ),
        "one wide": (
            partial(figures.draw_sensitivity, pictures(1, *WIDE), -np.eye(4, 12)[None], masks(1, 1, *WIDE)[0], [LONG]),
            "the match of 1 queries",
        ),
    },
    "draw_sheet": {
        "usual": (partial(figures.draw_sheet, pictures(18), 9, "Pictures."), "Pictures. 18 images, 9 in a row."),
        "one tall": (partial(figures.draw_sheet, pictures(1, *TALL), 1), "1 images, 1 in a row"),
        "wide": (partial(figures.draw_sheet, pictures(3, *WIDE), 2), "3 images, 2 in a row"),
    },
    "draw_sketch": {
        "empty": (partial(figures.draw_sketch, (0, 0.5), {"ours": [None, None]}), "ours, sketched: nothing yet"),
        "found": (
            partial(figures.draw_sketch, (0, 0.5), {"ours": [0.8, 0.2], "theirs": [None, 0.1]}, {"ours": [0.7, 0.6]}),
            "theirs, sketched: 10% at 50%; ours, found: 70% at 0%, 60% at 50%",
        ),
        "long": (partial(figures.draw_sketch, (0, 1), {"a curve": [0, 1]}, {"a curve": [1, 0]}), "sketched: 0% at 0%"),
    },
    "draw_spread": {
        "usual": (
            partial(figures.draw_spread, [0.7, 0.8], 0.75, "mAP"),
            "mAP: this run 75.0%; 2 other trainings 75.0% ± 7.1%.",
        ),
        "equal, long": (partial(figures.draw_spread, [0.5, 0.5], 0.5, LONG), "50.0% ± 0.0%"),
    },
    "draw_strip": {
        "usual": (
            partial(figures.draw_strip, gallery(list("abcdefghij"))),
            "image c, similarity 0.70, match at rank 2",
        ),
        "one": (partial(figures.draw_strip, gallery(["a"])), "stranger at rank 1"),
        "long": (partial(figures.draw_strip, gallery([FILE, LONG])), FILE),
    },
    "draw_swap": {
        "usual": (partial(figures.draw_swap, swaps(["own", "mean", "no walk"])), "an mAP of 70.0% on 400 queries"),
        "one": (partial(figures.draw_swap, swaps(["own", "uniform"])), "uniform -2.0% (-3.0% to -1.0%)"),
    },
    "draw_sweep": {
        "usual": (
            partial(figures.draw_sweep, sweep(["block", "object", "person"], ["random"], RATIOS)),
            "At 60% hidden, block, random: mAP 20.0%",
        ),
        "all positions": (partial(figures.draw_sweep, sweep(["block"], ["top", "middle", "left"], [0, 0.1])), "left"),
    },
    "draw_training": {
        "usual": (partial(figures.draw_training, log(30, 3)), "from 3.00 in epoch 1 to 1.00 in epoch 30"),
        "one epoch": (partial(figures.draw_training, log(1, 1)), "from 3.00 in epoch 1"),
        "14 parts": (partial(figures.draw_training, log(60, 14)), "peaks at 0.1"),
    },
    "draw_triplets": {
        "usual": (
            partial(figures.draw_triplets, rng.normal(size=(4, 2)), [0, 0, 1, 1], ["A1", "A2", "B1", "B2"]),
            "anchor A1: farthest positive A2",
        ),
        "14": (
            partial(figures.draw_triplets, rng.normal(size=(14, 2)), [*range(7)] * 2, [f"A{i}" for i in range(14)]),
            "14 vectors",
        ),
    },
    "draw_verification": {
        "usual": (partial(figures.draw_verification, pairs(0.2)), "1,800 genuine and 1,800 impostor pairs: EER"),
        "told apart": (partial(figures.draw_verification, pairs(0.01)), "EER 0.0% (0.0% to 0.0%); AUC 100.0%"),
    },
    "draw_walk": {
        "usual": (partial(figures.draw_walk, pictures(1)[0], VECTORS, WALK, [(1, 2), (5, 0)]), "2 cells of a picture"),
        "one part": (
            partial(figures.draw_walk, pictures(1, *WIDE)[0], VECTORS[..., :1, :], WALK[..., :1, :1], [(0, 0)], [0, 1]),
            "1.00 after 0, 1.00 after 1 steps",
        ),
    },
    "draw_worth": {
        "usual": (
            partial(
                figures.draw_worth,
                worths(["own", "mean", "uniform", "truth"], RATIOS),
                sketch={"with masks": [0.9] * 6 + [None], "without": [None] * 7},
            ),
            "their mean, blind +5.0% (+3.0% to +7.0%), then +2.0% (+0.0% to +4.0%)",
        ),
        "two": (partial(figures.draw_worth, worths(["own", "mean"], [0, 0.5])), "its own 80.0%, then 30.0%"),
        "rank-1": (
            partial(figures.draw_worth, worths(["own", "uniform"], RATIOS), metric="top1"),
            "rank-1 with nothing further hidden",
        ),
    },
    "draw_worth_against_location": {
        "usual": (
            partial(figures.draw_worth_against_location, worths([*NAMES], [0, 0.2, 0.5])),
            "another person's at 50%: AUC 0.700, mAP 25.0%",
        ),
        "one": (partial(figures.draw_worth_against_location, worths(["own"], [0, 0.1])), "its own at 10%: AUC 0.900"),
    },
    "draw_worth_by_embedding": {
        "usual": (
            partial(
                figures.draw_worth_by_embedding,
                worths(["own", "mean", "uniform"], RATIOS, ["all", "global", "cooperative", "parts"]),
            ),
            "uniform, parts +10.0%",
        ),
        "one": (
            partial(figures.draw_worth_by_embedding, worths(["own", "mean"], [0, 0.3], ["parts"]), ["mean"]),
            "their mean, blind, parts +5.0%",
        ),
    },
}
