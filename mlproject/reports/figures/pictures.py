"""Figures of images: reconstructions (paper, Fig. 3), verdicts (Fig. 5) and mistakes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures import drawing
from mlproject.reports.figures.cases import Cases, extreme, number, spread

COLUMNS = 5  # images side by side in `mistakes`
SCALE_IN_WORDS = "All maps share the detector's colour scale, set by good validation images."
VERDICT_ROWS = 8  # of `verdicts`, about; each type of defect has a row even if there are more types


@dataclass(frozen=True)
class Group:
    """Images of one label with one decision, and their presentation in `mistakes`."""

    title: str
    kind: str
    of_kind: np.ndarray
    decided_so: np.ndarray
    highest: bool
    colour: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of the images in the group."""
        return np.flatnonzero(self.of_kind & self.decided_so)

    def heading(self) -> str:
        """Return the title with counts; for an empty group, that it is empty."""
        total = int(self.of_kind.sum())
        if self.rows.size:
            return f"{self.title} ({self.rows.size} of {total} {self.kind})"
        return f"no {self.title.split(',')[0]} among {total} {self.kind} images"


@drawing.style()
def reconstructions(cases: Cases, good: int = 4, defective: int = 6) -> Figure:
    """Return originals above their reconstructions: good images, then defective ones.

    Only for a model that reconstructs.
    """
    assert cases.reconstructions is not None
    rows = [*spread(np.flatnonzero(cases.labels == 0), cases.scores, good)]
    rows += [*spread(np.flatnonzero(cases.labels == 1), cases.scores, defective)]
    figure = drawing.new(1.35 * len(rows) + 0.4, 3.6, f"Originals and reconstructions: {cases.name}")
    grid = figure.subplots(2, len(rows), squeeze=False)
    for column, row in enumerate(rows):
        drawing.show(grid[0, column], cases.images[row])
        drawing.show(grid[1, column], cases.reconstructions[row])
        colour = drawing.RED if cases.labels[row] else drawing.BLUE
        grid[0, column].set_title(_wrapped(str(cases.defects[row])), color=colour)
    grid[0, 0].set_ylabel("original")
    grid[1, 0].set_ylabel("reconstruction")
    drawing.caption(
        figure, "Test images at evenly spaced ranks of their score, lowest first; none was trained on."
    )
    return figure


@drawing.style()
def verdicts(cases: Cases) -> Figure:
    """Return image, reconstruction, mask, map and verdict for each type of defect and for good images."""
    types = cases.types()
    each = max(1, VERDICT_ROWS // len(types))
    rows = [
        row for name in types for row in spread(np.flatnonzero(cases.defects == name), cases.scores, each)
    ]
    titles = ["image", "reconstruction", "ground truth", "anomaly map", "verdict"]
    if cases.reconstructions is None:
        titles.remove("reconstruction")
    figure = drawing.new(1.72 * len(titles), 1.5 * len(rows) + 1.6, f"Verdicts: {cases.name}")
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    scale = cases.heat_scale
    for line, row in enumerate(rows):
        _verdict_line(grid[line], cases, int(row), scale)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontweight="bold")
    _colour_bar(figure, grid, scale)
    drawing.caption(
        figure,
        "Each type at evenly spaced ranks of score, lowest first. Threshold: protocol clean.\n"
        + SCALE_IN_WORDS,
    )
    return figure


def _verdict_line(line: np.ndarray, cases: Cases, row: int, scale: HeatScale) -> None:
    drawing.show(line[0], cases.images[row])
    line[0].set_ylabel(_wrapped(str(cases.defects[row])), fontsize=10)
    if cases.reconstructions is not None:
        drawing.show(line[1], cases.reconstructions[row])
    truth, heat, words_axes = line[-3:]
    mask = cases.masks[row]
    drawing.show(truth, mask, cmap="gray", vmin=0, vmax=1)
    if not mask.any():
        words = "no mask" if cases.labels[row] else "nothing to find"
        truth.text(0.5, 0.5, words, transform=truth.transAxes, ha="center", va="center", color="white")
    _show_map(heat, cases.maps[row], scale)
    verdict = cases.verdict(row)
    words_axes.axis("off")
    colour = drawing.BLUE if verdict.right else drawing.RED
    words_axes.text(
        0, 0.5, verdict.text, transform=words_axes.transAxes, va="center", color=colour, linespacing=1.6
    )
    words_axes.set_xlim(0, 1)


@drawing.style()
def mistakes(cases: Cases) -> Figure:
    """Return the worst mistakes of both kinds, then the right decisions with the widest margin."""
    called, defective = cases.called_defective, cases.labels == 1
    groups = (
        Group("missed defects, lowest score first", "defective", defective, ~called, False, drawing.RED),
        Group("false alarms, highest score first", "good", ~defective, called, True, drawing.RED),
        Group("defects found, highest score first", "defective", defective, called, True, drawing.BLUE),
        Group("good called good, lowest score first", "good", ~defective, ~called, False, drawing.BLUE),
    )
    heights = [2.85 if group.rows.size else 0.5 for group in groups]
    scale = cases.heat_scale
    figure = drawing.new(7.6, sum(heights) + 1.0, f"Best and worst decisions: {cases.name}")
    # Subfigures leave no room for a caption of the whole figure, so the last strip holds it.
    strips: Any = figure.subfigures(len(groups) + 1, 1, height_ratios=[*heights, 0.5])
    *parts, strip = strips
    for part, group in zip(parts, groups, strict=True):
        part.suptitle(group.heading(), color=group.colour if group.rows.size else drawing.GREY, fontsize=11)
        if group.rows.size:
            chosen = extreme(group.rows, cases.scores, COLUMNS, highest=group.highest)
            _image_above_map(part, cases, chosen, scale)
    drawing.caption(strip, f"Threshold {number(cases.threshold)}. Cyan: ground truth.\n{SCALE_IN_WORDS}")
    return figure


def _image_above_map(part: SubFigure, cases: Cases, rows: np.ndarray, scale: HeatScale) -> None:
    grid = part.subplots(2, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for column, row in enumerate(rows):
        drawing.show(grid[0, column], cases.images[row])
        if cases.masks[row].any():
            grid[0, column].contour(cases.masks[row], [0.5], colors="cyan", linewidths=1.2)
        grid[0, column].set_title(f"{cases.defects[row]}\n{number(cases.scores[row])}", fontsize=9)
        _show_map(grid[1, column], cases.maps[row], scale)


def _show_map(axes: Axes, anomaly_map: np.ndarray, scale: HeatScale) -> None:
    values = np.asarray(anomaly_map, dtype=np.float32)
    drawing.show(axes, values, cmap=drawing.HEAT_COLOURS, vmin=scale.low, vmax=scale.high)


def _colour_bar(figure: Figure, grid: np.ndarray, scale: HeatScale) -> None:
    colours = ScalarMappable(Normalize(scale.low, scale.high), drawing.HEAT_COLOURS)
    bar = figure.colorbar(
        colours, ax=grid.ravel().tolist(), location="bottom", shrink=0.5, aspect=40, pad=0.01, extend="max"
    )
    bar.ax.tick_params(labelsize=8)
    bar.set_label("anomaly map", fontsize=9)


def _wrapped(name: str) -> str:
    return name.replace("_", "\n", 1)
