"""What belongs to one study and what does not, how it goes on after a cut, and what others' trials mean."""

import shutil

import pytest
from conftest import ROOT
from tuning_project import trials, tune

from mlproject import sources
from mlproject.tuning import plan, storage
from mlproject.tuning import study as course

pytest_plugins = ["tuning_project"]


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A function that appends to a file of a copy of the code, which is what keys are made of."""
    shutil.copytree(ROOT / "mlproject", tmp_path / "code/mlproject", ignore=shutil.ignore_patterns("__pyc*"))
    monkeypatch.setattr(sources, "ROOT", tmp_path / "code")

    def append(name):
        with (tmp_path / "code/mlproject" / name).open("a") as file:
            file.write("# changed\n")
        sources.code_hash.cache_clear()

    yield append
    sources.code_hash.cache_clear()


def test_trials_are_of_the_code_that_made_them(study_home, code):
    """Else a stage that DVC reruns for its code would find its trials, run none, and tell the old result."""
    tune(trials=2)
    code("proxy_defects.py")
    tune(trials=2)
    assert [trial["number"] for trial in trials()] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "name", ["tuning/examination.py", "study_objective.py", "models/pca.py", "metrics.py"]
)
def test_code_that_decides_a_trial_is_in_the_key(study_home, code, name):
    before = plan.load("disc", "pca").key
    code(name)
    assert plan.load("disc", "pca").key != before


@pytest.mark.parametrize("name", ["tuning/display.py", "tracking/studies.py", "models/kd_cae.py"])
def test_code_that_decides_no_trial_is_not(study_home, code, name):
    before = plan.load("disc", "pca").key
    code(name)
    assert plan.load("disc", "pca").key == before


def test_a_process_killed_before_its_trial_had_a_folder_is_healed(study_home):
    planned = plan.load("disc", "pca")
    study = storage.open_study(planned)
    study.ask()
    assert course.heal(planned, study) == [0]
    tune(trials=2)
    assert [trial["number"] for trial in trials()] == [1, 2]
