"""Thresholds from good images alone, and parts that become one score."""

import json

import numpy as np
import pytest

from mlproject.core.errors import TooFewImages
from mlproject.core.wording import at_least
from mlproject.evaluation.thresholds import (
    calibrate,
    decide,
    images_for_average,
    smallest_false_alarm_rate,
    threshold_at_false_alarm_rate,
)
from mlproject.models.components.combination import Combination


@pytest.mark.parametrize(
    ("n", "rate", "rank"),
    [
        (19, 0.05, 19),  # (19 + 1)(1 − .05) = 19: the largest is just enough
        (20, 0.05, 20),
        (39, 0.05, 38),
        (99, 0.05, 95),
        (9, 0.1, 9),  # 10 × .9 in floats is not quite 9
        (9, 0.3, 7),
        (1, 0.5, 1),
        (4, 0.25, 4),
    ],
)
def test_the_threshold_is_the_conformal_order_statistic(n: int, rate: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1))  # the k-th smallest is k
    assert threshold_at_false_alarm_rate(scores, rate) == rank


@pytest.mark.parametrize(("n", "rate"), [(18, 0.05), (8, 0.1), (0, 0.5), (6, 0.05)])
def test_too_few_images_for_the_rate_say_so(n: int, rate: float) -> None:
    assert rate < smallest_false_alarm_rate(n)
    with pytest.raises(TooFewImages, match=f"{n} good calibration images"):
        threshold_at_false_alarm_rate(np.arange(n), rate)


@pytest.mark.parametrize("strict", [False, True])
def test_enough_images_set_a_supported_threshold(strict: bool) -> None:
    assert calibrate(np.arange(39.0), 0.05, strict=strict) == (37.0, True)


def test_too_few_images_set_their_largest_score_marked_unsupported_or_strictly_an_error() -> None:
    assert calibrate(np.array([3.0, 7.0, 5.0]), 0.05, strict=False) == (7.0, False)
    with pytest.raises(TooFewImages, match="3 good calibration images"):
        calibrate(np.array([3.0, 7.0, 5.0]), 0.05, strict=True)


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_to_ask_for_the_smallest_rate_as_it_is_written_is_supported(confidence: float | None) -> None:
    for n in range(2, 400):
        smallest = smallest_false_alarm_rate(n, confidence)
        assert smallest <= float(at_least(smallest)) < smallest + 0.001


@pytest.mark.parametrize("n", [1, 2, 9, 19, 60, 209])
def test_the_smallest_rate_is_supported_and_gives_the_largest_score(n: int) -> None:
    scores = np.random.default_rng(n).normal(size=n)
    assert threshold_at_false_alarm_rate(scores, smallest_false_alarm_rate(n)) == scores.max()


@pytest.mark.parametrize(("n", "rate"), [(19, 0.05), (40, 0.05), (33, 0.2)])
def test_new_good_images_exceed_it_as_often_as_promised(n: int, rate: float) -> None:
    """Mean false-alarm rate over 4000 draws: at most the rate, and over it by less than 1/(n + 1)."""
    rng = np.random.default_rng(0)
    calibration, new = rng.exponential(size=(4000, n)), rng.exponential(size=(4000, 50))
    thresholds = np.array([threshold_at_false_alarm_rate(row, rate) for row in calibration])
    measured = (new > thresholds[:, None]).mean()
    noise = 0.003  # about four standard errors
    assert rate - 1 / (n + 1) - noise <= measured <= rate + noise


def test_ties_never_raise_the_false_alarm_rate() -> None:
    scores = np.array([0.0] * 30 + [1.0] * 10)
    assert decide(scores, threshold_at_false_alarm_rate(scores, 0.05)).mean() <= 0.05


def test_a_score_equal_to_the_threshold_is_good() -> None:
    np.testing.assert_array_equal(decide(np.array([0.9, 1.0, 1.1]), 1.0), [False, False, True])


def parts(seed: int, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"error": rng.gamma(2, 0.001, n), "density": 300 * rng.normal(size=n) - 5600}


@pytest.mark.parametrize("seed", range(20))
def test_one_threshold_on_the_score_is_the_or_of_the_parts_thresholds(seed: int) -> None:
    combination = Combination.fit(parts(seed, 30))
    new = parts(seed + 100, 500)
    threshold = float(np.random.default_rng(seed).uniform(0, 2))
    limits = combination.part_thresholds(threshold)
    either = (new["error"] > limits["error"]) | (new["density"] > limits["density"])
    np.testing.assert_array_equal(decide(combination.apply(new), threshold), either)
    assert either.any() and not either.all()


