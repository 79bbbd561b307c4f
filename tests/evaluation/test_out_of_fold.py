"""Out-of-fold scores: every good image once, by a model that never saw it."""

import numpy as np
import pandas as pd
import pytest
from support.pipeline_project import Project

from mlproject.core.params import Split
from mlproject.evaluation.out_of_fold import out_of_fold
from mlproject.models.components.combination import Combination
from mlproject.models.components.detector import Scored

PATHS = [f"train/good/{i:03d}.png" for i in range(40)]
IMAGES = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
SETTINGS = Split(validation_share=0.2, calibration="cross", folds=4)


class Witness:
    """Stands for a detector: remembers what it was fitted on; an image's score is its own number."""

    def __init__(self, seen):
        self.seen = seen
        self.combination = Combination({"part": 0.0}, {"part": 1.0})

    def calibrate(self, images):
        pass

    def score(self, images):
        numbers = images[:, 0, 0, 0]
        assert not set(numbers.tolist()) & self.seen, "an image was scored by a model that saw it"
        values = numbers.astype(np.float64)
        return Scored({"part": values}, images[..., 0], images, scores=values)


def test_every_image_is_scored_once_by_a_model_that_never_saw_it():
    folds = []

    def fit_fold(fold, train, validation):
        folds.append(fold)
        return Witness(set(train[:, 0, 0, 0].tolist()) | set(validation[:, 0, 0, 0].tolist()))

    table = out_of_fold(IMAGES, PATHS, SETTINGS, 0, fit_fold)
    assert folds == [0, 1, 2, 3]
    assert table["path"].tolist() == PATHS
    assert table["score"].tolist() == list(range(40))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("cross"))
    made.edit(lambda tree: tree["split"].update(calibration="cross", folds=2))
    made.edit(lambda tree: tree.update(categories=["disc"], detectors=["kd_cae"]))
    return made


def test_the_pipeline_takes_its_threshold_from_all_good_training_images(project):
    """So 40 images support a false-alarm rate of .05, which the half of a fifth of them could not."""
    import json

    project.call("dvc", "repro", "score@disc-kd_cae")
    folder = project.folder / "artifacts/disc/kd_cae"
    assert len(pd.read_csv(folder / "out_of_fold.csv")) == 40
    threshold = json.loads((folder / "scores/threshold.json").read_text())
    assert threshold["n_calibration"] == 40
    assert threshold["supported"]
    subsets = pd.read_csv(folder / "scores/scores.csv")["subset"]
    assert set(subsets) == {"train", "validation", "test"}
