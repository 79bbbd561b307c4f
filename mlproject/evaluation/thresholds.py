"""From good images alone: where the threshold of a score lies."""

import math

import numpy as np

from mlproject.core.errors import TooFewImages


def smallest_false_alarm_rate(n: int) -> float:
    """Return the smallest rate that n calibration images can support: 1 / (n + 1)."""
    return 1 / (n + 1)


def threshold_at_false_alarm_rate(good_scores: np.ndarray, false_alarm_rate: float) -> float:
    """Return the score that at most `false_alarm_rate` of new good images exceed.

    Split-conformal quantile, the ⌈(n + 1)(1 − α)⌉-th smallest of n scores: exchangeable good
    images exceed it with at most that probability.

    Args:
        good_scores: (n,) calibration scores of good images; higher = more anomalous.
        false_alarm_rate: in (0, 1); must be at least 1 / (n + 1).

    Raises:
        TooFewImages: n cannot support the rate (the caller decides: stop, or the largest score and a flag).
    """
    n = len(good_scores)
    rank = math.ceil(round((n + 1) * (1 - false_alarm_rate), 9))
    if rank > n:
        raise TooFewImages(
            f"{n} good calibration images support a false-alarm rate of {smallest_false_alarm_rate(n):.3f} "
            f"at best, {false_alarm_rate} was asked for. Add good images, raise "
            f"threshold.false_alarm_rate, or set split.calibration: cross."
        )
    return float(np.sort(np.asarray(good_scores, dtype=np.float64))[rank - 1])


def decide(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return (n,) bool: defective where score > threshold; equal is good."""
    return np.asarray(scores) > threshold
