"""A project folder as the pipeline leaves it, small, and the fixtures of the tests that record it.

PYTEST_DONT_REWRITE: the tests import it before pytest loads its fixtures.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from mlproject import models
from mlproject.commands.preset import presets
from mlproject.core import artifacts, files
from mlproject.core.tables import write_table
from mlproject.registry import register as registry
from mlproject.tracking import connection, live, runs
from mlproject.training.identity import run_key
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions

ROOT = Path(__file__).resolve().parents[2]
CATEGORY, MODEL, DATASET = "bottle", "kd_cae", "sample"
EPOCHS = 12
PICTURED = (1, 2, 5, 10)
SIDE = 32


def settings() -> dict[str, Any]:
    """Return the project's own settings of KD-CAE, made small."""
    given = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)["models"][MODEL]
    return given | {"image_size": SIDE, "latent_channels": 4, "epochs": 1}


def train_model(folder: Path, seed: int = 0) -> None:
    """Save a detector that was trained for an epoch on noise."""
    images = np.random.default_rng(seed).integers(0, 256, (8, SIDE, SIDE, 3), dtype=np.uint8)
    detector = models.create(MODEL, settings())
    detector.fit(images[:4], images[4:], RunOptions(seed=seed))
    detector.calibrate(images[4:])
    detector.save(folder)


def facts(**changes: Any) -> dict[str, Any]:
    """Return what is known before a training starts."""
    known = {
        "category": CATEGORY,
        "model": MODEL,
        "settings": settings(),
        "split": {"validation_share": 0.2, "calibration": "half", "folds": 4},
        "data_hash": "ab" * 32,
        "seed": 0,
        "device": "cpu",
        "precision": "float32",
        "threads": 2,
        "versions": {"torch": "2.15.0"},
    }
    return known | changes


def key(**changes: Any) -> str:
    return run_key(facts(**changes))


def epoch(number: int) -> Epoch:
    """Return the epoch that history.csv tells of."""
    return Epoch(number, EPOCHS, 1 / number, 2 / number, number, 0.1, 80.0)


def write_params(categories: list[str], detectors: list[str]) -> None:
    """Write params.yaml into the working directory."""
    given = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)
    given |= presets(ROOT / "params.yaml")["full"] | {"categories": categories, "detectors": detectors}
    Path("params.yaml").write_text(yaml.dump(given, Dumper=yaml.CSafeDumper))


