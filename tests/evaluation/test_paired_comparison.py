"""Paired differences of several models: brute force, exact numbers, and Holm's correction by hand."""

import numpy as np
import pytest

from mlproject.evaluation import metrics, paired_comparison


def related_scores(noise=0.25, seed=0, n_good=40, n_defective=40):
    """Two models that find the same images hard; the second is a little better on every defect."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n_good, n_defective])
    hardness = rng.normal(0, 1, len(labels)) + 1.0 * labels
    better = hardness + 0.5 * labels + rng.normal(0, noise, len(labels))
    return labels, {"worse": hardness, "better": better}


def test_overlapping_intervals_do_not_hide_a_paired_difference():
    labels, scores = related_scores()
    intervals = {name: metrics.auroc_interval(labels, values, 1000, 0) for name, values in scores.items()}
    assert intervals["better"][0] < intervals["worse"][1], "the models' own intervals overlap"
    found = paired_comparison.differences(labels, scores)["better"]["worse"]
    assert found["low"] > 0
    assert found["shown"] == "above"


def test_differences_are_those_of_a_brute_force_bootstrap():
    labels, scores = related_scores(noise=0.6)
    found = paired_comparison.differences(labels, scores)["better"]["worse"]
    rng = np.random.default_rng(7)
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    brute = []
    for _ in range(1000):
        of_good, of_defective = rng.choice(good, len(good)), rng.choice(defective, len(defective))
        one, other = (  # AUROC, as there are no ties: the share of pairs with the higher score on the defect
            (scores[name][of_defective, None] > scores[name][of_good]).mean() for name in ("better", "worse")
        )
        brute.append(one - other)
    assert [found["low"], found["high"]] == pytest.approx(np.percentile(brute, [2.5, 97.5]), abs=0.01)
    assert 0.1 < found["p"] == pytest.approx(2 * np.mean(np.array(brute) <= 0), abs=0.04)


def test_a_difference_has_the_opposite_sign_the_other_way_round():
    labels, scores = related_scores()
    found = paired_comparison.differences(labels, scores, resamples=500)
    one, other = found["better"]["worse"], found["worse"]["better"]
    expected = metrics.auroc(labels, scores["better"]) - metrics.auroc(labels, scores["worse"])
    assert one["difference"] == -other["difference"] == expected
    assert (one["low"], one["high"]) == (-other["high"], -other["low"])
    assert (one["shown"], other["shown"]) == ("above", "below")


def test_equal_rankings_are_never_shown_to_differ():
    labels, scores = related_scores()
    found = paired_comparison.differences(labels, {"a": scores["worse"], "b": scores["worse"] * 3 + 1})
    assert found["a"]["b"] == {
        "difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "p_holm": 1.0, "shown": "unclear",
    }  # fmt: skip


def test_holm_by_hand():
    # sorted: 3 × .01 = .03; 2 × .04 = .08; max(.08, 1 × .045) = .08
    assert paired_comparison.holm([0.04, 0.01, 0.045]) == pytest.approx([0.08, 0.03, 0.08])
    assert paired_comparison.holm([0.6, 0.9]) == [1.0, 1.0]
    assert paired_comparison.holm([]) == []


def test_holm_takes_away_what_one_comparison_of_many_shows_by_luck():
    labels, scores = related_scores(noise=0.6, seed=4)
    alone = paired_comparison.differences(labels, scores)["better"]["worse"]
    assert 0.005 < alone["p"] <= 0.05
    assert alone["shown"] == "above"
    rng = np.random.default_rng(1)
    more = scores | {f"copy {i}": scores["worse"] + rng.normal(0, 0.3, len(labels)) for i in range(3)}
    among_many = paired_comparison.differences(labels, more)["better"]["worse"]
    assert among_many["p"] == alone["p"]
    assert among_many["low"] > 0
    assert among_many["shown"] == "unclear"


def test_the_p_value_counts_resamples_beyond_zero():
    assert paired_comparison.two_sided_p(np.array([-1.0, 1, 1, 1, 1, 1, 1, 1, 1])) == pytest.approx(0.4)
    assert paired_comparison.two_sided_p(np.zeros(9)) == 1.0


def test_without_both_classes_there_is_nothing_to_compare():
    only_good = paired_comparison.differences(np.zeros(4, int), {"a": np.arange(4.0), "b": np.arange(4.0)})
    assert only_good == {"a": {}, "b": {}}
