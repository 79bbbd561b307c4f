"""Intervals of the mean AUROC of several trainings, and of the difference between two such means.

Images are drawn with replacement, good and defective ones separately; every training and every model uses
the same draws, so differences are paired. Each resample gives the AUROC's mean over the seeds.
The variation between trainings is a separate number: the spread over seeds.
"""

import numpy as np

from mlproject.evaluation import metrics

_WORDS = (
    "95 % bootstrap over images (good and defective drawn separately){over}; differences "
    "are paired: the same images judge both. Neither holds {without}, nor is corrected for several "
    "comparisons."
)
_ONE_TRAINING = "another training (there is one of each detector)"
WORDS = _WORDS.format(over=" of the mean over seeds", without="the spread over seeds")
WORDS_OF_DRAWS = _WORDS.format(
    over=" of the mean over draws of the noise (in the table: seeds)", without=_ONE_TRAINING
)
WORDS_OF_BANDS = f"in the chart, from the lowest to the highest seed; in the table, {WORDS}"
WORDS_OF_ONE = _WORDS.format(over="", without=_ONE_TRAINING)


def aurocs(labels: np.ndarray, scores: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (k,) AUROCs of k trainings and (k, resamples) of resampled images; ties count half.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (k, n), one row a training.

    Returns:
        None where a class is missing.
    """
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    if not len(good) or not len(defective):
        return None
    rng = np.random.default_rng(metrics.BOOTSTRAP_SEED)
    counts = [metrics.resample_counts(rng, len(rows), resamples) for rows in (good, defective)]
    points = np.array([metrics.auroc(labels, row) for row in scores], dtype=np.float64)
    drawn = [metrics.resampled_auroc(row[good], row[defective], *counts) for row in scores]
    return points, np.stack(drawn)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of (resamples,) values."""
    low, high = np.percentile(resampled, metrics.INTERVAL)
    return float(low), float(high)


def spread(values: np.ndarray) -> float | None:
    """Return the sample standard deviation over seeds; None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
