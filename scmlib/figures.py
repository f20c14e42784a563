"""Figures: pure functions from tables and arrays to matplotlib, each with alt text made from the same numbers."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from scmlib.checkpoints import write_atomically
from scmlib.datasets import REGION_COLOURS, REGIONS
from scmlib.ranking import Ranking

Pictures = NDArray[np.uint8]  # (N, H, W, 3)

COLOURS = sns.color_palette("colorblind")
RIGHT, WRONG = COLOURS[0], COLOURS[1]  # blue and orange: apart for every common colour blindness
MASKS = "viridis"  # perceptually uniform, the same order for colour-blind readers, and its middle stands out from grey
DPI = 110
REGION_MAP = ListedColormap(np.array(REGION_COLOURS) / 255)


class Drawing(Figure):
    """A figure that a notebook shows together with its alt text, which a plain one loses."""

    def _ipython_display_(self) -> None:
        display({"text/html": html(self), "text/plain": alt_text(self)}, raw=True)  # type: ignore[no-untyped-call]


def new_figure(
    width: float, height: float, alt: str = "", *, layout: Literal["constrained", "none"] = "constrained"
) -> Figure:
    """An empty figure of our style, in inches, outside pyplot's global state; `alt` describes it in words."""
    figure = Drawing((width, height), layout=layout if layout != "none" else None)
    figure.set_label(alt)
    return figure


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG file that carries its alt text."""
    buffer = io.BytesIO()
    # A fixed Software entry keeps equal figures equal to the byte across matplotlib's versions.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Description": alt_text(figure), "Software": "scmlib"})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file."""
    write_atomically(path, png(figure))
    return path


def alt_text(figure: Figure) -> str:
    """What the figure shows, in words."""
    return str(figure.get_label())


