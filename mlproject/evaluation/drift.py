"""Drift of a line of photos: whether recent photos are still like those that a model was calibrated on.

Photos are taken in windows of a fixed number. The photos of a window that were called good are compared with
reference photos that were called good: their scores, brightness and sharpness by Mann-Whitney's rank test,
two-sided; light and detail by place of the frame as `frame_map.py` says; the share called defective by
Fisher's exact test, for more alone. Each test gets a fifth of the alarm level (Bonferroni), so a window
without drift raises a false alarm with at most that probability, over reference and window alike, for any
distribution of the values, if photos are exchangeable. With the level WINDOW / run length there is one false
alarm in `run length` photos on average, and the mean number of photos before the first one is no less: the
windows share a reference, so false alarms come in clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from mlproject.evaluation import frame_map, thresholds
from mlproject.evaluation.frame_map import Difference

WINDOW = 50  # photos with a score
OWN_WINDOWS = 4  # first windows of a version, with which later ones are compared
FEWEST = 10  # values on each side, of fewer no test is made
TESTS = ("score", "brightness", "sharpness", "defective", "place")


@dataclass(frozen=True)
class Photos:
    """Scored photos.

    Attributes:
        scores: (n,) higher = more anomalous.
        brightness, sharpness: (n,) of `photo_statistics`.
        maps: (n, frame_map.VALUES) of `frame_map`; NaN where a photo has none.
    """

    scores: np.ndarray
    brightness: np.ndarray
    sharpness: np.ndarray
    maps: np.ndarray

    def at(self, rows: np.ndarray | slice) -> "Photos":
        """Return those at indices, in a slice or where a mask holds."""
        return Photos(self.scores[rows], self.brightness[rows], self.sharpness[rows], self.maps[rows])

    def good(self, threshold: float) -> "Photos":
        """Return those that are called good."""
        return self.at(~thresholds.decide(self.scores, threshold))


class Finding(NamedTuple):
    """What the tests say of a window.

    Attributes:
        p_values: name in TESTS → p-value; a test that could not be made is absent.
        p_value: of all tests together: the smallest, times the number of TESTS, at most 1.
        strongest: the test with the smallest p-value; "" if none was made.
        before, now: median of the strongest's values in reference and window, or the shares called defective.
        place: where the frame differs most clearly; None where "place" could not be tested.
    """

    p_values: Mapping[str, float]
    p_value: float
    strongest: str
    before: float
    now: float
    place: Difference | None


def compare(calibration: np.ndarray, own: Photos | None, window: Photos, threshold: float) -> Finding:
    """Compare a window with what the model was calibrated on and with the line's own first photos.

    Args:
        calibration: (m,) scores of good images that the model was not trained on; with fewer than FEWEST
            below the threshold, the scores of `own` are used instead.
        own: the line's first photos with this model; None while they are gathered: then only scores are
            compared.
        threshold: defective where score > threshold. Calibration scores above it are left out, as the photos
            called defective are.
    """
    recent = window.good(threshold)
    first = own.good(threshold) if own else None
    reference = calibration[~thresholds.decide(calibration, threshold)]
    if len(reference) < FEWEST and first:
        reference = first.scores
    pairs = {"score": (reference, recent.scores)}
    if first:
        pairs["brightness"] = (first.brightness, recent.brightness)
        pairs["sharpness"] = (first.sharpness, recent.sharpness)
    pairs = {name: both for name, both in pairs.items() if min(map(len, both)) >= FEWEST}
    found = {name: rank_test(*both) for name, both in pairs.items()}
    medians = {name: (float(np.median(a)), float(np.median(b))) for name, (a, b) in pairs.items()}
    if own:
        called = [int(thresholds.decide(photos.scores, threshold).sum()) for photos in (own, window)]
        sizes = [len(photos.scores) for photos in (own, window)]
        found["defective"] = more_test(*called, *sizes)
        medians["defective"] = (called[0] / sizes[0], called[1] / sizes[1])
    place = _place(first, recent) if first else None
    if place:
        found["place"] = place.p_value
        medians["place"] = (place.before, place.now)
    if not found:
        return Finding({}, 1.0, "", 0.0, 0.0, None)
    strongest = min(found, key=lambda name: found[name])
    return Finding(found, min(1.0, len(TESTS) * found[strongest]), strongest, *medians[strongest], place)


def _place(first: Photos, recent: Photos) -> Difference | None:
    """Compare the maps of photos; return None where too few have one."""
    maps = [photos.maps[~np.isnan(photos.maps[:, 0])] for photos in (first, recent)]
    return frame_map.compare(*maps) if min(map(len, maps)) >= FEWEST else None


def alarm_level(run_length: int) -> float:
    """Return the p-value below or at which a window is an alarm.

    Args:
        run_length: photos in which one false alarm is allowed on average, at least 2 · WINDOW.
    """
    return WINDOW / run_length


def rank_test(reference: np.ndarray, recent: np.ndarray) -> float:
    """Return the two-sided p-value of Mann and Whitney's test, by its normal approximation, ties allowed."""
    if np.ptp(np.concatenate([reference, recent])) == 0:
        return 1.0
    return float(stats.mannwhitneyu(reference, recent, method="asymptotic").pvalue)


def more_test(before: int, now: int, n_before: int, n_now: int) -> float:
    """Return the p-value of Fisher's exact test that the share `now` of `n_now` is no larger than before."""
    return float(stats.hypergeom.sf(now - 1, n_before + n_now, before + now, n_now))


def photo_statistics(pixels: np.ndarray) -> tuple[float, float]:
    """Return brightness and sharpness of a photo.

    Args:
        pixels: (s, s, 3) uint8.

    Returns:
        The mean, in [0, 1], and the variance of the Laplacian of its grey values in [0, 1].
    """
    grey = pixels.mean(axis=2, dtype=np.float32) / 255
    middle = 4 * grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - middle
    return float(grey.mean(dtype=np.float64)), float(laplacian.var(dtype=np.float64))
