"""Out-of-fold parts of good training images, from which small categories set their thresholds."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from mlproject.core.params import Split
from mlproject.data import split
from mlproject.models.components.combination import centre_and_scale
from mlproject.models.components.detector import Detector

# (fold, train images, validation images) -> a fitted detector
FitFold = Callable[[int, np.ndarray, np.ndarray], Detector]
Parts = Mapping[str, np.ndarray]


def out_of_fold(
    images: np.ndarray,
    paths: Sequence[str],
    originals: Sequence[str],
    settings: Split,
    seed: int,
    fit_fold: FitFold,
    usual: Parts,
) -> pd.DataFrame:
    """Return path and parts of each good image, but of one of its copies only, by the model that left it out.

    Each model has a scale of its own: one that learnt from fewer images errs more, and log-densities depend
    on where its codes lie. So a fold's parts are converted to the scale of the model that the threshold is
    for: what lies so many standard deviations above the mean of the fold's own validation images is put as
    many above the mean of that model's.

    Args:
        images: (n, s, s, 3) uint8 good images.
        paths: their n paths.
        originals: the paths that decide the folds; copies of an image have the image's.
        usual: name → values of that model's parts on its own validation images.
    """
    names, deciding = np.asarray(paths, dtype=object), np.asarray(originals, dtype=object)
    fold_of, first = split.folds(originals, settings.folds, seed), split.without_copies(originals)
    tables = []
    for fold in range(settings.folds):
        inside, outside = np.flatnonzero(fold_of != fold), np.flatnonzero(first & (fold_of == fold))
        roles = split.split(deciding[inside].tolist(), settings.validation_share, seed, "cross")
        validation = images[inside[roles.validation]]
        detector = fit_fold(fold, images[inside[roles.train]], validation)
        own, left_out = detector.measure(validation).parts, detector.measure(images[outside]).parts
        converted = {name: _converted(left_out[name], own[name], usual[name]) for name in usual}
        tables.append(pd.DataFrame({"path": names[outside]} | converted))
    return pd.concat(tables).sort_values("path", ignore_index=True)


def _converted(values: np.ndarray, own: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return values as far from the mean of `usual` as they are from that of `own`, in deviations of each."""
    (centre, scale), (to_centre, to_scale) = centre_and_scale(own), centre_and_scale(usual)
    return to_centre + (values - centre) / scale * to_scale
