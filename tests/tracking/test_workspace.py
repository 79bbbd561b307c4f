"""Experiments that DVC runs in a temporary copy are recorded in the workspace, where they stay."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from support import fork_server

from mlproject.tracking import connection

# A stage that records a run with a file, as the stages of the pipeline do.
STAGE = """
from pathlib import Path
from mlproject.tracking import connection

client = connection.connect()
run = client.create_run(connection.experiment(client, "photos"))
Path("note.txt").write_text(Path("params.yaml").read_text())
client.log_artifact(run.info.run_id, "note.txt")
client.set_terminated(run.info.run_id)
"""


@pytest.mark.parametrize("below", ["", "subproject"])
@pytest.mark.parametrize("copies", ["standalone/tmp1", "tmp1"])
def test_in_a_copy_by_dvc_the_store_is_the_workspaces(tmp_path, monkeypatch, copies, below) -> None:
    copy = tmp_path / ".dvc/tmp/exps" / copies
    (copy / ".dvc").mkdir(parents=True)
    (copy / below).mkdir(exist_ok=True)
    monkeypatch.chdir(copy / below)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert connection.uri() == f"sqlite:///{tmp_path / below}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs/own.db")
    assert connection.uri() == f"sqlite:///{tmp_path / below}/runs/own.db"


def test_elsewhere_the_store_lies_in_the_working_directory(tmp_path, monkeypatch) -> None:
    """DVC_ROOT is set in every stage, and a project need not lie at its DVC repository's root."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for root in (str(tmp_path), str(tmp_path / "project"), "/elsewhere"):
        monkeypatch.setenv("DVC_ROOT", root)
        assert connection.uri() == f"sqlite:///{tmp_path}/project/mlflow.db"


def test_an_experiment_in_a_temporary_copy_is_recorded_and_its_files_stay(tmp_path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))
    }
    environment |= {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["PATH"] = f"{fork_server.programs()}{os.pathsep}{os.environ['PATH']}"

    def call(*command: str) -> None:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}:\n{done.stdout[-5000:]}"

    stages = {"record": {"cmd": "python record.py", "params": ["number"], "outs": ["note.txt"]}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "params.yaml").write_text("number: 1\n")
    (tmp_path / "record.py").write_text(STAGE)
    call("git", "init", "-q")
    call("dvc", "init", "-q")
    call("git", "add", "-A")
    for key, value in (("user.name", "t"), ("user.email", "t@t")):
        call("git", "config", key, value)
    call("git", "commit", "-qm", "project")
    call("dvc", "exp", "run", "--temp", "-S", "number=2")

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("photos")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert Path(run.info.artifact_uri).is_relative_to(tmp_path / "mlruns")
    assert Path(client.download_artifacts(run.info.run_id, "note.txt")).read_text() == "number: 2\n"
