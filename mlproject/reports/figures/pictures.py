"""Figures of images: reconstructions (paper, Fig. 3), verdicts (Fig. 5) and mistakes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures import drawing
from mlproject.reports.figures.cases import Cases, extreme, number, spread

COLUMNS = 5  # images side by side in `mistakes`
GOOD, DEFECTIVE = 4, 6  # images of each in `reconstructions`
UPRIGHT: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "center"}
SCALE_IN_WORDS = "All maps share the detector's colour scale, set by held-out good images."
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
def reconstructions(cases: Cases) -> Figure:
    """Return originals above their reconstructions: good images, then defective ones.

    Only for a model that reconstructs.
    """
    assert cases.reconstructions is not None
    rows = [*spread(np.flatnonzero(cases.labels == 0), cases.scores, GOOD)]
    rows += [*spread(np.flatnonzero(cases.labels == 1), cases.scores, DEFECTIVE)]
    side, left, top = 1.3, 0.3, 0.65
    sheet = drawing.Sheet(1.38 * len(rows) + left, 3.75, f"Originals and reconstructions: {cases.name}")
    below = top + side + 0.08
    for column, row in enumerate(rows):
        x = left + 1.38 * column
        sheet.image(x, top, side, cases.images[row])
        sheet.image(x, below, side, cases.reconstructions[row])
        colour = drawing.RED if cases.labels[row] else drawing.BLUE
        name = _wrapped(str(cases.defects[row]))
        sheet.text(x + side / 2, top - 0.05, name, ha="center", va="bottom", color=colour)
    for y, name in ((top, "original"), (below, "reconstruction")):
        sheet.text(left / 2, y + side / 2, name, **UPRIGHT)
    sheet.caption("Test images at evenly spaced ranks of their score, lowest first; none was trained on.")
    return sheet.figure


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
    side, step, left, top = 1.45, 1.53, 0.45, 0.5
    bottom = top + step * len(rows)
    sheet = drawing.Sheet(left + step * (len(titles) - 1) + 1.75, bottom + 1.0, f"Verdicts: {cases.name}")
    columns = [left + step * column for column in range(len(titles))]
    for x, title in zip(columns, titles, strict=True):
        sheet.text(x + side / 2, top - 0.06, title, ha="center", va="bottom", fontweight="bold")
    for line, row in enumerate(rows):
        _verdict_line(sheet, columns, top + step * line, side, cases, int(row))
    _colour_bar(sheet, bottom + 0.06, cases.heat_scale)
    sheet.caption(
        "Each type at evenly spaced ranks of score, lowest first. Threshold: protocol clean.\n"
        + SCALE_IN_WORDS,
    )
    return sheet.figure


def _verdict_line(
    sheet: drawing.Sheet, columns: list[float], y: float, side: float, cases: Cases, row: int
) -> None:
    middle = y + side / 2
    sheet.text(columns[0] / 2, middle, _wrapped(str(cases.defects[row])), **UPRIGHT)
    sheet.image(columns[0], y, side, cases.images[row])
    if cases.reconstructions is not None:
        sheet.image(columns[1], y, side, cases.reconstructions[row])
    truth, heat, words_at = columns[-3:]
    mask = cases.masks[row]
    sheet.image(truth, y, side, mask, cmap="gray", vmin=0, vmax=1)
    if not mask.any():
        words = "no mask" if cases.labels[row] else "nothing to find"
        sheet.text(truth + side / 2, middle, words, ha="center", va="center", color="white")
    _show_map(sheet, heat, y, side, cases, row)
    verdict = cases.verdict(row)
    colour = drawing.BLUE if verdict.right else drawing.RED
    sheet.text(words_at + 0.05, middle, verdict.text, va="center", color=colour, linespacing=1.6)


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
    heights = [3.1 if group.rows.size else 0.5 for group in groups]
    sheet = drawing.Sheet(7.6, sum(heights) + 0.8, f"Best and worst decisions: {cases.name}")
    y = 0.35
    for group, height in zip(groups, heights, strict=True):
        colour = group.colour if group.rows.size else drawing.GREY
        sheet.text(sheet.width / 2, y, group.heading(), ha="center", va="top", color=colour, fontsize=11)
        chosen = extreme(group.rows, cases.scores, COLUMNS, highest=group.highest)
        _images_above_maps(sheet, y + 0.6, cases, chosen)
        y += height
    outlines = " Cyan: ground truth." if cases.masks.any() else ""
    sheet.caption(f"Threshold {number(cases.threshold)}.{outlines}\n{SCALE_IN_WORDS}")
    return sheet.figure


def _images_above_maps(sheet: drawing.Sheet, y: float, cases: Cases, rows: np.ndarray) -> None:
    side, step = 1.15, sheet.width / COLUMNS
    for column, row in enumerate(rows):
        x = step * column + (step - side) / 2
        words = f"{cases.defects[row]}\n{number(cases.scores[row])}"
        sheet.text(x + side / 2, y - 0.05, words, ha="center", va="bottom", fontsize=9)
        sheet.image(x, y, side, cases.images[row])
        sheet.outline(x, y, side, cases.masks[row])
        _show_map(sheet, x, y + side + 0.08, side, cases, row)


def _show_map(sheet: drawing.Sheet, x: float, y: float, side: float, cases: Cases, row: int) -> None:
    values, scale = np.asarray(cases.maps[row], dtype=np.float32), cases.heat_scale
    sheet.image(x, y, side, values, cmap=drawing.HEAT_COLOURS, vmin=scale.low, vmax=scale.high)


def _colour_bar(sheet: drawing.Sheet, y: float, scale: HeatScale) -> None:
    place = (0.28, 1 - (y + 0.11) / sheet.height, 0.44, 0.11 / sheet.height)
    colours = ScalarMappable(Normalize(scale.low, scale.high), drawing.HEAT_COLOURS)
    axes = sheet.figure.add_axes(place)
    bar = sheet.figure.colorbar(colours, cax=axes, orientation="horizontal", extend="max")
    bar.ax.tick_params(labelsize=8)
    bar.set_label("anomaly map", fontsize=9)


def _wrapped(name: str) -> str:
    return name.replace("_", "\n", 1)
