"""Stages train and score take each number from the images whose role it is, and from no others."""

import re

import numpy as np
import pytest
from support.interrupted_training import cut_off_after_second_epoch
from support.tuning_project import CATEGORY, edit

from mlproject import models
from mlproject.core import artifacts, files, params
from mlproject.core.tables import read_table, write_table
from mlproject.data import prepared
from mlproject.evaluation import brightness, thresholds
from mlproject.models.components.combination import FEWEST, Combination
from mlproject.models.components.heat_scale import HeatScale
from mlproject.training.progress import SilentRun
from pipelines import evaluate, score, settings, train

pytest_plugins = ["support.tuning_project"]
MODELS = ("pca", "kd_cae", "ni_cae")


@pytest.fixture
def stages(tuning_home, monkeypatch):
    """A function that runs settings, train and score of a model; returns images by role and the model."""
    monkeypatch.setattr(train, "_streamed", lambda facts, key: SilentRun())
    edit(lambda tree: tree.update(detectors=[*MODELS, "patch_kde"]))
    edit(lambda tree: tree["split"].update(validation_share=0.5))

    def run(model):
        settings.main()
        train.main(CATEGORY, model)
        score.main(CATEGORY, model)
        data = prepared.load(CATEGORY)
        roles = data.roles(params.load("split", params.Split), params.value("seed"))
        images = {role: data.images[rows] for role, rows in vars(roles).items()}
        assert len(images["calibration"]) >= FEWEST
        return images, models.load(artifacts.model_folder(CATEGORY, model))

    return run


@pytest.mark.parametrize("model", MODELS)
def test_each_number_comes_from_the_images_of_its_role(stages, model):
    images, detector = stages(model)

    def learnt(role):
        """Map statistics and colour scale as they would be of the images of a role."""
        other = models.load(artifacts.model_folder(CATEGORY, model))
        other.learn_usual_differences(images[role])
        return other.map_mean.numpy(), other.map_spread.numpy()

    for kept, validation, others in zip(
        (detector.map_mean.numpy(), detector.map_spread.numpy()),
        learnt("validation"),
        learnt("train"),
        strict=True,
    ):
        assert np.array_equal(kept, validation)
        assert not np.allclose(kept, others)

    measured = {role: detector.measure(images[role]) for role in images}
    scales = {role: HeatScale.from_good_maps(parts.maps) for role, parts in measured.items()}
    assert detector.heat_scale == scales["calibration"] != scales["validation"]
    combined = {role: Combination.fit(parts.parts, detector.part_weights) for role, parts in measured.items()}
    assert detector.combination == combined["calibration"]
    if len(detector.part_names) > 1:  # a single part is its own score
        assert detector.combination not in (combined["train"], combined["validation"])


@pytest.mark.parametrize("model", MODELS)
def test_the_threshold_comes_from_calibration_images(stages, model):
    images, detector = stages(model)
    written = files.read_json(artifacts.scores_folder(CATEGORY, model) / "threshold.json")
    asked = params.load("threshold", params.Threshold).false_alarm_rate
    found = {
        role: thresholds.calibrate(
            detector.threshold_scores(detector.measure(chosen).parts), asked, strict=False
        ).value
        for role, chosen in images.items()
    }
    assert written["threshold"] == pytest.approx(found["calibration"], rel=1e-9)
    assert written["threshold"] not in (found["train"], found["validation"])
    assert written["n_calibration"] == len(images["calibration"])


@pytest.mark.parametrize(("model", "role"), [("pca", "calibration"), ("patch_kde", "validation")])
def test_of_copies_that_set_the_threshold_one_counts(stages, model, role):
    data = prepared.load(CATEGORY)
    rows = getattr(data.roles(params.load("split", params.Split), params.value("seed")), role)
    table = data.manifest.copy()
    table.loc[rows[FEWEST:], "original"] = table.loc[rows[0], "path"]
    write_table(artifacts.PREPARED / CATEGORY / "manifest.csv", table)
    images, _ = stages(model)
    folder = artifacts.scores_folder(CATEGORY, model)
    subsets = read_table(folder / "scores.csv")["subset"]
    assert np.flatnonzero(subsets == role).tolist() == rows[:FEWEST].tolist()
    assert np.flatnonzero(subsets == "copy").tolist() == rows[FEWEST:].tolist() != []
    counted = len(images["calibration"]) if model == "pca" else (~subsets.isin(["copy", "test"])).sum()
    assert files.read_json(folder / "threshold.json")["n_calibration"] == counted
    evaluate.main(CATEGORY, model)


