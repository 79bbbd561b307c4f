"""Objective of a tuning, and its rank correlation with the test AUROC. Arrays in, values out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest, rankdata

from mlproject.core.errors import TooFewImages
from mlproject.core.params import Threshold
from mlproject.evaluation import metrics, thresholds

RESAMPLES = 2000
LUCK = 0.1  # probability below which a sign test is taken to show a difference


@dataclass(frozen=True)
class ObjectiveValue:
    """How well a detector tells the examined images apart; all but threshold and supported in [0, 1].

    Attributes:
        value: what is maximised: the mean of `balanced_accuracy` and of `separation`, or of `auroc` where
            the defects are real ones.
        auroc: of all examined images.
        separation: the AUROCs in `by_kind`, averaged as log-odds: from .97 to .99 counts as much as from .76
            to .91, so no kind is done with once it is nearly always found.
        balanced_accuracy: at `threshold`: without it no tuning could choose a false-alarm rate.
        recall: share of the defective images above the threshold.
        false_alarm_rate: share of the good images above it; bounded by the asked rate where these very
            images set the threshold (the proxy), so it rewards nothing there.
        threshold: from calibration images at the asked rate.
        supported: False where there are too few of them for the rate, and the largest score stands in.
        by_kind: AUROC of each kind of defect against all good images.
    """

    value: float
    auroc: float
    separation: float
    balanced_accuracy: float
    recall: float
    false_alarm_rate: float
    threshold: float
    supported: bool
    by_kind: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def evaluate(
    calibration: np.ndarray,
    scores: np.ndarray,
    kinds: np.ndarray,
    rate: float,
    threshold: Threshold,
    *,
    made: bool = True,
) -> ObjectiveValue:
    """Return how well scores separate good from defective images.

    Args:
        calibration: (m,) scores of good images, for the threshold.
        scores: (n,) of the examined images, higher = more anomalous.
        kinds: (n,) text, the kind of defect; "good" for good images. Both must occur.
        rate: false-alarm rate asked for, in the place of the one in `threshold`.
        threshold: with which confidence, and whether too few calibration images are an error.
        made: the defects are made ones, a sample of what could be: all kinds count alike.

    Raises:
        TooFewImages: they are, and `threshold.strict` says so.
    """
    labels = (kinds != "good").astype(np.int64)
    found = thresholds.calibrate(calibration, rate, strict=threshold.strict, confidence=threshold.confidence)
    decided = metrics.classification(labels, scores, found.value)
    auroc = _auroc(labels, scores)
    balanced, recall, alarms = (
        float(decided[name] or 0.0) for name in ("balanced_accuracy", "recall", "false_alarm_rate")
    )
    good = kinds == "good"
    by_kind = {
        str(kind): _auroc(labels[good | (kinds == kind)], scores[good | (kinds == kind)])
        for kind in sorted(set(kinds) - {"good"})
    }
    separation = mean_as_log_odds(np.array(list(by_kind.values())), int(good.sum()))
    value = ((separation if made else auroc) + balanced) / 2
    return ObjectiveValue(value, auroc, separation, balanced, recall, alarms, *found, by_kind)


def mean_as_log_odds(aurocs: np.ndarray, n: int) -> float:
    """Return the AUROC whose log-odds are the mean of those of (k,) AUROCs, each of `n` good images.

    Half an image is added on either side, as the log-odds of 0 and 1 are infinite.
    """
    log_odds = np.log((aurocs * n + 0.5) / ((1 - aurocs) * n + 0.5)).mean()
    return float(1 / (1 + np.exp(-log_odds)))


@dataclass(frozen=True)
class Advantage:
    """Kinds of defects that one trial tells from good images better than another, ties left out.

    Attributes:
        better, of: number of kinds.
        shown: a sign test over the kinds calls it more than luck.
    """

    better: int
    of: int
    shown: bool


def advantage(chosen: Mapping[str, float], start: Mapping[str, float]) -> Advantage:
    """Compare two trials by the AUROC of each kind; no label is needed to ask what a tuning has gained."""
    differences = [value - start[kind] for kind, value in chosen.items() if value != start[kind]]
    n, better = len(differences), sum(difference > 0 for difference in differences)
    luck = float(binomtest(better, n, alternative="greater").pvalue) if n else 1.0
    return Advantage(better, n, luck < LUCK)


def _auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    found = metrics.auroc(labels, scores)
    if found is None:
        raise TooFewImages(
            "A tuning needs good and defective images to tell apart; one of the two is absent."
        )
    return found


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return the rank correlation of two (n,) arrays in [-1, 1]; None where one does not vary."""
    value = _spearman_rows(first[None], second[None])[0]
    return None if np.isnan(value) else float(value)


def spearman_interval(
    first: np.ndarray, second: np.ndarray, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the bootstrap 95 % interval of `spearman` over the n pairs; None, None below three pairs."""
    if len(first) < 3 or spearman(first, second) is None:
        return None, None
    rows = np.random.default_rng(seed).integers(0, len(first), (RESAMPLES, len(first)))
    low, high = np.nanpercentile(_spearman_rows(first[rows], second[rows]), [2.5, 97.5])
    return float(low), float(high)


def _spearman_rows(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (m,) rank correlations of the rows of two (m, n) arrays; NaN where one does not vary."""
    ranks = [rankdata(values, axis=1) for values in (first, second)]
    x, y = (values - values.mean(axis=1, keepdims=True) for values in ranks)
    with np.errstate(invalid="ignore"):
        return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
