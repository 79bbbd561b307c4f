"""Objective of a tuning, and its rank correlation with the test AUROC. Arrays in, values out."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from mlproject.core.errors import TooFewImages
from mlproject.core.params import Threshold
from mlproject.evaluation import metrics, thresholds

RESAMPLES = 2000
FEWEST_PAIRS = 10  # for an interval of a rank correlation: resampled, three in order are always in order
PERMUTATIONS = 9999
LUCK = 0.1  # how often a tuning whose trials are equally good may say that the best is better than the start


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
        luck: how often one of so many trials, all as good as the other, would seem so much better.
    """

    better: int
    of: int
    luck: float

    @property
    def shown(self) -> bool:
        """It is more than luck."""
        return self.luck < LUCK


def advantage(chosen: np.ndarray, start: np.ndarray, tried: int, seed: int) -> Advantage:
    """Compare the best trial with another; no label is needed to ask what a tuning has gained.

    A permutation test that exchanges what the two trials say of an image, for all its kinds at once: these
    share the good image, so nine kinds are not nine independent answers. Šidák's correction allows for the
    choice of the best.

    Args:
        chosen, start: (n, 1 + k) scores; a row an image: as it is, then with each kind of defect.
        tried: how many trials the best was chosen from, without the other.
    """
    both = np.stack([rankdata(scores).reshape(scores.shape) for scores in (chosen, start)])
    differences = np.subtract(*(_by_kind(scores) for scores in both))
    gained, rng = _gain(both) - 1e-12, np.random.default_rng(seed)
    as_much = 1
    for _ in range(PERMUTATIONS):
        exchanged = np.where(rng.random(len(chosen))[:, None] < 0.5, both, both[::-1])
        as_much += _gain(exchanged) >= gained
    luck = 1 - (1 - as_much / (PERMUTATIONS + 1)) ** max(tried, 1)
    return Advantage(int((differences > 0).sum()), int((differences != 0).sum()), float(luck))


def _gain(both: np.ndarray) -> float:
    """Return by how much the first of two trials' log-odds exceed the second's; (2, n, 1 + k) ranks."""
    first, second = (mean_as_log_odds(_by_kind(scores), len(scores)) for scores in both)
    return first - second


def _by_kind(scores: np.ndarray) -> np.ndarray:
    """Return the (k,) AUROCs of the columns of (n, 1 + k) scores against the first."""
    good, defective = np.sort(scores[:, 0]), scores[:, 1:]
    below = np.searchsorted(good, defective, "left") + np.searchsorted(good, defective, "right")
    return below.mean(axis=0) / 2 / len(good)


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
    """Return the bootstrap 95 % interval of `spearman` over the n pairs; None, None below `FEWEST_PAIRS`."""
    if len(first) < FEWEST_PAIRS or spearman(first, second) is None:
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
