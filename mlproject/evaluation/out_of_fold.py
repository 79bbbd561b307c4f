"""Out-of-fold scores of good training images, from which small categories set their thresholds."""

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
    """Return one row per good image: path, score and parts, from the model of the fold that left it out.

    Each fold's parts are scaled by that fold's own validation images, so that folds are comparable.

    Args:
        images: (n, s, s, 3) uint8 good images.
        paths: their n paths, which determine the folds.
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
