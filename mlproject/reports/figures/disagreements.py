"""Figures of champion and challenger: images that they decide differently, and the scores of both."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mlproject.evaluation.head_to_head import HeadToHead, Side
from mlproject.reports.figures import drawing
from mlproject.reports.figures.cases import compared
from mlproject.reports.figures.score_axis import ScoreAxis

COLUMNS = 6  # images side by side, and the most that a group shows
SIDE = 1.15  # of an image, inches
ERROR, DENSITY = "reconstruction_error", "negative_log_density"


@dataclass(frozen=True)
class Shown:
    """An image of the gallery.

    Attributes:
        image: (S, S, 3) uint8.
        mask: (S, S) uint8, 1 where the image is defective; zeros if unknown.
        maps: (h, w) map of the champion and of the challenger, as each detector's `HeatScale.brightness`
            gives it, in [0, 1]; None: it makes none.
    """

    row: int
    image: np.ndarray
    mask: np.ndarray
    maps: tuple[np.ndarray | None, np.ndarray | None]


@drawing.style()
def gallery(pair: HeadToHead, groups: dict[str, list[Shown]], totals: dict[str, int]) -> Figure:
    """Return the images of each group with both maps and both decisions, on one colour scale.

    Args:
        groups: title → images; at most `COLUMNS` are shown.
        totals: title → number of images in the group.
    """
    heights = [4.95 if shown else 0.5 for shown in groups.values()]
    title = f"Where two models differ: {pair.category}"
    sheet = drawing.Sheet(1.55 * COLUMNS + 0.6, sum(heights) + 1.55, title)
    y = 0.4
    for height, (name, shown) in zip(heights, groups.items(), strict=True):
        count = totals[name]
        heading = f"{name} ({count})" if len(shown) >= count else f"{name} ({count}, {len(shown)} shown)"
        colour = "black" if shown else drawing.GREY
        sheet.text(sheet.width / 2, y, heading, ha="center", va="top", fontsize=11, color=colour)
        _group(sheet, y + 0.62, pair, shown)
        y += height
    axes = sheet.figure.add_axes((0.02, 1 - (y + 0.14) / sheet.height, 0.96, 0.14 / sheet.height))
    colours = ScalarMappable(Normalize(0, 1), drawing.HEAT_COLOURS)
    colour_bar = sheet.figure.colorbar(colours, cax=axes, orientation="horizontal", extend="max")
    colour_bar.set_label(
        "anomaly map (2/3: the brightest pixels of held-out good images, for either model)", fontsize=9
    )
    outlines = (
        " Cyan: ground truth." if any(one.mask.any() for some in groups.values() for one in some) else ""
    )
    sheet.caption(
        f"Champion: {pair.champion.title}. Challenger: {pair.challenger.title}.{outlines}\n"
        "Maps of a model share the colour scale that it has in every figure; none has a scale of its own.",
    )
    return sheet.figure


def _group(sheet: drawing.Sheet, y: float, pair: HeadToHead, shown: list[Shown]) -> None:
    step = sheet.width / COLUMNS
    for column, one in enumerate(shown[:COLUMNS]):
        x = step * column + (step - SIDE) / 2
        defect = str(pair.images["defect"].iloc[one.row]).replace("_", "\n", 1)
        sheet.text(x + SIDE / 2, y - 0.05, defect, ha="center", va="bottom", fontsize=9)
        sheet.image(x, y, SIDE, one.image)
        sheet.outline(x, y, SIDE, one.mask)
        defective = bool(pair.labels[one.row])
        for line, (name, side) in enumerate((("champion", pair.champion), ("challenger", pair.challenger))):
            below = y + SIDE + 0.36 + line * (SIDE + 0.38)
            _decided(sheet, x, below, name, side, one, one.maps[line], defective)


def _decided(
    sheet: drawing.Sheet, x: float, y: float, name: str, side: Side, one: Shown,
    anomaly_map: np.ndarray | None, defective: bool,
) -> None:  # fmt: skip
    middle = x + SIDE / 2
    if anomaly_map is None:
        sheet.image(x, y, SIDE, np.full((64, 64, 3), 235, np.uint8))
        sheet.text(middle, y + SIDE / 2, "makes no map", ha="center", va="center", fontsize=9)
    else:
        sheet.image(x, y, SIDE, anomaly_map, cmap=drawing.HEAT_COLOURS, vmin=0, vmax=1)
    called = bool(side.called[one.row])
    verdict = f"{name}: {'defective' if called else 'good'}{'' if called == defective else ', WRONG'}"
    score = compared(float(side.scores[one.row]), side.threshold)
    colour = drawing.BLUE if called == defective else drawing.RED
    sheet.text(middle, y - 0.05, f"{verdict}\n{score}", ha="center", va="bottom", fontsize=7.5, color=colour)


@drawing.style()
def scatter(pair: HeadToHead) -> Figure:
    """Return score against score and, for each model that has both, error against log-density."""
    sides = [("champion", pair.champion), ("challenger", pair.challenger)]
    with_parts = [(name, side) for name, side in sides if {ERROR, DENSITY} <= side.parts.keys()]
    count = 1 + len(with_parts)
    figure = drawing.new(
        4.9 * count + 0.4, 5.6, f"The same test images, scored by two models: {pair.category}"
    )
    first, *others = figure.subplots(1, count, squeeze=False)[0]
    _points(first, pair, pair.champion.scores, pair.challenger.scores)
    compressed = _limits(first, pair)
    first.set(xlabel=f"score of the champion, {pair.champion.title}")
    first.set(ylabel=f"score of the challenger, {pair.challenger.title}")
    first.set_title("Scores; dashed: thresholds" + ("; shaded: axis compressed" if compressed else ""))
    for axes, (name, side) in zip(others, with_parts, strict=True):
        _points(axes, pair, side.parts[ERROR], -side.parts[DENSITY])
        axes.set(xlabel="reconstruction error", ylabel="log-density")
        axes.set_title(f"What the {name} measures, {side.title}")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _points(axes: Axes, pair: HeadToHead, x: np.ndarray, y: np.ndarray) -> None:
    for label, name, colour, marker in (
        (0, "good", drawing.GREEN, "o"),
        (1, "defective", drawing.RED, "x"),
    ):
        rows = pair.labels == label
        axes.scatter(x[rows], y[rows], s=28, c=colour, marker=marker, alpha=0.75, label=name, linewidths=1.2)
    if pair.differ.any():
        axes.scatter(
            x[pair.differ], y[pair.differ], s=130, facecolors="none", edgecolors="black", linewidths=1.0,
            label="decided differently",
        )  # fmt: skip


def _limits(axes: Axes, pair: HeadToHead) -> bool:
    """Draw the thresholds on axes that show every image; return whether a part of one is compressed."""
    axes.axvline(pair.champion.threshold, color="black", linestyle="--", linewidth=1)
    axes.axhline(pair.challenger.threshold, color="black", linestyle="--", linewidth=1)
    good = pair.labels == 0
    x, y = (
        ScoreAxis.of(side.scores[good], side.scores[~good], side.threshold)
        for side in (pair.champion, pair.challenger)
    )
    x.along_x(axes)
    y.along_y(axes)
    return x.compressed or y.compressed
