"""Scores of good training images by models that never saw them: what small categories set thresholds from."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mlproject.core.params import Split
from mlproject.data import split
from mlproject.models.components.detector import Detector

# (fold, train images, validation images) -> a fitted detector
FitFold = Callable[[int, np.ndarray, np.ndarray], Detector]


def out_of_fold(
    images: np.ndarray, paths: Sequence[str], settings: Split, seed: int, fit_fold: FitFold
) -> pd.DataFrame:
    """Return one row for each good image: path, score and parts, by the model of the fold that left it out.

    Each fold's parts are put on that fold's own scale (its validation images), so folds compare.

    Args:
        images: (n, s, s, 3) uint8 good images.
        paths: their n paths; they decide the folds.
    """
    names = np.asarray(paths, dtype=object)
    fold_of = split.folds(paths, settings.folds, seed)
    tables = []
    for fold in range(settings.folds):
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        roles = split.split(names[inside].tolist(), settings.validation_share, seed, "cross")
        validation = images[inside[roles.validation]]
        detector = fit_fold(fold, images[inside[roles.train]], validation)
        detector.calibrate(validation)
        scored = detector.score(images[outside])
        tables.append(pd.DataFrame({"path": names[outside], "score": scored.scores} | scored.parts))
    return pd.concat(tables).sort_values("path", ignore_index=True)
