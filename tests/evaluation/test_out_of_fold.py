"""Out-of-fold parts: every good image once, by a model that never saw it, on one scale."""

import json

import numpy as np
import pandas as pd
import pytest
from support.pipeline_project import Project

from mlproject.core.params import Split
from mlproject.evaluation import thresholds
from mlproject.evaluation.out_of_fold import out_of_fold
from mlproject.models.components.combination import Combination
from mlproject.models.components.detector import Parts

PATHS = [f"train/good/{i:03d}.png" for i in range(40)]
IMAGES = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
SETTINGS = Split(validation_share=0.2, calibration="cross", folds=4)


def numbers(images):
    return images[:, 0, 0, 0].tolist()


class Witness:
    """Stands for a detector: remembers what it was fitted on; an image's part is its number, on a scale."""

    def __init__(self, train, validation, scale):
        self.train, self.validation, self.scale = set(numbers(train)), numbers(validation), scale

    def measure(self, images):
        if numbers(images) != self.validation:
            seen = self.train | set(self.validation)
            assert not set(numbers(images)) & seen, "an image was measured by a model that saw it"
        values = self.scale(np.array(numbers(images), dtype=np.float64))
        return Parts({"part": values}, images[..., 0], images)


def test_every_image_is_measured_once_by_a_model_that_never_saw_it():
    folds = []

    def fit_fold(fold, train, validation):
        folds.append(fold)
        return Witness(train, validation, scale=lambda values: values)

    table = out_of_fold(IMAGES, PATHS, PATHS, SETTINGS, 0, fit_fold, {"part": np.arange(40.0)})
    assert folds == [0, 1, 2, 3]
    assert table["path"].tolist() == PATHS
    assert table.columns.tolist() == ["path", "part"]


def test_of_copies_one_is_measured():
    originals = [PATHS[number // 2] for number in range(40)]
    fit_fold = lambda fold, train, validation: Witness(train, validation, scale=lambda values: values)  # noqa: E731
    table = out_of_fold(IMAGES, PATHS, originals, SETTINGS, 0, fit_fold, {"part": np.arange(40.0)})
    assert table["path"].tolist() == PATHS[::2]


def test_a_fold_that_errs_more_gives_what_it_gives_on_the_scale_of_the_final_model():
    """Each fold's model has its own offset and unit; what comes out depends on neither."""

    def with_scales(scales):
        def fit_fold(fold, train, validation):
            return Witness(train, validation, scale=scales[fold])

        return out_of_fold(IMAGES, PATHS, PATHS, SETTINGS, 0, fit_fold, {"part": np.arange(8.0)})["part"]

    def linear(offset, unit):
        return lambda values: offset + unit * values

    equal = with_scales([linear(0, 1)] * 4)
    different = with_scales([linear(5, 3), linear(0, 1), linear(-2, 0.1), linear(100, 20)])
    assert different.tolist() == pytest.approx(equal.tolist())


def test_a_fold_is_converted_by_its_own_validation_images_and_by_no_image_that_it_left_out():
    """There its parts have mean 0 and deviation 1: on the final model's scale 1 becomes mean + deviation."""
    measured = {}

    def fit_fold(fold, train, validation):
        own = np.array(numbers(validation), dtype=np.float64)
        left_out = set(range(40)) - set(numbers(train)) - set(numbers(validation))
        measured.update({number: (number - own.mean()) / own.std() for number in left_out})
        return Witness(train, validation, scale=lambda values: (values - own.mean()) / own.std())

    usual = np.array([10.0, 14.0])  # mean 12, standard deviation 2
    table = out_of_fold(IMAGES, PATHS, PATHS, SETTINGS, 0, fit_fold, {"part": usual})
    assert table["part"].tolist() == pytest.approx([12 + 2 * measured[number] for number in range(40)])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("cross"))
    made.edit(lambda tree: tree["split"].update(calibration="cross", folds=2))
    made.edit(lambda tree: tree.update(categories=["disc"], detectors=["kd_cae"]))
    return made


def test_the_pipeline_takes_its_threshold_from_all_good_training_images(project):
    """So 40 images support a false-alarm rate of .05, which the half of a fifth of them could not."""
    project.call("dvc", "repro", "score@disc-kd_cae")
    folder = project.folder / "artifacts/disc/kd_cae"
    table = pd.read_csv(folder / "out_of_fold.csv")
    assert len(table) == 40
    combined = json.loads((folder / "model/model.json").read_text())["combination"]
    parts = {name: table[name].to_numpy() for name in combined["centres"]}
    assert combined == Combination.fit(parts).as_dict(), "the parts are scaled by images that chose nothing"
    threshold = json.loads((folder / "scores/threshold.json").read_text())
    assert threshold["n_calibration"] == 40
    assert threshold["supported"]
    subsets = pd.read_csv(folder / "scores/scores.csv")["subset"]
    assert set(subsets) == {"train", "validation", "test"}


def test_a_detector_that_scores_its_training_images_by_the_others_trains_no_further_models(project):
    """Its threshold comes from all good images too, the training images among them scored by the others."""
    project.edit(lambda tree: tree.update(detectors=["patch_kde"]))
    printed = project.call("dvc", "repro", "score@disc-patch_kde")
    assert "patch_kde fold" not in printed
    assert pd.read_csv(project.folder / "artifacts/disc/patch_kde/out_of_fold.csv").empty
    folder = project.folder / "artifacts/disc/patch_kde/scores"
    threshold, table = json.loads((folder / "threshold.json").read_text()), pd.read_csv(folder / "scores.csv")
    good = table.loc[table["subset"] != "test", "score"].to_numpy()
    assert threshold["n_calibration"] == len(good) == 40
    assert threshold["threshold"] == pytest.approx(thresholds.calibrate(good, 0.05, strict=True).value)
