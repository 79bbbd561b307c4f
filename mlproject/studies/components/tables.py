"""From scores to the rows of a study's table, and to differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlproject.core.params import Threshold
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
        thresholds: one a training; None where there is none.
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
    """Return the judged images of several cells' tables as a `Group`.

    Raises:
        ValueError: the tables are of different images.
    """
    judged = [table[table["subset"] != CALIBRATION] for table in tables]
    paths = [table["path"].tolist() for table in judged]
    if any(other != paths[0] for other in paths):
        raise ValueError(f"{arm} {level}: cells were judged on different images")
    labels = judged[0]["label"].to_numpy()
    scores = np.stack([table["score"].to_numpy(dtype=np.float64) for table in judged])
    return Group(series, arm, level, subset, labels, scores, at)


def clean_threshold(table: pd.DataFrame, settings: Threshold) -> float | None:
    """Return the threshold that a cell's calibration images set; None where there are none.

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
    return thresholds.calibrate(good, settings.false_alarm_rate, strict=settings.strict).value


def unsupported(arm: str, n: int, settings: Threshold) -> list[str]:
    """Return what is to be said where n calibration images cannot support the false-alarm rate."""
    if settings.false_alarm_rate >= thresholds.smallest_false_alarm_rate(n):
        return []
    return [
        f"{arm}: {n} calibration images support a false-alarm rate of "
        f"{thresholds.smallest_false_alarm_rate(n):.3f} at best (1 / {n + 1}), not the "
        f"{settings.false_alarm_rate:g} asked for: its threshold is the largest of their scores."
    ]


def row(judged: Group, resamples: int) -> dict[str, Any]:
    """Return a row of the table but for study and category; NaN where it cannot be said."""
    found = seed_intervals.aurocs(judged.labels, judged.scores, resamples)
    n_defective = int(judged.labels.sum())
    values: dict[str, Any] = {
        "series": judged.series,
        "arm": judged.arm,
        "level": float(judged.level),
        "subset": judged.subset,
        "seeds": len(judged.scores),
        "n_good": len(judged.labels) - n_defective,
        "n_defective": n_defective,
        "all_defective_f1": metrics.all_defective_f1(judged.labels),
    }
    if found:
        points, drawn = found
        low, high = seed_intervals.interval(drawn.mean(axis=0))
        spread = seed_intervals.spread(points)
        values |= {"auroc": points.mean(), "auroc_low": low, "auroc_high": high, "auroc_spread": spread}
    return dict.fromkeys(COLUMNS, np.nan) | values | _decisions(judged)


def _decisions(judged: Group) -> dict[str, float]:
    """Return the mean over trainings of what their thresholds decide; NaN where one has none."""
    if any(at is None for at in judged.thresholds):
        return {}
    decided = [
        metrics.classification(judged.labels, scores, float(at))
        for scores, at in zip(judged.scores, judged.thresholds, strict=True)
        if at is not None
    ]
    return {
        name: float(np.mean([np.nan if one[name] is None else one[name] for one in decided]))
        for name in DECISIONS
    }


def comparison(one: Group, other: Group, against: str, resamples: int) -> dict[str, Any] | None:
    """Return AUROC of `one` less that of `other` on the same images, paired; None where a class is missing.

    Raises:
        ValueError: they were judged on different images.
    """
    if not np.array_equal(one.labels, other.labels):
        raise ValueError(f"{one.arm} and {against}: judged on different images")
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
    """Return the table with its columns in order; of no row, still with its columns."""
    return pd.DataFrame([dict(row) | {"study": study, "category": category} for row in rows], columns=COLUMNS)
