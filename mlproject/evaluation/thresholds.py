"""Thresholds set from good images alone, and the rule that decides by them."""

import math
from typing import NamedTuple

import numpy as np

from mlproject.core.errors import TooFewImages


class Threshold(NamedTuple):
    """Where the threshold lies.

    Attributes:
        value: a score above it is defective.
        supported: there were enough calibration images for the false-alarm rate that was asked for.
    """

    value: float
    supported: bool


def calibrate(good_scores: np.ndarray, rate: float, *, strict: bool) -> Threshold:
    """Return the conformal threshold; with too few images, the largest score, marked unsupported.

    Args:
        good_scores: (n,) calibration scores of good images, n >= 1; higher = more anomalous.
        rate: false-alarm rate asked for, in (0, 1).
        strict: too few images are an error.

    Raises:
        TooFewImages: n < 1 / rate - 1, and `strict`.
    """
    try:
        return Threshold(threshold_at_false_alarm_rate(good_scores, rate), True)
    except TooFewImages:
        if strict:
            raise
        return Threshold(float(good_scores.max()), False)


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
        TooFewImages: n cannot support the rate.
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
