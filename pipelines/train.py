"""Stage train: fit one detector on one category's good images; weights, history and pictures come out."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import artifacts, files, params, script
from mlproject.core.tables import write_table
from mlproject.data import prepared
from mlproject.evaluation import out_of_fold
from mlproject.models.components import layer_table
from mlproject.models.components.detector import Detector, Labelled
from mlproject.training import checkpoints, epoch_pictures, identity, run_settings
from mlproject.training.identity import run_key
from mlproject.training.loop import Epoch, History
from mlproject.training.progress import EpochDisplay, SilentRun
from mlproject.training.run_options import RunOptions
from mlproject.training.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mlproject.tracking.live import LiveRun

PICTURED = 6  # validation images in each epoch's strip


def main(category: str, model: str) -> None:
    """Train `model` on `category`, going on from a checkpoint of the same run if there is one."""
    data = prepared.load(category)
    own, where = run_settings.model_settings(category, model)
    detector = models.create(model, own, where)
    processes = params.load("training", params.Training).processes if detector.data_parallel else 1
    code = (f"mlproject.models.{model}", "mlproject.data.prepared", "mlproject.evaluation.out_of_fold")
    facts = identity.run_facts(data, model, own, *code, processes=processes)
    key = run_key(facts)
    folder = artifacts.training_folder(category, model)
    checkpoints.keep_only(key, folder)

    roles = data.roles(params.Split(**facts["split"]), facts["seed"])
    train, validation = data.images[roles.train], data.images[roles.validation]

    labelled = _labelled(data, facts["seed"]) if detector.supervised else None
    checkpoint = folder / f"{key}.checkpoint"
    stopwatch = Stopwatch(checkpoint)
    with EpochDisplay(f"{category} {model}") as display, _streamed(facts, key) as live:
        pictures = _Pictures(detector, validation[:PICTURED], folder, live)
        observers: list[Callable[[Epoch], None]]
        observers = [stopwatch, display.show, lambda epoch: pictures(epoch.number), live.epoch]
        run = _options(facts, checkpoint, observers, pictures.start)
        history = detector.fit(train, validation, run, labelled)
        pictures(_best(history), always=True)
    times = stopwatch.times(len(history) * len(train))
    why_not = detector.why_not_learnt(train, validation)
    if why_not:
        print(f"{category} {model}: nothing was learnt: {why_not}", flush=True)
    left_out = _out_of_fold(data, labelled, facts, folder / key, detector, validation)
    write_table(artifacts.out_of_fold_file(category, model), left_out)
    detector.calibrate(validation, *_unseen(detector, data.images[roles.calibration], left_out))
    detector.save(artifacts.model_folder(category, model))
    counts = {"train": len(train), "validation": len(validation)}
    if labelled:
        counts |= {
            "labelled_good": int((labelled.labels == 0).sum()),
            "labelled_defective": int(labelled.labels.sum()),
        }
    learnt = {"learnt": why_not is None, "not_learnt_because": why_not}
    _write_training(folder, facts | learnt, detector, history, counts, times)
    checkpoints.keep_only("", folder)


def _labelled(data: prepared.Prepared, seed: int) -> Labelled:
    """Return the half of the test images that a supervised detector learns from; the other is not touched."""
    pool = data.labelled_pool(seed)
    labels, originals = data.manifest["label"].to_numpy()[pool], np.array(data.originals(pool), dtype=str)
    return Labelled(data.images[pool], labels, originals)


def _options(
    facts: dict[str, Any],
    checkpoint: Path,
    observers: Sequence[Callable[[Epoch], None]],
    on_start: Callable[[], None] = lambda: None,
) -> RunOptions:
    def on_epoch(epoch: Epoch) -> None:
        for observer in observers:
            observer(epoch)

    return RunOptions(
        facts["seed"], facts["device"], facts["precision"], checkpoint, on_start, on_epoch, facts["processes"]
    )


def _best(history: History) -> int:
    """Return the epoch whose weights were kept."""
    return int(min(history, key=lambda epoch: epoch["validation_loss"])["epoch"])


class _Pictures:
    """Writes strips of reconstructions after the epochs that are due one, and shows them to the live run."""

    def __init__(
        self, detector: Detector, images: np.ndarray, folder: Path, live: "LiveRun | SilentRun"
    ) -> None:
        self.detector, self.images, self.folder, self.live = detector, images, folder, live

    def start(self) -> None:
        """Picture the untrained network, in place of what a network that died left behind."""
        for picture in (self.folder / "reconstructions").glob("epoch_*.png"):
            picture.unlink()
        self(0)

    def __call__(self, epoch: int, always: bool = False) -> None:
        path = self.folder / "reconstructions" / f"epoch_{epoch:04d}.png"
        if path.exists() or not (always or epoch_pictures.is_due(epoch)):
            return
        made = self.detector.reconstruct(self.images)
        if made is not None:
            epoch_pictures.write(path, epoch_pictures.strip(self.images, made))
            self.live.image(epoch, path)


def _streamed(facts: dict[str, Any], key: str) -> "LiveRun | SilentRun":
    """Return the MLflow run that the training streams to, as a context.

    What is streamed changes no result: `register` completes the run from the files.
    """
    try:
        from mlproject.tracking import live
    except ModuleNotFoundError as error:
        if error.name != "mlflow":
            raise
        print("mlflow is not installed: this training is recorded in files only", file=sys.stderr)
        return SilentRun()
    return live.open_run(facts, key)


def _out_of_fold(
    data: prepared.Prepared,
    labelled: Labelled | None,
    facts: dict[str, Any],
    base: Path,
    detector: Detector,
    validation: np.ndarray,
) -> pd.DataFrame:
    """Return the out-of-fold parts of the good images; a table of no rows where the threshold needs none."""
    settings = params.Split(**facts["split"])
    if not detector.needs_folds(settings.calibration):
        return pd.DataFrame(columns=["path", *detector.part_names])

    def fit_fold(fold: int, train: np.ndarray, validation: np.ndarray) -> Detector:
        of_fold = models.create(facts["model"], facts["settings"])
        with EpochDisplay(
            f"{facts['category']} {facts['model']} fold {fold + 1}/{settings.folds}"
        ) as display:
            checkpoint = base.with_name(f"{base.name}.fold{fold}.checkpoint")
            of_fold.fit(train, validation, _options(facts, checkpoint, [display.show]), labelled)
        return of_fold

    good = data.rows(split="train")
    images, paths, originals = data.images[good], data.paths(good), data.originals(good)
    usual = detector.measure(validation).parts
    return out_of_fold.out_of_fold(images, paths, originals, settings, facts["seed"], fit_fold, usual)


def _unseen(
    detector: Detector, calibration: np.ndarray, left_out: pd.DataFrame
) -> tuple[dict[str, np.ndarray] | None, np.ndarray | None]:
    """Return parts and maps of good images that chose nothing: of calibration, or a fold's left-out parts."""
    if len(left_out):
        return {name: left_out[name].to_numpy(dtype=np.float64) for name in detector.part_names}, None
    if not len(calibration):
        return None, None
    measured = detector.measure(calibration)
    return measured.parts, measured.maps


def _write_training(
    folder: Path, facts: dict[str, Any], detector: Detector, history: History,
    counts: dict[str, int], times: dict[str, float],
) -> None:  # fmt: skip
    """Write history.csv and training.json, which equal runs repeat byte for byte, and run.json with times."""
    table = pd.DataFrame(history)
    best = table.set_index("epoch").loc[_best(history)]
    write_table(folder / "history.csv", table)
    run = facts | {
        **{f"n_{name}": count for name, count in counts.items()},
        "parameters": detector.parameter_count(),
        "outside_weights": detector.outside_weights and dict(detector.outside_weights),
        "epochs": len(table),
        "best_epoch": _best(history),
        "best_validation_loss": float(best["validation_loss"]),
        "stopped": "early" if len(table) < detector.epoch_limit else "limit",
    }
    shown = artifacts.training_report(facts["category"], facts["model"])
    files.write_json(shown, run | {"layers": layer_table.layers(detector)})
    files.write_json(folder / "run.json", run | times)


if __name__ == "__main__":
    script.run(main)
