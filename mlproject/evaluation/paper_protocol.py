"""Protocol `paper`: decisions at thresholds set as the paper set them, only to compare with its tables.

A detector names its rule (`Detector.paper_rule`); stage score passes the name on in threshold.json. The
rules are here, below the models, so that stage evaluate needs no training code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlproject.evaluation import metrics
from mlproject.evaluation.thresholds import decide

Parts = Mapping[str, np.ndarray]  # part → (n,) values, higher = more anomalous


@dataclass(frozen=True)
class Rule:
    """A way to set one threshold per part.

    Attributes:
        thresholds: (parts of held-out good images, parts of test images, test labels) → part → threshold.
        sees_test_labels: if true, its numbers are not results.
    """

    thresholds: Callable[[Parts, Parts, np.ndarray], dict[str, float]]
    sees_test_labels: bool


def edge_of_good(good: Parts, test: Parts, labels: np.ndarray) -> dict[str, float]:
    """Return the largest value of each part among good images that were not used for training.

    KD-CAE (paper, 3.5.1): the largest reconstruction error, the smallest log-density. The paper read them
    off the distributions by eye; here they are computed.
    """
    return {name: float(np.max(values)) for name, values in good.items()}


def fewest_errors(good: Parts, test: Parts, labels: np.ndarray) -> dict[str, float]:
    """Return, for each part on its own, the threshold with the fewest errors on the test labels.

    NI-CAE, as in the authors' code (one part). The threshold is chosen with the answers known.
    """
    return {name: metrics.fewest_errors_threshold(labels, values) for name, values in test.items()}


def even_odds(good: Parts, test: Parts, labels: np.ndarray) -> dict[str, float]:
    """Return 0 for each part, log-odds: the CNN's sigmoid output above .5 (paper, 3.4)."""
    return dict.fromkeys(good, 0.0)


RULES = {
    "edge_of_good": Rule(edge_of_good, sees_test_labels=False),
    "even_odds": Rule(even_odds, sees_test_labels=False),
    "fewest_errors": Rule(fewest_errors, sees_test_labels=True),
}


def evaluate(rule: str, good: Parts, test: Parts, labels: np.ndarray) -> dict[str, Any]:
    """Return the section `paper` of metrics.json: defective where any part exceeds its threshold.

    Args:
        rule: a name in `RULES`.
        good: parts of good images that were not used for training. They may include those that chose the
            epoch, because the paper has no separate calibration set.
        test: the same parts of the n test images.
        labels: (n,) 0 good, 1 defective.

    Returns:
        rule, sees_test_labels, thresholds (part → threshold) and the measures of `metrics.classification`.
    """
    limits = RULES[rule].thresholds(good, test, labels)
    about = {"rule": rule, "sees_test_labels": RULES[rule].sees_test_labels}
    return about | at_thresholds(limits, test, labels)


def at_thresholds(limits: Mapping[str, float], test: Parts, labels: np.ndarray) -> dict[str, Any]:
    """Return thresholds and the measures of `metrics.classification`; a part above its limit is defective.

    Args:
        limits: part → threshold.
        test: the parts of the n test images.
        labels: (n,) 0 good, 1 defective.
    """
    called = np.any([decide(test[name], limit) for name, limit in limits.items()], axis=0)
    measures = metrics.classification(labels, called.astype(np.float64), 0.5)
    del measures["threshold"]  # of the 0 and 1 above, not of a part
    return {"thresholds": dict(limits)} | measures
