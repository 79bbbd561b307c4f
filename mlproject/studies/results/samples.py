"""Result of study samples: each detector by the number of good images, and from how many on it is as good."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.params import Threshold
from mlproject.studies.components import tables
from mlproject.studies.components.base import Cell, Result
from mlproject.studies.components.tables import Group
from mlproject.studies.results import seed_bands

SERIES = "good images"
ALL = "all"
WITHIN = 0.01  # of the AUROC with all good images: enough of them


def result(
    scored: Mapping[Cell, pd.DataFrame], thresholds: Mapping[str, Threshold], resamples: int,
    notes: Sequence[str],
) -> Result:  # fmt: skip
    """Return the outcome of the study.

    Args:
        scored: every cell's scores of the evaluated images, and of calibration images.
        thresholds: arm → its section threshold.
    """
    groups: dict[tuple[str, float], Group] = {}
    for arm, settings in thresholds.items():
        for level in sorted({cell.level for cell in scored if cell.arm == arm}):
            drawn = [table for cell, table in scored.items() if (cell.arm, cell.level) == (arm, level)]
            at = [tables.clean_threshold(table, settings) for table in drawn]
            (subset,) = set(drawn[0]["subset"]) - {tables.CALIBRATION}
            groups[arm, level] = tables.group(SERIES, arm, level, subset, drawn, at)
    everything = max(level for _, level in groups)
    rows = [tables.row(group, resamples) for group in groups.values()]
    found = [
        tables.comparison(group, groups[arm, everything], ALL, resamples)
        for (arm, level), group in groups.items()
        if level != everything
    ]
    needed = {arm: images_needed([row for row in rows if row["arm"] == arm]) for arm in thresholds}
    ticks = [f"{level:g}" for level in sorted({level for _, level in groups})]
    ticks[-1] = f"{ALL} {ticks[-1]}"
    return Result(
        rows=rows,
        comparisons=[one for one in found if one],
        statements=[statement([row for row in rows if row["arm"] == arm], needed[arm]) for arm in thresholds],
        notes=notes,
        charts=[seed_bands.charts(groups, ticks, SERIES)],
        facts={"images_needed": needed, "good_images": int(everything)},
    )


def images_needed(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Return from how many good images on AUROC stays within WITHIN of that with all; None if undefined.

    Args:
        rows: of one arm, by rising level; the last has all good images.
    """
    if np.isnan(rows[-1]["auroc"]):
        return None
    needed = rows[-1]["level"]
    for row in reversed(rows):
        if row["auroc"] < rows[-1]["auroc"] - WITHIN:
            break
        needed = row["level"]
    return int(needed)


def statement(rows: Sequence[Mapping[str, Any]], needed: int | None) -> str:
    """Return the sentence that answers the question for one arm; arguments as `images_needed`."""
    first, last = rows[0], rows[-1]
    arm, few, everything = first["arm"], f"{first['level']:g}", f"all {last['level']:g}"
    if needed is None:
        return f"{arm}: cannot be evaluated: the test set lacks good or defective images."
    enough = (
        f"only all are within {WITHIN:g} of that"
        if needed == last["level"]
        else f"from {needed} on it is within {WITHIN:g} of that"
    )
    said = (
        f"{arm}: AUROC {first['auroc']:.2f} with {few} good images, {last['auroc']:.2f} with {everything}; "
        f"{enough}."
    )
    if np.isnan(last["false_alarm_rate"]):
        return said
    return (
        f"{said} F1 {first['f1']:.2f} with {few}, {last['f1']:.2f} with {everything}; false alarms "
        f"{first['false_alarm_rate']:.0%} and {last['false_alarm_rate']:.0%}."
    )
