"""Run a tuning, for `mlproject tune` and stage `tune`: trials, best settings in a file, sealed evaluation."""

from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.tuning import data, objective_check, plan, results, search, storage, workers
from mlproject.tuning.asked_trial import Record
from mlproject.tuning.data import TuningData
from mlproject.tuning.objective import FEWEST_PAIRS
from mlproject.tuning.plan import Plan
from mlproject.tuning.progress import TuningDisplay
from mlproject.tuning.recorder import SilentRecord, open_record

if TYPE_CHECKING:
    from mlproject.engines import Cluster
    from mlproject.tracking.tuning_runs import TuningRecord

OPENED = "opened.json"  # in a tuning's folder
AT_CTRL_C = "Stopping after the current epoch. Ctrl-C again: at once."
AT_CTRL_C_ON_CLUSTER = "Stopping: the trials that run are cut off."


class Stopped(UserError):
    """The user ended the tuning early."""

    exit_code = 130


def tune(category: str, model: str, cluster: "Cluster | None" = None, **options: Any) -> None:
    """Bring a tuning to as many trials as planned, then evaluate it; write and print what it found.

    Called again it goes on where it was. Options as of `plan.load`.

    Args:
        cluster: where trials run; None: on this machine.

    Raises:
        Stopped: by Ctrl-C; the best settings so far are written, the test set stays closed.
        UserError: a cause that the user can fix; or trials still run elsewhere. Nothing is written.
    """
    plan.check_category(category)
    planned = plan.load(category, model, **options)
    tuning = storage.open_tuning(planned)
    with (
        storage.readable_errors(planned.storage),
        open_record(planned, tuning.user_attrs[storage.IDENTITY]) as record,
    ):
        for number in search.fail_abandoned(planned, tuning):
            print(f"trial {number}: its process had died; another takes its place")
        images = data.prepare(planned)
        if line := search.begin(planned, images, tuning):
            print(line)
        stopped = _run(planned, images, tuning, record, cluster)
        if not stopped and (blocked := search.still_running(planned, tuning)):
            raise UserError(blocked)
        chosen = results.best(tuning)
        if chosen is None and stopped:
            raise Stopped(f"stopped before any of {planned.trials} trials ran to its end; nothing written")
        if chosen is None:
            raise UserError(_no_complete_trial(planned.name, tuning))
        path = results.write_tuned(planned, tuning, chosen)
        print(f"best: trial {chosen.number}, objective {chosen.value:.4f} → {path}")
        if stopped:
            left = planned.trials - len(search.counted(tuning.get_trials(deepcopy=False)))
            raise Stopped(f"stopped with {left} of {planned.trials} trials left; the same command goes on")
        _evaluate(planned, images, tuning, chosen, record)


def _run(
    planned: Plan,
    images: TuningData,
    tuning: optuna.Study,
    record: Record,
    cluster: "Cluster | None",
) -> bool:
    """Run the trials that are left; say whether they were stopped."""
    done = len(search.counted(tuning.get_trials(deepcopy=False)))
    best = max((t.value for t in search.complete(tuning) if t.value is not None), default=None)
    title = f"{planned.category} {planned.model}"
    said = AT_CTRL_C_ON_CLUSTER if cluster else AT_CTRL_C
    with workers.stoppable(said) as stop, TuningDisplay(title, done, planned.trials, best) as display:
        if cluster and done < planned.trials:
            from mlproject.tuning import cluster_search

            cluster_search.run(planned, images, tuning, stop, record, display.show, cluster)
        elif not cluster:
            workers.run(planned, images, tuning, stop, record, display.show)
        return stop.is_set() and len(search.counted(tuning.get_trials(deepcopy=False))) < planned.trials


def _no_complete_trial(name: str, tuning: optuna.Study) -> str:
    reasons = [t.user_attrs.get("reason") for t in search.counted(tuning.get_trials(deepcopy=False))]
    last = f" The last one: {reasons[-1]}" if reasons else ""
    return f"No trial of {name} ran to its end ({len(reasons)} tried).{last}"


