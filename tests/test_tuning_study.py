"""What belongs to one study and what does not, how it goes on after a cut, and what others' trials mean."""

import json
import shutil

import optuna
import pytest
import tuning_project as project
from conftest import ROOT
from tuning_project import trials, tune

from mlproject import sources
from mlproject.tuning import examination, plan, storage
from mlproject.tuning import study as course
from mlproject.tuning import trial as one
from mlproject.tuning.records import SilentRecord

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


def interrupted(planned):
    """Leave a study as Ctrl-C does that ends trial 0, the start, after trial 1 is complete."""
    study = storage.open_study(planned)
    images = examination.prepare(planned)
    course.begin(planned, images, study)
    first, claim = course._ask(planned, study)
    asked = iter([course._ask(planned, study)])
    with claim, pytest.MonkeyPatch.context() as patch, SilentRecord() as record:
        patch.setattr(course, "_ask", lambda *_: next(asked, None))
        course.work(planned, images, study, record, lambda: False, lambda content: None)
        course._run(planned, images, study, first, record, lambda: True)
    return study


def test_a_study_of_several_processes_cut_off_repeats_no_trial_and_keeps_its_start(study_home, monkeypatch):
    project.edit(lambda tree: tree["models"]["ni_cae"].update(epochs=1))
    planned = plan.load("disc", "ni_cae", trials=4)
    interrupted(planned)
    assert [(t["number"], t["state"]) for t in trials("ni_cae")] == [(0, "interrupted"), (1, "complete")]
    tune("ni_cae", trials=4)
    drawn = [trial["values"] for trial in trials("ni_cae") if trial["state"] != "interrupted"]
    assert len(drawn) == 4
    assert len({json.dumps(values) for values in drawn}) == 4
    assert project.report("ni_cae")["start_trial"] == 2
    assert project.report("ni_cae")["sealed"]["test_auroc_start"] is not None


def test_the_settings_as_they_are_are_never_pruned(study_home, monkeypatch):
    """Also where other processes' trials ended before: it is what the chosen ones are compared with."""
    monkeypatch.setattr(one, "FIRST_RUNG", 1)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: True)
    project.edit(lambda tree: tree["models"]["ni_cae"].update(epochs=2))
    tune("ni_cae", trials=3)
    assert [trial["state"] for trial in trials("ni_cae")] == ["complete", "pruned", "pruned"]
