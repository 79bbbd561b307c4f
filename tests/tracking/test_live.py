"""Trainings streamed into MLflow: continued, ended, completed from files, and never held up."""

import math
import time
from dataclasses import replace

import pytest
import support.tracked_project as project
from support.mlflow_server import free_port, server, stop
from support.tracked_project import all_runs, recorded, steps

from mlproject.core import artifacts
from mlproject.core.tables import read_table, write_table
from mlproject.registry import record
from mlproject.tracking import connection, live, runs

pytest_plugins = ["support.tracked_project"]


def stream(epochs: range, status: str = "FINISHED", **changes) -> None:
    run = live.LiveRun(project.facts(**changes), project.key(**changes))
    for number in epochs:
        run.epoch(project.epoch(number))
        if number in project.PICTURED:
            run.image(number, project.write_strip(number))
    run.close(status)


def test_a_streamed_run_is_the_one_that_is_recorded(folder):
    stream(range(1, project.EPOCHS + 1))
    (streamed,) = all_runs()
    assert streamed.info.status == "FINISHED"
    assert streamed.data.metrics["images_per_second"] == 80
    run = recorded()
    assert run.info.run_id == streamed.info.run_id
    assert steps(run.info.run_id) == list(range(1, project.EPOCHS + 1))
    assert runs.image_steps(connection.connect(), run.info.run_id) == set(project.PICTURED)


def test_a_run_begins_when_its_training_does(folder):
    run = live.LiveRun(project.facts(), project.key())
    run._began -= 60
    before = time.time()
    run.epoch(project.epoch(1))
    run.close("FINISHED")
    assert all_runs()[0].info.start_time < 1000 * (before - 50)


def test_a_training_that_was_cut_off_goes_on_in_its_run(folder):
    stream(range(1, 6), status="KILLED")
    stream(range(4, project.EPOCHS + 1))
    (run,) = all_runs()
    assert run.info.status == "FINISHED"
    assert steps(run.info.run_id) == list(range(1, project.EPOCHS + 1)), "epochs 4 and 5 once only"
    assert len(connection.connect().list_artifacts(run.info.run_id, "images")) == 2 * len(project.PICTURED)


def test_a_loss_that_is_not_there_yet_is_no_point(folder):
    """AnoGAN has no validation loss before it has an encoder; a store would show infinity as 1e308."""
    run, first = live.LiveRun(project.facts(), project.key()), project.epoch(1)
    run.epoch(replace(first, validation_loss=math.inf))
    run.epoch(project.epoch(2))
    run.close("FINISHED")

    def points(run, name):
        return [point.step for point in connection.connect().get_metric_history(run.info.run_id, name)]

    (streamed,) = all_runs()
    assert (points(streamed, "loss"), points(streamed, "validation_loss")) == ([1, 2], [2])
    file = artifacts.training_folder(project.CATEGORY, project.MODEL) / "history.csv"
    history = read_table(file)
    history.loc[0, "validation_loss"] = math.inf
    write_table(file, history)
    assert sorted(points(recorded(), "validation_loss")) == list(range(2, project.EPOCHS + 1))


def test_a_short_training_is_left_to_its_files(folder, monkeypatch):
    monkeypatch.setattr(live, "START_SECONDS", 60.0)
    stream(range(1, project.EPOCHS + 1))
    assert all_runs() == []
    assert steps(recorded().info.run_id) == list(range(1, project.EPOCHS + 1))


def test_a_training_that_is_nearly_over_is_left_to_its_files(folder, monkeypatch):
    monkeypatch.setattr(live, "START_SECONDS", 1.0)
    run = live.LiveRun(project.facts(), project.key())
    run.epoch(replace(project.epoch(1), limit=3, seconds=0.4))
    run._thread.join(1.5)  # over a second has passed, and less than one is left
    assert run._thread.is_alive()
    run.close("FINISHED")
    assert all_runs() == []


def test_a_deleted_experiment_is_told_in_a_line_and_ends_nothing(folder, capsys):
    client = connection.connect()
    client.delete_experiment(connection.experiment(client, connection.dataset()))
    stream(range(1, 3))
    told = capsys.readouterr()
    assert told.out.count("mlflow experiments restore --experiment-id") == 1
    assert "training goes on" in told.out
    assert not told.err


def test_other_settings_are_another_run(folder):
    stream(range(1, 6), status="KILLED")
    stream(range(1, 3), seed=1)
    assert {run.data.params["seed"] for run in all_runs()} == {"0", "1"}


def test_the_end_of_a_training_is_told(folder):
    with pytest.raises(KeyboardInterrupt), live.open_run(project.facts(), project.key()):
        raise KeyboardInterrupt
    with pytest.raises(ZeroDivisionError), live.open_run(project.facts(seed=1), project.key(seed=1)):
        raise ZeroDivisionError
    assert {run.data.params["seed"]: run.info.status for run in all_runs()} == {"0": "KILLED", "1": "FAILED"}


def test_a_server_that_dies_in_the_middle_costs_the_training_nothing(folder, monkeypatch, capsys):
    port = free_port()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.1)
    with server(folder, port) as process, live.open_run(project.facts(), project.key()) as run:
        sent = store_has_seen_an_epoch(run)
        stop(process)
        for number in range(2, project.EPOCHS + 1):
            run.epoch(project.epoch(number))
            run.image(number, project.write_strip(number))
    said = capsys.readouterr().out
    assert said.count("is away: training goes on") == 1
    assert said.count("\n") == 1, said
    record.record_all()
    assert capsys.readouterr().out.count("is away: nothing is lost") == 1

    with server(folder, port):
        record.record_all()
        children = [run for run in all_runs() if runs.PARENT in run.data.tags]
        assert [run.info.run_id for run in children] == [sent], "the run that was begun, not a second"
        assert children[0].info.status == "FINISHED"
        assert steps(sent) == list(range(1, project.EPOCHS + 1))
        assert runs.image_steps(connection.connect(), sent) >= set(project.PICTURED)


def store_has_seen_an_epoch(run: live.LiveRun) -> str:
    """Send epoch 1 and wait, by asking the server over and over, until it is there; return the run's id."""
    run.epoch(project.epoch(1))
    for _ in range(2000):
        for found in all_runs():
            if "loss" in found.data.metrics:
                return found.info.run_id
    raise AssertionError("epoch 1 never arrived")


def test_without_a_server_training_starts_at_once_and_says_so(folder, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with live.open_run(project.facts(), project.key()) as run:
        run.epoch(project.epoch(1))
    assert capsys.readouterr().out.count("is away: training goes on") == 1
