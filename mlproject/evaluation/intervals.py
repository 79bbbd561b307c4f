"""Confidence intervals: paired AUROC differences, F1, and shares of a few images."""

from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from mlproject.core.errors import UserError
from mlproject.evaluation import metrics

CONFIDENCE = 0.95  # as metrics.INTERVAL


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def auroc_difference(
    labels: np.ndarray, champion: np.ndarray, challenger: np.ndarray, resamples: int, seed: int
) -> Interval:
    """Return AUROC of the challenger − AUROC of the champion, with its paired bootstrap interval.

    Both are evaluated on the same resamples, good and defective images drawn separately, so that
    images that are hard for both cancel out. Equal rankings give [0, 0].

    Args:
        labels: (n,) 0 good, 1 defective.
        champion: (n,) finite scores; challenger alike, of the same images in the same order.
        resamples: number of bootstrap resamples.
        seed: same seed, same interval.

    Raises:
        UserError: the images lack good or defective ones, a score is not finite, or lengths differ.
    """
    values = [metrics.auroc(labels, scores) for scores in (challenger, champion)]
    if values[0] is None or values[1] is None:
        raise UserError("an AUROC needs good and defective images")
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    rng = np.random.default_rng(seed)
    drawn = [metrics.resample_counts(rng, len(rows), resamples) for rows in (good, defective)]
    after, before = (
        metrics.resampled_auroc(scores[good], scores[defective], *drawn) for scores in (challenger, champion)
    )
    low, high = np.percentile(after - before, metrics.INTERVAL)
    return Interval(values[0] - values[1], float(low), float(high))


def f1_interval(labels: np.ndarray, called: np.ndarray, resamples: int, seed: int) -> Interval:
    """Return the F1 of decisions with its bootstrap interval, stratified as in `auroc_difference`.

    Args:
        labels: (n,) 0 good, 1 defective; at least one is defective.
        called: (n,) bool, called defective.
    """
    rng = np.random.default_rng(seed)
    is_defective, n_defective = labels == 1, int(np.count_nonzero(labels))
    hit, alarm = called[is_defective], called[~is_defective]
    hits = metrics.resample_counts(rng, len(hit), resamples) @ hit
    alarms = metrics.resample_counts(rng, len(alarm), resamples) @ alarm if len(alarm) else np.zeros(1)
    low, high = np.percentile(2 * hits / (hits + alarms + n_defective), metrics.INTERVAL)
    value = 2 * hit.sum() / (hit.sum() + alarm.sum() + n_defective)
    return Interval(float(value), float(low), float(high))


def share_interval(count: int, n: int) -> Interval:
    """Return count / n with its exact binomial (Clopper-Pearson) interval.

    Args:
        count: from 0 to n.
        n: at least 1.
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, n - count)) if count < n else 1.0
    return Interval(count / n, low, high)
