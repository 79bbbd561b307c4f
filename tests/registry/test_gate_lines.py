"""The gate's checks at the edge between passing and not, with the name and the line of each."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from mlproject.core.params import Promote
from mlproject.evaluation import intervals, metrics
from mlproject.registry import gate
from mlproject.registry.gate import Check
from mlproject.tracking.detector_facts import LEARNT

SETTINGS = Promote(
    margin=0.05, bootstrap=500, false_alarm_rate=0.1, tolerance=0.01, latency_ms=100, memory_mb=1000
)
LINEAGE = {
    "git_commit": "0123456789abc" + "a" * 27, "git_tree": "clean", "data_hash": "123456789abcd" + "b" * 51,
    "lock_hash": "23456789abcde" + "c" * 51, "parameters": '{"x": 1, "y": 2}', "seed": "7",
    "run_id": "3456789abcdef" + "d" * 19,
}  # fmt: skip


def test_a_check_is_one_line_and_those_that_failed_are_named():
    good, bad = Check("latency", True, "said"), Check("not worse", False, "why")
    assert (good.line(), bad.line()) == ("ok  latency       said", "NO  not worse     why")
    assert gate.failed([good, bad]) == ["not worse"]


def test_lineage():
    parts = "clean tree, data 123456789a, dvc.lock 23456789ab, 2 parameters, seed 7, run 3456789abc"
    assert gate.lineage(LINEAGE) == Check("lineage", True, f"commit 0123456789, {parts}")
    again = "`dvc repro`, or `mlproject extend` if that made this version"
    changes = "made with uncommitted changes (`git status`); commit them, then make it again"
    why = f"commit 0123456789, but {changes}: {again}"
    assert gate.lineage(LINEAGE | {"git_tree": "dirty"}) == Check("lineage", False, why)
    lacking = {name: value for name, value in LINEAGE.items() if name not in ("seed", "run_id")}
    assert gate.lineage(lacking) == Check("lineage", False, "missing: seed, run")


def test_learnt():
    passed = Check("learnt", True, "no sign of a training that has learnt nothing")
    assert gate.learnt({LEARNT: "yes"}) == passed
    assert gate.learnt({LEARNT: "no: it is black"}) == Check(
        "learnt", False, "has learnt nothing: it is black"
    )
    why = "cannot be checked: its run does not say; `dvc repro` trains and registers it again"
    assert gate.learnt({}) == gate.learnt({LEARNT: "maybe"}) == Check("learnt", False, why)


def test_budgets():
    said = "100.0 ms for one image (median of 20), budget 100 ms"
    assert gate.latency(100.0, 20, SETTINGS) == Check("latency", True, said)
    said = "1000 MB at its peak in a process of its own, budget 1000 MB"
    assert gate.memory(1000.0, SETTINGS) == Check("memory", True, said)


def test_false_alarms():
    assert gate.false_alarms(np.array([]), 0.5, 0.1, SETTINGS) == Check(
        "false alarms", False, "cannot be checked: no good test image"
    )
    scores = np.array([0.0] * 19 + [1.0])
    said = "1 of 20 good test images, 5.0%, binomial 95% interval [0.1%, 24.9%]; asked 10.0%"
    assert gate.false_alarms(scores, 0.5, 0.1, SETTINGS) == Check("false alarms", True, said)
    more = said.replace("asked 10.0%", "asked 20.0%") + ", more than promote.false_alarm_rate 10.0%"
    assert gate.false_alarms(scores, 0.5, 0.2, SETTINGS) == Check("false alarms", False, more)
    assert not gate.false_alarms(np.ones(20), 0.5, 0.1, SETTINGS).passed
    edge = float(intervals.share_interval(3, 20).low)
    assert gate.false_alarms(np.array([0.0] * 17 + [1.0] * 3), 0.5, edge, SETTINGS).passed


def test_same_scores_are_held_to_the_larger_of_score_and_quartile_range():
    """Of 0 to 100 in hundredths the quartiles lie at 25 and 75: a hundredth of 50 is .5, of 100 is 1."""
    recorded = np.arange(0.0, 101.0)
    said = "101 recorded images scored by the model loaded back: largest relative difference {}, allowed 0.01"

    def shifted(row, by):
        again = recorded.copy()
        again[row] += by
        return gate.same_scores(recorded, again, SETTINGS)

    assert shifted(0, 0.5) == Check("same scores", True, said.format("1.0e-02"))
    assert shifted(100, 1.0) == Check("same scores", True, said.format("1.0e-02"))
    assert shifted(0, 0.501) == Check("same scores", False, said.format("1.0e-02"))
    assert not shifted(100, 1.01).passed


@pytest.mark.parametrize(
    ("good", "defective", "lacking"), [(2, 9, "3 more good"), (0, 1, "5 more good and 4 more")]
)
def test_above_chance_needs_images_of_both_classes(good, defective, lacking):
    labels = np.repeat([0, 1], [good, defective])
    found = gate.above_chance(labels, labels * 1.0 + np.arange(len(labels)), SETTINGS)
    assert (found.name, found.passed) == ("above chance", False)
    assert found.said.startswith(
        f"cannot be checked: of the test images, {good} are good and {defective} defective; "
    )


def test_above_chance_asks_of_the_interval_and_of_luck_in_one_direction():
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 30)
    scores = rng.normal(size=60) + 0.3 * labels
    first, again = (gate.above_chance(labels, scores, SETTINGS) for _ in range(2))
    assert first == again, "the resamples are of a fixed seed"
    assert first.name == "above chance"
    backwards = gate.above_chance(labels, -scores - 2.0 * labels, SETTINGS)
    assert not backwards.passed
    assert "by luck in 1 of cases" in backwards.said


def test_above_chance_needs_both_the_interval_and_that_luck_is_unlikely():
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 6)
        scores = rng.normal(size=12) + 1.2 * labels
        interval = metrics.auroc_interval(labels, scores, SETTINGS.bootstrap, metrics.BOOTSTRAP_SEED)[0] > 0.5
        luck = mannwhitneyu(scores[labels == 1], scores[labels == 0], alternative="greater").pvalue
        seen.add((interval, bool(luck <= gate.LUCK)))
        assert gate.above_chance(labels, scores, SETTINGS).passed == (interval and luck <= gate.LUCK)
    assert (True, False) in seen, "the interval alone would have passed it"


def test_not_worse():
    labels = np.repeat([0, 1], [60, 60])
    champion = np.random.default_rng(0).normal(size=120) + 3.0 * labels
    first = gate.not_worse(labels, champion, champion, SETTINGS)
    assert (first.name, first.passed) == ("not worse", True)
    assert first.said.endswith(": worse by 0.05 at most")

    worse = gate.not_worse(labels, champion, -champion, SETTINGS)
    auroc = metrics.auroc(labels, champion)
    assert worse.said.startswith(
        f"AUROC {1 - auroc:.3f}, champion's {auroc:.3f}, on the same 120 test images: "
    )
    assert (worse.name, worse.passed) == ("not worse", False)
    assert worse.said.endswith(": worse")

    alike = champion + np.random.default_rng(1).normal(size=120)
    unclear = gate.not_worse(labels, champion, alike, SETTINGS.model_copy(update={"margin": 0.0}))
    assert (unclear.name, unclear.passed) == ("not worse", False)
    assert unclear == gate.not_worse(labels, champion, alike, SETTINGS.model_copy(update={"margin": 0.0}))
    assert unclear.said.endswith("may be worse by more than the margin of 0; more test images would tell")

    few = gate.not_worse(labels[50:70], champion[50:70], champion[50:70], SETTINGS)
    assert (few.name, few.passed) == ("not worse", False)
    assert few.said.startswith(
        "cannot be checked: of the test images that both have scores of, 10 are good and 10"
    )
