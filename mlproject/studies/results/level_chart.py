"""Chart of one measure of several arms, level by level."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlproject.studies.components.base import Chart, Line


def chart(
    rows: Sequence[Mapping[str, Any]],
    measure: str,
    title: str,
    x_label: str,
    y_label: str,
    reference: tuple[str, float] | None,
    tick: Callable[[float], str] = "{:g}".format,
) -> Chart:
    """Return the chart of a measure, with its intervals, of each arm at each level.

    Args:
        rows: of `tables.row`, all of one series.
        tick: level → its label.
    """
    levels = sorted({row["level"] for row in rows})
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["level"])
        values = [row[measure] for row in own]
        low, high = ([row.get(f"{measure}_{end}", np.nan) for row in own] for end in ("low", "high"))
        lines.append(Line(arm, range(len(levels)), values, low, high))
    return Chart(title, x_label, y_label, [tick(level) for level in levels], lines, reference=reference)