def test_brightness_is_matched_to_that_of_the_training_images(stages):
    _, detector = stages("pca")
    table = read_table(artifacts.scores_folder(CATEGORY, "pca") / "scores.csv")
    data = prepared.load(CATEGORY)
    good, test = (data.images[data.rows(split=part)] for part in ("train", "test"))
    matched = {
        part: detector.score(brightness.match_brightness(test, brightness.mean_brightness(images))).scores
        for part, images in (("train", good), ("test", test))
    }
    written = table.loc[table["subset"] == "test", "score_brightness_matched"].to_numpy()
    np.testing.assert_allclose(written, matched["train"], rtol=1e-9)
    assert not np.allclose(written, matched["test"])


def test_a_model_that_can_leave_an_image_out_has_its_threshold_from_all_good_ones(stages):
    """Of a training image that has a copy it cannot: what is left still knows it."""
    images, detector = stages("patch_kde")
    folder = artifacts.scores_folder(CATEGORY, "patch_kde")
    asked = params.load("threshold", params.Threshold).false_alarm_rate
    unseen = np.concatenate([images["validation"], images["calibration"]])
    left_out, held_out = detector.left_out_scores, detector.score(unseen).scores
    assert len(left_out) == len(images["train"])

    def expected(scores):
        return pytest.approx(thresholds.calibrate(scores, asked, strict=False).value, rel=1e-9)

    written = files.read_json(folder / "threshold.json")
    assert written["n_calibration"] == len(left_out) + len(unseen)
    assert written["threshold"] == expected(np.concatenate([left_out, held_out]))

    manifest = artifacts.PREPARED / CATEGORY / "manifest.csv"
    table = read_table(manifest)
    paths = table.loc[read_table(folder / "scores.csv")["subset"] == "train", "path"].tolist()
    table.loc[table["path"] == paths[2], "original"] = paths[0]
    write_table(manifest, table)
    score.main(CATEGORY, "patch_kde")
    written, scores = files.read_json(folder / "threshold.json"), read_table(folder / "scores.csv")
    kept = np.delete(left_out, [0, 2])
    assert written["n_calibration"] == len(kept) + len(unseen)
    assert written["threshold"] == expected(np.concatenate([kept, held_out]))
    assert scores.loc[scores["score"].isna(), "path"].tolist() == [paths[0], paths[2]]
    evaluate.main(CATEGORY, "patch_kde")
    report = artifacts.report_folder(CATEGORY, "patch_kde")
    assert (report / "figures/error_distribution.png").is_file()


def test_a_resumed_training_took_the_seconds_of_all_its_processes(stages, capsys):
    """The first process's are set to a thousand, which its two epochs did not take."""
    edit(lambda tree: tree["models"]["kd_cae"].update(epochs=4, patience=4))
    cut_off_after_second_epoch(lambda: stages("kd_cae"))
    (kept,) = artifacts.training_folder(CATEGORY, "kd_cae").glob("*.seconds")
    assert files.read_json(kept)["seconds"] > 0
    files.write_json(kept, {"seconds": 1000.0})
    capsys.readouterr()
    images, _ = stages("kd_cae")
    assert re.search(r"epoch (\d+)/4", capsys.readouterr().out)[1] == "3"
    run = files.read_json(artifacts.training_folder(CATEGORY, "kd_cae") / "run.json")
    assert run["seconds"] > 1000
    assert run["images_per_second"] == round(4 * len(images["train"]) / run["seconds"], 1)
    assert not list(artifacts.training_folder(CATEGORY, "kd_cae").glob("*.seconds"))
