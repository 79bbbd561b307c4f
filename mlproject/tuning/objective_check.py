"""Sealed evaluation: does the objective choose well? The only code of a tuning that opens the test set.

Called once all trials are done; its findings change neither a trial nor the tuned file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlproject import models
from mlproject.data import prepared
from mlproject.evaluation import metrics
from mlproject.tuning.objective import spearman, spearman_interval
from mlproject.tuning.plan import Objective, Plan

CHOOSERS = ("objective", "auroc", "balanced_accuracy")  # the objective, and what it may be made of


@dataclass(frozen=True)
class TrialOnTestSet:
    """One complete trial: its values during the tuning, and those on the test set.

    Attributes:
        objective, auroc, balanced_accuracy: as the tuning computed them, of the examined images.
        test_auroc, test_balanced_accuracy: of the test images, the latter at the trial's own threshold.
    """

    trial: int
    objective: float
    auroc: float
    balanced_accuracy: float
    test_auroc: float
    test_balanced_accuracy: float


def evaluate(
    plan: Plan, objectives: Mapping[int, Mapping[str, Any]], chosen: int, start: int | None
) -> dict[str, Any]:
    """Compare how the objective ranks the complete trials with how the test AUROC ranks them.

    Args:
        objectives: trial's number → `ObjectiveValue` of it, of the complete trials.
        chosen: number of the best of them by the objective.
        start: number of the trial with params.yaml's own settings, if it is among them.

    Returns:
        Counts; Spearman's rank correlations with their bootstrap 95 % intervals; the test AUROC of what the
        objective chose, of the start, of the median and of the best trial; and each trial. All over
        the complete trials whose models are here: a pruned one keeps none, so what the objective thinks
        little of is under-represented. None for the chosen one or the start where its model is not here.
        Where the test set lacks good or defective images, the counts alone.
    """
    images, labels = _test_images(plan.category, plan.facts["seed"], plan.objective)
    here = [number for number in sorted(objectives) if (plan.trial_folder(number) / "model").is_dir()]
    counts = {
        "n_trials": len(here),
        "n_trials_on_other_machines": len(objectives) - len(here),
        "n_good": int(np.count_nonzero(labels == 0)),
        "n_defective": int(np.count_nonzero(labels)),
    }
    if not here or not counts["n_good"] or not counts["n_defective"]:
        return counts
    trials = [
        _on_test_set(number, plan.trial_folder(number) / "model", objectives[number], images, labels)
        for number in here
    ]
    return {
        **counts,
        **_agreement(trials, plan.tuning_seed),
        **_choice(trials, chosen, start),
        "trials": [asdict(trial) for trial in trials],
    }


def _test_images(category: str, seed: int, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, s, s, 3) uint8 test images and their (n,) labels: all, or the half that no trial saw."""
    data = prepared.load(category)
    rows = data.held_out(seed) if objective == "labelled" else data.rows(split="test")
    return data.images[rows], data.manifest["label"].to_numpy()[rows]


def _on_test_set(
    number: int, model: Path, objective: Mapping[str, Any], images: np.ndarray, labels: np.ndarray
) -> TrialOnTestSet:
    scores = models.load(model).score(images).scores
    auroc = metrics.auroc(labels, scores)
    balanced = metrics.classification(labels, scores, float(objective["threshold"]))["balanced_accuracy"]
    assert auroc is not None  # both classes are there
    assert balanced is not None
    return TrialOnTestSet(
        number, objective["value"], objective["auroc"], objective["balanced_accuracy"], auroc, balanced
    )


def _agreement(trials: Sequence[TrialOnTestSet], seed: int) -> dict[str, Any]:
    test = np.array([trial.test_auroc for trial in trials])
    found: dict[str, Any] = {}
    for name in CHOOSERS:
        chosen_by = np.array([getattr(trial, name) for trial in trials])
        low, high = spearman_interval(chosen_by, test, seed)
        found[f"spearman_{name}"] = spearman(chosen_by, test)
        found |= {f"spearman_{name}_low": low, f"spearman_{name}_high": high}
    return found


def _choice(trials: Sequence[TrialOnTestSet], chosen: int, start: int | None) -> dict[str, Any]:
    by_number: dict[int | None, TrialOnTestSet] = {trial.trial: trial for trial in trials}
    at_chosen, at_start = by_number.get(chosen), by_number.get(start)
    return {
        "chosen_trial": chosen,
        "test_auroc_chosen": at_chosen.test_auroc if at_chosen else None,
        "test_auroc_start": at_start.test_auroc if at_start else None,
        "test_auroc_median": float(np.median([trial.test_auroc for trial in trials])),
        "test_auroc_best": max(trial.test_auroc for trial in trials),
        "test_balanced_accuracy_chosen": at_chosen.test_balanced_accuracy if at_chosen else None,
        "test_balanced_accuracy_start": at_start.test_balanced_accuracy if at_start else None,
    }
