"""Rows of a study's table and paired differences, computed from scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.params import Threshold
from mlproject.core.wording import at_least
from mlproject.evaluation import metrics, thresholds
from mlproject.studies.components import seed_intervals

COLUMNS = (
    "study", "category", "series", "arm", "level", "subset", "seeds", "n_good", "n_defective",
    "auroc", "auroc_low", "auroc_high", "auroc_spread",
    "f1", "recall", "balanced_accuracy", "false_alarm_rate", "all_defective_f1",
)  # fmt: skip
DECISIONS = ("f1", "recall", "balanced_accuracy", "false_alarm_rate")
CALIBRATION = "calibration"


@dataclass(frozen=True)
class Group:
    """The scores of k trainings (or draws) on the same n images.

    Attributes:
        labels: (n,) 0 good, 1 defective.
        scores: (k, n).
        thresholds: one per training; None where there is none.
    """

    series: str
    arm: str
    level: float
    subset: str
    labels: np.ndarray
    scores: np.ndarray
    thresholds: Sequence[float | None]


def group(
    series: str, arm: str, level: float, subset: str, tables: Sequence[pd.DataFrame],
    at: Sequence[float | None],
) -> Group:  # fmt: skip
    """Return the evaluated images of several cells' tables as a `Group`.

    Raises:
        ValueError: the tables are of different images.
    """
    evaluated = [table[table["subset"] != CALIBRATION] for table in tables]
    paths = [table["path"].tolist() for table in evaluated]
    if any(other != paths[0] for other in paths):
        raise ValueError(f"{arm} {level}: cells were evaluated on different images")
    labels = evaluated[0]["label"].to_numpy()
    scores = np.stack([table["score"].to_numpy(dtype=np.float64) for table in evaluated])
    return Group(series, arm, level, subset, labels, scores, at)


def clean_threshold(table: pd.DataFrame, settings: Threshold) -> float | None:
    """Return the threshold from a cell's calibration images; None where there are none.

    Raises:
        TooFewImages: as `threshold`.
    """
    good = table.loc[table["subset"] == CALIBRATION, "score"].to_numpy(dtype=np.float64)
    return threshold(good, settings) if len(good) else None


def threshold(good: np.ndarray, settings: Threshold) -> float:
    """Return the threshold that (n,) good scores set, as in stage score.

    Raises:
        TooFewImages: as `thresholds.calibrate`.
    """
    rate, confidence = settings.false_alarm_rate, settings.confidence
    return thresholds.calibrate(good, rate, strict=settings.strict, confidence=confidence).value


def unsupported(arm: str, n: int, settings: Threshold) -> list[str]:
    """Return a note if n calibration images cannot support the false-alarm rate."""
    smallest = thresholds.smallest_false_alarm_rate(n, settings.confidence)
    if settings.false_alarm_rate >= smallest:
        return []
    how = f"1 / {n + 1}" if settings.confidence is None else f"with confidence {settings.confidence:g}"
    return [
        f"{arm}: {n} calibration images support a false-alarm rate of {at_least(smallest)} at "
        f"best ({how}), not the {settings.false_alarm_rate:g} asked for: its threshold is the largest of "
        "their scores."
    ]


def row(evaluated: Group, resamples: int) -> dict[str, Any]:
    """Return a row of the table without study and category; NaN where a value is undefined."""
    found = seed_intervals.aurocs(evaluated.labels, evaluated.scores, resamples)
    n_defective = int(evaluated.labels.sum())
    values: dict[str, Any] = {
        "series": evaluated.series,
        "arm": evaluated.arm,
        "level": float(evaluated.level),
        "subset": evaluated.subset,
        "seeds": len(evaluated.scores),
        "n_good": len(evaluated.labels) - n_defective,
        "n_defective": n_defective,
        "all_defective_f1": metrics.all_defective_f1(evaluated.labels),
    }
    if found:
        points, drawn = found
        low, high = seed_intervals.interval(drawn.mean(axis=0))
        spread = seed_intervals.spread(points)
        values |= {"auroc": points.mean(), "auroc_low": low, "auroc_high": high, "auroc_spread": spread}
    values |= {name: float(each.mean()) for name, each in decisions(evaluated).items()}
    return dict.fromkeys(COLUMNS, np.nan) | values


def decisions(evaluated: Group) -> dict[str, np.ndarray]:
    """Return the measures of each training at its threshold, (k,); NaN where undefined, or without one."""
    found = {name: np.full(len(evaluated.scores), np.nan) for name in DECISIONS}
    for place, (scores, at) in enumerate(zip(evaluated.scores, evaluated.thresholds, strict=True)):
        decided = {} if at is None else metrics.classification(evaluated.labels, scores, float(at))
        for name, values in found.items():
            value = decided.get(name)
            values[place] = np.nan if value is None else value
    return found


def comparison(one: Group, other: Group, against: str, resamples: int) -> dict[str, Any] | None:
    """Return AUROC of `one` minus that of `other` on the same images, paired; None if a class is missing.

    Raises:
        ValueError: they were evaluated on different images.
    """
    if not np.array_equal(one.labels, other.labels):
        raise ValueError(f"{one.arm} and {against}: evaluated on different images")
    first = seed_intervals.aurocs(one.labels, one.scores, resamples)
    second = seed_intervals.aurocs(other.labels, other.scores, resamples)
    if first is None or second is None:
        return None
    low, high = seed_intervals.interval(first[1].mean(axis=0) - second[1].mean(axis=0))
    paired = len(first[0]) == len(second[0])
    return {
        "arm": one.arm,
        "against": against,
        "series": one.series,
        "level": float(one.level),
        "subset": one.subset,
        "difference": float(first[0].mean() - second[0].mean()),
        "low": low,
        "high": high,
        "spread": seed_intervals.spread(first[0] - (second[0] if paired else second[0].mean())),
        "clear": "above" if low > 0 else "below" if high < 0 else "unclear",
    }


def frame(study: str, category: str, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the table with its columns in order, even if it has no rows."""
    return pd.DataFrame([dict(row) | {"study": study, "category": category} for row in rows], columns=COLUMNS)
