"""Protocol `paper`: thresholds as the paper set them, by hand, and every model's rule is known."""

import numpy as np
import pytest

from mlproject import models
from mlproject.evaluation import metrics, paper_protocol

LABELS = np.array([0, 0, 0, 1, 1, 1])
GOOD = {"error": np.array([0.1, 0.4, 0.2]), "density": np.array([-9.0, -7.0, -8.0])}
TEST = {
    # at the edge, inside, above | only the density, only the error, neither
    "error": np.array([0.4, 0.1, 0.5, 0.1, 0.9, 0.2]),
    "density": np.array([-7.0, -9.0, -9.0, -6.0, -9.0, -8.0]),
}


@pytest.mark.parametrize("name", models.names())
def test_every_models_rule_is_known(name):
    assert models.detector_class(name).paper_rule in {None, *paper_protocol.RULES}


def test_the_papers_models_have_the_papers_rules():
    rules = {name: models.detector_class(name).paper_rule for name in ("kd_cae", "ni_cae")}
    assert rules == {"kd_cae": "edge_of_good", "ni_cae": "fewest_errors"}


def test_the_edge_of_the_good_is_an_or_of_the_largest_values():
    got = paper_protocol.evaluate("edge_of_good", GOOD, TEST, LABELS)
    # called defective: .5, the density alone, the error alone; a value equal to the edge is good
    assert got == {
        "rule": "edge_of_good",
        "sees_test_labels": False,
        "thresholds": {"error": 0.4, "density": -7.0},
        "f1": pytest.approx(2 * 2 / (2 * 2 + 1 + 1)),
        "balanced_accuracy": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "false_alarm_rate": pytest.approx(1 / 3),
    }


def test_the_edge_of_the_good_never_looks_at_the_test_labels():
    turned = paper_protocol.evaluate("edge_of_good", GOOD, TEST, 1 - LABELS)
    assert turned["thresholds"] == {"error": 0.4, "density": -7.0}


def test_no_threshold_makes_fewer_errors_and_the_row_says_that_it_is_dishonest():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = np.concatenate([[0, 1], rng.integers(0, 2, 30)])
        scores = np.rint(2 * rng.normal(size=32)) + labels
        got = paper_protocol.evaluate("fewest_errors", {"part": scores[:3]}, {"part": scores}, labels)
        tried = [*scores, scores.min() - 1]
        errors = [((scores > limit) != labels).sum() for limit in tried]
        chosen = got["thresholds"]["part"]
        assert ((scores > chosen) != labels).sum() == min(errors)
        best = [
            (scores > limit).sum() for limit, wrong in zip(tried, errors, strict=True) if wrong == min(errors)
        ]
        assert (scores > chosen).sum() == min(best), "of equally good ones, the fewest false alarms"
        assert got["f1"] == metrics.classification(labels, scores, chosen)["f1"]
        assert got["sees_test_labels"] is True


def test_fewest_errors_may_call_everything_defective_or_nothing():
    scores = np.array([3.0, 1.0, 2.0])
    assert metrics.fewest_errors_threshold(np.array([0, 1, 1]), scores) < 1
    assert metrics.fewest_errors_threshold(np.array([0, 0, 1]), scores) == 3


def test_a_test_set_of_good_images_alone_has_no_f1():
    got = paper_protocol.evaluate("edge_of_good", GOOD, TEST, np.zeros(6, int))
    assert got["f1"] is None
    assert got["false_alarm_rate"] == pytest.approx(0.5)
