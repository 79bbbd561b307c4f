"""Figure of all categories and models, every number next to the baseline that it must beat."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlproject.reports.comparison_columns import outside_weights, sees_labels
from mlproject.reports.figures import drawing

Rows = Sequence[Mapping[str, Any]]


@drawing.style()
def comparison(rows: Rows) -> Figure:
    """Return AUROC with its interval and the shortcut's AUROC, and F1 with the all-defective F1.

    Args:
        rows: from `comparison.merge`, a category's rows together.
    """
    figure = drawing.new(10.5, 0.36 * len(rows) + 2.0, "Detectors compared")
    left, right = figure.subplots(1, 2, sharey=True)
    _auroc(left, rows)
    _f1(right, rows)
    places = range(len(rows))
    left.set_yticks(places, [_name(row) for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    breaks = [i - 0.5 for i in places if i and rows[i]["category"] != rows[i - 1]["category"]]
    for axes in (left, right):
        axes.set_xlim(-0.03, 1.03)
        axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        for place in breaks:
            axes.axhline(place, color=drawing.GREY, linewidth=0.8)
    figure.legend(handles=left.get_legend_handles_labels()[0], loc="outside lower left")
    figure.legend(handles=right.get_legend_handles_labels()[0], loc="outside lower right")
    return figure


def _name(row: Mapping[str, Any]) -> str:
    """Return category and model.

    Marked: a model that has seen labels, whose results are of other images, one that has learnt nothing, and
    one that uses weights learnt elsewhere.
    """
    marks = (", held-out half" if sees_labels(row) else "") + (
        ", has learnt nothing" if row.get("not_learnt_because") else ""
    )
    if words := outside_weights(row):
        marks += f", {words}"
    return f"{row['category']}  {row['model']}{marks}"


def _auroc(axes: Axes, rows: Rows) -> None:
    places = list(range(len(rows)))
    axes.axvline(0.5, color=drawing.GREY, linestyle=":", label="chance")
    low, high = [row["auroc_low"] for row in rows], [row["auroc_high"] for row in rows]
    axes.hlines(places, low, high, color=drawing.BLUE, linewidth=2)
    axes.plot([row["auroc"] for row in rows], places, "o", color=drawing.BLUE, label="model, 95% interval")
    shortcuts = [row["shortcuts"]["strongest_auroc"] for row in rows]
    axes.plot(
        shortcuts,
        places,
        "|",
        color=drawing.RED,
        markersize=15,
        markeredgewidth=2.5,
        label="strongest shortcut",
    )
    axes.set_title("AUROC: how well scores rank the test images")


def _f1(axes: Axes, rows: Rows) -> None:
    places = list(range(len(rows)))
    everything = [row["all_defective_f1"] for row in rows]
    axes.plot(
        everything,
        places,
        "|",
        color=drawing.RED,
        markersize=15,
        markeredgewidth=2.5,
        label="everything defective",
    )
    clean = [row["clean"]["f1"] for row in rows]
    oracle = [row["oracle"]["f1"] for row in rows]
    axes.plot(
        oracle,
        places,
        "o",
        markerfacecolor="none",
        color=drawing.BLUE,
        markersize=9,
        label="oracle (test labels)",
    )
    axes.plot(clean, places, "o", color=drawing.BLUE, label="clean (good images alone)")
    axes.set_title("F1 of the decisions")
