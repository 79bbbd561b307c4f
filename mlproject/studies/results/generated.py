"""Result of study generated: each model with and without generated images."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlproject.core.params import Threshold
from mlproject.studies.components import tables
from mlproject.studies.components.base import Cell, Chart, Line, Result

WITHOUT = "without"
WORDS = {"above": "they help", "below": "they harm", "unclear": "no difference is shown"}


def result(
    scored: Mapping[Cell, pd.DataFrame], thresholds: Mapping[str, Threshold], resamples: int,
    notes: Sequence[str],
) -> Result:  # fmt: skip
    """Return the outcome of the study.

    Args:
        scored: every cell's scores of the same held-out images, and of calibration images.
        thresholds: arm → its section threshold.
    """
    groups = {}
    for arm, settings in thresholds.items():
        for level in sorted({cell.level for cell in scored if cell.arm == arm}):
            cells = sorted((c for c in scored if (c.arm, c.level) == (arm, level)), key=lambda c: c.seed)
            trained = [scored[cell] for cell in cells]
            at = [tables.clean_threshold(table, settings) for table in trained]
            groups[arm, level] = tables.group("generated", arm, level, "held_out", trained, at)
    rows = [tables.row(group, resamples) for group in groups.values()]
    differences = [
        tables.comparison(group, groups[arm, 0], WITHOUT, resamples)
        for (arm, level), group in groups.items()
        if level
    ]
    comparisons = [difference for difference in differences if difference]
    return Result(
        rows=rows,
        comparisons=comparisons,
        statements=[_sentence(one) for one in comparisons]
        or ["Cannot be said: the held-out images lack good or defective ones."],
        notes=notes,
        charts=[[_chart(rows, arm) for arm in thresholds]],
    )


def _sentence(one: Mapping[str, Any]) -> str:
    return (
        f"{one['arm']}: {one['level']:.0f} generated images change the AUROC by {one['difference']:+.3f} "
        f"[{one['low']:+.3f}, {one['high']:+.3f}] (spread over seeds {one['spread']:.3f}): "
        f"{WORDS[one['clear']]}."
    )


def _chart(rows: Sequence[Mapping[str, Any]], arm: str) -> Chart:
    own = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["level"])
    ticks = [WITHOUT if not row["level"] else f"with {row['level']:.0f}" for row in own]
    values = ([row[column] for row in own] for column in ("auroc", "auroc_low", "auroc_high"))
    line = Line(arm, range(len(own)), *values)
    return Chart(arm, "generated images", "AUROC, held-out images", ticks, [line], joined=False)
