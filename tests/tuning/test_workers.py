"""Tunings in real processes: several at once, stopped, killed, over PostgreSQL, recorded by MLflow."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.tuning_project as project
from support import postgresql
from support.tuning_project import results, trials, tune, tuned

from mlproject.tracking import connection

pytest_plugins = ["support.tuning_project"]


def wait_for(process, happened):
    """Wait until something happened while a process lives."""
    while not happened():
        assert process.poll() is None, process.stdout.read()


def numbers(found):
    return [trial["number"] for trial in found]


def test_several_processes_share_a_tuning_and_make_no_trial_too_many(tuning_home):
    code, printed = project.run("--model", "pca", "--workers", "3", "--trials", "9")
    assert code == 0, printed
    assert numbers(trials()) == list(range(9))
    assert len(set(re.findall(r"trial (\d+) ", printed))) == 9
    assert {trial["state"] for trial in trials()} <= {"complete", "failed"}
    assert tuned()["study"]["complete"] + tuned()["study"]["failed"] == 9


def long_trials():
    project.edit(lambda tree: tree["models"]["ni_cae"].update(epochs=300, patience=300))
    project.edit(lambda tree: tree["tune"].update(prune=False))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_every_process_after_its_epoch(tuning_home, workers):
    tune("ni_cae", trials=1, epochs=2)
    (first,) = trials("ni_cae")
    long_trials()
    process = project.start("--model", "ni_cae", "--trials", "4", "--workers", workers)
    folders = tuning_home / "artifacts/disc/ni_cae/study"
    wait_for(process, lambda: len(list(folders.glob("*/trials/*/running"))) >= int(workers))
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert "Stopping after the current epoch" in printed
    assert "Traceback" not in printed
    assert not list(folders.glob("*/trials/*/running"))
    interrupted = [trial for trial in trials("ni_cae") if trial["state"] == "interrupted"]
    assert len(interrupted) == int(workers)
    assert process.returncode == 130
    assert "before any of 4 trials ran to its end" in printed
    assert first["state"] == "complete"


def test_ctrl_c_after_some_trials_writes_the_best_of_them(tuning_home):
    process = project.start("--model", "pca", "--trials", "500")
    wait_for(process, lambda: len(trials()) >= 3)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    done = [trial for trial in trials() if trial["state"] != "interrupted"]
    assert f"stopped with {500 - len(done)} of 500 trials left" in printed
    assert tuned()["study"]["value"] == max(t["verdict"]["value"] for t in done if t["verdict"])
    assert not Path("reports/categories/disc/pca/tuning.json").exists()


def test_a_killed_trial_is_replaced_by_the_same(tuning_home, tmp_path_factory, prepared_disc, monkeypatch):
    process = project.start("--model", "ni_cae", "--trials", "3")
    wait_for(process, lambda: list(tuning_home.glob("artifacts/*/*/study/*/trials/0001/running")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, printed = project.run("--model", "ni_cae", "--trials", "3")
    assert code == 0, printed
    assert "trial 1: its process had died" in printed
    assert len(results("ni_cae")) == 3
    other = tmp_path_factory.mktemp("other")
    project.fill(other, prepared_disc)
    monkeypatch.chdir(other)
    tune("ni_cae", trials=3)
    assert results("ni_cae") == results("ni_cae", tuning_home)


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server that this test alone has."""
    with postgresql.server() as url:
        yield url


def test_two_commands_share_a_tuning_over_postgresql(tuning_home, tmp_path_factory, prepared_disc, database):
    """As on two machines: each has its own folder, and the database is all that they share."""
    other = tmp_path_factory.mktemp("machine")
    project.fill(other, prepared_disc)
    arguments = ("--model", "pca", "--trials", "8", "--storage", database)
    processes = [project.start(*arguments, folder=place) for place in (tuning_home, other)]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes, printed
    for code, said in zip(codes, printed, strict=True):  # whoever finds no trial left waits for no other
        assert code == 0 or (code == 2 and "Still running elsewhere" in said), said
    here, there = numbers(trials()), numbers(trials(folder=other))
    assert not set(here) & set(there)
    assert sorted(here + there) == list(range(8))
    found = []
    for place in (tuning_home, other):
        again = project.start(*arguments, folder=place)
        assert again.communicate(timeout=300) and again.returncode == 0
        found.append(json.loads((place / "reports/categories/disc/pca/tuning.json").read_text()))
    assert found[0]["best_trial"] == found[1]["best_trial"]
    sealed = [report["sealed"] for report in found]
    # the quicker machine may have made every trial: the other then has no model, and tells counts alone
    assert {each.get("chosen_trial", found[0]["best_trial"]) for each in sealed} == {found[0]["best_trial"]}
    models = f"artifacts/disc/pca/study/*/trials/{found[0]['best_trial']:04d}/model"
    has_model = [any(place.glob(models)) for place in (tuning_home, other)]
    assert any(has_model)
    assert [each.get("test_auroc_chosen") is not None for each in sealed] == has_model


