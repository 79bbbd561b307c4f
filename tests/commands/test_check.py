"""`mlproject check` lists the training images least like the others, once patch_kde is trained on them."""

import shutil
import sys

import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject import cli, models
from mlproject.core import artifacts, files
from mlproject.data.prepare import prepare_category
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training.run_options import RunOptions


@pytest.fixture
def hidden(tmp_path, monkeypatch):
    """A project folder whose patch_kde is trained on good images and one with a bar; the path of that one."""
    monkeypatch.chdir(tmp_path)
    project.write_params(detectors=["patch_kde"])
    raw, place = artifacts.RAW / CATEGORY, artifacts.PREPARED / CATEGORY
    project.write_photos(raw)
    prepare_category(raw, place, 64)
    inputs = StudyInputs.load(CATEGORY)
    path = inputs.data.paths(inputs.rows_of("train"))[7]
    shutil.copy(raw / "test/bar/000.png", raw / path)
    shutil.rmtree(raw / "test/bar")
    shutil.rmtree(place)
    prepare_category(raw, place, 64)
    inputs = StudyInputs.load(CATEGORY)
    detector = models.create("patch_kde", inputs.models["patch_kde"] | {"image_size": 64, "align": "none"})
    learnt, choose = (inputs.data.images[inputs.rows_of(role)] for role in ("train", "validation"))
    detector.fit(learnt, choose, RunOptions(seed=0))
    detector.calibrate(choose)
    detector.save(artifacts.model_folder(CATEGORY, "patch_kde"))
    facts = {name: inputs.conditions[name] for name in ("data_hash", "split", "seed")}
    files.write_json(artifacts.training_report(CATEGORY, "patch_kde"), facts)
    return path


def checked(monkeypatch, capsys):
    """The exit code of `mlproject check`, and the lines that it prints after the number of images."""
    monkeypatch.setattr(sys, "argv", ["mlproject", "check"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr().out.partition("images checked\n")[2].splitlines()


def test_a_defect_among_the_good_images_is_listed_first_and_is_no_fault(hidden, monkeypatch, capsys):
    code, (heading, *listed) = checked(monkeypatch, capsys)
    assert code == 0
    assert "is one of them defective?" in heading
    assert listed[0].endswith(hidden)
    assert len(listed) == 5
    times = [float(line.split()[0]) for line in listed]
    assert times == sorted(times, reverse=True)
    assert times[0] > 1.5 * times[1]


def test_of_a_model_that_was_trained_on_other_images_nothing_is_listed(hidden, monkeypatch, capsys):
    report = artifacts.training_report(CATEGORY, "patch_kde")
    files.write_json(report, files.read_json(report) | {"data_hash": "other"})
    assert checked(monkeypatch, capsys) == (0, [])
    report.unlink()
    assert checked(monkeypatch, capsys) == (0, [])
