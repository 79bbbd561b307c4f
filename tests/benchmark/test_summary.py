"""Means, paired differences and ranks of a benchmark, computed from made scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from mlproject.benchmark import summary
from mlproject.benchmark.cell import Outcome
from mlproject.benchmark.plan import Pair
from mlproject.core.params import Threshold
from mlproject.reports.published_benchmarks import METHODS, NONE

THRESHOLD = Threshold(false_alarm_rate=0.1, strict=False)
GOOD, DEFECTIVE = 30, 25


def outcome(scores: np.ndarray, aupro: float = 0.5, n_calibration: int = 19) -> Outcome:
    """Return an outcome whose calibration scores are 0 to 1, and whose test images have these scores."""
    labels = np.repeat([0, 1], [GOOD, DEFECTIVE])
    calibration = np.linspace(0, 1, n_calibration)
    table = pd.DataFrame(
        {
            "path": [
                f"{name}{i}.png"
                for name, n in (("good", n_calibration), ("", GOOD + DEFECTIVE))
                for i in range(n)
            ],
            "subset": ["calibration"] * len(calibration) + ["test"] * len(labels),
            "defect": "x",
            "label": [*np.zeros(len(calibration), int), *labels],
            "score": [*calibration, *scores],
        }
    )
    measured = {
        "pixel_auroc": 0.9, "aupro": aupro, "parameters": 3, "seconds": 2.0, "ms_per_image": 5.0,
        "not_learnt_because": None,
    }  # fmt: skip
    pixels = np.column_stack([np.full(50, 0.9), aupro + np.linspace(-0.1, 0.1, 50)])
    return Outcome(table, pixels, measured)


def drawn(seed: int, lift: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0.4, 0.3, GOOD), rng.normal(0.4 + lift, 0.3, DEFECTIVE)])


def evaluated(model: str, outcomes: Sequence[Outcome], category: str = "disc") -> summary.Evaluated:
    return summary.Evaluated.of(Pair(category, model, [], THRESHOLD), outcomes)


def test_means_lie_in_their_intervals_and_average_the_seeds():
    seeds = [outcome(drawn(seed, 0.6)) for seed in range(3)]
    (row,) = summary.rows([evaluated("pca", seeds)], resamples=300)
    own = [summary.figures(one, THRESHOLD) for one in seeds]
    for name in ("auroc", "f1"):
        assert row[name] == pytest.approx(np.mean([one[name] for one in own]))
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
    assert row["false_alarm_rate"] == pytest.approx(np.mean([one["false_alarm_rate"] for one in own]))
    assert own[0]["threshold"] == pytest.approx(17 / 18)  # the ⌈20 · 0.9⌉-th of 19
    assert (row["seeds"], row["n_calibration"], row["supported"]) == (3, 19, True)
    assert row["differences"] == {}


def test_calibration_images_are_those_of_the_seed_that_has_fewest():
    seeds = [outcome(drawn(seed, 0.6), n_calibration=n) for seed, n in enumerate((19, 8, 9))]
    (row,) = summary.rows([evaluated("pca", seeds)], resamples=50)
    assert (row["n_calibration"], row["supported"]) == (8, False)


def test_differences_are_paired_and_zero_for_equal_models():
    seeds = [outcome(drawn(seed, 0.6)) for seed in range(2)]
    better = [outcome(drawn(seed, 1.2), aupro=0.8) for seed in range(2)]
    found = [evaluated("patch_kde", better), evaluated("pca", seeds), evaluated("kd_cae", seeds)]
    kde, pca, same = summary.rows(found, resamples=300)
    zero = same["differences"]["pca"]
    assert zero["auroc"] == {"difference": 0, "low": 0, "high": 0}
    assert zero["aupro"]["difference"] == 0
    gap = kde["differences"]["pca"]
    assert gap["auroc"]["low"] > 0
    assert gap["auroc"]["difference"] == pytest.approx(kde["auroc"] - pca["auroc"])
    # both were drawn the same images: what is common to both draws does not widen the interval
    assert gap["aupro"]["low"] == pytest.approx(0.3)
    assert gap["aupro"]["high"] == pytest.approx(0.3)
    assert set(kde["differences"]) == {"pca"}
    assert set(pca["differences"]) == {"patch_kde"}
    assert set(same["differences"]) == {"pca", "patch_kde"}


def test_ranks_are_averaged_over_categories_and_ties_share_theirs():
    weak, strong = [outcome(drawn(0, 0.3))], [outcome(drawn(0, 3.0))]
    found = [
        evaluated("a", strong, "one"), evaluated("b", weak, "one"), evaluated("c", weak, "one"),
        evaluated("a", weak, "two"), evaluated("b", strong, "two"), evaluated("c", weak, "two"),
    ]  # fmt: skip
    overall = summary.over_categories(summary.rows(found, resamples=100))
    assert [row["mean_rank"] for row in overall] == [1.75, 1.75, 2.5]
    assert overall[0]["categories"] == 2
    assert overall[0]["training_seconds"] == 4.0


def test_without_masks_or_without_a_class_there_is_no_number():
    bare = outcome(drawn(0, 0.6))
    bare = Outcome(bare.scores, np.empty((0, 2)), bare.measured | {"aupro": None, "pixel_auroc": None})
    (row,) = summary.rows([evaluated("pca", [bare])], resamples=100)
    assert row["aupro"] is row["aupro_low"] is row["pixel_auroc"] is None
    only_good = Outcome(bare.scores.assign(label=0), bare.pixels, bare.measured)
    (row,) = summary.rows([evaluated("pca", [only_good])], resamples=100)
    assert row["auroc"] is row["f1"] is row["f1_low"] is None
    assert row["false_alarm_rate"] is not None


def test_published_numbers_have_a_source_and_say_which_weights_they_use():
    assert len(METHODS) == 10
    for one in METHODS:
        assert "](https://" in one.source, one.name
        assert one.weights
        for values in (one.image, one.pixel, one.aupro):
            assert all(0.5 < value <= 1 for value in values.values())
            assert not values or "mean" in values
    without = {one.name for one in METHODS if one.weights == NONE}
    assert {"RIAD", "NSA", "CutPaste (3-way)"} < without
