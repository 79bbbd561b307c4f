"""A training streamed into MLflow while it runs, without ever holding it up or ending it."""

import importlib.util
import math
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mlproject.core.errors import UserError
from mlproject.tracking import connection, runs, store_faults
from mlproject.tracking.detector_facts import DetectorFacts
from mlproject.tracking.facts import mlflow_parameters
from mlproject.training.progress import SilentRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlproject.training.loop import Epoch

if importlib.util.find_spec("mlflow") is None:
    # As `import mlflow` would; the import itself takes over a second and is left to the thread.
    raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

# Starting MLflow takes seconds of processor time, and tracking may cost 3% of a training: one that ends
# sooner, or will end before anybody has looked, is recorded from its files alone.
START_SECONDS = 60.0  # from the beginning, and to the end
FLUSH_SECONDS = 2.0  # between two requests: a fast epoch must not cost one each
CLOSE_SECONDS = 20.0  # the longest that the end of a training waits for the store


@dataclass(frozen=True)
class _Epoch:
    number: int
    values: dict[str, float]
    milliseconds: int


@dataclass(frozen=True)
class _Picture:
    epoch: int
    path: Path


@dataclass(frozen=True)
class _End:
    status: str


def open_run(training: Mapping[str, Any], key: str) -> "LiveRun | SilentRun":
    """Begin to stream a training, or go on with its run if one was cut off.

    Args:
        training: what run.json will say, as far as it is known: at least `identity.FACTS`.
        key: `identity.run_key` of it.

    Returns:
        A context; one that records nothing, with one line printed, when the store does not answer.
    """
    if not connection.reachable():
        print(connection.away_message(), flush=True)
        return SilentRun()
    return LiveRun(training, key)


class LiveRun:
    """One training's run. A thread of its own talks to the store; a training is never held up by it.

    Nothing is sent in the first `START_SECONDS`; then, unless the training will be over in as many,
    everything since the first epoch. When the store goes away in the middle one line says so, and nothing
    more is sent: `runs.record` completes the run from the files.
    """

    def __init__(self, training: Mapping[str, Any], key: str) -> None:
        self._training = dict(training)
        self._key = key
        self._waiting: queue.SimpleQueue[_Epoch | _Picture | _End] = queue.SimpleQueue()
        self._began = time.monotonic()
        self._seconds_left = math.inf
        self._over_soon = False
        self._closing = threading.Event()
        self._silent = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-live-run", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")

    def epoch(self, epoch: "Epoch") -> None:
        """Send what an epoch gave."""
        self._seconds_left = (epoch.limit - epoch.number) * epoch.seconds
        values = {name: getattr(epoch, name) for name in ("loss", "validation_loss", "images_per_second")}
        if not self._silent.is_set():
            self._waiting.put(_Epoch(epoch.number, values, int(time.time() * 1000)))

    def image(self, number: int, path: Path) -> None:
        """Send an epoch's picture of reconstructions; the file must stay until `close`."""
        if not self._silent.is_set():
            self._waiting.put(_Picture(number, path))

    def close(self, status: str) -> None:
        """Send the rest and end the run: FINISHED, FAILED or KILLED. Waits `CLOSE_SECONDS` at most."""
        self._waiting.put(_End(status))
        self._over_soon |= time.monotonic() - self._began < START_SECONDS
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            self._give_up(connection.away_message())

    def _work(self) -> None:
        self._closing.wait(START_SECONDS)
        if self._seconds_left < START_SECONDS:
            self._over_soon = True
            self._closing.wait()
        if self._over_soon:
            if not connection.reachable():
                self._give_up(connection.away_message())
            return
        try:
            client = connection.connect()
            _Stream(client, *self._open(client)).send_all(self._waiting, self._closing)
        # the last: somebody deleted the experiment
        except store_faults.kinds(OSError, UserError) as error:
            why = connection.without_password(str(error).splitlines()[0])
            refused = f"MLflow at {connection.shown()} refused the run ({why}): training goes on."
            if told := store_faults.refusal(error):
                refused = f"{told} Training goes on."
            self._give_up(refused if connection.reachable() else connection.away_message())

    def _give_up(self, message: str) -> None:
        if not self._silent.is_set():
            self._silent.set()
            print(message, flush=True)

    def _open(self, client: "MlflowClient") -> tuple[str, bool]:
        """Return the run's id and whether it was begun before."""
        from mlflow.entities import Param

        experiment_id = connection.experiment(client, connection.dataset())
        found = runs.find(client, experiment_id, self._key)
        if found:
            client.update_run(found.info.run_id, status="RUNNING")
            return found.info.run_id, True
        run_id = runs.create(client, experiment_id, self._training, running=time.monotonic() - self._began)
        parameters = mlflow_parameters(self._training)
        client.log_batch(run_id, params=[Param(name, value) for name, value in parameters.items()])
        return run_id, False


class _Stream:
    """Sends what waits in batches, and not again what a run that was cut off had sent."""

    def __init__(self, client: "MlflowClient", run_id: str, resumed: bool) -> None:
        self.client = client
        self.run_id = run_id
        self.sent = (
            {(p.step, p.value) for p in client.get_metric_history(run_id, "loss")} if resumed else set()
        )
        self.shown = runs.image_steps(client, run_id) if resumed else set()

    def send_all(
        self, waiting: "queue.SimpleQueue[_Epoch | _Picture | _End]", closing: threading.Event
    ) -> None:
        """Send until the end comes."""
        while True:
            items = [waiting.get()]
            closing.wait(FLUSH_SECONDS)
            while not waiting.empty():
                items.append(waiting.get())
            self.send(items)
            for item in items:
                if isinstance(item, _End):
                    self.client.set_terminated(self.run_id, item.status)
                    return

    def send(self, items: "list[_Epoch | _Picture | _End]") -> None:
        """Send the epochs in one request, then each picture."""
        import mlflow
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, item.milliseconds, item.number)
            for item in items
            if isinstance(item, _Epoch) and (item.number, item.values["loss"]) not in self.sent
            for name, value in item.values.items()
            if math.isfinite(value)  # AnoGAN has no validation loss before it has an encoder
        ]
        for first in range(0, len(metrics), runs.BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[first : first + runs.BATCH])
        for item in items:
            if isinstance(item, _Picture) and item.epoch not in self.shown:
                self.client.log_image(
                    self.run_id, mlflow.Image(str(item.path)), key=DetectorFacts.image_key, step=item.epoch
                )
