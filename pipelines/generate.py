"""Stage generate: fit one generator on one category's good images, measure and show what it makes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlproject import generators
from mlproject.core import artifacts, files, params, script
from mlproject.core.tables import write_table
from mlproject.data import prepared
from mlproject.evaluation import generation_faults, generation_quality, image_distances
from mlproject.generators.base import Generator, GeneratorEpoch
from mlproject.reports.figures import drawing, generated
from mlproject.training import checkpoints, epoch_pictures, identity
from mlproject.training.identity import run_key
from mlproject.training.loop import History
from mlproject.training.progress import EpochDisplay
from mlproject.training.run_options import RunOptions
from mlproject.training.stopwatch import Stopwatch

GRID_SEED = 0  # the same z in every epoch: one sees it learn
GRID_IMAGES = 32
QUALITY_SEED = 1  # images that are measured are others than those that are shown by epoch


def main(category: str, name: str) -> None:
    """Train generator `name` on `category`, going on from a checkpoint of the same run if there is one."""
    data = prepared.load(category)
    code = (f"mlproject.generators.{name}", "mlproject.data.prepared")
    facts = identity.run_facts(data, name, params.value(f"generators.{name}"), *code)
    generator = generators.create(name, facts["settings"], f"params.yaml: generators.{name}")
    train = generator.prepare(_training_images(data, facts))
    reference = generation_quality.Reference.of(train)  # before the training: too few images end it here

    folder, key = artifacts.training_folder(category, name), run_key(facts)
    checkpoints.keep_only(key, folder)
    checkpoint = folder / f"{key}.checkpoint"
    stopwatch = Stopwatch(checkpoint)
    history = _fit(generator, facts, train, folder, checkpoint, stopwatch)
    times = stopwatch.times(len(history) * len(train))
    generator.save(artifacts.model_folder(category, name))
    quality = _write_report(category, name, generator.sample(len(reference.images), QUALITY_SEED), reference)
    verdict = {
        key: value for key, value in quality.items() if key.startswith(tuple(generation_faults.FAULTS))
    }
    _write_training(folder, facts | {"verdict": verdict}, generator, history, len(train), times)
    checkpoints.keep_only("", folder)


def _training_images(data: prepared.Prepared, facts: dict[str, Any]) -> np.ndarray:
    """Return the images of role train: never one that chooses, calibrates or tests a detector."""
    return data.images[data.roles(params.Split(**facts["split"]), facts["seed"]).train]


def _fit(
    generator: Generator,
    facts: dict[str, Any],
    train: np.ndarray,
    folder: Path,
    checkpoint: Path,
    stopwatch: Stopwatch,
) -> History:
    with EpochDisplay(f"{facts['category']} {facts['model']}") as display:
        picture = _picture_taker(generator, folder)

        def on_epoch(epoch: GeneratorEpoch) -> None:
            stopwatch(epoch)
            display.show(epoch)
            picture(epoch)

        run = RunOptions(facts["seed"], facts["device"], facts["precision"], checkpoint, on_epoch=on_epoch)
        return generator.fit(train, run)


def _picture_taker(generator: Generator, folder: Path) -> Callable[[GeneratorEpoch], None]:
    """Return an observer that writes a grid on the epochs that are due one, and on the last."""

    def take(epoch: GeneratorEpoch) -> None:
        if epoch_pictures.is_due(epoch.number) or epoch.number == epoch.limit:
            images = generator.sample(GRID_IMAGES, GRID_SEED)
            path = folder / "grids" / f"epoch_{epoch.number:04d}.png"
            epoch_pictures.write(path, epoch_pictures.grid(images, generated.COLUMNS))

    return take


def _write_training(
    folder: Path, facts: dict[str, Any], generator: Generator, history: History,
    n_train: int, times: dict[str, float],
) -> None:  # fmt: skip
    """Write history.csv, which equal runs repeat byte for byte, and run.json, which also has times."""
    write_table(folder / "history.csv", pd.DataFrame(history))
    run = facts | {
        "n_train": n_train,
        "parameters": generator.parameter_count(),
        "epochs": len(history),
    }
    files.write_json(folder / "run.json", run | times)


def _write_report(
    category: str, name: str, made: np.ndarray, reference: generation_quality.Reference
) -> dict[str, Any]:
    """Write quality.json, figures/grid.png and figures/nearest.png; say what is wrong with the generator."""
    quality = {"category": category, "generator": name, **generation_quality.measure(made, reference)}
    out, title = artifacts.report_folder(category, name), f"{category}, {name}"
    files.write_json(out / "quality.json", quality)
    found = image_distances.neighbours(made, reference.images)
    figures = {
        "grid": generated.grid(title, reference.images, made, quality),
        "nearest": generated.nearest(title, reference.images, made, found, quality),
    }
    for figure_name, figure in figures.items():
        drawing.save(figure, out / "figures" / f"{figure_name}.png")
    for what, because in generation_faults.faults(quality).items():
        print(f"{title}: {what}: {because}")
    return quality


if __name__ == "__main__":
    script.run(main)
