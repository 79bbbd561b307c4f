"""The SQLite file of a moved or copied project, and one that another program keeps locked."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import support.tracked_project as project
from mlflow import pyfunc
from support import fork_server

from mlproject.core.errors import UserError
from mlproject.registry import loaded_version, record
from mlproject.tracking import connection, sqlite_file

pytest_plugins = ["support.tracked_project"]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def work_in(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    connection.connect()


def test_a_copied_project_uses_its_own_files_alone(folder, tmp_path_factory, monkeypatch):
    record.record_all()
    copy = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(folder, copy)
    before = contents(folder)
    monkeypatch.chdir(copy)
    project.set_threshold(2.5)
    # in a process of its own, as it is: MLflow remembers for a run's id where its files are
    code = "from mlproject.registry import record; record.record_all()"
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{copy}/mlflow.db",
        "PYTHONPATH": str(project.ROOT),
    }
    subprocess.run([fork_server.programs() / "python", "-c", code], env=environment, check=True)
    work_in(copy, monkeypatch)
    assert loaded_version.load("bottle/2").threshold == 2.5
    assert contents(folder) == before
    shutil.rmtree(folder / "mlruns")
    assert loaded_version.load("bottle/1").threshold == 1.5


def test_a_moved_project_finds_its_files(folder, tmp_path_factory, monkeypatch, capsys):
    record.record_all()
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.copytree(folder, moved)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    work_in(moved, monkeypatch)
    assert loaded_version.load("bottle/1").threshold == 1.5
    assert pyfunc.load_model("models:/sample-bottle/1") is not None
    capsys.readouterr()
    record.record_all()
    assert "version 1 (known)" in capsys.readouterr().out
    assert not list(folder.iterdir()), "nothing is written where it was"


def test_a_file_that_is_kept_elsewhere_on_purpose_stays_as_it_is(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.move(folder / "mlflow.db", elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/mlflow.db")
    record.record_all()
    assert loaded_version.load("bottle/1").threshold == 1.5
    assert not (elsewhere / "mlruns").exists()


@pytest.fixture
def locked(folder):
    """Another program's connection that keeps the file locked until it is closed."""
    with closing(sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_a_locked_file_is_waited_for(locked, monkeypatch):
    said = []

    def release(text: str, **_: object) -> None:
        said.append(text)
        locked.rollback()

    monkeypatch.setattr(sqlite_file, "SHORT", 0.01)
    monkeypatch.setattr(sqlite_file, "print", release, raising=False)
    record.record_all()
    assert len(said) == 1
    assert "mlflow.db is locked by another program: waiting" in said[0]
    assert loaded_version.load("bottle/1").threshold == 1.5


def test_a_file_that_stays_locked_is_one_line(locked, monkeypatch):
    monkeypatch.setattr(sqlite_file, "SHORT", 0.01)
    monkeypatch.setattr(sqlite_file, "LONG", 0.02)
    with pytest.raises(UserError, match=r"mlflow\.db is still locked by another program after 0\.02 seconds"):
        record.record_all()
