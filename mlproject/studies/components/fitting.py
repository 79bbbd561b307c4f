"""Training and scoring of detectors inside a study: images resized once, one thread, equal in any process."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import params
from mlproject.data import tensors
from mlproject.models.components.detector import Detector, Labelled
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions

OnEpoch = Callable[[Epoch], None]


def as_seen(images: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Return (n, s, s, 3) uint8: images in the size and colour of a model with these settings.

    The model's own preprocessing leaves such images unchanged.
    """
    seen = tensors.network_images(images, settings["image_size"], settings["colour"])
    return seen.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()


class ResizedImages:
    """A category's images in a model's size and colour, made once per process."""

    def __init__(self, inputs: StudyInputs) -> None:
        self.inputs = inputs
        self.kept: dict[tuple[int, str], np.ndarray] = {}

    def rows(self, settings: Mapping[str, Any], rows: np.ndarray) -> np.ndarray:
        """Return (n, s, s, 3) uint8 images of the given rows of the manifest."""
        key = (settings["image_size"], settings["colour"])
        if key not in self.kept:
            self.kept[key] = as_seen(self.inputs.data.images, settings)
        return self.kept[key][rows]


def fit(
    detector: Detector, train: np.ndarray, validation: np.ndarray, labelled: Labelled | None,
    seed: int, inputs: StudyInputs, checkpoint: Path | None = None, on_epoch: OnEpoch = lambda epoch: None,
) -> None:  # fmt: skip
    """Train a detector on (n, s, s, 3) uint8 images."""
    run = RunOptions(seed, inputs.device, inputs.precision, checkpoint, on_epoch=on_epoch)
    detector.fit(train, validation, run, labelled)


def scored(detector: Detector, images: ResizedImages, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Calibrate a detector; return the scores of the good calibration and of the held-out test images."""
    inputs = images.inputs
    good, held_out = inputs.rows_of("calibration"), inputs.test[inputs.held_out]
    validation = images.rows(settings, inputs.rows_of("validation"))
    tables = []
    if len(good):
        unseen = detector.measure(images.rows(settings, good)).parts
        detector.calibrate(validation, unseen)
        tables.append(inputs.about(good, "calibration").assign(score=detector.threshold_scores(unseen)))
    else:
        detector.calibrate(validation)
    scores = detector.score(images.rows(settings, held_out)).scores
    tables.append(inputs.about(held_out, "held_out").assign(score=scores))
    return pd.concat(tables, ignore_index=True)


def overridden(
    model: str, trained: Mapping[str, Any], overrides: Mapping[str, Any], study: str
) -> dict[str, Any]:
    """Return a model's trained settings with a study's overrides; an override of None changes nothing.

    Raises:
        UserError: the combination is not allowed.
    """
    settings = dict(trained) | {name: value for name, value in overrides.items() if value is not None}
    where = f"{params.FILE}: studies.{study} with {model}'s settings"
    params.check(settings, models.detector_class(model).Parameters, where)
    return settings


def in_words(overrides: Mapping[str, Any]) -> str:
    """Return a study's overrides as text, such as ``image_size 64, epochs 10``; empty for none."""
    given = {name: value for name, value in overrides.items() if value is not None}
    return ", ".join(
        f"{name} {list(value) if isinstance(value, tuple) else value}" for name, value in given.items()
    )
