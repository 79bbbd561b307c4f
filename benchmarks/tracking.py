"""What streaming a training to MLflow costs: the same training with and without, in turn, in one run.

Run: python benchmarks/tracking.py [EPOCHS]      (SQLite store in a temporary folder)
"""

import os
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mlproject import models
from mlproject.core import params
from mlproject.tracking import live
from mlproject.training.identity import run_key
from mlproject.training.loop import choose_precision
from mlproject.training.progress import SilentRun
from mlproject.training.run_options import RunOptions

PAIRS = 3


def facts(epochs: int, number: int) -> dict[str, Any]:
    """Return what a stage would say of its training; another number, another run."""
    settings = params.value("models.kd_cae") | {"epochs": epochs, "patience": epochs}
    return {
        "category": "benchmark",
        "model": "kd_cae",
        "settings": settings,
        "split": params.value("split"),
        "data_hash": "0" * 64,
        "seed": number,
        "device": "cpu",
        "precision": choose_precision("auto", "cpu"),
    }


def seconds(images: np.ndarray, known: dict[str, Any], run: AbstractContextManager[Any]) -> float:
    """Return how long a training takes, from before its run is opened until after it is closed."""
    detector = models.create("kd_cae", known["settings"])
    started = time.perf_counter()
    with run as opened:
        detector.fit(
            images[20:], images[:20], RunOptions(seed=0, precision=known["precision"], on_epoch=opened.epoch)
        )
    return time.perf_counter() - started


def main() -> None:
    """Print the median seconds of each and the ratio of each pair."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    images = np.random.default_rng(0).integers(0, 256, (180, 128, 128, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(folder) / 'mlflow.db'}"
        live.START_SECONDS = 0  # from the first epoch, as in a training that lasts
        with live.open_run(facts(1, 99), run_key(facts(1, 99))):
            pass  # makes the database, once in a project's life
        pairs = []
        for number in range(PAIRS):
            known = facts(epochs, number)
            off = seconds(images, known, SilentRun())
            on = seconds(images, known, live.open_run(known, run_key(known)))
            pairs.append((off, on))
            print(
                f"{epochs} epochs: {off:.1f} s without, {on:.1f} s with tracking, ratio {on / off:.3f}",
                flush=True,
            )
    print(f"median ratio {median(on / off for off, on in pairs):.3f}")


if __name__ == "__main__":
    main()
