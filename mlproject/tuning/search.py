"""Search of one process: ask Optuna for a trial, run it, tell how it ended, until there are enough.

A trial is counted when it ran to its end, was pruned, or failed by itself. One that was interrupted, or whose
process died, stays in the tuning as failed and is not counted: another takes its place, and draws the same.
"""

import fcntl
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mlproject.core.errors import UserError
from mlproject.evaluation import thresholds
from mlproject.models.components import search_space
from mlproject.models.components.search_space import Choice, Range, Value
from mlproject.tuning import asked_trial, storage
from mlproject.tuning.asked_trial import ITSELF, RUNNING, SETTINGS, Asked, Record
from mlproject.tuning.data import TuningData
from mlproject.tuning.plan import Plan
from mlproject.tuning.trial import Interrupted, Trial

VALUES = "values"  # user attribute: also those of which there was no choice
POSITION = "position"  # user attribute: the seed of its draw; that of one that is not counted is free again
PLACE = "place"  # user attribute: machine and folder of the process that runs it
FAILURES_AT_START = 5  # trials; where all of them failed, the cause is not in their settings


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that ended by themselves."""
    return [
        t
        for t in trials
        if t.state.is_finished() and (t.state != TrialState.FAIL or t.user_attrs.get(ITSELF))
    ]


def complete(tuning: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ran to their end."""
    return [t for t in counted(tuning.get_trials(deepcopy=False)) if t.state == TrialState.COMPLETE]


def begin(plan: Plan, images: TuningData, tuning: optuna.Study) -> str | None:
    """Queue a trial of params.yaml's own settings, unless there is one.

    Returns:
        A line to print where these settings lie outside the search space.
    """
    with storage.readable_errors(plan.storage), storage.locked(plan):
        trials = tuning.get_trials(deepcopy=False)
        alive = [t for t in trials if not t.state.is_finished()]
        if any(t.user_attrs.get(SETTINGS) for t in [*counted(trials), *alive]):
            return None
        space = _space(plan, images)
        values = search_space.current(space, plan.facts["settings"], plan.threshold["false_alarm_rate"])
        if values is None:
            return (
                "params.yaml's own settings lie outside the search space: the tuning does not start from them"
            )
        tuning.enqueue_trial(values, user_attrs={SETTINGS: True})
    return None


def _space(plan: Plan, images: TuningData) -> search_space.Space:
    """Return the model's search space without false-alarm rates that too few images support."""
    return search_space.supported(
        plan.space(),
        thresholds.smallest_false_alarm_rate(
            min(len(images.examined), images.n_calibration), plan.threshold["confidence"]
        ),
    )


def work(
    plan: Plan,
    images: TuningData,
    tuning: optuna.Study,
    record: Record,
    stopped: Callable[[], bool],
    ended: Callable[[dict[str, Any]], None],
) -> None:
    """Run trials until the tuning has as many as planned, or it is stopped.

    Args:
        stopped: asked after each epoch.
        ended: given each trial.json.

    Raises:
        UserError: all of the first trials failed, another process marked one as failed, the storage is away.
        Exception: any error that a trial's settings did not cause, after the trial was marked as failed.
    """
    with storage.readable_errors(plan.storage):
        while not stopped() and (asked := ask(plan, images, tuning)):
            ended(_run(tuning, asked, record, stopped))
            stop_if_all_failed(tuning)


def _run(tuning: optuna.Study, asked: Asked, record: Record, stopped: Callable[[], bool]) -> dict[str, Any]:
    def check() -> None:
        if stopped():
            raise Interrupted

    found = asked_trial.outcome(asked.trial, asked.model_folder, asked.report, check)
    return asked.tell(tuning, found, record)


def ask(plan: Plan, images: TuningData, tuning: optuna.Study) -> Asked | None:
    """Return a trial, with its values drawn; None when there are enough."""
    with storage.locked(plan):
        trials = tuning.get_trials(deepcopy=False)
        taken = counted(trials) + [trial for trial in trials if trial.state == TrialState.RUNNING]
        if len(taken) >= plan.trials:
            return None
        used = {trial.user_attrs.get(POSITION) for trial in taken}
        position = min(set(range(plan.trials)) - used)
        tuning.sampler = storage.sampler(plan.tuning_seed, position)
        trial = tuning.ask()
        trial.set_user_attr(POSITION, position)
        trial.set_user_attr(PLACE, _here(plan.folder))
        folder = plan.trial_folder(trial.number)
        folder.mkdir(parents=True, exist_ok=True)
        claim = (folder / RUNNING).open("w", encoding="utf-8")
        fcntl.flock(claim, fcntl.LOCK_EX)
    began = time.time()
    values = search_space.draw(
        _space(plan, images), plan.facts["settings"], lambda key, domain: _suggest(trial, key, domain)
    )
    trial.set_user_attr(VALUES, values)
    return Asked(Trial(plan, images, trial.number, values), trial, claim, began)


def _here(folder: Path) -> str:
    return f"{socket.gethostname()}:{folder.absolute()}"


def still_running(plan: Plan, tuning: optuna.Study) -> str | None:
    """Return what to tell a user whose tuning has its trials, but for those that other commands still run."""
    running = tuning.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if not running:
        return None
    places = [f"trial {t.number} ({t.user_attrs.get(PLACE, 'place not known')})" for t in running]
    said = (
        f"Still running elsewhere: {', '.join(places)}. Nothing was chosen and the test set stays closed: "
        "once they have ended, the same command evaluates the tuning."
    )
    if plan.storage:
        said += (
            "\nIf a machine is gone for good, mark its trial as failed, and another takes its place:\n"
            f"  optuna tell --storage {storage.shown(plan.storage)} --study-name {plan.name} --state fail "
            f"--trial-number {running[0].number}"
        )
    return said


def _suggest(trial: optuna.Trial, key: str, domain: Range | Choice) -> Value:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(key, domain.options)
    if domain.integer:
        return trial.suggest_int(key, int(domain.low), int(domain.high), log=domain.log)
    return trial.suggest_float(key, domain.low, domain.high, log=domain.log)


def stop_if_all_failed(tuning: optuna.Study) -> None:
    """Check that not all of the first trials failed.

    Raises:
        UserError: they did.
    """
    trials = counted(tuning.get_trials(deepcopy=False))
    if len(trials) >= FAILURES_AT_START and all(trial.state == TrialState.FAIL for trial in trials):
        raise UserError(f"All of the first {len(trials)} trials failed: {trials[-1].user_attrs['reason']}")


def fail_abandoned(plan: Plan, tuning: optuna.Study) -> list[int]:
    """Mark trials of this folder whose process died as failed, uncounted; return their numbers."""
    found = []
    with storage.locked(plan):
        for trial in tuning.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            claim = plan.trial_folder(trial.number) / RUNNING
            if plan.storage and not claim.exists() and trial.user_attrs.get(PLACE) != _here(plan.folder):
                continue  # another machine's
            claim.parent.mkdir(parents=True, exist_ok=True)  # killed before it was made
            claim.touch()
            with claim.open("r+", encoding="utf-8") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                tuning.tell(trial.number, state=TrialState.FAIL)
                # killed after it wrote how it ended, and before it told Optuna: another takes its place
                (plan.trial_folder(trial.number) / "trial.json").unlink(missing_ok=True)
                claim.unlink()
                found.append(trial.number)
    return found
