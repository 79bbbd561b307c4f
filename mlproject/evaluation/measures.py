"""All that is measured of a model on one category's test images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlproject.core.params import Evaluate
from mlproject.evaluation import defect_sizes, metrics, pixel_metrics, thresholds
from mlproject.evaluation.metrics import BOOTSTRAP_SEED

FROM_THRESHOLD = (  # keys of threshold.json
    "false_alarm_rate_asked", "confidence", "false_alarm_rate_supported", "n_calibration", "supported",
)  # fmt: skip


@dataclass(frozen=True)
class Tested:
    """Test images with what a model says of them.

    Attributes:
        labels: (n,) 0 good, 1 defective.
        defects: (n,) type of defect, or ``good``.
        masks: (n, h, w) uint8, 0 or 1; zeros where there is no mask.
        masked: (n,) bool, whether an image has a mask.
        scores: (n,) float64.
        matched_scores: (n,) float64, of the same images with their brightness matched.
        maps: (n, h, w) anomaly maps.
    """

    labels: np.ndarray
    defects: np.ndarray
    masks: np.ndarray
    masked: np.ndarray
    scores: np.ndarray
    matched_scores: np.ndarray
    maps: np.ndarray


def measure(tested: Tested, threshold: Mapping[str, Any], settings: Evaluate) -> dict[str, Any]:
    """Return the measures of images, of defects by type and size, and of pixels, with intervals.

    Args:
        threshold: content of threshold.json; where its value comes from is returned too.
    """
    limit = threshold["threshold"]
    return {
        **metrics.evaluate(
            tested.labels, tested.scores, limit, resamples=settings.bootstrap, seed=BOOTSTRAP_SEED
        ),
        "defects": defect_sizes.found(tested.defects, tested.masks, thresholds.decide(tested.scores, limit)),
        "brightness_matched_auroc": metrics.auroc(tested.labels, tested.matched_scores),
        **pixel_metrics.with_intervals(
            tested.masks, tested.maps, tested.labels, tested.masked,
            settings.bootstrap, BOOTSTRAP_SEED, settings.aupro_limit,
        ),
        **{name: threshold[name] for name in FROM_THRESHOLD},
    }  # fmt: skip
