"""What a study's settings may be, and what it says of trainings that they change."""

import dataclasses
import json
from pathlib import Path

import pytest
import support.study_project as project
import yaml
from support.study_project import CATEGORY

from mlproject import models
from mlproject.core import artifacts
from mlproject.core.errors import TooFewImages, UserError
from mlproject.core.params import Threshold
from mlproject.studies import noise
from mlproject.studies.components import runner
from pipelines import study as stage

ASKED = Threshold(false_alarm_rate=0.2, strict=False)
SHORT = {"image_size": None, "epochs": 1, "patience": None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project folder whose detectors and generator are trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("settings"))
        project.make()
        yield


@pytest.fixture
def restored(made):
    """The same; params.yaml is put back afterwards."""
    before = Path("params.yaml").read_text()
    yield
    Path("params.yaml").write_text(before)


def opened(name):
    """A study with what its cells share; the noise study trains a detector the first time."""
    study = runner.opened(CATEGORY, name)
    study.prepare(artifacts.study_folder(CATEGORY, name))
    return study


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("labels", {"epochs": 1, "filters": [4]}, "filters [4], epochs 1: it is not the CNN of the report's"),
        ("generated", {"kd_cae": SHORT}, "kd_cae with and without them is trained alike here (epochs 1)"),
    ],
)
def test_a_model_made_smaller_for_a_study_is_said_not_to_be_the_pipelines(restored, name, changes, words):
    assert "Table" not in " ".join(runner.opened(CATEGORY, name).notes())
    project.edit_study(name, **changes)
    assert words in " ".join(runner.opened(CATEGORY, name).notes())


@pytest.mark.parametrize(
    ("name", "at_once"),
    [("noise", 3), ("light", 3), ("samples", 1), ("contamination", 1), ("labels", 1), ("generated", 1)],
)
def test_a_gpu_is_not_shared_out_but_what_only_scores_needs_none(made, name, at_once):
    study = runner.opened(CATEGORY, name)
    assert runner.count_processes(study, 5, 3) == 3
    study.inputs = dataclasses.replace(study.inputs, device="cuda")
    assert runner.count_processes(study, 5, 3) == at_once
    assert runner.count_processes(study, 0, 3) == 1


@pytest.mark.parametrize("name", ["generated", "labels", "noise"])
def test_a_rate_that_the_calibration_images_cannot_support_is_said(restored, name):
    """There are four of them: 1 in 5 at best. Of every detector: found, or trained by the study."""
    study = opened(name)
    arms = {"generated": study.inputs.detectors[:1], "labels": ["cnn", *study.inputs.unsupervised]}
    for arm in arms.get(name, ["ni_cae", noise.WITHOUT, "kd_cae"]):
        words = f"{arm}: 4 calibration images support a false-alarm rate of 0.2 at best (1 / 5), not the 0.05"
        assert words in " ".join(study.notes())
    study.inputs = dataclasses.replace(study.inputs, detectors=(), threshold=ASKED)
    assert not study.inputs.notes(["cnn"])


def test_a_strict_threshold_is_strict_in_studies_too(restored):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["threshold"]["strict"] = True
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(TooFewImages, match="support a false-alarm rate"):
        opened("noise").threshold_of(noise.WITHOUT)


def test_a_model_saved_before_a_setting_existed_is_studied_as_it_was(made):
    description = artifacts.model_folder(CATEGORY, "ni_cae") / "model.json"
    saved = description.read_text()
    settings = json.loads(saved)
    assert settings["settings"].pop("skips") is False
    description.write_text(json.dumps(settings))
    try:
        assert opened("noise").inputs.settings_of("ni_cae")["skips"] is False
        assert "skip connections" not in " ".join(opened("noise").notes())
    finally:
        description.write_text(saved)


def test_a_ni_cae_with_skips_has_no_twin_without_noise(made):
    """It would be trained to copy its input."""
    description = artifacts.model_folder(CATEGORY, "ni_cae") / "model.json"
    without = description.read_text()
    description.write_text(without.replace('"skips": false', '"skips": true'))
    try:
        study = opened("noise")
        assert {cell.arm for cell in study.cells()} == {"ni_cae", "kd_cae"}
        assert "trained without noise it would copy its input" in " ".join(study.notes())
    finally:
        description.write_text(without)


@pytest.mark.parametrize(("epochs", "fewer"), [(2, 1), (5, 2), (6, 3)])
def test_both_ways_the_training_shows_as_many_images(restored, epochs, fewer):
    project.edit_study("generated", **dict.fromkeys(("cnn", "kd_cae"), SHORT | {"epochs": epochs}))
    study, shown = runner.opened(CATEGORY, "generated"), {}
    for cell in study.cells():
        detector = models.create(cell.arm, cell.facts["settings"])
        labelled = 12 if detector.supervised else 0  # of 6 good and 8 defects, a fifth chooses the epoch
        images = len(study.inputs.roles.train) + int(cell.level) + labelled
        shown[cell.arm, cell.level > 0] = detector.epoch_limit * images
    assert shown["kd_cae", False] == shown["kd_cae", True] == 2 * fewer * len(study.inputs.roles.train)
    one_epoch = len(study.inputs.roles.train) + 12  # nearer than that whole epochs need not come
    assert abs(shown["cnn", False] - shown["cnn", True]) <= one_epoch / 2
    notes = " ".join(study.notes())
    for images in shown.values():
        assert f" {images:,} images (" in notes
    assert "Each labelled image is shown" in notes


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("labels", {"seeds": 2}, "studies.labels.seeds"),
        ("labels", {"levls": [1]}, "Did you mean levels"),
        ("noise", {"kinds": ["gausian"]}, "gausian is no noise"),
        ("noise", {"variances": [0]}, r"studies.noise.variances.0 is 0: .*greater than 0"),
        ("labels", {"levels": [3, -1]}, r"studies.labels.levels.1 is -1: .*greater than or equal to 0"),
        ("labels", {"filters": [0, 4]}, r"studies.labels.filters.0 is 0"),
        ("labels", {"filters": [4, 4, 4, 4, 4]}, "image_size 32 is too small for 5 unpadded convolutions"),
        ("noise", {"image_size": 100}, "studies.noise with ni_cae's settings: .* such as 96 or 104"),
        ("generated", {"kd_cae": SHORT | {"image_size": 100}}, "generated.kd_cae with .* such as 96 or 112"),
        ("generated", {"share": 0}, "studies.generated.share"),
        ("samples", {"sizes": [4]}, "studies.samples.sizes.0 is 4"),
        ("samples", {"detectors": ["pac"]}, "pac is no detector. Allowed: anogan, cnn"),
        ("samples", {"detectors": ["pca", "cnn"]}, "cnn learns from labels"),
        ("contamination", {"shares": [0.6]}, "studies.contamination.shares.0 is 0.6"),
        (
            "samples",
            {"detectors": ["patch_kde"], "image_size": 100},
            "studies.samples with patch_kde's settings",
        ),
    ],
)
def test_a_wrong_setting_is_named(restored, name, changes, words):
    project.edit_study(name, **changes)
    with pytest.raises(UserError, match=words):
        stage.main(CATEGORY, name)
