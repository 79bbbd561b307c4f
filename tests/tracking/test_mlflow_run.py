"""`mlflow run . -e …`, really run, over a real registry: what a person who has only MLflow types."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import support.promotion_project as project
import yaml
from support import fork_server
from support.promotion_project import aliases, tags

from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def mlflow_run(registered) -> Callable[..., str]:
    """Return a function that runs an entry point in the project of `registered` and returns what it said."""
    shutil.copy(ROOT / "MLproject", ".")
    Path("pipelines").mkdir()
    for name in ("python_env.yaml", "entry_point.sh"):
        shutil.copy(ROOT / "pipelines" / name, "pipelines")
    Path("mlproject").symlink_to(ROOT / "mlproject")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{fork_server.programs()}:{BIN}:{os.environ['PATH']}",
    }
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    mlflow = fork_server.programs() / "mlflow"

    def run(entry: str, **parameters: str) -> str:
        given = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
        command = [mlflow, "run", ".", "-e", entry, "--env-manager", "local", *given]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_promote(mlflow_run, registered):
    said = mlflow_run("promote", category="bottle", model="kd_cae")
    assert f"Champion: {project.NAME} version {registered['kd_cae']}" in said
    assert aliases() == {"champion": registered["kd_cae"]}
    assert tags(registered["kd_cae"])["promoted.against"] == "chance"


def test_predict(mlflow_run, registered):
    photos = Path("data/raw/bottle/test/good")
    mlflow_run("predict", model=f"bottle/{registered['pca']}", photos=str(photos), out="results.csv")
    table = pd.read_csv("results.csv")
    assert table["path"].tolist() == [str(path) for path in sorted(photos.iterdir())]
    assert table["error"].isna().all()


def test_tune(mlflow_run):
    """Its trials are runs of the study, not of the run that `mlflow run` opened."""
    said = mlflow_run("tune", category="bottle", model="pca", trials="2")
    assert yaml.safe_load(Path("data/tuned/bottle/pca.yaml").read_text()), said
    client = connection.connect()
    study = client.get_experiment_by_name(f"{project.DATASET}-tuning")
    assert len(client.search_runs([study.experiment_id])) == 3
