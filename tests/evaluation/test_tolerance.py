"""Tolerance limits against counting, against scipy's beta distribution and against drawn scores."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.stats import beta

from mlproject.core.errors import TooFewImages
from mlproject.evaluation import tolerance

RATES, CONFIDENCES = (0.01, 0.05, 0.2, 0.5), (0.5, 0.75, 0.9, 0.99)


def counted(n: int, rate: float, above: int) -> float:
    """Return P(Binomial(n, rate) > above), term by term."""
    return 1 - sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(above + 1))


@pytest.mark.parametrize("rate", RATES)
def test_the_confidence_is_that_of_the_binomial_and_of_the_beta_distribution(rate):
    for n, above in ((1, 0), (20, 0), (20, 3), (60, 59)):
        found = tolerance.confidence_of(n, rate, above)
        assert found == pytest.approx(counted(n, rate, above), abs=1e-12)
        assert found == pytest.approx(beta.cdf(rate, above + 1, n - above), abs=1e-12)


@pytest.mark.parametrize(("rate", "confidence"), product(RATES, CONFIDENCES))
def test_as_many_lie_above_as_the_confidence_allows(rate, confidence):
    for n in (1, 2, 7, 40, 130):
        allowed = [above for above in range(n) if counted(n, rate, above) >= confidence - 1e-12]
        assert tolerance.most_above(n, rate, confidence) == max(allowed, default=None)


@pytest.mark.parametrize(("rate", "confidence"), product(RATES, CONFIDENCES))
def test_one_image_fewer_is_not_enough(rate, confidence):
    for above in (0, 1, 4):
        n = tolerance.images_needed(rate, confidence, above)
        assert counted(n, rate, above) >= confidence - 1e-12
        assert n == above + 1 or counted(n - 1, rate, above) < confidence


@pytest.mark.parametrize(("rate", "confidence", "n"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22)])
def test_published_numbers_of_images(rate, confidence, n):
    """Wilks' non-parametric one-sided tolerance limits, as tabulated."""
    assert tolerance.images_needed(rate, confidence) == n


def test_the_rate_is_kept_as_often_as_the_confidence_says():
    """Of uniform scores, 1 − t lie above a threshold t. Within 4 standard errors of 4,000 draws."""
    scores = np.random.default_rng(0).uniform(size=(4000, 60))
    thresholds = np.array([tolerance.threshold_with_confidence(row, 0.1, 0.9) for row in scores])
    exact = tolerance.confidence_of(60, 0.1, tolerance.most_above(60, 0.1, 0.9))
    assert 0.9 <= exact < 0.97
    assert np.mean(1 - thresholds <= 0.1) == pytest.approx(exact, abs=4 * np.sqrt(0.1 * 0.9 / 4000))


def test_too_few_images_say_how_many_are_needed():
    with pytest.raises(TooFewImages, match=r"20 good calibration images .* that needs 59"):
        tolerance.threshold_with_confidence(np.arange(20.0), 0.05, 0.95)
    assert tolerance.threshold_with_confidence(np.arange(59.0), 0.05, 0.95) == 58