def test_no_part_drowns_the_other() -> None:
    """Parts of different units, 0.002 and −5600, both decide."""
    combination = Combination.fit(parts(0, 50))
    normal = {"error": np.array([0.002]), "density": np.array([-5600.0])}
    odd_error = normal | {"error": np.array([1.0])}
    odd_density = normal | {"density": np.array([0.0])}
    scores = [combination.apply(case)[0] for case in (normal, odd_error, odd_density)]
    assert scores[0] < 3 < min(scores[1:])


def test_a_single_part_is_its_own_score() -> None:
    values = np.array([0.3, 0.1, 0.2])
    combination = Combination.fit({"error": values})
    np.testing.assert_array_equal(combination.apply({"error": values}), values)
    assert combination.part_thresholds(0.25) == {"error": 0.25}


def test_a_part_that_never_varies_does_not_divide_by_zero() -> None:
    combination = Combination.fit({"error": np.ones(5), "density": np.arange(5.0)})
    assert np.isfinite(combination.apply({"error": np.ones(5), "density": np.arange(5.0)})).all()


def test_a_combination_survives_json() -> None:
    combination = Combination.fit(parts(0, 9))
    again = Combination.from_dict(json.loads(json.dumps(combination.as_dict())))
    np.testing.assert_array_equal(again.apply(parts(1, 40)), combination.apply(parts(1, 40)))


def test_a_confidence_asks_more_of_the_threshold_than_an_average():
    scores = np.arange(100.0)
    assert calibrate(scores, 0.05, strict=True) == (95.0, True)
    assert calibrate(scores, 0.05, strict=True, confidence=0.9) == (98.0, True)  # 97 would be 88 % sure
    assert calibrate(scores[:44], 0.05, strict=False, confidence=0.9) == (43.0, False)
    assert calibrate(scores[:45], 0.05, strict=True, confidence=0.9) == (44.0, True)
    with pytest.raises(TooFewImages, match="needs 45"):
        calibrate(scores[:44], 0.05, strict=True, confidence=0.9)


@pytest.mark.parametrize("n", [1, 21, 44, 45, 299])
def test_the_smallest_rate_is_the_smallest_that_is_supported(n):
    scores = np.arange(float(n))
    for confidence in (None, 0.5, 0.95):
        rate = smallest_false_alarm_rate(n, confidence)
        assert calibrate(scores, rate * 1.001, strict=False, confidence=confidence).supported
        assert not calibrate(scores, rate * 0.999, strict=False, confidence=confidence).supported


@pytest.mark.parametrize(("rate", "n"), [(0.01, 99), (0.05, 19), (0.5, 1), (0.9, 1)])
def test_as_many_images_support_a_rate_on_average(rate, n):
    assert images_for_average(rate) == n
    assert smallest_false_alarm_rate(n) <= rate + 1e-12


def test_left_out_scores_are_those_by_the_other_images() -> None:
    values = parts(0, 6)
    weights = {"density": 2.0}
    found = Combination.left_out_scores(values, weights)
    for row in range(6):
        others = {name: np.delete(column, row) for name, column in values.items()}
        alone = {name: column[[row]] for name, column in values.items()}
        assert found[row] == Combination.fit(others, weights).apply(alone)[0]


def test_a_threshold_of_images_that_set_the_scales_too_is_not_exceeded_more_often_than_asked() -> None:
    """Of 20 images: the threshold of their plain scores gives 6 % and more where 5 % are asked for."""
    rng = np.random.default_rng(0)
    alarms: dict[str, list[float]] = {"left out": [], "plain": []}
    for _ in range(400):
        few, many = ({name: rng.normal(size=n) for name in ("error", "density")} for n in (20, 500))
        combination = Combination.fit(few)
        scores = {"left out": Combination.left_out_scores(few), "plain": combination.apply(few)}
        for name, values in scores.items():
            threshold = calibrate(values, 0.05, strict=True).value
            alarms[name].append(float(np.mean(decide(combination.apply(many), threshold))))
    assert np.mean(alarms["left out"]) < 0.05
    assert np.mean(alarms["plain"]) > 0.055


@pytest.mark.parametrize(("rate", "images"), [(0.3, 3), (0.05, 19), (0.1, 9), (1 / 3, 2), (0.9, 1)])
def test_the_fewest_images_for_a_rate_on_average(rate, images):
    assert images_for_average(rate) == images
