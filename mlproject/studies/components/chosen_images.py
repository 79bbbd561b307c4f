"""Detectors trained on images that a study chooses, with a threshold as stage score sets it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from mlproject import models
from mlproject.data.split import Roles
from mlproject.evaluation import thresholds
from mlproject.models.components.detector import Detector
from mlproject.studies.components import fitting, tables
from mlproject.studies.components.inputs import StudyInputs


def _unsupervised(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := sorted(set(names) - set(models.names())):
        raise ValueError(f"{', '.join(unknown)} is no detector. Allowed: {', '.join(models.names())}")
    if supervised := [name for name in names if models.detector_class(name).supervised]:
        raise ValueError(f"{', '.join(supervised)} learns from labels; name detectors that need none")
    return names


Unsupervised = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_unsupervised)]


def settings(model: str, image_size: int | None, inputs: StudyInputs, study: str) -> dict[str, Any]:
    """Return the settings a model was trained with, at another image size if one is given.

    Raises:
        UserError: the size is not allowed.
    """
    return fitting.overridden(model, inputs.settings_of(model), {"image_size": image_size}, study)


def seed(model: str, wanted: int, inputs: StudyInputs) -> int:
    """Return the seed of a training: the one wanted if a seed changes it, else always the same."""
    return wanted if models.detector_class(model).uses_seed else inputs.seed


def notes(arms: Sequence[str], inputs: StudyInputs) -> list[str]:
    """Return a note on each model that is evaluated on half of the test images."""
    return [
        f"The settings of {arm} were chosen by the labels of half of the test images: it is evaluated on the "
        "other half."
        for arm in arms
        if inputs.unseen(arm)[0] == "held_out"
    ]


def trained(
    model: str, chosen: Mapping[str, Any], roles: Roles, evaluated: np.ndarray, seed: int, inputs: StudyInputs
) -> tuple[Detector, pd.DataFrame]:
    """Train a detector; return it with the scores of its calibration images and of the evaluated ones.

    Where the threshold needs folds (`Detector.needs_folds`) no score sets one.

    Args:
        roles: rows of the manifest.
        evaluated: rows of the manifest, of `StudyInputs.unseen`.
    """
    images = inputs.data.images
    detector = models.create(model, chosen)
    validation = images[roles.validation]
    fitting.fit(detector, images[roles.train], validation, None, seed, inputs)
    found = []
    if detector.needs_folds(inputs.split.calibration):
        detector.calibrate(validation)
    else:
        calibration = images[roles.calibration]
        detector.calibrate(validation, detector.measure(calibration).parts if len(calibration) else None)
        originals = inputs.data.originals(roles.train)
        rows, parts = thresholds.good_images(detector, roles, originals, lambda rows: images[rows])
        scores = detector.threshold_scores(parts)
        found.append(inputs.about(rows, tables.CALIBRATION).assign(score=scores))
    scores = detector.score(images[evaluated]).scores
    found.append(inputs.about(evaluated, inputs.unseen(model)[0]).assign(score=scores))
    return detector, pd.concat(found, ignore_index=True)