def _evaluate(
    planned: Plan,
    images: TuningData,
    tuning: optuna.Study,
    chosen: FrozenTrial,
    record: "TuningRecord | SilentRecord",
) -> None:
    """Open the test set, once there is nothing left to choose; write tuning.json and the plots."""
    objectives = {trial.number: trial.user_attrs["verdict"] for trial in search.complete(tuning)}
    gained = results.advantage(planned, images, tuning, chosen)
    opened = _count_opening(planned)  # before: what is killed half-way has seen it too
    found = objective_check.evaluate(planned, objectives, chosen.number, results.start_trial(tuning))
    found["opened"] = opened
    summary = results.summary(planned, tuning, chosen, gained, found)
    path = artifacts.report_folder(planned.category, planned.model) / "tuning.json"
    files.write_json(path, summary)
    figures = results.draw(planned, tuning)
    tuned = artifacts.tuned_file(planned.category, planned.model)
    trials = [files.read_json(file) for file in workers.trial_files(planned.folder)]
    said = in_words(summary)
    record.finish(trials, summary, said, {"tuning.json": path, f"tuned/{tuned.name}": tuned, **figures})
    print(said)


def _count_opening(planned: Plan) -> int:
    """Count that the test set was opened; return how often it was for tunings of this category and model."""
    own = planned.folder / OPENED
    files.write_json(own, {"opened": (files.read_json(own)["opened"] if own.exists() else 0) + 1})
    return sum(int(files.read_json(path)["opened"]) for path in planned.folder.parent.glob(f"*/{OPENED}"))


def in_words(summary: dict[str, Any]) -> str:
    """Return what the sealed evaluation says, for a reader."""
    found = summary["sealed"]
    ended = f"{summary['complete']} trials complete, {summary['pruned']} pruned, {summary['failed']} failed"
    ended += _advice(summary)
    if found["opened"] > 1:
        ended += f". The test set was opened {found['opened']} times for tunings of this model"
    if not found["n_trials"]:
        return f"{ended}. All their models are on other machines: the test set says nothing of them here."
    if "test_auroc_chosen" not in found:
        return f"{ended}. The test set lacks good or defective images: it says nothing."
    rank = found["spearman_objective"]
    agreement = "cannot be told" if rank is None else f"{rank:.2f}"
    if found["spearman_objective_low"] is not None:
        low, high = found["spearman_objective_low"], found["spearman_objective_high"]
        agreement += f" [{low:.2f}, {high:.2f}]"
    elif rank is not None:
        agreement += f" (no interval: it takes {FEWEST_PAIRS} trials)"
    chosen, start = found["test_auroc_chosen"], found["test_auroc_start"]
    of_chosen = "not known, its model is on another machine" if chosen is None else f"{chosen:.3f}"
    of_start = "" if start is None else f", params.yaml's settings {start:.3f}"
    return (
        f"{ended}. Test AUROC: chosen {of_chosen}{of_start}, "
        f"median {found['test_auroc_median']:.3f}, best {found['test_auroc_best']:.3f}. "
        f"Spearman(objective, test AUROC) over {found['n_trials']} complete trials: {agreement}. "
        "A pruned one keeps no model: median, best and correlation say nothing of it."
    )


def _advice(summary: dict[str, Any]) -> str:
    """Return what made defects alone say for or against the best trial."""
    gained = summary["advantage"]
    if gained is None:
        best_is_start = summary["start_trial"] == summary["best_trial"]
        return ". No trial is better than params.yaml's settings: keep those" if best_is_start else ""
    kinds = f"{gained['better']} of {gained['of']} kinds of made defects"
    luck = "" if gained["shown"] else ": that may be luck, keep those"
    return f". The best trial finds {kinds} better than params.yaml's settings do{luck}"
