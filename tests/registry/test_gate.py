"""The gate's checks: which figures pass, which do not, and that the line gives them."""

import numpy as np
import pytest

from mlproject.core.params import Promote
from mlproject.registry import gate

SETTINGS = Promote(
    margin=0.05, bootstrap=500, false_alarm_rate=0.1, tolerance=1e-6, latency_ms=100, memory_mb=1000
)
LABELS = np.repeat([0, 1], [60, 60])
RNG = np.random.default_rng(0)
CHAMPION = RNG.normal(0, 1, 120) + 1.5 * LABELS
LINEAGE = {
    "git_commit": "a" * 40, "git_tree": "clean", "data_hash": "b" * 64, "lock_hash": "c" * 64,
    "parameters": '{"x": 1}', "seed": "0", "run_id": "d" * 32,
}  # fmt: skip


def test_an_equal_model_is_not_worse():
    check = gate.not_worse(LABELS, CHAMPION, CHAMPION * 2, SETTINGS)
    assert check.passed
    assert "+0.000, paired 95% interval [-0.030, +0.030]" in check.said


def test_a_worse_model_is_refused_and_its_interval_shown():
    check = gate.not_worse(LABELS, CHAMPION, RNG.normal(0, 1, 120), SETTINGS)
    assert not check.passed
    assert check.said.endswith(": worse")
    assert "paired 95% interval [-" in check.said


def test_few_images_cannot_show_that_a_model_is_not_worse():
    """The interval reaches 0, so it is not shown to be worse; but nor is it shown to be as good."""
    rows = np.r_[0:20, 60:80]
    other = np.random.default_rng(5).normal(0, 1, 120) + 1.5 * LABELS
    check = gate.not_worse(LABELS[rows], CHAMPION[rows], other[rows], SETTINGS)
    assert not check.passed
    assert check.said.endswith(
        "may be worse by more than the margin of 0.05; of the test images, 20 are good and 20 defective; "
        "36 of each are needed: 16 more good and 16 more defective"
    )


def test_a_model_that_is_worse_within_the_margin_is_worse_all_the_same():
    wide = SETTINGS.model_copy(update={"margin": 0.49})
    check = gate.not_worse(LABELS, CHAMPION, CHAMPION - 0.6 * LABELS, wide)
    assert not check.passed
    assert check.said.endswith(": worse")


def test_images_of_one_class_show_nothing():
    check = gate.not_worse(LABELS[:60], CHAMPION[:60], CHAMPION[:60], SETTINGS)
    assert not check.passed
    assert "cannot be checked" in check.said
    assert not gate.above_chance(LABELS[:60], CHAMPION[:60], SETTINGS).passed


def test_the_first_champion_must_beat_chance():
    assert gate.above_chance(LABELS, CHAMPION, SETTINGS).passed
    luck = gate.above_chance(LABELS, RNG.normal(0, 1, 120), SETTINGS)
    assert not luck.passed
    assert "against chance, 0.5" in luck.said


@pytest.mark.parametrize(("alarms", "passed"), [(0, True), (3, True), (4, True), (5, False), (20, False)])
def test_false_alarms_may_exceed_the_target_by_chance_alone(alarms, passed):
    """The binomial interval of 4 of 20 starts at 5.7%, that of 5 at 8.7%; 6% is asked."""
    good = np.r_[np.zeros(20 - alarms), np.ones(alarms)]
    check = gate.false_alarms(good, 0.5, 0.06, SETTINGS)
    assert check.passed is passed
    assert f"{alarms} of 20" in check.said


def test_a_score_equal_to_the_threshold_is_no_alarm():
    assert "0 of 3" in gate.false_alarms(np.ones(3), 1.0, 0.05, SETTINGS).said


def test_without_good_images_false_alarms_are_unknown():
    assert not gate.false_alarms(np.empty(0), 1.0, 0.05, SETTINGS).passed


def test_a_threshold_set_for_more_false_alarms_than_allowed_is_refused_without_one():
    check = gate.false_alarms(np.zeros(60), 1.0, 0.15, SETTINGS)
    assert not check.passed
    assert "asked 15.0%, more than promote.false_alarm_rate 10.0%" in check.said


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_handful_of_images_that_all_rank_rightly_is_not_above_chance(n):
    labels = np.repeat([0, 1], n)
    check = gate.above_chance(labels, labels + np.linspace(0, 0.1, 2 * n), SETTINGS)
    assert not check.passed
    assert f"{n} are good and {n} defective; 5 of each are needed" in check.said


