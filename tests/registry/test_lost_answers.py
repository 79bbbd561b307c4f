"""Registering that was cut off, or a request that was sent twice: the next call leaves nothing of it."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from support.tracked_project import all_runs

from mlproject.core.errors import UserError
from mlproject.registry import loaded_version, record
from mlproject.tracking import connection, runs

pytest_plugins = ["support.tracked_project"]

WRITES = (
    *("create_run", "log_inputs", "set_terminated", "create_registered_model", "finalize_logged_model"),
    *("_create_logged_model", "log_model_artifact", "create_model_version", "update_registered_model"),
)


class CutOffError(Exception):
    """The process ends here."""


def check_whole() -> None:
    """Look for what a cut leaves: twins, runs without an end, models without a version."""
    client = connection.connect()
    found = all_runs()
    assert {run.info.status for run in found} == {"FINISHED"}
    (child,) = [run for run in found if runs.PARENT in run.data.tags]
    (parent,) = [run for run in found if runs.PARENT not in run.data.tags]
    assert child.data.tags[runs.PARENT] == parent.info.run_id
    assert child.info.end_time - child.info.start_time == 60_000
    (version,) = client.search_model_versions("name = 'sample-bottle'")
    logged = client.search_logged_models([child.info.experiment_id])
    assert [f"models:/{model.model_id}" for model in logged] == [version.source]
    assert logged[0].status == LoggedModelStatus.READY
    assert loaded_version.load_version(version).threshold == 1.5


@pytest.mark.parametrize("name", WRITES)
def test_the_answer_to_a_write_is_lost(folder, monkeypatch, name):
    write = getattr(MlflowClient, name)

    def cut(*given, **options):
        write(*given, **options)
        raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, name, cut)
        with pytest.raises(CutOffError):
            record.record_all()
    mlflow.end_run()  # of the process that ended
    record.record_all()
    check_whole()


@pytest.mark.parametrize("name", ["create_run", "create_registered_model", "create_model_version"])
def test_a_write_is_sent_twice(folder, monkeypatch, name):
    write = getattr(MlflowClient, name)

    def twice(*given, **options):
        write(*given, **options)
        return write(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, name, twice)
        record.record_all()
    check_whole()


def test_a_version_whose_files_are_gone_is_registered_again(folder, capsys):
    record.record_all()
    (code,) = folder.rglob("code/mlproject")
    code.parents[1].rename(folder / "away")
    with pytest.raises(UserError, match="its files cannot be"):
        loaded_version.load("bottle/1")
    capsys.readouterr()
    record.record_all()
    assert "version 2 (new)" in capsys.readouterr().out
    assert loaded_version.load("bottle/2").threshold == 1.5
    record.record_all()
    assert "version 2 (known)" in capsys.readouterr().out
