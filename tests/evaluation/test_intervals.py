"""Paired differences and shares of few images: intervals that can be checked by hand or by brute force."""

import numpy as np
import pytest

from mlproject.core.errors import UserError
from mlproject.evaluation import intervals, metrics


def scores(seed, n_good=30, n_defective=40, shift=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n_good, n_defective])
    return labels, rng.normal(0, 1, len(labels)) + shift * labels


def test_equal_rankings_differ_by_nothing():
    labels, champion = scores(0)
    assert intervals.auroc_difference(labels, champion, 3 * champion + 1, 500, 0) == (0, 0, 0)


def test_the_interval_is_that_of_a_brute_force_bootstrap():
    labels, champion = scores(0)
    challenger = champion + np.random.default_rng(1).normal(0, 0.7, len(labels))
    found = intervals.auroc_difference(labels, champion, challenger, 4000, 0)
    rng = np.random.default_rng(2)
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    brute = []
    for _ in range(2000):
        rows = np.concatenate([rng.choice(good, len(good)), rng.choice(defective, len(defective))])
        after, before = (metrics.auroc(labels[rows], side[rows]) for side in (challenger, champion))
        brute.append(after - before)
    assert found[1:] == pytest.approx(np.percentile(brute, [2.5, 97.5]), abs=0.01)
    assert found.low < found.value < found.high


def test_pairing_cancels_what_is_hard_for_both():
    labels, champion = scores(0)
    challenger = champion + np.random.default_rng(1).normal(0, 0.1, len(labels))
    found = intervals.auroc_difference(labels, champion, challenger, 1000, 0)
    low, high = metrics.auroc_interval(labels, champion, 1000, 0)
    assert found.high - found.low < (high - low) / 2


def test_ties_and_the_order_of_images_change_nothing():
    labels, champion = scores(0)
    champion, challenger = champion.round(), scores(5)[1].round()
    found = intervals.auroc_difference(labels, champion, challenger, 4000, 0)
    order = np.random.default_rng(3).permutation(len(labels))
    again = intervals.auroc_difference(labels[order], champion[order], challenger[order], 4000, 0)
    assert again.value == pytest.approx(found.value)
    assert again[1:] == pytest.approx(found[1:], abs=0.02)


def test_one_class_alone_is_refused():
    with pytest.raises(UserError, match="good and defective"):
        intervals.auroc_difference(np.zeros(4, int), np.arange(4.0), np.arange(4.0), 100, 0)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [(0, 20, 0.0, 0.1684), (1, 20, 0.0013, 0.2487), (10, 20, 0.2720, 0.7280), (20, 20, 0.8316, 1.0)],
)
def test_clopper_pearson_by_the_table(count, n, low, high):
    assert intervals.share_interval(count, n) == pytest.approx((count / n, low, high), abs=1e-4)


def test_f1_lies_within_its_interval_and_perfect_decisions_have_none():
    labels, values = scores(0)
    found = intervals.f1_interval(labels, values > 0.5, 1000, 0)
    assert found.value == metrics.classification(labels, values, 0.5)["f1"]
    assert found.low < found.value < found.high
    assert intervals.f1_interval(labels, labels == 1, 100, 0) == (1, 1, 1)
    assert intervals.f1_interval(np.ones(3, int), np.array([True, True, False]), 100, 0).value == 0.8