@pytest.mark.parametrize(
    ("good", "defective", "lacking"),
    [(5, 5, "15 more good and 15 more defective"), (19, 60, "1 more good"), (60, 19, "1 more defective")],
)
def test_two_models_are_not_compared_on_fewer_than_20_images_of_a_class(good, defective, lacking):
    labels = np.repeat([0, 1], [good, defective])
    scores = labels + np.linspace(0, 0.1, good + defective)
    check = gate.not_worse(labels, scores, scores, SETTINGS)
    assert not check.passed
    assert check.said == (
        f"cannot be checked: of the test images that both have scores of, {good} are good and {defective} "
        f"defective; 20 of each are needed: {lacking}"
    )


def test_a_better_model_passes_on_images_that_are_too_few_for_an_equal_one():
    labels = np.repeat([0, 1], [30, 36])
    rng = np.random.default_rng(0)
    champion, challenger = rng.normal(size=66) + 1.5 * labels, rng.normal(size=66) + 6.0 * labels
    assert not gate.not_worse(labels, champion, champion, SETTINGS).passed
    assert gate.not_worse(labels, champion, challenger, SETTINGS).passed


@pytest.mark.parametrize(("good", "defective"), [(20, 20), (40, 40)])
def test_a_challenger_that_overlooks_every_ninth_defect_hardly_ever_passes(good, defective):
    """It loses .056 of an AUROC of 1; where no overlooked defect is among the images nobody can see it."""
    labels = np.repeat([0, 1], [good, defective])
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(100):
        champion = rng.normal(size=len(labels)) + 6.0 * labels
        overlooked = (labels == 1) & (rng.random(len(labels)) < 1 / 9)
        challenger = np.where(overlooked, rng.normal(size=len(labels)), champion)
        passed += gate.not_worse(labels, champion, challenger, SETTINGS).passed
    assert passed <= 5


def test_luck_passes_no_more_often_on_few_images():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 6)
    passed = [gate.above_chance(labels, rng.normal(size=12), SETTINGS).passed for _ in range(400)]
    assert np.mean(passed) < 0.05


@pytest.mark.parametrize(
    ("again", "passed"),
    [
        ([1.0, 2.0, -3.0], True),
        ([1.0, 2.0, -3.0 * (1 + 5e-7)], True),
        ([1.0, 2.0, -3.0 * (1 + 5e-6)], False),
        ([1.0, 2.0, 3.0], False),
        ([1.0, 2.0, np.nan], False),
    ],
)
def test_scores_are_the_same_to_a_relative_tolerance(again, passed):
    assert gate.same_scores(np.array([1.0, 2.0, -3.0]), np.array(again), SETTINGS).passed is passed


def test_a_score_near_zero_is_held_to_the_spread_of_all():
    recorded = np.array([1e-12, 1.0, 2.0])
    assert gate.same_scores(recorded, recorded + np.array([1e-9, 0, 0]), SETTINGS).passed


def test_budgets():
    assert gate.latency(100.0, 20, SETTINGS).passed
    assert not gate.latency(100.1, 20, SETTINGS).passed
    assert gate.memory(1000.0, SETTINGS).passed
    assert "1001 MB" in gate.memory(1001.0, SETTINGS).said
    assert not gate.memory(1001.0, SETTINGS).passed


def test_complete_lineage_passes():
    check = gate.lineage(LINEAGE)
    assert check.passed
    assert "commit aaaaaaaaaa, clean tree" in check.said


@pytest.mark.parametrize("tag", LINEAGE)
def test_each_part_of_the_lineage_is_asked_for(tag):
    for broken in (LINEAGE | {tag: ""}, {name: value for name, value in LINEAGE.items() if name != tag}):
        check = gate.lineage(broken)
        assert not check.passed
        assert gate.LINEAGE[tag][1] in check.said


def test_uncommitted_changes_are_no_lineage():
    check = gate.lineage(LINEAGE | {"git_tree": "dirty"})
    assert not check.passed
    assert "commit them" in check.said
