"""Figure of a benchmark: AUROC, F1 and AUPRO of every model, with intervals and each seed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlproject.reports.figures import drawing

Rows = Sequence[Mapping[str, Any]]
PANELS = {"auroc": "AUROC", "f1": "F1 at the clean threshold", "aupro": "AUPRO"}
LOWEST = 0.5  # an axis begins here, or lower where a value is


@drawing.style()
def benchmark(rows: Rows) -> Figure:
    """Return a panel for each of `PANELS`; where nothing has a value it is left out.

    Args:
        rows: from `summary.rows`, a category's together.
    """
    shown = [name for name in PANELS if any(row[name] is not None for row in rows)]
    figure = drawing.new(3.4 * len(shown) + 1.8, 0.34 * len(rows) + 1.9, "Benchmark: means over seeds")
    panels = np.atleast_1d(figure.subplots(1, max(1, len(shown)), sharey=True))
    places = range(len(rows))
    panels[0].set_yticks(places, [f"{row['category']}  {row['model']}" for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    breaks = [i - 0.5 for i in places if i and rows[i]["category"] != rows[i - 1]["category"]]
    for axes, name in zip(panels, shown, strict=False):
        _panel(axes, rows, name)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        for place in breaks:
            axes.axhline(place, color=drawing.GREY, linewidth=0.8)
    if shown:
        handles = {text: handle for axes in panels for handle, text in _legend(axes)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
    return figure


def _legend(axes: Axes) -> Iterator[tuple[Any, str]]:
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _panel(axes: Axes, rows: Rows, name: str) -> None:
    axes.set_title(PANELS[name])
    known = [(place, row) for place, row in enumerate(rows) if row[name] is not None]
    where = [place for place, _ in known]
    lows, highs = ([row[f"{name}_{end}"] for _, row in known] for end in ("low", "high"))
    axes.hlines(where, lows, highs, color=drawing.BLUE, linewidth=2)
    seeds = [(value, place) for place, row in known for value in row[f"{name}_by_seed"]]
    axes.plot(*zip(*seeds, strict=True), "|", color=drawing.GREY, markersize=9, label="one seed")
    axes.plot([row[name] for _, row in known], where, "o", color=drawing.BLUE, label="mean, 95% interval")
    lowest = min([LOWEST, *lows, *(value for value, _ in seeds)])
    if name == "f1":
        trivial = [row["all_defective_f1"] for _, row in known]
        axes.plot(
            trivial,
            where,
            "|",
            color=drawing.RED,
            markersize=15,
            markeredgewidth=2.5,
            label="everything defective",
        )
        lowest = min(lowest, *trivial)
    if name == "auroc" and lowest < LOWEST:
        axes.axvline(0.5, color=drawing.GREY, linestyle=":")  # chance
    axes.set_xlim(lowest - 0.03, 1.03)
