"""An Optuna search in MLflow: a run for the search, and one below it for each trial."""

import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlproject.core.wording import minute
from mlproject.tracking import connection, lock, runs
from mlproject.tracking.facts import flatten, git_tags
from mlproject.tracking.quiet_record import QuietRecord, answering

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

if importlib.util.find_spec("mlflow") is None:  # as `import mlflow` would, which takes over a second
    raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

WHOLE = "mlproject.study_run"  # on the tuning's own run only: its trials may be more than a search returns
STUDY, TRIAL, STATE, REASON = (f"mlproject.{name}" for name in ("study", "trial", "trial_state", "reason"))
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class TuningRecord(QuietRecord):
    """Tells MLflow of a tuning. Where the store is away it says so once and is silent: nothing waits for it.

    Trials that the store does not have yet are told of at the end, or by the next call of the same tuning.
    The value goes to worker processes as it is.
    """

    meanwhile = "The tuning goes on; what is missing is logged when `mlproject tune` is called again."

    def __init__(self, category: str, model: str, key: str, parameters: Mapping[str, Any]) -> None:
        self.category, self.model, self.key = category, model, key
        self.parameters = dict(parameters)

    def __enter__(self) -> Self:
        """Make the tuning's run, or go on with it."""
        with self.quiet():
            client = answering()
            experiment = self._experiment(client)
            with lock.on_experiment(client, experiment):
                found = client.search_runs([experiment], f"tags.`{WHOLE}` = '{self.key}'")
                self.run_id = found[0].info.run_id if found else self._create(client, experiment)
            client.update_run(self.run_id, status="RUNNING")
        return self

    def trial(self, content: Mapping[str, Any]) -> str | None:
        """Make the run of a trial that ended; return its id, None where the store is away.

        Args:
            content: trial.json.
        """
        run_id = None
        if self.run_id:
            with self.quiet():
                client = answering()
                run_id = _log_trial(client, self._experiment(client), self.run_id, self._tags(), content)
        return run_id

    def finish(
        self,
        trials: Sequence[Mapping[str, Any]],
        summary: Mapping[str, Any],
        said: str,
        files: Mapping[str, Path],
    ) -> None:
        """Log the trials that the store lacks, then what the tuning found.

        Args:
            trials: every trial.json.
            summary: tuning.json.
            said: the same in words: the run's description.
            files: artifact name → file.
        """
        if not self.run_id:
            return
        with self.quiet():
            client = answering()
            experiment = self._experiment(client)
            children = client.search_runs(
                [experiment], f"tags.`{runs.PARENT}` = '{self.run_id}'", max_results=10_000
            )
            known = {child.data.tags.get(TRIAL) for child in children}
            for content in trials:
                if str(content["number"]) not in known and content["state"] in STATUS:
                    _log_trial(client, experiment, self.run_id, self._tags(), content)
            _log_summary(client, self.run_id, summary)
            client.set_tag(self.run_id, connection.DESCRIPTION, said)
            for name, path in files.items():
                client.log_artifact(self.run_id, str(path), Path(name).parent.as_posix().strip(".") or None)

    def _experiment(self, client: "MlflowClient") -> str:
        # one of its own: dozens of trials would bury the runs that the pipeline compares
        dataset = connection.dataset()
        note = f"Tunings on the data set {dataset}: one parent run per tuning, one child per trial."
        return connection.experiment(client, f"{dataset}-tuning", note)

    def _tags(self) -> dict[str, str]:
        return {STUDY: self.key, "category": self.category, "model": self.model}

    def _create(self, client: "MlflowClient", experiment: str) -> str:
        from mlflow.entities import Param

        name = f"tuning {self.category} {self.model} {minute(time.time())}"
        source = f"mlproject tune --category {self.category} --model {self.model}"
        own = {WHOLE: self.key, "mlflow.runName": name, "mlflow.source.name": source}
        tags = self._tags() | own | git_tags()
        run_id = str(client.create_run(experiment, tags=tags).info.run_id)
        flat = flatten(self.parameters)
        client.log_batch(run_id, params=[Param(key, str(value)) for key, value in flat.items()])
        return run_id


def _log_trial(
    client: "MlflowClient", experiment: str, parent: str, tags: Mapping[str, str], content: Mapping[str, Any]
) -> str:
    from mlflow.entities import Param, RunTag

    own = {
        runs.PARENT: parent,
        "mlflow.runName": f"trial {content['number']}",
        TRIAL: str(content["number"]),
        STATE: content["state"],
        **({REASON: content["reason"]} if content["reason"] else {}),
    }
    run_id = str(
        client.create_run(
            experiment, start_time=int(content["began"] * 1000), tags={**tags, **own}
        ).info.run_id
    )
    params = [Param(key, str(value)) for key, value in content["values"].items()]
    points = _points(content)
    client.log_batch(run_id, params=params, tags=[RunTag("mlflow.source.type", "LOCAL")])
    for first in range(0, len(points), runs.BATCH):
        client.log_batch(run_id, metrics=points[first : first + runs.BATCH])
    client.set_terminated(run_id, STATUS[content["state"]], int(content["ended"] * 1000))
    return run_id


def _points(content: Mapping[str, Any]) -> "list[Metric]":
    """Return losses by epoch, the objective where it was measured on the way, and all its parts."""
    from mlflow.entities import Metric

    began, ended = int(content["began"] * 1000), int(content["ended"] * 1000)
    epochs = max(len(content["history"]), 1)
    points = [
        Metric(
            name, float(row[name]), began + (ended - began) * int(row["epoch"]) // epochs, int(row["epoch"])
        )
        for row in content["history"]
        for name in row.keys() - {"epoch"}
    ]
    points += [Metric("objective_by_epoch", v, ended, int(epoch)) for epoch, v in content["rungs"].items()]
    verdict = flatten({"objective": content["verdict"]}) if content["verdict"] else {}
    for name, value in verdict.items():
        key = "objective" if name == "objective.value" else name.removeprefix("objective.")
        points.append(Metric(key, float(value), ended, 0))
    return points


def _log_summary(client: "MlflowClient", run_id: str, summary: Mapping[str, Any]) -> None:
    """Log tuning.json's numbers as metrics, the best values as tags: they change as a tuning goes on."""
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    numbers = {
        name: float(value)
        for name, value in flatten(summary).items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and not name.startswith("best_values")
        and name != "seed"  # among the parameters
    }
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, 0) for name, value in numbers.items()],
        tags=[RunTag(f"best.{name}", str(value)) for name, value in summary["best_values"].items()],
    )
