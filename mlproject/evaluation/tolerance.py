"""Exact tolerance limits: how sure a false-alarm rate is that a threshold was set for.

Of n good images drawn alike, independently, the share of new good ones above the k-th smallest score has the
distribution Beta(n − k + 1, k), whatever the model: it is at most `rate` with probability
P(Binomial(n, rate) ≥ n − k + 1). (Wilks 1941; Guenther 1977 for the binomial form.)
"""

import numpy as np

from mlproject.core.errors import TooFewImages

_ROUNDING = 1e-12  # a limit that is met exactly counts as met


def confidence_of(n: int, rate: float, above: int = 0) -> float:
    """Return the probability that at most `rate` of good images exceed a threshold.

    Args:
        n: good calibration images.
        rate: false-alarm rate, in (0, 1).
        above: how many of the n scores lie above the threshold, which is the next smaller score.
    """
    from scipy.special import bdtrc  # 16 MB that a verdict does without

    return float(bdtrc(above, n, rate))


def most_above(n: int, rate: float, confidence: float) -> int | None:
    """Return how many of n calibration scores may lie above the threshold; None where n is too small.

    Args:
        rate: false-alarm rate, in (0, 1).
        confidence: that the rate is not exceeded, in (0, 1).
    """
    above = 0
    while confidence_of(n, rate, above) >= confidence - _ROUNDING:
        above += 1
    return above - 1 if above else None


def images_needed(rate: float, confidence: float, above: int = 0) -> int:
    """Return the fewest good calibration images for a rate and a confidence.

    Args:
        rate: false-alarm rate, in (0, 1).
        confidence: that the rate is not exceeded, in (0, 1).
        above: how many of them lie above the threshold; 0: the threshold is their largest score.
    """
    low, high = above, above + 1
    while confidence_of(high, rate, above) < confidence - _ROUNDING:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = confidence_of(middle, rate, above) >= confidence - _ROUNDING
        low, high = (low, middle) if enough else (middle, high)
    return high


def threshold_with_confidence(good_scores: np.ndarray, rate: float, confidence: float) -> float:
    """Return the smallest calibration score that bounds the false-alarm rate with this confidence.

    With probability `confidence`, over calibration images drawn alike, at most `rate` of all good images
    exceed it. Equal scores only lower the rate.

    Args:
        good_scores: (n,) calibration scores of good images; higher = more anomalous.
        rate: false-alarm rate, in (0, 1).
        confidence: in (0, 1).

    Raises:
        TooFewImages: not even the largest score bounds it.
    """
    n = len(good_scores)
    above = most_above(n, rate, confidence)
    if above is None:
        raise TooFewImages(
            f"{n} good calibration images bound a false-alarm rate of {rate:g} with a confidence of "
            f"{confidence_of(n, rate):.3f} at best, {confidence:g} was asked for: that needs "
            f"{images_needed(rate, confidence)}. Add good images, raise threshold.false_alarm_rate, or lower "
            "threshold.confidence."
        )
    return float(np.sort(np.asarray(good_scores, dtype=np.float64))[n - 1 - above])