def html(figure: Figure, *, effort: int = 4) -> str:
    """The figure as an <img> element that needs no other file and is never wider than its page.

    It is a WebP, a tenth of a PNG where pictures are in it.

    Args:
        figure: any.
        effort: of making the file small, 0 to 6; 0 takes a fifth of the time.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=DPI, pil_kwargs={"quality": 88, "method": effort})
    alt = alt_text(figure).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{alt}" style="max-width: 100%">'


def bare(grid: Iterable[Axes]) -> None:
    """Take ticks and frames off pictures."""
    for axes in grid:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)


def draw_training(log: pd.DataFrame) -> Figure:
    """Loss terms and learning rate against epochs, from a run's log."""
    first, last = log.iloc[0], log.iloc[-1]
    figure = new_figure(
        11,
        3.4,
        f"Training: the loss falls from {first['loss']:.2f} in epoch {first['epoch']:.0f} to {last['loss']:.2f} in "
        f"epoch {last['epoch']:.0f}; the learning rate peaks at {log['learning_rate'].max():.3g}.",
    )
    identity, others, rate = figure.subplots(1, 3, gridspec_kw={"wspace": 0.08})
    for i, name in enumerate(str(name) for name in log if str(name).startswith("cross_entropy_")):
        labels = {0: "global, mean", 1: "cooperative, mean", 2: "global, max"}
        identity.plot(
            log["epoch"],
            log[name],
            "-:"[i // len(COLOURS) % 2],
            color=COLOURS[i % len(COLOURS)],
            label=labels.get(i, f"competitive {i - 2}, max"),
        )
    identity.set(title="Identity loss of each embedding", ylabel="cross-entropy (nats)", ylim=(0, None))
    others.plot(log["epoch"], log["triplet_0"], color=COLOURS[0], label="triplet, global")
    others.plot(log["epoch"], log["triplet_1"], color=COLOURS[1], label="triplet, cooperative")
    others.set(title="Triplet loss and overlap of masks", ylabel="triplet loss", ylim=(0, None))
    shared = others.twinx()
    shared.plot(log["epoch"], log["overlap"], color="0.4", linestyle="--", label="overlap (right axis)")
    shared.set(ylabel="overlap, summed over a batch", ylim=(0, None))
    lines = [*others.get_lines(), *shared.get_lines()]
    others.legend(lines, [str(line.get_label()) for line in lines], fontsize="small", frameon=False, loc="lower right")
    identity.legend(fontsize="small", frameon=False)
    rate.step(log["epoch"], log["learning_rate"], where="mid", color=COLOURS[0])
    rate.set(title="Learning rate", ylabel="learning rate", ylim=(0, None))
    for axes in (identity, others, rate):
        axes.set_xlabel("epoch")
        axes.spines["top"].set_visible(False)
    return figure


def draw_inspection(images: pd.DataFrame, camera_rule: bool) -> Figure:
    """How many images each identity has, split by split, and how many each camera took.

    Args:
        images: a row an image with the columns split, identity, camera, see `Inspection`.
        camera_rule: whether camera numbers mean cameras; else the second panel is left out.
    """
    counts = images.groupby(["split", "identity"], sort=False).size()
    splits = list(dict.fromkeys(images["split"]))
    said = "; ".join(
        f"{split}: {counts[split].min()} to {counts[split].max()}, median {counts[split].median():.0f}"
        for split in splits
    )
    alt = f"Images per identity. {said}."
    if camera_rule:
        cameras = images.groupby(["camera", "split"]).size().unstack(fill_value=0)[splits]
        least, most = cameras.sum(axis=1).min(), cameras.sum(axis=1).max()
        alt += f" {len(cameras)} cameras took {least:,} to {most:,} images each."
    figure = new_figure(10 if camera_rule else 5.5, 3.4, alt)
    panels = figure.subplots(1, 2 if camera_rule else 1, squeeze=False)[0]
    data = counts.rename("images").reset_index()
    colours = dict(zip(splits, COLOURS, strict=False))
    for split, style in zip(splits, ("-", "--", ":"), strict=False):
        shown = data[data["split"] == split]
        sns.ecdfplot(shown, x="images", color=colours[split], linestyle=style, linewidth=2, label=split, ax=panels[0])
    panels[0].set(title="Images per identity", xlabel="images of an identity, at most", ylabel="share of identities")
    if camera_rule:
        shades = [colours[split] for split in splits]
        cameras.plot.bar(stacked=True, color=shades, ax=panels[1], rot=0, width=0.8, legend=False)
        panels[1].set(title="Images per camera", xlabel="camera", ylabel="images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    for axes in panels:
        sns.despine(ax=axes)
    return figure


def draw_cmc(rankings: Mapping[str, Ranking], ranks: int = 20) -> Figure:
    """CMC curves of several methods on the same queries."""
    said = "; ".join(f"{name} {r.cmc[0]:.1%} at rank 1, mAP {r.mAP:.1%}" for name, r in rankings.items())
    figure = new_figure(5.6, 3.6, f"Share of queries with a true match among the first k: {said}.")
    axes = figure.subplots()
    x = np.arange(1, ranks + 1)
    for i, (name, ranking) in enumerate(rankings.items()):
        label = f"{name} (mAP {ranking.mAP:.1%})"
        axes.plot(x, ranking.cmc[:ranks], marker="os^D"[i % 4], markersize=4, color=COLOURS[i], label=label)
    axes.set(xlabel="rank k", ylabel="queries matched within k", ylim=(0, 1.02), xticks=[1, 5, 10, 15, 20])
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    axes.legend(frameon=False, loc="center right")
    sns.despine(ax=axes)
    return figure


def draw_ablation(table: pd.DataFrame) -> Figure:
    """Mean average precision of every reported training of each variant, and their mean.

    Args:
        table: what `ablate` gives.
    """
    reported = table[table["role"] == "reported"]
    means = reported.groupby("variant", sort=False)["mAP"].mean()
    spread = reported.groupby("variant", sort=False)["mAP"].std()
    said = "; ".join(f"{name} {means[name]:.1%} ± {spread[name]:.1%}" for name in means.index)
    figure = new_figure(7, 0.45 * len(means) + 1, f"mAP on occluded queries, mean and deviation over worlds: {said}.")
    axes = figure.subplots()
    sns.stripplot(reported, x="mAP", y="variant", hue="variant", palette=COLOURS[: len(means)], ax=axes, jitter=False)
    axes.scatter(means, range(len(means)), marker="|", s=400, color="black", linewidth=2, label="mean")
    axes.axvline(means.iloc[0], color="0.7", linewidth=1, zorder=0)
    axes.set(xlabel="mAP on occluded queries; a dot is a world, a stroke the mean", ylabel="")
    axes.set_ylim(len(means) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    sns.despine(ax=axes)
    return figure


def draw_guesses(guesses: Mapping[str, float | None], outcomes: Mapping[str, float], unit: str = "") -> Figure:
    """What was guessed beside what came out, a row a question.

    Args:
        guesses: by name; None where nothing was guessed.
        outcomes: by the same names.
        unit: of both, for the axis.
    """
    pairs = [(name, guesses.get(name), value) for name, value in outcomes.items()]
    said = "; ".join(
        f"{name}: {'no guess' if g is None else f'guessed {g:.3g}'}, found {v:.3g}" for name, g, v in pairs
    )
    figure = new_figure(7, 0.42 * len(pairs) + 0.9, f"Guesses and outcomes. {said}.")
    axes = figure.subplots()
    for row, (_, guess, value) in enumerate(pairs):
        if guess is not None:
            axes.plot([guess, value], [row, row], color="0.7", zorder=0)
            axes.scatter(guess, row, marker="D", s=60, facecolor="white", edgecolor=WRONG, linewidth=2)
        axes.scatter(value, row, marker="o", s=70, color=RIGHT)
        axes.annotate(f"{value:.3g}", (value, row), (0, 7), textcoords="offset points", ha="center", fontsize="small")
    low, high = (f([x for _, g, v in pairs for x in (g, v) if x is not None] + [0]) for f in (min, max))
    axes.set(yticks=range(len(pairs)), yticklabels=[name for name, _, _ in pairs], xlabel=unit)
    axes.set(ylim=(len(pairs) - 0.5, -0.7), xlim=(low - 0.12 * (high - low), high + 0.12 * (high - low)))
    handles = [
        Line2D([], [], ls="", marker="D", markerfacecolor="white", markeredgecolor=WRONG, label="guess"),
        Line2D([], [], ls="", marker="o", color=RIGHT, label="outcome"),
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    sns.despine(ax=axes)
    return figure


def draw_sheet(pictures: Pictures, columns: int, alt: str = "") -> Figure:
    """A contact sheet, row by row; `alt` says in words what the pictures show."""
    rows = -(-len(pictures) // columns)
    height = 1.05 * rows * pictures.shape[1] / pictures.shape[2]
    figure = new_figure(1.05 * columns, height, f"{alt} {len(pictures)} images, {columns} in a row.".strip())
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, picture in zip(grid.flat, pictures, strict=False):
        axes.imshow(picture)
    bare(grid.flat)
    return figure


def draw_masks(
    pictures: Pictures,
    competitive: NDArray[np.float32],
    truth: NDArray[np.uint8] | None = None,
    titles: Sequence[str] = (),
    names: tuple[str, str] = ("competitive", "cooperative"),
) -> Figure:
    """A row an image: the picture, each competitive mask and the cooperative mask over it, and the truth if known.

    Args:
        pictures: (N, H, W, 3) uint8.
        competitive: (N, P, h, w) in [0, 1]; drawn cell by cell, on one scale with their sum.
        truth: (N, H, W) index maps, see `REGIONS`.
        titles: a line for each image.
        names: what one mask is called, and the sum of all.
    """
    N, P = competitive.shape[:2]
    cooperative = competitive.sum(1)
    top = max(1.0, float(cooperative.max()))
    one, together = names
    heads = ["picture", *(f"{one} {i + 1}" for i in range(P)), together, *(["truth"] * (truth is not None))]
    share = ", ".join(f"{x:.0%}" for x in competitive.mean((0, 2, 3)) / max(1e-9, cooperative.mean()))
    figure = new_figure(
        1.05 * len(heads) + 1.3,
        1.05 * N * pictures.shape[1] / pictures.shape[2] + 1.2,
        f"Masks of {N} images: {one} 1 to {P} hold {share} of the mass of {together}, which reaches "
        f"{float(cooperative.max()):.2f} in its strongest cell.",
    )
    grid = figure.subplots(N, len(heads), squeeze=False)
    for row in range(N):
        for axes, mask in zip(grid[row, 1 : P + 2], [*competitive[row], cooperative[row]], strict=True):
            drawn = overlay(axes, pictures[row], mask, top)
        grid[row, 0].imshow(pictures[row])
        if truth is not None:
            grid[row, -1].imshow(truth[row], cmap=REGION_MAP, vmin=-0.5, vmax=len(REGIONS) - 0.5)
        if titles:
            grid[row, 0].set_ylabel("\n".join(textwrap.wrap(titles[row], 22)), fontsize="small")
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head, fontsize="medium")
    bare(grid.flat)
    figure.colorbar(drawn, ax=grid, label="mask value", location="bottom", shrink=0.5, aspect=40, pad=0.02)
    if truth is not None:
        patches = [Patch(color=REGION_MAP(i), label=name) for i, name in enumerate(REGIONS)]
        figure.legend(handles=patches, loc="outside right center", fontsize="small", frameon=False)
    return figure


def overlay(axes: Axes, picture: Pictures, mask: NDArray[np.float32], top: float) -> mpl.image.AxesImage:
    """A mask, cell by cell, over the grey picture."""
    height, width = picture.shape[:2]
    axes.imshow(picture.mean(-1), cmap="gray", vmin=0, vmax=255)
    return axes.imshow(mask, cmap=MASKS, vmin=0, vmax=top, alpha=0.7, extent=(-0.5, width - 0.5, height - 0.5, -0.5))


def draw_ranked_lists(
    queries: Pictures,
    found: Sequence[Pictures],
    right: Sequence[Sequence[bool]],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> Figure:
    """A row a query: the query, then the head of its ranked list, right and wrong told by colour, sign and line.

    Args:
        queries: (N, H, W, 3) uint8.
        found: for each query (k, H, W, 3), best first, junk left out.
        right: for each query, whether each of them shows the query's identity.
        titles: a line for each query.
        captions: for each query, a line below each image found; none if empty.
    """
    N, k = len(queries), max(len(pictures) for pictures in found)
    hits = sum(bool(r[0]) for r in right)
    figure = new_figure(
        0.95 * (k + 1) + 0.6,
        0.95 * N * queries.shape[1] / queries.shape[2] + 0.5 + 0.2 * N * bool(captions),
        f"Ranked lists of {N} queries, {k} images each: {hits} of the {N} have a true match in first place; "
        f"{np.mean([np.mean(r) for r in right]):.0%} of the images shown are true matches.",
    )
    grid = figure.subplots(N, k + 1, squeeze=False)
    for row in range(N):
        grid[row, 0].imshow(queries[row])
        if titles:
            grid[row, 0].set_ylabel("\n".join(textwrap.wrap(titles[row], 18)), fontsize="small")
        for axes, picture, hit in zip(grid[row, 1:], found[row], right[row], strict=False):
            axes.imshow(picture)
            height, width = picture.shape[:2]
            style = {"edgecolor": RIGHT, "linestyle": "-"} if hit else {"edgecolor": WRONG, "linestyle": (0, (2, 1))}
            axes.add_patch(Rectangle((0, 0), width - 1, height - 1, fill=False, linewidth=3.5, **style))
            sign = (
                {"s": "\N{CHECK MARK}", "backgroundcolor": RIGHT}
                if hit
                else {"s": "\N{BALLOT X}", "backgroundcolor": WRONG}
            )
            axes.text(width * 0.12, height * 0.07, ha="center", va="center", color="white", fontsize=8, **sign)
    for line, words in zip(grid, captions, strict=False):
        for axes, word in zip(line[1:], words, strict=False):
            axes.set_xlabel(word, fontsize="x-small", labelpad=2)
    for axes, head in zip(grid[0], ["query", *range(1, k + 1)], strict=True):
        axes.set_title(str(head), fontsize="medium")
    bare(grid.flat)
    return figure
