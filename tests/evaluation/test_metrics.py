"""Image metrics: against hand counts, scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from mlproject.core.errors import UserError
from mlproject.evaluation import metrics

LABELS = np.array([0, 0, 0, 0, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.3, 0.5, 0.9])


def random_case(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, rng.integers(0, 40))])
    scores = rng.normal(size=len(labels)) + labels
    return labels, np.rint(scores) if ties else scores


def test_counts_by_hand() -> None:
    # Above .3: good .6; defective .5 and .9. The defective .3 equals the threshold: called good.
    got = metrics.classification(LABELS, SCORES, 0.3)
    assert got == pytest.approx(
        {
            "threshold": 0.3, "f1": 2 / (2 + (1 + 1) / 2), "balanced_accuracy": (2 / 3 + 3 / 4) / 2,
            "precision": 2 / 3, "recall": 2 / 3, "false_alarm_rate": 1 / 4,
        }
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_classification_agrees_with_scikit_learn(seed: int) -> None:
    labels, scores = random_case(seed, ties=seed % 2 == 0)
    got = metrics.classification(labels, scores, 0.5)
    called = scores > 0.5
    assert got["f1"] == pytest.approx(f1_score(labels, called))
    assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, called))
    assert got["precision"] == pytest.approx(precision_score(labels, called, zero_division=0))
    assert got["recall"] == pytest.approx(recall_score(labels, called))


def test_all_defective_f1_is_that_of_calling_everything_defective() -> None:
    called = metrics.classification(LABELS, SCORES, -1.0)
    assert metrics.all_defective_f1(LABELS) == pytest.approx(called["f1"]) == pytest.approx(0.6)


def test_all_defective_f1_of_the_papers_test_sets() -> None:
    """Table 2's shares of anomalies: the values DESIGN prints under the paper's F1."""
    for share, f1 in ((0.71, 0.83), (0.77, 0.87), (0.74, 0.85), (0.40, 0.57)):
        labels = np.arange(100) < round(100 * share)
        assert metrics.all_defective_f1(labels) == pytest.approx(f1, abs=0.005)


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_beats_the_oracle(seed: int) -> None:
    labels, scores = random_case(seed, ties=seed % 2 == 0)
    threshold = metrics.oracle_threshold(labels, scores)
    best = metrics.classification(labels, scores, threshold)["f1"]
    tried = np.concatenate([scores, scores - 1e-9, scores + 1e-9, [-99, 99]])
    f1 = np.array([metrics.classification(labels, scores, t)["f1"] for t in tried])
    assert best == pytest.approx(f1.max())
    called = (scores[None, :] > tried[f1 == f1.max(), None]).sum(axis=1)
    assert (scores > threshold).sum() <= called.min(), "of equally good ones, the fewest false alarms"


def test_the_oracle_separates_neighbouring_floats() -> None:
    scores = np.array([1.0, np.nextafter(1.0, 2)])
    labels = np.array([0, 1])
    assert metrics.classification(labels, scores, metrics.oracle_threshold(labels, scores))["f1"] == 1


def test_the_oracle_may_call_everything_defective() -> None:
    labels, scores = np.array([1, 1, 0]), np.array([0.0, 1.0, 2.0])
    assert metrics.oracle_threshold(labels, scores) < 0


def test_the_interval_holds_the_auroc_and_narrows_with_more_images() -> None:
    widths = []
    for n in (20, 200):
        rng = np.random.default_rng(0)
        labels = np.arange(n) % 2
        scores = rng.normal(size=n) + labels
        low, high = metrics.auroc_interval(labels, scores, 1000, seed=0)
        assert 0 <= low < roc_auc_score(labels, scores) < high <= 1
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_is_that_of_resampling_image_by_image(ties: bool) -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [25, 35])
    scores = rng.normal(size=60) + labels
    scores = np.rint(2 * scores) if ties else scores
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    plain = []
    for _ in range(2000):
        low, high = scores[rng.choice(good, 25)][:, None], scores[rng.choice(defective, 35)]
        plain.append(((low < high) + (low == high) / 2).mean())
    got = metrics.auroc_interval(labels, scores, 4000, seed=0)
    np.testing.assert_allclose(got, np.percentile(plain, (2.5, 97.5)), atol=0.015)


def test_the_interval_covers_the_true_auroc() -> None:
    """Scores N(0, 1) and N(1, 1): AUROC Φ(1/√2) = .7602. 95 % asked, a little less is usual at n = 60."""
    labels = np.repeat([0, 1], 30)
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        low, high = metrics.auroc_interval(labels, rng.normal(size=60) + labels, 300, seed)
        inside += low <= 0.7602 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    assert metrics.auroc_interval(LABELS, SCORES, 200, 3) == metrics.auroc_interval(LABELS, SCORES, 200, 3)
    assert metrics.auroc_interval(LABELS, SCORES, 200, 3) != metrics.auroc_interval(LABELS, SCORES, 200, 4)


def test_collapsed_scores_are_worth_a_coin_toss() -> None:
    got = metrics.evaluate(LABELS, np.ones(7), 1.0, 100, 0)
    assert (got["auroc"], got["auroc_low"], got["auroc_high"]) == (0.5, 0.5, 0.5)
    assert got["clean"]["f1"] == 0 and got["clean"]["precision"] == 0
    assert got["oracle"]["f1"] == got["all_defective_f1"]


def test_evaluate_holds_what_metrics_json_needs() -> None:
    got = metrics.evaluate(LABELS, SCORES, 0.55, resamples=200, seed=0)
    assert set(got) == {
        "auroc", "auroc_low", "auroc_high", "average_precision", "all_defective_f1",
        "clean", "oracle", "threshold_optimism", "n_good", "n_defective",
    }  # fmt: skip
    assert (got["n_good"], got["n_defective"]) == (4, 3)
    assert got["auroc"] == pytest.approx((2.5 + 3 + 4) / 12)
    assert got["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert got["threshold_optimism"] == pytest.approx(got["oracle"]["f1"] - got["clean"]["f1"])
    assert got["threshold_optimism"] > 0


@pytest.mark.parametrize("label", [0, 1])
def test_a_test_set_of_one_class_leaves_unknown_what_it_cannot_tell(label: int) -> None:
    got = metrics.evaluate(np.full(4, label), np.arange(4.0), 1.5, 100, 0)
    assert got["auroc"] is got["auroc_low"] is got["auroc_high"] is got["average_precision"] is None
    assert got["clean"]["balanced_accuracy"] is None
    if label:
        assert got["clean"]["recall"] == 0.5 and got["clean"]["false_alarm_rate"] is None
    else:
        assert got["clean"]["recall"] is None and got["clean"]["false_alarm_rate"] == 0.5
        assert got["clean"]["f1"] is None and got["threshold_optimism"] is None
        assert got["oracle"]["false_alarm_rate"] == 0


@pytest.mark.parametrize(
    ("labels", "scores", "text"),
    [
        ([0, 1], [0.0, np.nan], "1 scores are not finite"),
        ([0, 1], [0.0, np.inf], "1 scores are not finite"),
        ([0, 1], [0.0], "one label a score"),
        ([], [], "one label a score"),
        ([0, 2], [0.0, 1.0], "labels must be 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list, scores: list, text: str) -> None:
    with pytest.raises(UserError, match=text):
        metrics.evaluate(np.array(labels), np.array(scores), 0.5, 100, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_makes_fewer_errors_and_of_the_best_it_is_the_highest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 14), rng.integers(0, 6, 14) / 5
    candidates = [-1.0, *np.unique(scores)]
    errors = [np.count_nonzero((scores > candidate) != labels) for candidate in candidates]
    found = metrics.fewest_errors_threshold(labels, scores)
    assert np.count_nonzero((scores > found) != labels) == min(errors)
    highest = max(candidate for candidate, n in zip(candidates, errors, strict=True) if n == min(errors))
    assert found == highest or (found < scores.min() and highest == -1)


def test_equal_scores_have_equal_intervals() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 15)
    scores = rng.normal(size=30) + labels
    first, again = (metrics.evaluate(labels, scores, 0.5, resamples=200, seed=0) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([0, 1, 1], [0.1, np.nan, np.inf], "^metrics: 2 scores are not finite$"),
        ([0, 2], [0.1, 0.2], r"^metrics: labels must be 0 \(good\) or 1 \(defective\)$"),
    ],
)
def test_what_cannot_be_measured_is_said(labels: list[int], scores: list[float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        metrics.auroc(np.array(labels), np.array(scores))