def test_several_processes_share_a_tuning_over_postgresql(tuning_home, database):
    code, printed = project.run("--model", "pca", "--workers", "2", "--trials", "6", "--storage", database)
    assert code == 0, printed
    assert numbers(trials()) == list(range(6))
    assert "secret" not in printed


@pytest.mark.parametrize("login", ["me:secret@127.0.0.1:9/tunings", "me@127.0.0.1:9/tunings?password=secret"])
def test_a_database_that_is_away_is_a_line_of_text_without_the_password(login, tuning_home):
    code, printed = project.run("--model", "pca", "--storage", f"postgresql://{login}")
    assert code == 2
    assert "postgresql://127.0.0.1:9/tunings" in printed
    assert "secret" not in printed
    assert "Traceback" not in printed


@pytest.fixture
def recorded(tuning_home, monkeypatch):
    """An MLflow store in the tuning's folder."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tuning_home}/mlflow.db")


def runs():
    """Return the tuning's run and the trials' below it, by their numbers."""
    client = connection.connect()
    found = client.search_runs([connection.experiment(client, "sample-tuning")])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    below = [run for run in found if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {parents[0].info.run_id}
    return parents[0], sorted(below, key=lambda run: int(run.data.tags["mlproject.trial"]))


def test_trials_are_runs_below_the_tunings_run(tuning_home, recorded, plots):
    tune(trials=8)
    tuning, below = runs()
    found = trials()
    assert [run.info.status for run in below] == [
        {"complete": "FINISHED", "failed": "FAILED"}[trial["state"]] for trial in found
    ]
    for run, trial in zip(below, found, strict=True):
        assert run.data.params["components"] == str(trial["values"]["components"])
        if trial["verdict"]:
            assert run.data.metrics["objective"] == trial["verdict"]["value"]
            assert run.data.metrics["by_kind.scratch"] == trial["verdict"]["by_kind"]["scratch"]
        else:
            assert "training images have" in run.data.tags["mlproject.reason"]
    assert tuning.info.status == "FINISHED"
    assert tuning.data.metrics["sealed.test_auroc_chosen"] == project.report()["sealed"]["test_auroc_chosen"]
    assert "Test AUROC: chosen" in tuning.data.tags[connection.DESCRIPTION]
    assert tuning.data.tags["best.components"] == str(project.report()["best_values"]["components"])
    client = connection.connect()
    plots_kept = {Path(item.path).name for item in client.list_artifacts(tuning.info.run_id, "plots")}
    assert {"history.html", "history.png", "slice.html", "parallel.png", "importance.html"} <= plots_kept
    assert [item.path for item in client.list_artifacts(tuning.info.run_id, "tuned")] == ["tuned/pca.yaml"]


def test_what_a_store_that_was_away_has_missed_is_logged_later(tuning_home, monkeypatch):
    tune(trials=3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tuning_home}/mlflow.db")
    tune(trials=4)
    tune(trials=4)
    _, below = runs()
    assert [run.data.tags["mlproject.trial"] for run in below] == ["0", "1", "2", "3"]


def test_a_tuning_of_more_trials_than_a_search_returns_has_one_run(tuning_home, recorded, monkeypatch):
    from mlflow import MlflowClient

    search = MlflowClient.search_runs
    monkeypatch.setattr(
        MlflowClient,
        "search_runs",
        lambda *given, max_results=2, **named: search(*given, max_results=max_results, **named),
    )
    tune(trials=3)
    tune(trials=4)
    monkeypatch.undo()
    monkeypatch.chdir(tuning_home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tuning_home}/mlflow.db")
    assert [run.data.tags["mlproject.trial"] for run in runs()[1]] == ["0", "1", "2", "3"]


def test_a_deleted_experiment_is_told_once_and_no_tuning_waits_for_it(tuning_home, recorded, capsys):
    client = connection.connect()
    client.delete_experiment(connection.experiment(client, "sample-tuning"))
    tune(trials=2)
    assert len(trials()) == 2
    assert capsys.readouterr().out.count("mlflow experiments restore --experiment-id") == 1
