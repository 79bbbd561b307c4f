"""Checks that a version must pass before it becomes champion: each takes figures and returns one line."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import iqr, mannwhitneyu

from mlproject.core.params import Promote
from mlproject.evaluation import intervals, metrics, thresholds
from mlproject.tracking.detector_facts import LEARNT, NO, YES

FEWEST = 5  # test images of a class: of fewer, luck alone ranks all rightly in over 1 of 252 tries
FEWEST_COMPARED = 20  # test images of a class that two models are compared on
LUCK = 0.025  # what the rank test may give chance, as the interval's lower end does
# name → what it must look like, and what a reader calls it
LINEAGE = {
    "git_commit": (re.compile(r"[0-9a-f]{40}"), "git commit"),
    "git_tree": (re.compile("clean|dirty"), "state of the working tree"),
    "data_hash": (re.compile(r"[0-9a-f]{64}"), "data hash"),
    "lock_hash": (re.compile(r"[0-9a-f]{64}"), "hash of dvc.lock"),
    "parameters": (re.compile(r"\{.+\}", re.DOTALL), "parameters"),
    "seed": (re.compile(r"[0-9]+"), "seed"),
    "run_id": (re.compile(r"[0-9a-f]{32}"), "run"),
}


class Check(NamedTuple):
    """One condition: whether it is met, and the figures that say so."""

    name: str
    passed: bool
    said: str

    def line(self) -> str:
        """Return it as one line of text."""
        return f"{'ok' if self.passed else 'NO':4}{self.name:14}{self.said}"


def cannot(name: str, why: str) -> Check:
    """Return a check that was not made: that is no pass."""
    return Check(name, False, f"cannot be checked: {why}")


def not_worse(labels: np.ndarray, champion: np.ndarray, challenger: np.ndarray, settings: Promote) -> Check:
    """Compare both models' AUROC on the same test images.

    Passes if the paired 95 % interval of challenger − champion reaches 0 (the challenger is not shown
    to be worse) and stays above −margin (and is shown not to be worse by more than that). A small test
    set fails the second half by its wide interval, which allows for images that were not seen.

    Args:
        labels: (n,) 0 good, 1 defective.
        champion: (n,) finite scores; challenger alike.
    """
    name = "not worse"
    if (few := _few(labels, FEWEST_COMPARED)) is not None:
        return cannot(name, f"of the test images that both have scores of, {few}")
    gap = intervals.auroc_difference(labels, champion, challenger, settings.bootstrap, metrics.BOOTSTRAP_SEED)
    both = [metrics.auroc(labels, scores) for scores in (challenger, champion)]
    said = (
        f"AUROC {both[0]:.3f}, champion's {both[1]:.3f}, on the same {len(labels)} test images: "
        f"{gap.value:+.3f}, paired 95% interval [{gap.low:+.3f}, {gap.high:+.3f}]"
    )
    if gap.high < 0:
        return Check(name, False, f"{said}: worse")
    if gap.low < -settings.margin:
        why = f"may be worse by more than the margin of {settings.margin:g}; {_more(labels, settings.margin)}"
        return Check(name, False, f"{said}: {why}")
    return Check(name, True, f"{said}: worse by {settings.margin:g} at most")


def _more(labels: np.ndarray, margin: float) -> str:
    """Say how many more images could show what these cannot, if only of a model that ranks alike."""
    if margin and (few := _few(labels, intervals.fewest_images(margin))) is not None:
        return f"of the test images, {few}"
    return "more test images would tell"


def above_chance(labels: np.ndarray, scores: np.ndarray, settings: Promote) -> Check:
    """Compare the first champion with a coin.

    Passes if the lower end of its AUROC's interval exceeds 0.5, and the rank test (Mann and Whitney 1947)
    gives such a ranking to chance in `LUCK` of cases at most: on few images the interval is too narrow.
    """
    name = "above chance"
    low, high = metrics.auroc_interval(labels, scores, settings.bootstrap, metrics.BOOTSTRAP_SEED)
    if (few := _few(labels, FEWEST)) is not None or low is None:
        return cannot(name, f"of the test images, {few}")
    luck = mannwhitneyu(scores[labels == 1], scores[labels == 0], alternative="greater").pvalue
    said = (
        f"no champion yet, so against chance, 0.5: AUROC {metrics.auroc(labels, scores):.3f} on "
        f"{len(labels)} test images, 95% interval [{low:.3f}, {high:.3f}], by luck in {luck:.2g} of cases"
    )
    return Check(name, low > 0.5 and luck <= LUCK, said)


def _few(labels: np.ndarray, fewest: int) -> str | None:
    """Say how many images the test lacks where each class needs `fewest`; None if it lacks none."""
    defective = int(np.count_nonzero(labels))
    found = {"good": len(labels) - defective, "defective": defective}
    lacking = [f"{fewest - n} more {kind}" for kind, n in found.items() if n < fewest]
    if not lacking:
        return None
    return (
        f"{found['good']} are good and {defective} defective; {fewest} of each are needed: "
        f"{' and '.join(lacking)}"
    )


def false_alarms(good_scores: np.ndarray, threshold: float, asked: float, settings: Promote) -> Check:
    """Count the good test images, which set no threshold, that are called defective.

    Passes unless the model was made for more of them than `promote.false_alarm_rate` allows, or the exact
    binomial 95 % interval of their share lies wholly above what it was made for.

    Args:
        good_scores: (n,) scores of good test images.
        threshold: the one that is served.
        asked: share of good images that may be called defective, as the threshold was set.
    """
    name = "false alarms"
    if not len(good_scores):
        return cannot(name, "no good test image")
    alarms = int(np.count_nonzero(thresholds.decide(good_scores, threshold)))
    share = intervals.share_interval(alarms, len(good_scores))
    said = (
        f"{alarms} of {len(good_scores)} good test images, {share.value:.1%}, binomial 95% interval "
        f"[{share.low:.1%}, {share.high:.1%}]; asked {asked:.1%}"
    )
    if asked > settings.false_alarm_rate:
        return Check(
            name, False, f"{said}, more than promote.false_alarm_rate {settings.false_alarm_rate:.1%}"
        )
    return Check(name, share.low <= asked, said)


def same_scores(recorded: np.ndarray, again: np.ndarray, settings: Promote) -> Check:
    """Compare the recorded scores with those of the model that was loaded back.

    Another kind of processor rounds differently, which `promote.tolerance` allows for.

    Args:
        recorded: (n,) n ≥ 1; again alike, of the same images.
    """
    worst = largest_difference(recorded, again)
    said = (
        f"{len(recorded)} recorded images scored by the model loaded back: largest relative difference "
        f"{worst:.1e}, allowed {settings.tolerance:g}"
    )
    return Check("same scores", worst <= settings.tolerance, said)  # a NaN is no pass


def largest_difference(recorded: np.ndarray, again: np.ndarray) -> float:
    """Return the largest difference of (n,) scores, n ≥ 1.

    Relative to the recorded score or, where that is near 0, to the recorded scores' interquartile range.
    """
    scale = np.maximum(np.maximum(np.abs(recorded), iqr(recorded)), np.finfo(float).tiny)
    return float(np.max(np.abs(again - recorded) / scale))


def latency(milliseconds: float, repeats: int, settings: Promote) -> Check:
    """Compare the time of one image, from file bytes to decision, with its budget."""
    said = f"{milliseconds:.1f} ms for one image (median of {repeats}), budget {settings.latency_ms:g} ms"
    return Check("latency", milliseconds <= settings.latency_ms, said)


def memory(megabytes: float, settings: Promote) -> Check:
    """Compare the peak memory of a process that loads the model and scores one image with its budget."""
    said = f"{megabytes:.0f} MB at its peak in a process of its own, budget {settings.memory_mb:g} MB"
    return Check("memory", megabytes <= settings.memory_mb, said)


def learnt(tags: Mapping[str, str]) -> Check:
    """Check that the training has learnt something: without it, scores may rank images by a shortcut.

    Args:
        tags: of the version's run, as `DetectorFacts.tags` wrote them.
    """
    name, said = "learnt", tags.get(LEARNT, "")
    if said.startswith(NO):
        return Check(name, False, f"has learnt nothing: {said.removeprefix(NO)}")
    if said != YES:
        return cannot(name, "its run does not say; `dvc repro` trains and registers it again")
    return Check(name, True, "no sign of a training that has learnt nothing")


def lineage(recorded: Mapping[str, str]) -> Check:
    """Check that a version's lineage is complete enough to make the version again.

    Args:
        recorded: values by the names of `LINEAGE`.
    """
    name = "lineage"
    missing = [said for key, (form, said) in LINEAGE.items() if not form.fullmatch(recorded.get(key, ""))]
    if missing:
        return Check(name, False, f"missing: {', '.join(missing)}")
    commit = f"commit {recorded['git_commit'][:10]}"
    if recorded["git_tree"] != "clean":
        again = "`dvc repro`, or `mlproject extend` if that made this version"
        why = f"made with uncommitted changes (`git status`); commit them, then make it again: {again}"
        return Check(name, False, f"{commit}, but {why}")
    count = len(json.loads(recorded["parameters"]))
    said = (
        f"{commit}, clean tree, data {recorded['data_hash'][:10]}, dvc.lock {recorded['lock_hash'][:10]}, "
        f"{count} parameters, seed {recorded['seed']}, run {recorded['run_id'][:10]}"
    )
    return Check(name, True, said)


def failed(checks: Iterable[Check]) -> list[str]:
    """Return the names of the checks that are not met."""
    return [check.name for check in checks if not check.passed]
