"""Results of a tuning: the tuned file, tuning.json and plots."""

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlproject import models
from mlproject.core import artifacts
from mlproject.core.files import written_file
from mlproject.models.components import search_space
from mlproject.reports.figures import drawing
from mlproject.training import run_settings
from mlproject.training.run_settings import Tuned, TunedThreshold
from mlproject.tuning import asked_trial, objective, search
from mlproject.tuning.data import TuningData
from mlproject.tuning.plan import Plan

PLOTS = {
    "history": "plot_optimization_history",
    "importance": "plot_param_importances",
    "parallel": "plot_parallel_coordinate",
    "slice": "plot_slice",
}


def counts(tuning: optuna.Study) -> dict[str, int]:
    """Return the number of complete, pruned and failed trials."""
    trials = search.counted(tuning.get_trials(deepcopy=False))
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    return {name: sum(trial.state == state for trial in trials) for name, state in states.items()}


def best(tuning: optuna.Study) -> FrozenTrial | None:
    """Return the complete trial of the highest objective, the earliest of equals; None if there is none."""
    found = search.complete(tuning)
    return max(found, key=lambda trial: (trial.value or 0.0, -trial.number)) if found else None


def write_tuned(plan: Plan, tuning: optuna.Study, trial: FrozenTrial) -> Path:
    """Write data/tuned/<category>/<model>.yaml: the trial's settings, with all the epochs that they have."""
    found = trial.user_attrs[search.VALUES]
    path = artifacts.tuned_file(plan.category, plan.model)
    origin = {
        "key": plan.key,
        "objective": plan.objective,
        "value": trial.value,
        "trial": trial.number,
        **counts(tuning),
        "seed": plan.tuning_seed,
        "epochs": plan.epochs,
        "data_hash": plan.facts["data_hash"],
        "split_seed": plan.facts["seed"],
    }
    rate = search_space.rate(found, plan.threshold["false_alarm_rate"])
    run_settings.write_tuned(
        path,
        Tuned(study=origin, threshold=TunedThreshold(false_alarm_rate=rate), settings=plan.settings(found)),
    )
    return path


def advantage(
    plan: Plan, images: TuningData, tuning: optuna.Study, chosen: FrozenTrial
) -> dict[str, Any] | None:
    """Return what the best trial has over params.yaml's own settings, by made defects.

    None where these settings are no complete trial, or the best, or a model is on another machine.
    """
    start, found = start_trial(tuning), counts(tuning)
    if not images.reuses or start is None or start == chosen.number:
        return None
    folders = [plan.trial_folder(number) / "model" for number in (chosen.number, start)]
    if not all(folder.is_dir() for folder in folders):
        return None
    best, own = (images.by_image(models.load(folder)) for folder in folders)
    tried = found["complete"] + found["pruned"] - 1
    gained = objective.advantage(best, own, tried, plan.tuning_seed)
    return asdict(gained) | {"shown": gained.shown}


def summary(
    plan: Plan,
    tuning: optuna.Study,
    chosen: FrozenTrial,
    gained: dict[str, Any] | None,
    sealed: dict[str, Any],
) -> dict[str, Any]:
    """Return the content of tuning.json.

    `complete`, `pruned`, `failed` count all trials; `sealed` (of `objective_check.evaluate`) is over the
    complete ones; `gained` is of `advantage`.
    """
    return {
        "category": plan.category,
        "model": plan.model,
        "study": plan.key,
        "objective": plan.objective,
        "seed": plan.tuning_seed,
        **counts(tuning),
        "best_trial": chosen.number,
        "best": chosen.user_attrs["verdict"],
        "best_values": chosen.user_attrs[search.VALUES],
        "start_trial": start_trial(tuning),
        "advantage": gained,
        "sealed": sealed,
    }


def start_trial(tuning: optuna.Study) -> int | None:
    """Return the number of the complete trial with params.yaml's own settings."""
    numbers = [t.number for t in search.complete(tuning) if t.user_attrs.get(asked_trial.SETTINGS)]
    return numbers[0] if numbers else None


def draw(plan: Plan, tuning: optuna.Study) -> dict[str, Path]:
    """Write Optuna's plots, interactive and as pictures; return artifact name → file.

    A tuning whose trials are all equally good, or fewer than two, has none: they would show nothing.
    """
    pictures = artifacts.report_folder(plan.category, plan.model) / "tuning"
    pictures.mkdir(parents=True, exist_ok=True)  # an output of the stage
    found = search.complete(tuning)
    if len({trial.value for trial in found}) < 2:
        return {}
    files: dict[str, Path] = {}
    for name, function in PLOTS.items():
        page, picture = plan.folder / "plots" / f"{name}.html", pictures / f"{name}.png"
        _page(getattr(optuna.visualization, function), tuning, page)
        with warnings.catch_warnings():
            for category in (optuna.exceptions.ExperimentalWarning, UserWarning):  # few trials, narrow axes
                warnings.simplefilter("ignore", category)
            drawing.save_axes(getattr(optuna.visualization.matplotlib, function)(tuning), picture)
        files |= {f"plots/{page.name}": page, f"plots/{picture.name}": picture}
    return files


def _page(function: Callable[[optuna.Study], Any], tuning: optuna.Study, path: Path) -> None:
    """Write a page that needs nothing from the network."""
    with written_file(path) as part:
        function(tuning).write_html(part, include_plotlyjs=True)
