"""Images of a tuning: no test image, except the labelled pool where objective is `labelled`.

No calibration image either, as `split.calibration: half` has them: those set the tuned model's threshold,
and images that chose the settings must not set it. So a tuning evaluates on images that the pipeline trains
on, and keeps them out of its own trainings. With `cross`, and for a detector that scores its training images
without themselves, every good training image helps to set the threshold, those that a tuning sees among them.
"""

from dataclasses import dataclass

import numpy as np

from mlproject import models
from mlproject.core import params
from mlproject.data import prepared, split
from mlproject.evaluation import thresholds
from mlproject.models.components.detector import Detector
from mlproject.tuning import proxy_defects
from mlproject.tuning.objective import ObjectiveValue, evaluate
from mlproject.tuning.plan import Plan

FOLDS = 5  # parts of the training images; one of them is kept to evaluate on


@dataclass(frozen=True)
class TuningData:
    """Good images by role, and the images on which a detector is evaluated.

    Attributes:
        train, validation: (n, s, s, 3) uint8 good images, to learn from and to choose the epoch.
        examined: (n, s, s, 3) uint8 good images that set the parts' scales and the threshold.
        images: (m, s, s, 3) uint8 to be told apart, in addition to `examined` where `reuses`.
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

    def evaluate(self, detector: Detector, rate: float, threshold: params.Threshold) -> ObjectiveValue:
        """Calibrate a fitted detector, then return its value of the objective.

        Args:
            rate: false-alarm rate of the threshold, in (0, 1).
            threshold: as `objective.evaluate` has it.

        Raises:
            TooFewImages: too few images for the rate, where `threshold.strict` makes that an error.
        """
        unseen = detector.measure(self.examined)
        detector.calibrate(self.validation, unseen.parts, unseen.maps)
        calibration = detector.threshold_scores(unseen.parts)
        scores, kinds = detector.score(self.images).scores, self.kinds
        if self.reuses:
            scores = np.concatenate([calibration, scores])
            kinds = np.concatenate([np.full(len(calibration), "good", dtype=kinds.dtype), kinds])
        return evaluate(calibration, scores, kinds, rate, threshold, made=self.reuses)

    def by_image(self, detector: Detector) -> np.ndarray:
        """Return a calibrated detector's (n, 1 + k) scores of each examined image and its k made defects."""
        good = detector.threshold_scores(detector.measure(self.examined).parts)
        made = detector.score(self.images).scores.reshape(-1, len(good))  # kind after kind
        return np.column_stack([good, *made])


def prepare(plan: Plan) -> TuningData:
    """Return the images of a tuning, the same for each of its trials.

    Held-out images are halved as under `split.calibration: half`, also where the pipeline has `cross`.

    Raises:
        TooFewImages: a part would be empty.
    """
    data = prepared.load(plan.category)
    settings, seed = params.Split(**plan.facts["split"]), plan.facts["seed"]
    roles = data.roles(settings.model_copy(update={"calibration": "half"}), seed)
    originals = data.originals(roles.train)
    part = split.folds(originals, FOLDS, seed)
    examined = data.images[roles.train[(part == 0) & split.without_copies(originals)]]
    labelled = plan.objective == "labelled"
    images, kinds = _labelled(data, seed) if labelled else _made(examined, plan.tuning_seed)
    return TuningData(
        train=data.images[roles.train[part > 0]],
        validation=data.images[roles.validation],
        examined=examined,
        images=images,
        kinds=kinds,
        reuses=not labelled,
        n_calibration=_threshold_images(plan.model, data, roles, settings),
    )


def _threshold_images(model: str, data: prepared.Prepared, roles: split.Roles, settings: params.Split) -> int:
    """Return how many good images set the threshold of a model that the pipeline trains."""
    detector = models.detector_class(model)
    if detector.needs_folds(settings.calibration):
        return len(set(data.originals(data.rows(split="train"))))
    originals = data.originals(roles.train)
    return sum(len(thresholds.rows_of(role, roles, originals)) for role in detector.threshold_roles)


def _made(good: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return good images with made defects, and the kinds of these."""
    made = proxy_defects.make(good, seed)
    return made.images, np.array(made.kinds)


def _labelled(data: prepared.Prepared, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the test images of the labelled pool and their kinds; the other half stays sealed."""
    rows = data.labelled_pool(seed)
    return data.images[rows], data.manifest["defect"].to_numpy(str)[rows]
