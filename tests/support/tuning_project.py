"""Project folder with one tiny prepared category, and helpers that run tunings and read their results.

PYTEST_DONT_REWRITE: the tests import it before pytest loads its fixtures.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import mlproject.tuning.results
import mlproject.tuning.run
from mlproject.data.prepare import prepare_category
from support import fork_server
from support.pipeline_project import TINY, write_category

CATEGORY = "disc"
# The command, but that it draws no plots, as in the fixture `drawing`.
COMMAND = """
import mlproject.tuning.results
from mlproject import cli
mlproject.tuning.results.draw = lambda *_: {}
cli.main()
"""
NOWHERE = "http://127.0.0.1:9"  # the discard port: no MLflow answers there


@pytest.fixture(scope="session")
def prepared_disc(tmp_path_factory) -> Path:
    """Forty good images to train on, twelve test images; 64 px."""
    folder = tmp_path_factory.mktemp("disc")
    write_category(folder / "raw" / CATEGORY, seed=0)
    prepare_category(folder / "raw" / CATEGORY, folder / CATEGORY, 64, workers=1)
    return folder / CATEGORY


def fill(folder: Path, prepared: Path) -> None:
    """Write params.yaml and the prepared category into a folder."""
    shutil.copytree(prepared, folder / "data/prepared" / CATEGORY)
    tree = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)
    tree["categories"] = [CATEGORY]
    tree["training"]["precision"] = "float32"
    tree["prepare"]["image_size"] = 64
    tree["tune"]["trials"] = 3
    for settings in tree["models"].values():
        settings |= {key: value for key, value in TINY.items() if key in settings}
    (folder / "params.yaml").write_text(yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False))


@pytest.fixture(autouse=True)
def drawing(monkeypatch):
    """Draw no plots, which take longer than tiny tunings, unless a test asks for `plots`."""
    original = mlproject.tuning.results.draw
    monkeypatch.setattr(mlproject.tuning.results, "draw", lambda *_: {})
    return original


@pytest.fixture
def plots(monkeypatch, drawing):
    """Draw the plots."""
    monkeypatch.setattr(mlproject.tuning.results, "draw", drawing)


@pytest.fixture
def tuning_home(tmp_path, monkeypatch, prepared_disc) -> Path:
    """The working directory of a test, whose MLflow is away."""
    fill(tmp_path, prepared_disc)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    return tmp_path


def edit(change: Any) -> None:
    """Change params.yaml by a function of its tree."""
    path = Path("params.yaml")
    tree = yaml.load(path.read_text(), yaml.CSafeLoader)
    change(tree)
    path.write_text(yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False))


def tune(model: str = "pca", **options: Any) -> None:
    mlproject.tuning.run.tune(CATEGORY, model, **options)


def trials(model: str = "pca", folder: Path | None = None) -> list[dict[str, Any]]:
    """Return every trial.json, in the order of their numbers."""
    files = ((folder or Path()) / f"artifacts/{CATEGORY}/{model}/study").glob("*/trials/*/trial.json")
    return sorted((json.loads(file.read_text()) for file in files), key=lambda trial: trial["number"])


def results(model: str = "pca", folder: Path | None = None) -> list[dict[str, Any]]:
    """Return what equal tunings have in common: neither times, nor numbers, nor what was interrupted."""
    kept = ("state", "reason", "values", "verdict", "rungs", "history")
    return [
        {name: trial[name] for name in kept}
        for trial in trials(model, folder)
        if trial["state"] != "interrupted"
    ]


def report(model: str = "pca") -> dict[str, Any]:
    return json.loads(Path(f"reports/categories/{CATEGORY}/{model}/tuning.json").read_text())


def tuned(model: str = "pca") -> dict[str, Any]:
    return yaml.load(Path(f"data/tuned/{CATEGORY}/{model}.yaml").read_text(), yaml.CSafeLoader)


def start(*arguments: str, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start `mlproject tune` in a process and a process group of its own, as a terminal does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [fork_server.programs() / "python", "-c", COMMAND, "tune", "--category", CATEGORY, *arguments],
        cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(*arguments: str) -> tuple[int, str]:
    """Run `mlproject tune` to its end; return its exit code and all it printed."""
    process = start(*arguments)
    printed, _ = process.communicate(timeout=300)
    return process.returncode, printed
