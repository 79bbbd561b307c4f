"""Confidence intervals: paired AUROC differences, F1, and shares of a few images."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, binomtest

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
    """Return AUROC of the challenger − AUROC of the champion, and its paired interval.

    A plain bootstrap of few images sees no spread where no image among them is ranked differently, and then
    gives [0, 0], though the challenger may overlook every tenth defect. So each end of the interval allows
    for one image that was not seen: for the lower end an image that the champion ranks rightly and the
    challenger ranks by chance (it loses 1/2), for the upper end the reverse. Weights of the images, this one
    among them, are those of the Bayesian bootstrap (Rubin 1981). Where the challenger ranks k of n defects by
    chance and equals the champion in all else, the lower end is −1/2 times the exact binomial bound
    (Clopper and Pearson 1934) on their share; so is it for good images. The unseen image is good or
    defective, whichever gives the wider interval. `benchmarks/gate_simulation.py` shows how well it holds.

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
    rows = [np.flatnonzero(labels == label) for label in (0, 1)]
    rng = np.random.default_rng(seed)
    weights = [_bayesian_weights(rng, len(of_class), resamples) for of_class in rows]
    after, before = (
        metrics.resampled_auroc(*(scores[of_class] for of_class in rows), *weights)
        for scores in (challenger, champion)
    )
    lows, highs = [], []
    for of_class in rows:
        unseen = rng.permutation(_unseen_weights(len(of_class), resamples))
        seen = (after - before) * (1 - unseen)
        lows.append(np.percentile(seen - unseen / 2, metrics.INTERVAL[0]))
        highs.append(np.percentile(seen + unseen / 2, metrics.INTERVAL[1]))
    return Interval(values[0] - values[1], float(min(lows)), float(max(highs)))


def fewest_images(loss: float) -> int:
    """Return how many images of a class show that two models that rank alike differ by `loss` AUROC at most.

    With fewer, the lower end of `auroc_difference` lies below −loss for equal rankings too.

    Args:
        loss: in (0, 1/2).
    """
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(1 - 2 * loss))


def _bayesian_weights(rng: np.random.Generator, n: int, resamples: int) -> np.ndarray:
    """Return (resamples, n) weights, uniform among those that are ≥ 0 and sum to n."""
    drawn = rng.standard_exponential((resamples, n))
    return drawn * (n / drawn.sum(axis=1, keepdims=True))


def _unseen_weights(n: int, resamples: int) -> np.ndarray:
    """Return (resamples,) the share of all weight that one image more than n has: evenly spaced quantiles."""
    return np.asarray(beta.ppf((np.arange(resamples) + 0.5) / resamples, 1, n))


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
    found = binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    return Interval(count / n, float(found.low), float(found.high))
