"""Paired differences and shares of few images: intervals that can be checked by hand or by brute force."""

import numpy as np
import pytest

from mlproject.core.errors import UserError
from mlproject.evaluation import intervals, metrics


def scores(seed, n_good=30, n_defective=40, shift=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n_good, n_defective])
    return labels, rng.normal(0, 1, len(labels)) + shift * labels


def test_of_equal_rankings_the_interval_is_what_an_unseen_image_could_change():
    """Half the exact binomial bound on a share of which 0 of 30 were seen: good images are the fewer."""
    labels, champion = scores(0)
    found = intervals.auroc_difference(labels, champion, 3 * champion + 1, 2000, 0)
    end = intervals.share_interval(0, 30).high / 2
    assert found == pytest.approx((0, -end, end), abs=5e-4)


@pytest.mark.parametrize("overlooked", [0, 1, 3])
def test_of_overlooked_defects_the_interval_is_the_exact_binomial_one(overlooked):
    """Among many good images, all tied: an overlooked defect ties with them and so loses 1/2."""
    labels = np.repeat([0, 1], [400, 40])
    champion = labels.astype(float)
    challenger = np.r_[np.zeros(400 + overlooked), np.ones(40 - overlooked)]
    found = intervals.auroc_difference(labels, champion, challenger, 20_000, 0)
    assert found.value == pytest.approx(-overlooked / 80)
    assert found.low == pytest.approx(-intervals.share_interval(overlooked, 40).high / 2, abs=0.002)


@pytest.mark.parametrize(("loss", "n"), [(0.05, 36), (0.1, 17), (0.2, 8)])
def test_the_fewest_images_are_those_whose_interval_reaches_the_loss(loss, n):
    assert intervals.fewest_images(loss) == n
    assert intervals.share_interval(0, n).high / 2 <= loss < intervals.share_interval(0, n - 1).high / 2


def test_the_interval_is_that_of_a_brute_force_bootstrap_with_an_unseen_image():
    """Weights drawn for all images and the unseen one together, AUROCs as weighted sums over pairs."""
    labels, champion = scores(0)
    challenger = champion + np.random.default_rng(1).normal(0, 0.7, len(labels))
    found = intervals.auroc_difference(labels, champion, challenger, 4000, 0)
    won = [
        (side[labels == 1][:, None] > side[labels == 0]).astype(float) for side in (challenger, champion)
    ]  # (defective, good)
    seen = won[0] - won[1]
    rng = np.random.default_rng(2)
    ends = []
    for axis in (0, 1):
        for change in (-0.5, 0.5):
            pairs = np.insert(seen, 0, change, axis)
            defective, good = (rng.dirichlet(np.ones(n), 4000) for n in pairs.shape)
            ends.append(np.percentile(((defective @ pairs) * good).sum(axis=1), [2.5, 97.5]))
    lows, highs = np.transpose(ends)
    assert found[1:] == pytest.approx((min(lows), max(highs)), abs=0.01)
    assert found.low < found.value < found.high


def test_pairing_cancels_what_is_hard_for_both():
    labels, champion = scores(0)
    challenger = champion + np.random.default_rng(1).normal(0, 0.1, len(labels))
    found = intervals.auroc_difference(labels, champion, challenger, 1000, 0)
    low, high = metrics.auroc_interval(labels, champion, 1000, 0)
    assert found.high - found.low < 0.7 * (high - low)


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
