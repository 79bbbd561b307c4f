"""Trials that belong to one tuning and those that do not; a tuning cut off; trials of other machines."""

import json
import shutil
from pathlib import Path

import optuna
import pytest
import support.tuning_project as project
from conftest import ROOT
from optuna.trial import TrialState
from support.tuning_project import trials, tune

from mlproject.core.errors import UserError
from mlproject.training import code_hash
from mlproject.tuning import data, plan, search, storage, trial
from mlproject.tuning.recorder import SilentRecord

pytest_plugins = ["support.tuning_project"]


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A function that appends to a file of a copy of the code, which is what keys are made of."""
    shutil.copytree(ROOT / "mlproject", tmp_path / "code/mlproject", ignore=shutil.ignore_patterns("__pyc*"))
    monkeypatch.setattr(code_hash, "ROOT", tmp_path / "code")

    def append(name):
        with (tmp_path / "code/mlproject" / name).open("a") as file:
            file.write("CHANGED = 1\n")
        code_hash.code_hash.cache_clear()

    yield append
    code_hash.code_hash.cache_clear()


def test_trials_are_of_the_code_that_made_them(tuning_home, code):
    """Else a stage that DVC reruns for its code would find its trials, run none, and tell the old result."""
    tune(trials=2)
    code("tuning/proxy_defects.py")
    tune(trials=2)
    assert [trial["number"] for trial in trials()] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "name", ["tuning/data.py", "tuning/objective.py", "models/pca.py", "evaluation/metrics.py"]
)
def test_code_that_decides_a_trial_is_in_the_key(tuning_home, code, name):
    before = plan.load("disc", "pca").key
    code(name)
    assert plan.load("disc", "pca").key != before


@pytest.mark.parametrize("name", ["tuning/progress.py", "tracking/tuning_runs.py", "models/kd_cae.py"])
def test_code_that_decides_no_trial_is_not(tuning_home, code, name):
    before = plan.load("disc", "pca").key
    code(name)
    assert plan.load("disc", "pca").key == before


def test_a_process_killed_before_its_trial_had_a_folder_is_replaced(tuning_home):
    planned = plan.load("disc", "pca")
    tuning = storage.open_tuning(planned)
    tuning.ask()
    assert search.fail_abandoned(planned, tuning) == [0]
    tune(trials=2)
    assert [trial["number"] for trial in trials()] == [1, 2]


def test_a_trial_killed_before_optuna_was_told_is_not_there_twice(tuning_home):
    planned = plan.load("disc", "pca")
    tuning = storage.open_tuning(planned)
    asked = search.ask(planned, data.prepare(planned), tuning)
    asked.trial.write("complete", "", 0.0, 1.0)
    asked.claim.close()  # as the end of its process does
    tune(trials=2)
    assert [trial["number"] for trial in trials()] == [1, 2]


def interrupted(planned):
    """Leave a tuning as Ctrl-C does that ends trial 0, the start, after trial 1 is complete."""
    tuning = storage.open_tuning(planned)
    images = data.prepare(planned)
    search.begin(planned, images, tuning)
    first = search.ask(planned, images, tuning)
    asked = iter([search.ask(planned, images, tuning)])
    with pytest.MonkeyPatch.context() as patch, SilentRecord() as record:
        patch.setattr(search, "ask", lambda *_: next(asked, None))
        search.work(planned, images, tuning, record, lambda: False, lambda content: None)
        search._run(tuning, first, record, lambda: True)
    return tuning


def test_a_tuning_of_several_processes_cut_off_repeats_no_trial_and_keeps_its_start(tuning_home, monkeypatch):
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


def test_the_settings_as_they_are_are_never_pruned(tuning_home, monkeypatch):
    """Also where other processes' trials ended before: it is what the chosen ones are compared with."""
    monkeypatch.setattr(trial, "FIRST_RUNG", 1)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: True)
    project.edit(lambda tree: tree["models"]["ni_cae"].update(epochs=2))
    tune("ni_cae", trials=3)
    assert [trial["state"] for trial in trials("ni_cae")] == ["complete", "pruned", "pruned"]


def test_nothing_is_chosen_or_evaluated_while_another_machine_runs_a_trial(tuning_home):
    address = "sqlite:///study.db"
    tuning = storage.open_tuning(plan.load("disc", "pca", storage=address))
    tuning.ask().set_user_attr(search.PLACE, "mill:/data/work")
    with pytest.raises(UserError, match=r"trial 0 \(mill:/data/work\)[^$]*--state fail --trial-number 0"):
        tune(trials=3, storage=address)
    assert [trial["number"] for trial in trials()] == [1, 2]
    assert not Path("data/tuned").exists()
    assert not Path("reports").exists()
    tuning.tell(0, state=TrialState.FAIL)  # as the message says
    tune(trials=3, storage=address)
    assert [trial["number"] for trial in trials()] == [1, 2, 3]
    assert project.report()["failed"] + project.report()["complete"] == 3


def test_what_was_chosen_is_never_another_trial_than_the_best(tuning_home, capsys):
    tune(trials=3, storage="sqlite:///study.db")
    best = project.report()["best_trial"]
    planned = plan.load("disc", "pca", storage="sqlite:///study.db")
    shutil.rmtree(planned.trial_folder(best) / "model")  # as if another machine had run it
    tune(trials=3, storage="sqlite:///study.db")
    found = project.report()
    assert (found["best_trial"], found["sealed"]["chosen_trial"]) == (best, best)
    assert found["sealed"]["test_auroc_chosen"] is found["sealed"]["test_balanced_accuracy_chosen"] is None
    assert found["sealed"]["n_trials_on_other_machines"] == 1
    said = capsys.readouterr().out
    assert "Test AUROC: chosen not known, its model is on another machine" in said
    assert f"over {found['complete'] - 1} complete trials" in said


def test_a_trial_that_was_given_up_while_it_ran_is_a_line_of_text(tuning_home, monkeypatch):
    def told_by_others(self, folder, report, check):
        storage.open_tuning(self.plan).tell(self.number, state=TrialState.FAIL)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(trial.Trial, "run", told_by_others)
    with pytest.raises(UserError, match="trial 0 was marked as failed by another process"):
        tune(trials=1)


@pytest.mark.parametrize("seed", [0, 4294, 4295, 2**40])
def test_a_tuning_takes_any_seed(seed):
    """NumPy's generators take seeds below 2³² only."""
    first, second = (storage.sampler(seed, position)._rng.rng.random() for position in (0, 1))
    assert first != second
