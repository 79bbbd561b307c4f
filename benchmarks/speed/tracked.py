"""A training streamed to MLflow, against the same one that is not."""

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.speed import training
from benchmarks.speed.epochs import EpochByEpoch
from benchmarks.speed.measure import Group, Row, Side
from benchmarks.speed.worker import Measured

EPOCHS = 5  # a measurement: MLflow is sent something every two seconds


def groups(tiny: bool) -> list[Group]:
    """Return the one group."""
    options = {"n": 20 if tiny else 160, "small": tiny, "epochs": 1 if tiny else EPOCHS}
    sides = {
        "tracked": Side("streamed to MLflow", "tracked:training_run", options | {"tracked": True}),
        "alone": Side("not streamed", "tracked:training_run", options | {"tracked": False}),
    }
    row = Row("epochs of KD-CAE's training, streamed", "tracked", "alone", "s", at_most=1.03)
    note = (
        "Streaming begins after the first minute, and only if another minute is left. Its beginning (the "
        "import of MLflow, a new run) is not in these epochs."
    )
    return [Group("tracking", sides, (row,), note=note)]


def training_run(n: int, small: bool, epochs: int, tracked: bool, scratch: str) -> Measured:
    """Seconds of some epochs of a training with the settings of params.yaml."""
    from mlproject import models
    from mlproject.core import params
    from mlproject.training.run_options import RunOptions

    settings = params.value("models.kd_cae") | training.ENDLESS | ({"image_size": 32} if small else {})
    images = training.inputs.arrays(n + 20, settings["image_size"])
    run, began = _live(settings, scratch) if tracked else (None, 0.0)

    def fit(on_epoch: Any) -> Any:
        def shown(epoch: Any) -> None:
            if run:
                run.epoch(epoch)
            on_epoch(epoch)

        detector = models.create("kd_cae", settings)
        return detector.fit(images[:n], images[n:], RunOptions(seed=0, on_epoch=shown))

    going = EpochByEpoch(fit)

    def once() -> float:
        started = time.perf_counter()
        for _ in range(epochs):
            going.epoch()
        return time.perf_counter() - started

    once()
    return Measured(once, lambda: f"beginning, {began:.1f} s of processor time" if run else "")


def _live(settings: dict[str, Any], scratch: str) -> tuple[Any, float]:
    """Return a live run that has begun, in a store of its own, and the processor time that this took."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(scratch, 'mlflow.db')}"
    from mlproject.core import params
    from mlproject.tracking import connection, live
    from mlproject.training.identity import run_key

    live.START_SECONDS = 0
    facts = {
        "category": "made_up", "model": "kd_cae", "settings": settings, "split": params.value("split"),
        "data_hash": "0" * 64, "seed": 0, "device": "cpu", "precision": "float32",
    }  # fmt: skip
    before = time.process_time()
    run = live.open_run(facts, run_key(facts))
    client = connection.connect()
    while not client.search_runs([found.experiment_id for found in client.search_experiments()]):
        time.sleep(0.1)
    return run, time.process_time() - before
