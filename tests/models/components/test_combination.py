"""Combination of parts: worked out by hand."""

import numpy as np
import pytest

from mlproject.models.components.combination import Combination, centre_and_scale

PARTS = {"error": np.array([1.0, 2.0, 3.0, 6.0]), "density": np.array([10.0, 30.0, 20.0, 20.0])}


def test_centre_and_scale_are_mean_and_deviation_and_values_that_do_not_vary_have_scale_1():
    assert centre_and_scale(np.array([1.0, 3.0])) == (2.0, 1.0)
    assert centre_and_scale(np.array([5.0, 5.0])) == (5.0, 1.0)
    for constant in (0.3, -7.543, 1e-9, 1e12):
        assert centre_and_scale(np.full(20, constant)) == (pytest.approx(constant), 1.0), (
            "rounding is no spread"
        )
    nearly = np.array([1.0, 1.0 + 1e-12])
    assert centre_and_scale(nearly) == (nearly.mean(), nearly.std())


def test_a_part_of_weight_2_counts_twice():
    plain, weighted = Combination.fit(PARTS), Combination.fit(PARTS, {"density": 2.0})
    assert weighted.centres == plain.centres == {"error": 3.0, "density": 20.0}
    assert weighted.scales["density"] == plain.scales["density"] / 2
    assert weighted.scales["error"] == plain.scales["error"]
    new = {"error": np.array([3.0]), "density": np.array([30.0])}
    assert weighted.apply(new) == pytest.approx(2 * plain.apply(new))


def test_each_image_is_scored_by_what_the_others_give():
    scores = Combination.left_out_scores(PARTS, {"density": 3.0})
    for row, score in enumerate(scores):
        others = {name: np.delete(values, row) for name, values in PARTS.items()}
        here = {name: values[[row]] for name, values in PARTS.items()}
        assert score == Combination.fit(others, {"density": 3.0}).apply(here)[0]


def test_integers_and_single_precision_are_computed_in_double():
    large = np.array([2**24, 2**24 + 1, 2**24 + 2, 2**24 + 7])
    combination = Combination({"a": 0.5, "b": 0.0}, {"a": 1.0, "b": 1e9})
    scores = combination.apply({"a": large.tolist(), "b": [0] * 4})
    assert scores.dtype == np.float64
    assert scores.tolist() == [2**24 - 0.5, 2**24 + 0.5, 2**24 + 1.5, 2**24 + 6.5]


def test_what_is_written_is_read_back_and_the_rule_is_one_threshold_a_part():
    combination = Combination.fit(PARTS)
    assert Combination.from_dict(combination.as_dict()) == combination
    thresholds = combination.part_thresholds(2.0)
    assert thresholds == {name: combination.centres[name] + 2 * combination.scales[name] for name in PARTS}
