"""One cell of a benchmark: a training on one category with one seed, and its evaluation.

A cell is a value and `evaluate` a function of it and of the prepared images alone, so that any process on
any machine that has these can run it. What this module imports decides a cell's key.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlproject import models
from mlproject.core import artifacts, params
from mlproject.core.errors import UserError
from mlproject.data import prepared
from mlproject.data.prepared import Prepared
from mlproject.data.split import Roles
from mlproject.evaluation import metrics, out_of_fold, pixel_metrics, thresholds
from mlproject.models.components import map_size
from mlproject.models.components.detector import Detector
from mlproject.training.identity import run_key
from mlproject.training.run_options import RunOptions

CALIBRATION, TEST = "calibration", "test"  # column subset of the scores


@dataclass(frozen=True)
class Cell:
    """One training and its evaluation, as a value that can be sent to any process.

    Attributes:
        facts: `identity.run_facts` of the training, on one thread. Its seed decides the split too.
        evaluation: params.yaml's section evaluate.
    """

    facts: Mapping[str, Any]
    evaluation: Mapping[str, Any]

    @property
    def category(self) -> str:
        """The category."""
        return str(self.facts["category"])

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.facts["model"])

    @property
    def seed(self) -> int:
        """The seed of the training and of the split."""
        return int(self.facts["seed"])

    @property
    def key(self) -> str:
        """16 hex digits: equal for cells that must have the same outcome, and for no others."""
        return run_key(self.facts, {"evaluate": dict(self.evaluation)})

    def __str__(self) -> str:
        return f"{self.category} {self.model} seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a cell; `measured` alone holds times, which differ between equal cells.

    Attributes:
        scores: a row an image: path, subset (`CALIBRATION`: good, sets the threshold; `TEST`), defect,
            label, score.
        pixels: (resamples, 2) pixel AUROC and AUPRO of resampled test images; (0, 2) without masks.
        measured: pixel_auroc and aupro of all test images, None without masks; n_train; parameters; seconds
            until the detector was ready; ms_per_image; not_learnt_because, None if it has learnt;
            outside_weights. `engine.attempt` adds machine, cores, began and ended (seconds since 1970), the
            run at_once and commit.
    """

    scores: pd.DataFrame
    pixels: np.ndarray
    measured: dict[str, Any]


def evaluate(cell: Cell) -> Outcome:
    """Train the cell's detector, set its threshold by good images, score the test images.

    Raises:
        UserError: other images lie in the folder than the cell is of, or the settings do not fit them.
    """
    facts = cell.facts
    data = prepared.load(cell.category)
    if data.data_hash != facts["data_hash"]:
        raise UserError(
            f"{artifacts.PREPARED / cell.category}: has changed since the benchmark began. Run it again."
        )
    roles = data.roles(params.Split(**facts["split"]), cell.seed)
    train, validation = data.images[roles.train], data.images[roles.validation]
    detector = models.create(cell.model, facts["settings"])
    started = time.perf_counter()
    detector.fit(train, validation, _options(facts))
    calibration, unseen = _unseen(detector, data, roles, facts)
    detector.calibrate(validation, unseen)
    seconds = time.perf_counter() - started
    test = data.rows(split="test")
    started = time.perf_counter()
    scored = detector.score(data.images[test])
    per_image = (time.perf_counter() - started) / len(test)
    tables = [
        calibration.assign(score=detector.threshold_scores(_parts(detector, calibration))),
        _about(data, test, TEST).assign(score=scored.scores),
    ]
    pixels, areas = _pixel_level(data, test, scored.maps, params.Evaluate(**cell.evaluation))
    columns = ["path", "subset", "defect", "label", "score"]
    return Outcome(
        scores=pd.concat(tables, ignore_index=True)[columns],
        pixels=pixels,
        measured={
            **areas,
            "n_train": len(train),
            "parameters": detector.parameter_count(),
            "seconds": round(seconds, 3),
            "ms_per_image": round(per_image * 1000, 2),
            "not_learnt_because": detector.why_not_learnt(train, validation),
            "outside_weights": detector.outside_weights and dict(detector.outside_weights),
        },
    )


def _options(facts: Mapping[str, Any]) -> RunOptions:
    return RunOptions(facts["seed"], facts["device"], facts["precision"])


def _unseen(
    detector: Detector, data: Prepared, roles: Roles, facts: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, np.ndarray] | None]:
    """Return the good images that set the threshold with their parts, and the parts that set the scales.

    The latter None where those of validation images do.
    """
    settings = params.Split(**facts["split"])
    if not detector.needs_folds(settings.calibration):
        originals = data.originals(roles.train)
        rows, parts = thresholds.good_images(detector, roles, originals, lambda rows: data.images[rows])
        table, calibration = _about(data, rows, CALIBRATION).assign(**parts), data.images[roles.calibration]
        return table, detector.measure(calibration).parts if len(calibration) else None

    def fit_fold(fold: int, train: np.ndarray, validation: np.ndarray) -> Detector:
        of_fold = models.create(facts["model"], facts["settings"])
        of_fold.fit(train, validation, _options(facts))
        return of_fold

    good = data.rows(split="train")
    usual = detector.measure(data.images[roles.validation]).parts
    left_out = out_of_fold.out_of_fold(
        data.images[good], data.paths(good), data.originals(good), settings, facts["seed"], fit_fold, usual
    )
    table = _about(data, good, CALIBRATION).merge(left_out, on="path", validate="one_to_one")
    return table, _parts(detector, table)


def _about(data: Prepared, rows: np.ndarray, subset: str) -> pd.DataFrame:
    about = data.manifest[["path", "defect", "label"]].iloc[rows].reset_index(drop=True)
    return about.assign(subset=subset)


def _parts(detector: Detector, table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy(dtype=np.float64) for name in detector.part_names}


def _pixel_level(
    data: Prepared, test: np.ndarray, maps: np.ndarray, settings: params.Evaluate
) -> tuple[np.ndarray, dict[str, float | None]]:
    """Return `Outcome.pixels`, and both areas of all test images; defects without a mask are left out."""
    about = data.manifest.iloc[test]
    masked = about["has_mask"].to_numpy() == 1
    if not masked.any():
        return np.empty((0, 2)), {"pixel_auroc": None, "aupro": None}
    known = masked | (about["label"].to_numpy() == 0)
    masks, at_size = data.masks[known], map_size.at_prepared_size(maps[known], data.image_size)
    limit = settings.aupro_limit
    return pixel_metrics.resampled(masks, at_size, settings.bootstrap, metrics.BOOTSTRAP_SEED, limit), {
        "pixel_auroc": pixel_metrics.pixel_auroc(masks, at_size),
        "aupro": pixel_metrics.aupro(masks, at_size, limit),
    }
