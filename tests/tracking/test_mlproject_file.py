"""`mlflow run .` finds the file MLproject, whatever the order in which the file system lists the folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

ORDERED_LISTING = """
import os

listdir = os.listdir
order = os.environ["TEST_ORDER"].split(",")

def listdir_in_order(path="."):
    names = listdir(path)
    return [name for name in order if name in names] + [name for name in names if name not in order]

os.listdir = listdir_in_order
"""


FILE_FIRST, FOLDER_FIRST = "MLproject,mlproject", "mlproject,MLproject"


@pytest.fixture
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which Python lists folders in the given order."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(ORDERED_LISTING)
    return {
        **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
        "PYTHONPATH": f"{hook}:{ROOT}",
        "TEST_ORDER": request.param,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def copy_pipelines(clone: Path) -> None:
    """Copy what an entry point needs from pipelines/."""
    (clone / "pipelines").mkdir(parents=True)
    for name in ("python_env.yaml", "entry_point.sh"):
        shutil.copy(ROOT / "pipelines" / name, clone / "pipelines")


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("environment", [FOLDER_FIRST], indirect=True)
def test_mlflow_alone_opens_the_folder(environment):
    """The trap itself: when this fails, MLflow has fixed it and mlproject_file.py can go."""
    result = python("import mlflow.projects; mlflow.projects.load_project('.')", environment)
    assert "IsADirectoryError" in result.stderr


@pytest.mark.parametrize("environment", [FILE_FIRST, FOLDER_FIRST], indirect=True)
def test_loading_the_project_in_both_orders(environment, tmp_path):
    """And what a command is given, after MLflow's substitution and the shell: an empty parameter is left out,
    names are quoted."""
    clone = tmp_path / "clone"
    copy_pipelines(clone)
    command = clone / ".venv/bin/mlproject"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    command.chmod(0o755)
    code = (
        "import mlflow.cli, mlflow.projects as p\n"
        "project = p.load_project('.'); print(project.name, project.get_entry_point('pipeline').command)\n"
        "promote = project.get_entry_point('promote')\n"
        "for version in '', '7':\n"
        "    print(promote.compute_command({'category': 'it; is', 'version': version}, None))\n"
    )
    result = python(code, environment)
    assert result.returncode == 0, result.stderr
    pipeline, *promotions = result.stdout.splitlines()
    assert pipeline == "mlproject sh pipelines/entry_point.sh dvc repro"
    for promotion, passed in zip(promotions, ([], ["--version", "7"]), strict=True):
        said = subprocess.run(
            ["sh", "-c", promotion], cwd=clone, env=environment, capture_output=True, text=True, check=True
        )
        assert said.stdout.splitlines() == ["promote", "it; is", *passed]


@pytest.mark.parametrize("environment", [FOLDER_FIRST], indirect=True)
def test_mlflow_run(environment, tmp_path):
    """The real command in the order that fails without us; the entry point shows what it was given."""
    clone = tmp_path / "clone"
    (clone / "mlproject").mkdir(parents=True)
    text = (ROOT / "MLproject").read_text()
    assert text.count("dvc repro") == 1
    (clone / "MLproject").write_text(text.replace("dvc repro", "env > environment.txt"))
    copy_pipelines(clone)

    result = subprocess.run(
        [Path(sys.executable).parent / "mlflow", "run", ".", "-e", "pipeline"],
        cwd=clone,
        env={**environment, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    seen = dict(line.split("=", 1) for line in (clone / "environment.txt").read_text().splitlines())
    assert seen["PATH"].startswith(f"{clone}/.venv/bin:")
    assert not {"MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"} & seen.keys()


def test_the_script_runs_every_entry_point():
    """So that none takes itself for the run that MLflow opened, and each finds the environment."""
    entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    assert entries["main"] == entries["pipeline"]
    for entry in entries.values():
        assert entry["command"].startswith("sh pipelines/entry_point.sh ")


def test_entry_points_name_commands_that_exist_and_say_no_default_twice():
    from mlproject.cli import app

    commands = {entry.name or entry.callback.__name__ for entry in app.registered_commands}
    entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    assert {"pipeline", "tune", "predict", "promote"} <= entries.keys()
    for name, entry in entries.items():
        called = re.search(r"\.sh mlproject (\w+)", entry["command"])
        assert called is None or called[1] in commands, name
        defaults = [p["default"] for p in entry.get("parameters", {}).values() if isinstance(p, dict)]
        assert not any(defaults), f"{name}: an empty default leaves it to the command"


def test_unknown_mlflow_warns_and_goes_on(monkeypatch):
    from mlproject.tracking import mlproject_file

    monkeypatch.delattr(mlproject_file._project_spec, "_find_mlproject")
    with pytest.warns(UserWarning, match="dvc repro"):
        mlproject_file.install()


def test_folder_without_the_file_has_no_project(tmp_path):
    from mlproject.tracking import mlproject_file

    (tmp_path / "mlproject").mkdir()
    assert mlproject_file.find_project_file(str(tmp_path)) is None
    shutil.rmtree(tmp_path / "mlproject")
    (tmp_path / "MLproject").write_text("name: x")
    assert mlproject_file.find_project_file(str(tmp_path)) == str(tmp_path / "MLproject")
