"""A detector that a study trains for many cells: kept with the scores of good images that set a threshold.

The threshold itself is computed anew each time: it depends on a rate that no training knows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlproject import models
from mlproject.core import files
from mlproject.evaluation import out_of_fold
from mlproject.models.components.detector import Detector
from mlproject.studies.components import base, fitting
from mlproject.studies.components.inputs import Material
from mlproject.training import checkpoints

GOOD_SCORES = "good_scores.json"


def train(
    model: str, settings: Mapping[str, Any], folder: Path, material: Material, shown: base.Shown, title: str
) -> None:
    """Train a detector into `folder` unless it is there; a killed training goes on from its checkpoint."""
    if (folder / GOOD_SCORES).is_file():  # written last
        return
    checkpoint = folder.with_name(folder.name + ".checkpoint")
    with fitting.one_thread():
        images = fitting.Shrunk(material)
        learnt, choose = (images.rows(settings, material.rows_of(role)) for role in ("train", "validation"))
        detector = models.create(model, settings)
        with shown(title) as on_epoch:
            fitting.fit(detector, learnt, choose, None, material.seed, material, checkpoint, on_epoch)
        detector.save(folder)
        # loaded: on the CPU, as the cells score
        good = _good_scores(models.load(folder), model, settings, images)
    files.write_json(folder / GOOD_SCORES, good.tolist())
    checkpoints.keep_only("", folder.parent)


def good_scores(folder: Path) -> np.ndarray:
    """Return the (n,) scores that `train` kept: those of good images that set the threshold."""
    return np.array(files.read_json(folder / GOOD_SCORES), dtype=np.float64)


def _good_scores(
    detector: Detector, model: str, settings: Mapping[str, Any], images: fitting.Shrunk
) -> np.ndarray:
    """Return the scores of good images that set the threshold."""
    material = images.material
    if material.split.calibration == "half":
        return detector.score(images.rows(settings, material.rows_of("calibration"))).scores

    def fit_fold(fold: int, train: np.ndarray, validation: np.ndarray) -> Detector:
        one = models.create(model, settings)
        fitting.fit(one, train, validation, None, material.seed, material)
        return one

    paths = material.data.paths(material.good)
    good = images.rows(settings, material.good)
    table = out_of_fold.out_of_fold(good, paths, material.split, material.seed, fit_fold)
    return table["score"].to_numpy(dtype=np.float64)
