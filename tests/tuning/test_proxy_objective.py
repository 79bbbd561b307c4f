"""Made defects are local, visible and repeatable; the objective of a trained model is far above chance."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from support.small_models import detector_settings

from mlproject import models
from mlproject.core.errors import TooFewImages
from mlproject.core.params import Threshold
from mlproject.models.components.combination import Combination
from mlproject.training.run_options import RunOptions
from mlproject.tuning import objective, proxy_defects
from mlproject.tuning.objective import (
    advantage,
    evaluate,
    mean_as_log_odds,
    spearman,
    spearman_interval,
)

LENIENT = Threshold(false_alarm_rate=0.1, strict=False)
STRICT = Threshold(false_alarm_rate=0.1, strict=True)


@pytest.fixture(scope="module")
def defects(small_images):
    return proxy_defects.make(small_images.validation, seed=0)


def test_every_kind_once_an_image_in_order(defects, small_images):
    n = len(small_images.validation)
    assert defects.kinds == [kind for kind in proxy_defects.KINDS for _ in range(n)]
    assert defects.images.shape == (len(proxy_defects.KINDS) * n, 64, 64, 3)
    assert defects.images.dtype == np.uint8


def test_defects_show_and_leave_most_of_the_image_alone(defects, small_images):
    good = np.tile(small_images.validation, (len(proxy_defects.KINDS), 1, 1, 1)).astype(int)
    seen = (np.abs(defects.images - good).max(axis=3) > 8).mean(axis=(1, 2))
    assert seen.min() >= proxy_defects.SMALLEST_SHARE
    assert seen.max() < 0.2


def test_same_seed_same_defects_whatever_other_images_there_are(defects, small_images):
    again = proxy_defects.make(small_images.validation[:3], seed=0)
    n = len(small_images.validation)
    for number in range(len(proxy_defects.KINDS)):
        assert np.array_equal(again.images[3 * number :][:3], defects.images[n * number :][:3])
    other = proxy_defects.make(small_images.validation[:3], seed=1)
    assert not np.array_equal(again.images, other.images)


def test_a_flat_image_gets_what_can_be_seen_of_its_defects():
    """Nothing can be erased from a grey square; that must end."""
    flat = np.full((1, 32, 32, 3), 128, dtype=np.uint8)
    made = dict(zip(proxy_defects.KINDS, proxy_defects.make(flat, 0).images, strict=True))
    assert (made["stain"] != 128).any()
    assert (made["erased"] == 128).mean() > 0.99


def test_a_trained_detector_is_far_above_chance_and_one_that_guesses_is_not(defects, small_images):
    kinds = np.array(["good"] * len(small_images.validation) + defects.kinds)

    def objective(detector):
        detector.calibrate(small_images.train[:20])
        images = np.concatenate([small_images.validation, defects.images])
        return evaluate(
            detector.score(small_images.validation).scores, detector.score(images).scores, kinds, 0.1, LENIENT
        )

    detector = models.create("pca", detector_settings("pca"))
    detector.fit(small_images.train, small_images.validation, RunOptions(seed=0))
    found = objective(detector)
    assert found.auroc > 0.85
    assert found.value > 0.7
    guesses = np.random.default_rng(0).normal(size=len(kinds))
    chance = evaluate(guesses[:12], guesses, kinds, 0.1, LENIENT)
    assert 0.35 < chance.auroc < 0.65


def test_the_objective_by_hand():
    calibration = np.arange(1.0, 10.0)  # nine: a rate of .2 leaves the eighth as the threshold
    scores = np.array([1.0, 9.0, 8.5, 0.5])
    kinds = np.array(["good", "good", "scratch", "stain"])
    found = evaluate(calibration, scores, kinds, 0.2, LENIENT)
    assert found.threshold == 8.0
    assert (found.recall, found.false_alarm_rate, found.balanced_accuracy) == (0.5, 0.5, 0.5)
    assert found.auroc == 0.25  # of four pairs one is in order
    assert found.separation == pytest.approx(1 / (1 + 5**0.5)), "odds of 1 and of .5 to 2.5"
    assert found.value == (found.separation + 0.5) / 2
    assert evaluate(calibration, scores, kinds, 0.2, LENIENT, made=False).value == 0.375
    assert found.by_kind == {"scratch": 0.5, "stain": 0.0}
    assert found.supported


def test_all_kinds_count_alike_however_well_they_are_found():
    assert mean_as_log_odds(np.array([0.8, 0.8]), 1000) == pytest.approx(0.8, abs=1e-3)
    easy_one_better = mean_as_log_odds(np.array([0.99, 0.6]), 1000)
    hard_one_better = mean_as_log_odds(np.array([0.96, 0.63]), 1000)
    assert easy_one_better > hard_one_better, "and their plain means are equal"
    assert 0 < mean_as_log_odds(np.zeros(2), 5) < mean_as_log_odds(np.ones(2), 5) < 1


def _best_of(rng, tried, better=0.0):
    """What the best of so many equal trials has over one whose defects score lower by `better`."""
    truth = np.column_stack([rng.normal(size=32), rng.normal(1.2, 1, size=(32, 9))])
    start, *trials = (truth + rng.normal(0, 0.5, truth.shape) for _ in range(tried + 1))
    start[:, 1:] -= better
    best = max(trials, key=lambda scores: mean_as_log_odds(objective._by_kind(scores), len(scores)))
    return advantage(best, start, tried, seed=0)


def test_the_best_of_many_equal_trials_is_not_called_better_than_the_start(monkeypatch):
    """A sign test over the kinds, which share their good images, does so in six of ten tunings."""
    monkeypatch.setattr(objective, "PERMUTATIONS", 999)
    rng = np.random.default_rng(0)
    found = [_best_of(rng, 29) for _ in range(20)]
    assert np.mean([one.shown for one in found]) <= objective.LUCK
    assert np.mean([one.better >= 7 for one in found]) > 0.5


def test_a_real_advantage_is_shown_and_counts_kinds():
    found = _best_of(np.random.default_rng(0), 29, better=1.0)
    assert (found.better, found.of, found.shown) == (9, 9, True)
    assert found.luck == pytest.approx(1 - (1 - 1 / 10_000) ** 29)
    same = np.random.default_rng(0).random((32, 10))
    assert advantage(same, same, 29, seed=0) == objective.Advantage(0, 0, 1.0)


def test_defects_lie_where_an_image_has_structure():
    """A checked square on a plain background: 5 % of the image, almost all of the defects' centres."""
    image = torch.full((3, 128, 128), 0.5)
    image[:, 40:70, 30:60] = (torch.arange(30) % 6 < 3).float()
    where = proxy_defects.structure(image)
    assert where[35:75, 25:65].sum() > 0.9 * where.sum()
    assert where[:7].sum() == where[-7:].sum() == where[:, :7].sum() == 0


