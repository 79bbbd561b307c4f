"""Search over a Ray cluster: trials run on its machines; only this process asks Optuna and tells it.

So the storage may be a journal, an SQLite file or a server: no other machine opens it. With one trial at a
time the trials are those of a search in this process; with more, the order in which they end decides what
the sampler knows.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import optuna

from mlproject.core import artifacts
from mlproject.engines import Cluster, folders, ray_cluster
from mlproject.models.components import threads
from mlproject.models.components.search_space import Value
from mlproject.tuning import asked_trial, data, search, storage
from mlproject.tuning.asked_trial import Asked, Outcome, Record
from mlproject.tuning.objective import ObjectiveValue
from mlproject.tuning.plan import Plan
from mlproject.tuning.trial import Trial


@dataclass(frozen=True)
class Sent:
    """A trial as it is sent to a machine.

    Attributes:
        optuna_id: by which `Referee` finds it.
        prunable: as `Asked` has it.
    """

    number: int
    optuna_id: int
    values: dict[str, Value]
    prunable: bool

    def __str__(self) -> str:
        return f"trial {self.number}"


@dataclass(frozen=True)
class Returned:
    """A trial that ended, as it comes back: `Trial`'s record, and the model's files by name."""

    outcome: Outcome
    history: list[dict[str, float]]
    rungs: dict[int, float]
    objective: ObjectiveValue | None
    model: dict[str, bytes]


class Referee:
    """Tells machines whether to give up a trial; lives where the storage is."""

    def __init__(self, plan: Plan) -> None:
        self.tuning = storage.open_tuning(plan)

    def is_worse(self, optuna_id: int, epoch: int, value: float) -> bool:
        """Take a trial's objective at an epoch; say whether it is worse than others'.

        If an epoch is reported twice, for example by a trial that reruns because its machine was lost,
        Optuna keeps the first value.
        """
        return asked_trial.is_worse(optuna.Trial(self.tuning, optuna_id), epoch, value)


def run(
    plan: Plan,
    images: data.TuningData,
    tuning: optuna.Study,
    stop: Event,
    record: Record,
    ended: Callable[[dict[str, Any]], None],
    cluster: Cluster,
) -> None:
    """Work on a tuning, `plan.workers` trials at a time, until it has its trials or is stopped.

    Trials that are cut off, by Ctrl-C or an error, do not count.

    Raises:
        UserError: as `search.work`, `ray_cluster.connected` and `ray_cluster.completed`.
    """
    running: dict[int, Asked] = {}

    def sent() -> Iterator[Sent]:
        while asked := search.ask(plan, images, tuning):
            running[asked.number] = asked
            optuna_id = asked.optuna_trial._trial_id  # by number alone Optuna reaches no trial
            yield Sent(asked.number, optuna_id, dict(asked.trial.values), asked.prunable)

    with storage.readable_errors(plan.storage), ray_cluster.connected(cluster):
        referee = ray_cluster.Resident(Referee, plan) if plan.prune else None
        try:
            for one, back in ray_cluster.completed(
                work, sent(), at_once=plan.workers, needed=(artifacts.PREPARED / plan.category,),
                start=begin, arguments=(plan, referee), on_gpu=plan.facts["device"] == "cuda",
                stopped=stop.is_set,
            ):  # fmt: skip
                asked = running.pop(one.number)
                asked.trial.history, asked.trial.rungs = back.history, back.rungs
                asked.trial.objective = back.objective
                if back.model:
                    folders.unpack(back.model, asked.model_folder)
                ended(asked.tell(tuning, back.outcome, record))
                search.stop_if_all_failed(tuning)
        finally:
            for asked in running.values():
                ended(asked.tell(tuning, Outcome("interrupted", "interrupted"), record))


_worker: dict[str, Any] = {}


def begin(plan: Plan, referee: ray_cluster.Resident | None) -> None:
    """Prepare a process of a machine for trials."""
    _worker.update(plan=plan, referee=referee, images=data.prepare(plan))


def work(sent: Sent) -> Returned:
    """Run a trial, on one thread, in a process that `begin` prepared."""
    trial = Trial(_worker["plan"], _worker["images"], sent.number, sent.values)

    def report(epoch: int, value: float) -> None:
        if _worker["referee"].call("is_worse", sent.optuna_id, epoch, value) and sent.prunable:
            raise asked_trial.given_up(epoch)

    with tempfile.TemporaryDirectory() as folder, threads.one_thread():
        model = Path(folder) / "model"
        outcome = asked_trial.outcome(trial, model, report, lambda: None)
        files = folders.packed(model) if model.exists() else {}
    return Returned(outcome, trial.history, trial.rungs, trial.objective, files)
