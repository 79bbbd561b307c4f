"""Detectors that a study trains once for many cells, kept with the good scores that set their threshold.

The threshold itself is computed at each use, because it depends on a rate that the training does not know.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlproject import models
from mlproject.core import files
from mlproject.evaluation import out_of_fold
from mlproject.models.components import threads
from mlproject.models.components.detector import Detector
from mlproject.studies.components import base, fitting
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training import checkpoints

GOOD_SCORES = "good_scores.json"


def train(
    model: str, settings: Mapping[str, Any], folder: Path, inputs: StudyInputs, shown: base.Shown, title: str
) -> None:
    """Train a detector into `folder` unless it is there; a killed training resumes from its checkpoint."""
    if (folder / GOOD_SCORES).is_file():  # written last
        return
    checkpoint = folder.with_name(folder.name + ".checkpoint")
    with threads.one_thread():
        images = fitting.ResizedImages(inputs)
        learnt, choose = (images.rows(settings, inputs.rows_of(role)) for role in ("train", "validation"))
        detector = models.create(model, settings)
        with shown(title) as on_epoch:
            fitting.fit(detector, learnt, choose, None, inputs.seed, inputs, checkpoint, on_epoch)
        detector.calibrate(choose)
        detector.save(folder)
        detector = models.load(folder)  # on the CPU, as the cells score
        unseen = _unseen(detector, model, settings, images)
        detector.calibrate(choose, unseen)
        detector.save(folder)
        good = detector.threshold_scores(unseen)
    files.write_json(folder / GOOD_SCORES, good.tolist())
    checkpoints.keep_only("", folder.parent)


def good_scores(folder: Path) -> np.ndarray:
    """Return the (n,) scores of good images that `train` kept, which set the threshold."""
    return np.array(files.read_json(folder / GOOD_SCORES), dtype=np.float64)


def _unseen(
    detector: Detector, model: str, settings: Mapping[str, Any], images: fitting.ResizedImages
) -> dict[str, np.ndarray]:
    """Return the parts of the good images that set the threshold."""
    inputs = images.inputs
    if inputs.split.calibration == "half":
        return detector.measure(images.rows(settings, inputs.rows_of("calibration"))).parts

    def fit_fold(fold: int, train: np.ndarray, validation: np.ndarray) -> Detector:
        one = models.create(model, settings)
        fitting.fit(one, train, validation, None, inputs.seed, inputs)
        return one

    paths, originals = inputs.data.paths(inputs.good), inputs.data.originals(inputs.good)
    good = images.rows(settings, inputs.good)
    usual = detector.measure(images.rows(settings, inputs.rows_of("validation"))).parts
    table = out_of_fold.out_of_fold(good, paths, originals, inputs.split, inputs.seed, fit_fold, usual)
    return {name: table[name].to_numpy(dtype=np.float64) for name in detector.part_names}
