"""The images that a study sees: no test image, but for the labelled pool where that is asked for."""

from dataclasses import dataclass

import numpy as np

from mlproject import proxy_defects
from mlproject.data import labelled_pool, prepared, split
from mlproject.models.base import Detector
from mlproject.study_objective import Verdict, judge
from mlproject.tuning.plan import Plan


@dataclass(frozen=True)
class Examination:
    """Good images by role, and the images to be told apart.

    Attributes:
        train, validation, calibration: (n, s, s, 3) uint8 good images, as in the pipeline: to learn from, to
            choose the epoch, to set the threshold.
        images: (m, s, s, 3) uint8 to be told apart, besides the calibration images where `reuses`.
        kinds: (m,) text, "good" or the kind of defect.
        reuses: the calibration images are the good ones to be told apart: as made defects lie in those
            very images, nothing but the defect can tell the two apart.
    """

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray
    images: np.ndarray
    kinds: np.ndarray
    reuses: bool

    def judge(self, detector: Detector, rate: float, strict: bool) -> Verdict:
        """Calibrate a fitted detector, and examine it."""
        detector.calibrate(self.validation)
        calibration = detector.score(self.calibration).scores
        scores, kinds = detector.score(self.images).scores, self.kinds
        if self.reuses:
            scores = np.concatenate([calibration, scores])
            kinds = np.concatenate([np.full(len(calibration), "good", dtype=kinds.dtype), kinds])
        return judge(calibration, scores, kinds, rate, strict)


def prepare(plan: Plan) -> Examination:
    """Return the images of a study, the same for each of its trials.

    Held-out images are halved as under `split.calibration: half`, also where the pipeline has `cross`:
    training images stay the same, and no image both chooses the epoch and examines.
    """
    data = prepared.load(plan.category)
    good = data.rows(split="train")
    settings = plan.facts["split"]
    roles = split.split(data.paths(good), settings["validation_share"], plan.facts["seed"], "half")
    calibration = data.images[good[roles.calibration]]
    labelled = plan.objective == "labelled"
    images, kinds = _labelled(plan, data) if labelled else _made(plan, calibration)
    return Examination(
        train=data.images[good[roles.train]],
        validation=data.images[good[roles.validation]],
        calibration=calibration,
        images=images,
        kinds=kinds,
        reuses=not labelled,
    )


def _made(plan: Plan, calibration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the calibration images with made defects, and the kinds of these."""
    made = proxy_defects.make(calibration, plan.study_seed)
    return made.images, np.array(made.kinds)


def _labelled(plan: Plan, data: prepared.Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Return the half of the test images whose labels may be seen, and those; the other half stays sealed."""
    rows = pool_rows(plan, data)
    return data.images[rows], data.manifest["defect"].to_numpy(str)[rows]


def pool_rows(plan: Plan, data: prepared.Prepared, held_out: bool = False) -> np.ndarray:
    """Return the rows of the labelled pool, or of the test images that are held out from it."""
    test = data.rows(split="test")
    defects = data.manifest["defect"].iloc[test].tolist()
    sealed = labelled_pool.held_out(data.paths(test), defects, plan.facts["seed"])
    return test[sealed] if held_out else test[~sealed]
