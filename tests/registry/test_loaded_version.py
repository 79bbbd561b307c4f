"""What a version's user reads when its code, its files, its tables or its store are not as they were."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from PIL import Image
from support.tracked_project import version_of

import mlproject as package
from mlproject.core.errors import UserError
from mlproject.registry import loaded_version
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]


@pytest.fixture
def photo(tmp_path) -> Path:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def kept(first, shared_folder) -> Path:
    """The folder in which MLflow keeps the version."""
    (code,) = shared_folder.rglob("code/mlproject")
    return code.parents[1]


def test_a_version_that_came_with_other_code_says_so(first, monkeypatch, mlproject, photo, tmp_path):
    """Another release is installed: a copy of this one, changed."""
    _, _, err = mlproject("predict", "bottle/1", str(photo))
    assert "note:" not in err
    shutil.copytree(Path(package.__file__).parent, tmp_path / "mlproject")
    file = tmp_path / "mlproject/models/components/detector.py"
    file.write_text(f"{file.read_text()}# of another release\n")
    monkeypatch.setattr(package, "__file__", str(tmp_path / "mlproject/__init__.py"))
    code, out, err = mlproject("predict", "bottle/1", str(photo))
    assert code == 0
    assert len(out.splitlines()) == 1
    (note,) = [line for line in err.splitlines() if line.startswith("note:")]
    assert "sample-bottle version 1 (kd_cae) came with other code" in note
    assert "(models/components/detector.py)" in note


def test_files_that_are_gone_are_said_to_be_gone(kept, mlproject, photo, tmp_path):
    kept.rename(kept.with_name("away"))
    code, _, err = mlproject("predict", "bottle/1", str(photo))
    kept.with_name("away").rename(kept)
    assert code == 2
    assert "models:/sample-bottle/1: hashes.json is missing: its files cannot be verified" in err
    assert "did not make it" not in err


def test_a_model_of_somebody_else_is_named_as_such(first, mlproject, photo):
    client = connection.connect()
    version = version_of(first)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", version.source, version.run_id)
    code, _, err = mlproject("export", "theirs/1", "model.onnx")
    client.delete_registered_model("theirs")
    assert code == 2
    assert "theirs version 1: the registry holds no hash of its files" in err
    assert "Traceback" not in err


def test_tables_of_an_older_mlflow_are_named(first, mlproject, photo, tmp_path, monkeypatch):
    with sqlite3.connect(tmp_path / "old.db") as copy, sqlite3.connect("mlflow.db") as database:
        database.backup(copy)
        copy.execute("update alembic_version set version_num = '534353b11cbc'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/old.db")
    code, _, err = mlproject("predict", "bottle/1", str(photo))
    assert code == 2
    assert f"mlflow db upgrade sqlite:///{tmp_path}/old.db" in err


def test_recorded_scores_behind_a_store_that_went_away(first, monkeypatch):
    """The page says it: it shows what is a UserError."""
    version = version_of(first)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    connection.connect()
    with pytest.raises(UserError, match=r"^MLflow at http://127.0.0.1:9 does not answer\."):
        loaded_version.good_scores(version)
    monkeypatch.undo()
    connection.connect()


@pytest.mark.parametrize("command", [["predict", "bottle/1", "PHOTO"], ["rollback", "bottle"]])
def test_no_message_shows_a_password(mlproject, photo, monkeypatch, command):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@127.0.0.1:9/runs")
    code, out, err = mlproject(*[text.replace("PHOTO", str(photo)) for text in command])
    assert code == 2
    assert "MLflow at postgresql://127.0.0.1:9/runs does not answer" in err
    assert "secret" not in out + err + connection.away_message()
