"""Charts of studies: points with intervals over the varied quantity, bands for constant values."""

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlproject.reports.figures import drawing
from mlproject.studies.components.base import Chart

# an arm has the same colour and marker in every study; other arms take the rest
LOOKS = {
    "cnn": (drawing.BLUE, "o"),
    "cnn_without_type": (drawing.RED, "D"),
    "ni_cae": (drawing.GREEN, "s"),
    "ni_cae_without_noise": (drawing.RED, "v"),
    "kd_cae": (drawing.ORANGE, "^"),
    "pca": ("#56B4E9", "P"),
    "patch_kde": ("#000000", "*"),
}
REST = (("#CC79A7", "X"), (drawing.GREY, "h"))
WIDTH, HEIGHT = 5.2, 3.2  # inches per chart; narrower if there are many in a row


@drawing.style()
def charts(title: str, rows: Sequence[Sequence[Chart]], caption: str) -> Figure:
    """Return a figure of rows of charts; without charts, the caption says why."""
    columns = max((len(row) for row in rows), default=0)
    width = max(8.5, min(WIDTH, 13 / max(columns, 1)) * columns)
    figure = drawing.new(width, max(1.2, HEIGHT * len(rows) + 1.1), title)
    drawing.caption(figure, "\n".join(textwrap.wrap(caption, int(width * 13))))
    if not columns:
        return figure
    grid = figure.subplots(len(rows), columns, squeeze=False, sharey="row")
    looks = _looks(rows)
    for row, line_of_axes in zip(rows, grid, strict=True):
        for axes in line_of_axes[len(row) :]:
            axes.set_visible(False)
        for place, (chart, axes) in enumerate(zip(row, line_of_axes, strict=False)):
            _draw(axes, chart, looks, first=place == 0)
    handles = {
        label: handle
        for axes in grid.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure


def _looks(rows: Sequence[Sequence[Chart]]) -> dict[str, tuple[str, str]]:
    every = [chart for row in rows for chart in row]
    names = [line.name for chart in every for line in chart.lines]
    names += [band.name for chart in every for band in chart.bands]
    others = [name for name in dict.fromkeys(names) if name not in LOOKS]
    return LOOKS | {name: REST[place % len(REST)] for place, name in enumerate(others)}


def _draw(axes: Axes, chart: Chart, looks: dict[str, tuple[str, str]], *, first: bool) -> None:
    if chart.reference is not None:
        name, value = chart.reference
        style = ":" if name == "chance" else "--"
        axes.axhline(value, color=drawing.GREY, linestyle=style, label=name)
    for band in chart.bands:
        if not math.isnan(band.value):
            colour = looks[band.name][0]
            axes.axhspan(band.low, band.high, color=colour, alpha=0.13, linewidth=0)
            axes.axhline(band.value, color=colour, linewidth=1.5, label=band.name)
    for place, line in enumerate(chart.lines):
        colour, mark = looks[line.name]
        # shifted, so that intervals do not hide one another
        shift = 0 if chart.shaded else 0.09 * (place - (len(chart.lines) - 1) / 2)
        x = [tick + shift for tick in line.ticks]
        if chart.shaded:
            axes.fill_between(x, line.lows, line.highs, color=colour, alpha=0.18, linewidth=0)
        else:
            axes.vlines(x, line.lows, line.highs, color=colour, linewidth=1.6)
        how = "-" if chart.joined else ""
        axes.plot(x, line.values, color=colour, marker=mark, linestyle=how, linewidth=1.2, label=line.name)
    axes.set_xticks(range(len(chart.ticks)), chart.ticks)
    axes.set_xlim(-0.5, len(chart.ticks) - 0.5)
    axes.set_ylim(-0.03, 1.03)
    if max(map(len, chart.ticks), default=0) > 9:
        axes.tick_params(axis="x", rotation=20)
    axes.set_xlabel(chart.x_label)
    if first:
        axes.set_ylabel(chart.y_label)
    axes.set_title(chart.title)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