def write_pair(trained: Path, model: str = MODEL, f1: float = 0.75, **changes: Any) -> None:
    """Write every file of one (category, model) into the working directory.

    Args:
        trained: a saved detector's folder.
        f1: of the clean protocol.
        changes: other facts.
    """
    known = facts(model=model, **changes)
    category = known["category"]
    _write_training(known)
    shutil.copytree(trained, artifacts.model_folder(category, model), dirs_exist_ok=True)
    scores = artifacts.scores_folder(category, model)
    files.write_json(scores / "threshold.json", {"threshold": 1.5})
    names = [*(f"train/good/{number}.png" for number in range(20)), "test/good/0.png"]
    table = pd.DataFrame({"path": names, "subset": [*["calibration"] * 20, "test"], "label": 0, "score": 0.5})
    write_table(scores / "scores.csv", table)
    files.write_json(
        artifacts.PREPARED / category / "prepared.json", {"category": category, "image_size": 48}
    )
    report = artifacts.report_folder(category, model)
    files.write_json(report / "metrics.json", metrics(category, model, f1))
    (report / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(report / "figures/curves.png")
    shortcut = {"statistics": {"brightness": 0.45}, "strongest": "brightness", "strongest_auroc": 0.45}
    files.write_json(artifacts.report_folder(category) / "shortcuts.json", shortcut | {"flagged": False})
    Path("reports/comparison.md").write_text(f"| {model} | {f1} |\n")


def metrics(category: str, model: str, f1: float) -> dict[str, Any]:
    """Return metrics.json as stage evaluate writes it."""
    protocol = {"f1": f1, "balanced_accuracy": 0.7, "precision": 0.7, "recall": 0.8, "false_alarm_rate": 0.1}
    return {
        "category": category, "model": model, "n_good": 20, "n_defective": 30,
        "auroc": 0.8, "auroc_low": 0.7, "auroc_high": 0.9, "average_precision": 0.85,
        "pixel_auroc": None, "aupro": None, "all_defective_f1": 0.75, "brightness_matched_auroc": 0.8,
        "clean": {"threshold": 1.5} | protocol, "oracle": {"threshold": 1.2} | protocol,
        "paper": {"rule": "edge_of_good", "sees_test_labels": False, "thresholds": {"part": 1.1}} | protocol,
        "threshold_optimism": 0.0, "false_alarm_rate_asked": 0.05, "false_alarm_rate_supported": 0.05,
        "n_calibration": 20, "supported": True,
    }  # fmt: skip


def _write_training(known: dict[str, Any]) -> None:
    folder = artifacts.training_folder(known["category"], known["model"])
    run = known | {
        "n_train": 8, "n_validation": 4, "parameters": 1234, "epochs": EPOCHS, "best_epoch": EPOCHS,
        "best_validation_loss": 2 / EPOCHS, "stopped": "limit", "seconds": 60.0, "images_per_second": 80.0,
        "threads": 2, "versions": {"torch": "2.15.0"}, "learnt": True, "not_learnt_because": None,
    }  # fmt: skip
    files.write_json(folder / "run.json", run)
    epochs = [epoch(number) for number in range(1, EPOCHS + 1)]
    history = [{"epoch": e.number, "loss": e.loss, "validation_loss": e.validation_loss} for e in epochs]
    write_table(folder / "history.csv", pd.DataFrame(history))
    for number in PICTURED:
        write_strip(number, known["category"], known["model"])


def write_strip(number: int, category: str = CATEGORY, model: str = MODEL) -> Path:
    """Write one epoch's picture of reconstructions; return its path."""
    folder = artifacts.training_folder(category, model) / "reconstructions"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch_{number:04d}.png"
    Image.new("RGB", (16, 16), (number, 0, 0)).save(path)
    return path


def set_threshold(value: float) -> None:
    path = artifacts.scores_folder(CATEGORY, MODEL) / "threshold.json"
    path.write_text(json.dumps({"threshold": value}))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """MLflow's tables take seconds to make: once, then copied."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    connection.create_database(path)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "model"
    train_model(folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch, empty_database, trained) -> Path:
    """A project's folder with the files of one training and a store that knows nothing of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(live, "START_SECONDS", 0.0)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    write_params([CATEGORY], [MODEL])
    write_pair(trained)
    return tmp_path


def all_runs():
    client = connection.connect()
    return client.search_runs([connection.experiment(client, DATASET)])


def recorded():
    """Return the run of the one training, recorded now."""
    run_id = runs.record(DATASET, CATEGORY, MODEL)
    return connection.connect().get_run(run_id)


def steps(run_id: str, metric: str = "loss") -> list[int]:
    return sorted(point.step for point in connection.connect().get_metric_history(run_id, metric))


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory, trained, empty_database) -> Iterator[Path]:
    """A project's folder that all tests here share: each leaves the files as it found them."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        shutil.copy(empty_database, folder)
        write_params([CATEGORY], [MODEL])
        write_pair(trained)
        yield folder


def register() -> registry.Registered:
    run_id = runs.record(DATASET, CATEGORY, MODEL)
    return registry.register(DATASET, CATEGORY, MODEL, run_id)


def version_of(registered: registry.Registered):
    return connection.connect().get_model_version(registered.name, str(registered.version))


@pytest.fixture(scope="module")
def first(shared_folder) -> registry.Registered:
    return register()
