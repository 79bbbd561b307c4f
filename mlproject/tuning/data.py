"""The images that a study sees: no test image, but for the labelled pool where that is asked for.

Nor a calibration image: those set the tuned model's threshold, and what chose the settings must not set it,
as what chooses the epoch must not. So a study examines on images that the pipeline trains on, and keeps
them out of its own trainings.
"""

from dataclasses import dataclass

import numpy as np

from mlproject.data import labelled_pool, prepared, split
from mlproject.models.components.detector import Detector
from mlproject.tuning import proxy_defects
from mlproject.tuning.objective import Verdict, judge
from mlproject.tuning.plan import Plan

FOLDS = 5  # one of so many parts of the training images examines


@dataclass(frozen=True)
class Examination:
    """Good images by role, and the images to be told apart.

    Attributes:
        train, validation: (n, s, s, 3) uint8 good images, to learn from and to choose the epoch.
        examined: (n, s, s, 3) uint8 good images that set the threshold.
        images: (m, s, s, 3) uint8 to be told apart, besides the examined images where `reuses`.
        kinds: (m,) text, "good" or the kind of defect.
        reuses: the examined images are the good ones to be told apart: as made defects lie in those
            very images, nothing but the defect can tell the two apart.
        n_calibration: how many images will set the tuned model's threshold.
    """

    train: np.ndarray
    validation: np.ndarray
    examined: np.ndarray
    images: np.ndarray
    kinds: np.ndarray
    reuses: bool
    n_calibration: int

    def judge(self, detector: Detector, rate: float, strict: bool) -> Verdict:
        """Calibrate a fitted detector, and examine it."""
        detector.calibrate(self.validation)
        calibration = detector.score(self.examined).scores
        scores, kinds = detector.score(self.images).scores, self.kinds
        if self.reuses:
            scores = np.concatenate([calibration, scores])
            kinds = np.concatenate([np.full(len(calibration), "good", dtype=kinds.dtype), kinds])
        return judge(calibration, scores, kinds, rate, strict)


def prepare(plan: Plan) -> Examination:
    """Return the images of a study, the same for each of its trials.

    Held-out images are halved as under `split.calibration: half`, also where the pipeline has `cross`.

    Raises:
        TooFewImages: a part would be empty.
    """
    data = prepared.load(plan.category)
    good = data.rows(split="train")
    settings = plan.facts["split"]
    seed = plan.facts["seed"]
    roles = split.split(data.paths(good), settings["validation_share"], seed, "half")
    learnt = good[roles.train]
    part = split.folds(data.paths(learnt), FOLDS, seed)
    examined = data.images[learnt[part == 0]]
    labelled = plan.objective == "labelled"
    images, kinds = _labelled(plan, data) if labelled else _made(plan, examined)
    return Examination(
        train=data.images[learnt[part > 0]],
        validation=data.images[good[roles.validation]],
        examined=examined,
        images=images,
        kinds=kinds,
        reuses=not labelled,
        n_calibration=len(good) if settings["calibration"] == "cross" else len(roles.calibration),
    )


def _made(plan: Plan, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return good images with made defects, and the kinds of these."""
    made = proxy_defects.make(good, plan.study_seed)
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
