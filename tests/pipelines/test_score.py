"""The threshold of a detector, as stage score writes it, on average or with a confidence."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlproject.core import params
from mlproject.core.errors import TooFewImages
from mlproject.evaluation import thresholds
from mlproject.models.components.combination import Combination

SCORES = np.arange(30.0)
DETECTOR = SimpleNamespace(combination=Combination({"error": 0.0}, {"error": 1.0}), paper_rule=None)


def written(confidence: float | None, rate: float = 0.1, strict: bool = False) -> dict:
    settings = params.Threshold(false_alarm_rate=rate, confidence=confidence, strict=strict)
    return thresholds.of_detector(SCORES, DETECTOR, settings)


def test_without_a_confidence_the_rate_is_kept_on_average():
    found = written(None)
    assert (found["threshold"], found["supported"]) == (27.0, True)  # the ⌈31 · 0.9⌉-th
    assert (found["false_alarm_rate_asked"], found["false_alarm_rate_supported"]) == (0.1, 0.1)
    assert found["confidence"] is None


def test_with_a_confidence_the_threshold_is_higher():
    found = written(0.9)
    assert (found["threshold"], found["supported"]) == (29.0, True)  # 1 − .9 ** 30 = .96
    assert found["confidence"] == 0.9
    assert found["part_thresholds"] == {"error": 29.0}


def test_what_the_images_cannot_bound_is_said():
    found = written(0.9, rate=0.05)
    assert (found["threshold"], found["supported"]) == (29.0, False)
    assert found["false_alarm_rate_supported"] == pytest.approx(1 - 0.1 ** (1 / 30))
    with pytest.raises(TooFewImages, match="needs 45"):
        written(0.9, rate=0.05, strict=True)