def test_a_filled_box_has_the_given_laplacian_and_meets_its_border():
    image, wanted = torch.rand(3, 40, 40), torch.randn(3, 9, 12)
    filled = proxy_defects._filled(image, ((5, 9), (7, 12)), wanted)
    inside = proxy_defects._laplacian(filled[:, 4:15, 6:20])
    assert torch.allclose(inside, wanted, atol=1e-5)
    filled[:, 5:14, 7:19] = image[:, 5:14, 7:19]
    assert torch.equal(filled, image)


def test_a_rate_that_cannot_be_supported_is_flagged_or_an_error():
    scores, kinds = np.array([1.0, 5.0]), np.array(["good", "stain"])
    found = evaluate(np.array([1.0, 2.0]), scores, kinds, 0.05, LENIENT)
    assert (found.threshold, found.supported) == (2.0, False)
    with pytest.raises(TooFewImages):
        evaluate(np.array([1.0, 2.0]), scores, kinds, 0.05, STRICT)


def test_rank_correlation_is_spearmans_ties_included():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 8, 30)
    second = first + rng.normal(0, 3, 30)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)
    low, high = spearman_interval(first, second, seed=0)
    assert low < spearman(first, second) < high
    assert spearman(first, np.ones(30)) is None
    assert spearman_interval(first[:9], second[:9], seed=0) == (None, None)
    assert None not in spearman_interval(first[:10], second[:10], seed=0)


def test_a_parts_weight_scales_its_distance_from_the_usual():
    rng = np.random.default_rng(0)
    parts = {name: rng.normal(size=50) for name in ("error", "density")}
    even = Combination.fit(parts)
    assert Combination.fit(parts, {"density": 1.0}) == even, "weight 1 changes no digit"
    double = Combination.fit(parts, {"density": 2.0})
    alone = {"error": np.full(3, -9.0), "density": np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(double.apply(alone), 2 * even.apply(alone))
    assert double.part_thresholds(2.0)["density"] == pytest.approx(even.part_thresholds(1.0)["density"])
    assert double.part_thresholds(2.0)["error"] == even.part_thresholds(2.0)["error"]


def test_the_threshold_is_set_with_the_confidence_that_the_pipeline_will_set_it_with():
    """Of 50 images a rate of .1 is kept on average by the 46th; with a confidence of .9 it takes the 49th."""
    calibration = np.arange(1.0, 51.0)
    kinds = np.array(["good", "stain"])
    confident = Threshold(false_alarm_rate=0.1, confidence=0.9, strict=False)
    found = [evaluate(calibration, np.array([1.0, 48.5]), kinds, 0.1, how) for how in (LENIENT, confident)]
    assert [one.threshold for one in found] == [46.0, 49.0]
    assert [one.recall for one in found] == [1.0, 0.0]
