"""Result of study contamination: losses by the share of hidden defects, and how patch_kde ranks these."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.params import Threshold
from mlproject.studies.components import tables
from mlproject.studies.components.base import Cell, Chart, Result
from mlproject.studies.components.tables import Group
from mlproject.studies.results import seed_bands

SERIES = "hidden defects"
TRAINING = "training"  # subset of training images, with their left-out scores
NONE = "none hidden"
X_LABEL = "train/good that is defective"


def result(
    scored: Mapping[Cell, pd.DataFrame], thresholds: Mapping[str, Threshold], resamples: int,
    notes: Sequence[str],
) -> Result:  # fmt: skip
    """Return the outcome of the study.

    Args:
        scored: every cell's scores of the same test images, of calibration images and, of patch_kde, of
            training images (label 1: a hidden defect).
        thresholds: arm → its section threshold.
    """
    groups: dict[tuple[str, float], Group] = {}
    for arm, settings in thresholds.items():
        for level in sorted({cell.level for cell in scored if cell.arm == arm}):
            drawn = [table for cell, table in scored.items() if (cell.arm, cell.level) == (arm, level)]
            at = [tables.clean_threshold(table, settings) for table in drawn]
            evaluated = [table[table["subset"] != TRAINING] for table in drawn]
            (subset,) = set(evaluated[0]["subset"]) - {tables.CALIBRATION}
            groups[arm, level] = tables.group(SERIES, arm, level, subset, evaluated, at)
    rows = [tables.row(group, resamples) for group in groups.values()]
    found = [
        tables.comparison(group, groups[arm, 0], NONE, resamples)
        for (arm, level), group in groups.items()
        if level
    ]
    levels = sorted({level for _, level in groups})
    ranking = suspicion(scored)
    ticks = [f"{100 * level:g} %" for level in levels]
    charts = seed_bands.charts(groups, ticks, X_LABEL)
    return Result(
        rows=rows,
        comparisons=[one for one in found if one],
        statements=[
            *(statement([row for row in rows if row["arm"] == arm]) for arm in thresholds),
            *_suspicion_words(ranking),
        ],
        notes=notes,
        charts=[[*charts, *_suspicion_chart(ranking, levels, ticks)]],
        facts={"suspicious": ranking},
    )


def suspicion(scored: Mapping[Cell, pd.DataFrame]) -> list[dict[str, Any]]:
    """Return, for each training with hidden defects, how many of them its left-out scores put first.

    `found` counts hidden defects among the `hidden` training images with the highest scores.
    """
    found = []
    for cell, table in scored.items():
        training = table[table["subset"] == TRAINING]
        hidden = int(training["label"].sum())
        if hidden:
            first = training.sort_values("score", ascending=False, kind="stable").head(hidden)
            where = {"arm": cell.arm, "level": cell.level, "seed": cell.seed}
            counts = {"training_images": len(training), "hidden": hidden, "found": int(first["label"].sum())}
            found.append(where | counts)
    return found


def statement(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the sentence that answers the question for one arm; rows by rising share, the first without."""
    clean, worst = rows[0], rows[-1]
    if np.isnan(clean["auroc"]):
        return f"{clean['arm']}: cannot be evaluated: the test images lack good or defective ones."
    said = (
        f"{clean['arm']}: with {100 * worst['level']:g} % hidden defects AUROC {worst['auroc']:.2f} "
        f"({clean['auroc']:.2f} without)"
    )
    if np.isnan(clean["f1"]):
        return f"{said}."
    return (
        f"{said}, F1 {worst['f1']:.2f} ({clean['f1']:.2f}), recall {worst['recall']:.0%} "
        f"({clean['recall']:.0%}), false alarms {worst['false_alarm_rate']:.0%} "
        f"({clean['false_alarm_rate']:.0%})."
    )


def _suspicion_words(ranking: Sequence[Mapping[str, Any]]) -> list[str]:
    sentences = []
    for arm in dict.fromkeys(one["arm"] for one in ranking):
        own = [one for one in ranking if one["arm"] == arm]
        by_level = []
        for level in sorted({one["level"] for one in own}):
            found, hidden = (sum(o[name] for o in own if o["level"] == level) for name in ("found", "hidden"))
            by_level.append(f"{found} of {hidden} at {100 * level:g} %")
        sentences.append(
            f"{arm}: k defects were hidden among its training images; the number of them found among the k "
            f"highest leave-one-out scores, over all seeds: {', '.join(by_level)}."
        )
    return sentences


def _suspicion_chart(
    ranking: Sequence[Mapping[str, Any]], levels: Sequence[float], ticks: Sequence[str]
) -> list[Chart]:
    """Return the chart of the shares found; none where no detector ranks its training images."""
    lines = []
    for arm in dict.fromkeys(one["arm"] for one in ranking):
        own = [one for one in ranking if one["arm"] == arm]
        values = [
            np.array([one["found"] / one["hidden"] for one in own if one["level"] == level] or [np.nan])
            for level in levels
        ]
        lines.append(seed_bands.line(arm, values))
    if not lines:
        return []
    return [Chart("hidden defects found", X_LABEL, "", ticks, lines, reference=None, shaded=True)]
