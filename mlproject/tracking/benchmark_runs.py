"""Runs of a benchmark in MLflow: one for the whole, below it one a cell."""

import hashlib
import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlproject.core.wording import minute
from mlproject.tracking import connection, lock, runs
from mlproject.tracking.facts import git_tags, mlflow_parameters
from mlproject.tracking.quiet_record import QuietRecord, answering

if TYPE_CHECKING:
    from mlflow import MlflowClient

if importlib.util.find_spec("mlflow") is None:  # as `import mlflow` would, which takes over a second
    raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

WHOLE, CELL = "mlproject.benchmark", "mlproject.benchmark_cell"  # tags: of the parent, of a cell's run
COSTS = ("seconds", "ms_per_image")
SAID = ("machine", "cores", "at_once", "commit", "not_learnt_because")


class BenchmarkRecord(QuietRecord):
    """Tells MLflow of a benchmark; the same cells have the same parent, however often the command is called.

    Attributes:
        command: the command line.
        cells: key → facts of each cell's training.
    """

    meanwhile = "The benchmark goes on; what is missing is logged when the same command is called again."

    def __init__(self, command: str, cells: Mapping[str, Mapping[str, Any]]) -> None:
        self.command, self.cells = command, cells
        self.known: set[str] = set()

    def __enter__(self) -> Self:
        """Make the benchmark's run, or go on with it."""
        key = hashlib.sha256(" ".join(sorted(self.cells)).encode()).hexdigest()[:16]
        with self.quiet():
            client = answering()
            experiment = _experiment(client)
            with lock.on_experiment(client, experiment):
                found = client.search_runs([experiment], f"tags.`{WHOLE}` = '{key}'")
                self.run_id = found[0].info.run_id if found else self._create(client, experiment, key)
            client.update_run(self.run_id, status="RUNNING")
            children = client.search_runs(
                [experiment], f"tags.`{runs.PARENT}` = '{self.run_id}'", max_results=10_000
            )
            self.known = {
                str(child.data.tags.get(CELL)) for child in children if child.info.status == "FINISHED"
            }
        return self

    def cell(self, key: str, measured: Mapping[str, Any], figures: Mapping[str, float | None]) -> None:
        """Make the run of a finished cell, unless the store has it."""
        if self.run_id and key not in self.known:
            with self.quiet():
                client = answering()
                self._log(client, _experiment(client), key, measured, figures)
                self.known.add(key)

    def finish(self, models: Sequence[Mapping[str, Any]], written: Sequence[Path]) -> None:
        """Log each model's means over the categories, the table and the figure."""
        from mlflow.entities import Metric

        if not self.run_id:
            return
        now = int(time.time() * 1000)
        numbers = {
            f"{model['model']}.{name}": float(value)
            for model in models
            for name, value in model.items()
            if isinstance(value, int | float)
        }
        with self.quiet():
            client = answering()
            points = [Metric(name, value, now, 0) for name, value in numbers.items()]
            for first in range(0, len(points), runs.BATCH):
                client.log_batch(self.run_id, metrics=points[first : first + runs.BATCH])
            for path in written:
                client.log_artifact(self.run_id, str(path))

    def _create(self, client: "MlflowClient", experiment: str, key: str) -> str:
        tags = {
            WHOLE: key,
            "mlflow.runName": f"benchmark {minute(time.time())}",
            "mlflow.source.name": self.command,
            "mlflow.source.type": "LOCAL",
            connection.DESCRIPTION: f"{len(self.cells)} trainings: `{self.command}`",
        }
        return str(client.create_run(experiment, tags=tags | git_tags()).info.run_id)

    def _log(
        self,
        client: "MlflowClient",
        experiment: str,
        key: str,
        measured: Mapping[str, Any],
        figures: Mapping[str, float | None],
    ) -> None:
        from mlflow.entities import Metric, Param

        facts = self.cells[key]
        category, model = str(facts["category"]), str(facts["model"])
        began, ended = (int(measured[name] * 1000) for name in ("began", "ended"))
        tags = {
            runs.PARENT: str(self.run_id),
            CELL: key,
            "mlflow.runName": f"{category} {model} seed {facts['seed']}",
            "mlflow.source.name": self.command,
            "mlflow.source.type": "LOCAL",
            "mlflow.runType": "evaluation",
            "category": category,
            "model": model,
            **{name: str(measured[name]) for name in SAID if measured[name] is not None},
        }
        run_id = str(client.create_run(experiment, start_time=began, tags=tags).info.run_id)
        values = {**figures, **{f"training.{name}": measured[name] for name in COSTS}}
        client.log_batch(
            run_id,
            params=[Param(name, value) for name, value in mlflow_parameters(facts).items()],
            metrics=[Metric(name, float(v), ended, 0) for name, v in values.items() if v is not None],
        )
        client.set_terminated(run_id, end_time=ended)


def _experiment(client: "MlflowClient") -> str:
    # one of its own: dozens of cells would bury the runs that the pipeline compares
    dataset = connection.dataset()
    note = f"Benchmarks on the data set {dataset}: one parent run per benchmark, one child per training."
    return connection.experiment(client, f"{dataset}-benchmark", note)
