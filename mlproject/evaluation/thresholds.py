"""Thresholds set from good images alone, and the rule that decides by them."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mlproject.core.errors import TooFewImages
from mlproject.core.wording import at_least
from mlproject.evaluation import tolerance

if TYPE_CHECKING:
    from mlproject.core.params import Threshold as Settings
    from mlproject.data.split import Roles
    from mlproject.models.components.detector import Detector


class Threshold(NamedTuple):
    """Where the threshold lies.

    Attributes:
        value: a score above it is defective.
        supported: there were enough calibration images for the false-alarm rate that was asked for.
    """

    value: float
    supported: bool


def calibrate(
    good_scores: np.ndarray, rate: float, *, strict: bool, confidence: float | None = None
) -> Threshold:
    """Return the threshold for a false-alarm rate; with too few images, the largest score, not supported.

    Without a confidence the rate is kept on average over calibration sets, not bounded: with 21 images and a
    rate of 0.05, the rate of one threshold is above 0.05 in 34 % of cases. With a confidence, it is above
    `rate` in at most 1 − confidence of cases, which takes more images: `tolerance.images_needed`.

    Args:
        good_scores: (n,) calibration scores of good images, n >= 1; higher = more anomalous. For a confidence
            to hold they must be drawn alike and independently; out-of-fold scores are so only nearly.
        rate: false-alarm rate asked for, in (0, 1).
        strict: too few images are an error.
        confidence: that the rate is not exceeded, in (0, 1); None: on average only.

    Raises:
        TooFewImages: n is too small, and `strict`.
    """
    try:
        if confidence is not None:
            return Threshold(tolerance.threshold_with_confidence(good_scores, rate, confidence), True)
        return Threshold(threshold_at_false_alarm_rate(good_scores, rate), True)
    except TooFewImages:
        if strict:
            raise
        return Threshold(float(good_scores.max()), False)


class ThresholdImages(NamedTuple):
    """Good images that set a threshold, with their parts as new images have them.

    Attributes:
        rows: (n,) of the manifest, by role.
        parts: name → (n,) float64.
    """

    rows: np.ndarray
    parts: dict[str, np.ndarray]


def good_images(
    detector: "Detector",
    roles: "Roles",
    originals: Sequence[str],
    images: Callable[[np.ndarray], np.ndarray],
) -> ThresholdImages:
    """Return the images of `Detector.threshold_roles`; of training images, those with `left_out_parts`.

    Args:
        detector: fitted to the images of role train, in the order of `roles`.
        originals: of the images of role train; copies of an image have the image's.
        images: manifest's rows → (n, s, s, 3) uint8.
    """
    rows, parts = [], []
    for role in detector.threshold_roles:
        found = rows_of(role, roles, originals)
        if not len(found):  # with `cross` there is no image of role calibration
            continue
        if role == "train":
            alone = uncopied(originals)
            of_role = {k: v[alone] for k, v in detector.left_out_parts().items()}
        else:
            of_role = detector.measure(images(found)).parts
        rows.append(found)
        parts.append(of_role)
    joined = {name: np.concatenate([one[name] for one in parts]) for name in detector.part_names}
    return ThresholdImages(np.concatenate(rows), joined)


def rows_of(role: str, roles: "Roles", originals: Sequence[str]) -> np.ndarray:
    """Return the manifest's rows that one of `Detector.threshold_roles` has; of `train`, those `uncopied`."""
    rows: np.ndarray = getattr(roles, role)
    return rows[uncopied(originals)] if role == "train" else rows


def uncopied(originals: Sequence[str]) -> np.ndarray:
    """Return (n,) bool, whether an image has no copy among the others.

    Only then is its score by the others like that of a new image.

    Args:
        originals: of each image; copies of an image have the image's.
    """
    counts = Counter(originals)
    return np.array([counts[original] == 1 for original in originals], dtype=bool)


def of_detector(good_scores: np.ndarray, detector: "Detector", settings: "Settings") -> dict[str, Any]:
    """Return threshold.json: the clean protocol's threshold, or the largest score and a flag.

    Args:
        good_scores: (n,) of good images, as `Detector.threshold_scores` gives them.
        detector: calibrated.

    Raises:
        TooFewImages: as `calibrate`.
    """
    found = calibrate(
        good_scores, settings.false_alarm_rate, strict=settings.strict, confidence=settings.confidence
    )
    assert detector.combination is not None  # it has scored these images
    best = smallest_false_alarm_rate(len(good_scores), settings.confidence)
    return {
        "threshold": found.value,
        "false_alarm_rate_asked": settings.false_alarm_rate,
        "confidence": settings.confidence,
        "false_alarm_rate_supported": max(settings.false_alarm_rate, best),
        "n_calibration": len(good_scores),
        "supported": found.supported,
        "part_thresholds": detector.combination.part_thresholds(found.value),
        "paper_rule": detector.paper_rule,
    }


def smallest_false_alarm_rate(n: int, confidence: float | None = None) -> float:
    """Return the smallest rate that n calibration images can support.

    On average that is 1 / (n + 1); with a confidence, 1 − (1 − confidence)^(1/n).
    """
    return 1 / (n + 1) if confidence is None else 1 - (1 - confidence) ** (1 / n)


def images_for_average(rate: float) -> int:
    """Return the fewest calibration images that support a false-alarm rate on average."""
    return max(1, math.ceil(round(1 / rate - 1, 9)))


def threshold_at_false_alarm_rate(good_scores: np.ndarray, false_alarm_rate: float) -> float:
    """Return the score that a new good image exceeds with a probability of at most `false_alarm_rate`.

    Split-conformal quantile, the ⌈(n + 1)(1 − α)⌉-th smallest of n scores. The probability is over new images
    and calibration sets, both exchangeable: an average, not a bound for the one threshold in use.

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
            f"{n} good calibration images support a false-alarm rate of "
            f"{at_least(smallest_false_alarm_rate(n))} at best, {false_alarm_rate} was asked for. "
            f"Add good images, raise threshold.false_alarm_rate, or set split.calibration: cross."
        )
    return float(np.sort(np.asarray(good_scores, dtype=np.float64))[rank - 1])


def decide(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return (n,) bool: defective where score > threshold; equal is good."""
    return np.asarray(scores) > threshold
