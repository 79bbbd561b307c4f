"""Result of study labels: rows, differences, and the number of labels from which the CNN is better."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.params import Threshold
from mlproject.studies.components import tables
from mlproject.studies.components.base import Band, Cell, Chart, Line, Result
from mlproject.studies.components.tables import Group

LEFT_OUT = "type_left_out: "  # prefix of the type in a cell's series; in the table the type is the subset
SERIES = "type_left_out"
HOW = {"above": "above", "unclear": "not shown to be above", "below": "below"}
Recorded = Mapping[str, tuple[pd.DataFrame, float]]  # detector → (scores of the test images, threshold)


def result(
    scored: Mapping[Cell, pd.DataFrame], recorded: Recorded, settings: Threshold, resamples: int,
    notes: Sequence[str],
) -> Result:  # fmt: skip
    """Return the outcome of the study.

    Args:
        scored: every cell's scores on the same held-out images, and on calibration images.
        recorded: of the unsupervised detectors.
        settings: section threshold, for the CNN.
    """
    cnn = {
        level: _cells_group(scored, "labels", level, "cnn", "held_out", None, settings)
        for level in sorted({cell.level for cell in scored if cell.series == "labels"})
    }
    others = {
        name: _recorded_group("labels", name, "held_out", table, threshold, None)
        for name, (table, threshold) in recorded.items()
    }
    rows = [tables.row(group, resamples) for group in (*cnn.values(), *others.values())]
    differences = [
        tables.comparison(group, other, name, resamples)
        for group in cnn.values()
        for name, other in others.items()
    ]
    by_type = _types(scored, recorded, settings)
    rows += [tables.row(group, resamples) for groups in by_type.values() for group in groups.values()]
    for groups in by_type.values():
        one = groups["cnn_without_type"]
        rest = {name: group for name, group in groups.items() if group is not one}
        differences += [tables.comparison(one, other, name, resamples) for name, other in rest.items()]
    comparisons = [difference for difference in differences if difference]
    needed = labels_needed(comparisons, sorted(others))
    n = int(max(cnn))
    return Result(
        rows=rows,
        comparisons=comparisons,
        statements=[statement(name, needed[name], rows, comparisons, n) for name in needed]
        + _left_out_words(comparisons),
        notes=notes,
        charts=[_charts(rows, list(cnn), sorted(others), sorted(by_type))],
        facts={"labels_needed": needed, "labels_in_pool": n},
    )


def _cells_group(
    scored: Mapping[Cell, pd.DataFrame], series: str, level: float, arm: str, subset: str,
    kind: str | None, settings: Threshold,
) -> Group:  # fmt: skip
    """Return the trainings of one level; with `kind`, evaluated on that type and the good images alone."""
    chosen = sorted((c for c in scored if (c.series, c.level) == (series, level)), key=lambda c: c.seed)
    at = [tables.clean_threshold(scored[cell], settings) for cell in chosen]
    evaluated = [_of_type(scored[cell], kind) for cell in chosen]
    shown = "labels" if kind is None else SERIES
    return tables.group(shown, arm, level, subset, evaluated, at)


def _recorded_group(
    series: str, name: str, subset: str, table: pd.DataFrame, threshold: float, kind: str | None
) -> Group:
    held_out = table[table["half"] == "held_out"].assign(subset="held_out")
    return tables.group(series, name, 0, subset, [_of_type(held_out, kind)], [threshold])


def _of_type(table: pd.DataFrame, kind: str | None) -> pd.DataFrame:
    return table if kind is None else table[(table["label"] == 0) | (table["defect"] == kind)]


def _types(
    scored: Mapping[Cell, pd.DataFrame], recorded: Recorded, settings: Threshold
) -> dict[str, dict[str, Group]]:
    """Return defect type → arm → group, for the types that were left out."""
    cells = sorted({(cell.series, cell.level) for cell in scored if cell.series.startswith(LEFT_OUT)})
    everything = max(cell.level for cell in scored if cell.series == "labels")
    found: dict[str, dict[str, Group]] = {}
    for series, level in cells:
        kind = series.removeprefix(LEFT_OUT)
        without = _cells_group(scored, series, level, "cnn_without_type", kind, kind, settings)
        with_all = _cells_group(scored, "labels", everything, "cnn", kind, kind, settings)
        others = {
            name: _recorded_group(SERIES, name, kind, table, threshold, kind)
            for name, (table, threshold) in recorded.items()
        }
        found[kind] = {"cnn_without_type": without, "cnn": with_all, **others}
    return found


def labels_needed(comparisons: Sequence[Mapping[str, Any]], others: Sequence[str]) -> dict[str, int | None]:
    """Return for each other detector the number of labels from which the CNN is above it; None if never.

    The interval of the difference lies above 0 at that level and at every higher one.
    """
    needed: dict[str, int | None] = {}
    for name in others:
        levels = [c for c in comparisons if c["series"] == "labels" and c["against"] == name]
        needed[name] = None
        for one in sorted(levels, key=lambda c: -c["level"]):
            if one["clear"] != "above":
                break
            needed[name] = int(one["level"])
    return needed


def statement(
    name: str, needed: int | None, rows: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Mapping[str, Any]], n: int,
) -> str:  # fmt: skip
    """Return the sentence that answers the question for one unsupervised detector."""
    auroc = {(row["arm"], row["level"]): row["auroc"] for row in rows if row["series"] == "labels"}
    other, most = auroc[name, 0], auroc["cnn", n]
    if np.isnan(other) or np.isnan(most):
        return f"CNN and {name} cannot be compared: the held-out images lack good or defective ones."
    if needed is None:
        last = next(c for c in comparisons if (c["series"], c["against"], c["level"]) == ("labels", name, n))
        return (
            f"With all {n} labelled defects the CNN is {HOW[last['clear']]} {name} "
            f"(AUROC {most:.2f} and {other:.2f})."
        )
    return (
        f"From {needed} labelled defects on the CNN lies above {name} "
        f"(AUROC {auroc['cnn', needed]:.2f} and {other:.2f}; with all {n}: {most:.2f})."
    )


def _left_out_words(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [c for c in comparisons if c["series"] == SERIES and c["against"] == "cnn"]
    if not found:
        return []
    worst = min(found, key=lambda c: c["difference"])
    clear = sum(c["clear"] == "below" for c in found)
    return [
        f"A type of defect that it never saw costs the CNN most on {worst['subset']}: "
        f"{worst['difference']:+.2f} AUROC [{worst['low']:+.2f}, {worst['high']:+.2f}]; "
        f"clear for {clear} of {len(found)} types."
    ]


def _charts(
    rows: Sequence[Mapping[str, Any]], levels: Sequence[float], others: Sequence[str], types: Sequence[str]
) -> list[Chart]:
    main = [row for row in rows if row["series"] == "labels"]
    ticks = [f"{level:g}" for level in levels]
    ticks[-1] = f"all {ticks[-1]}"
    cnn = [row for row in main if row["arm"] == "cnn"]
    charts = [
        Chart(
            "Labelled defects in the CNN's pool", "labelled defects (0: good images alone)", "AUROC", ticks,
            [line("cnn", range(len(cnn)), cnn)],
            [
                Band(row["arm"], row["auroc"], row["auroc_low"], row["auroc_high"])
                for row in main
                if row["arm"] in others
            ],
        )
    ]  # fmt: skip
    if types:
        arms = ["cnn", "cnn_without_type", *others]
        left = {(row["arm"], row["subset"]): row for row in rows if row["series"] == SERIES}
        lines = [line(arm, range(len(types)), [left[arm, kind] for kind in types]) for arm in arms]
        charts.append(
            Chart("One type of defect left out", "evaluated on", "AUROC", types, lines, joined=False)
        )
    return charts


def line(name: str, ticks: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> Line:
    """Return the AUROCs of rows as a line of a chart."""
    values = ([row[column] for row in rows] for column in ("auroc", "auroc_low", "auroc_high"))
    return Line(name, list(ticks), *values)
