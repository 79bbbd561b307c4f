"""A project with real images, detectors trained on them, and a registry that holds their versions.

PYTEST_DONT_REWRITE: the tests import it before pytest loads its fixtures.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import support.tracked_project as tracked
from mlproject import models
from mlproject.core import artifacts, files, params
from mlproject.core.tables import read_table, write_table
from mlproject.data import prepared
from mlproject.data.prepare import prepare_category
from mlproject.evaluation import metrics
from mlproject.registry import recorded_version
from mlproject.registry import register as registry
from mlproject.tracking import connection, runs
from mlproject.training.run_options import RunOptions
from pipelines import evaluate, score, settings
from support import fork_server
from support.pipeline_project import write_category

CATEGORY, DATASET = "bottle", "sample"
NAME = f"{DATASET}-{CATEGORY}"
SMALL = {"image_size": 32, "epochs": 1, "components": 4, "latent_channels": 4}


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True)


def train(model: str) -> None:
    """Train a small detector on the category's images, score them, and write every file of the pair."""
    data = prepared.load(CATEGORY)
    roles = data.roles(params.load("split", params.Split), params.value("seed"))
    validation = data.images[roles.validation]
    given = params.load_file(tracked.ROOT / "params.yaml")["models"][model]
    detector = models.create(model, given | {k: v for k, v in SMALL.items() if k in given})
    detector.fit(data.images[roles.train], validation, RunOptions(seed=0))
    detector.calibrate(validation)
    detector.save(artifacts.model_folder(CATEGORY, model))
    out_of_fold = tracked.pd.DataFrame(columns=["path", "score"])
    write_table(artifacts.out_of_fold_file(CATEGORY, model), out_of_fold)
    settings.main()
    resolved = files.read_json(artifacts.settings_file(CATEGORY, model))["settings"]
    hashes = {"data_hash": data.data_hash, "pixels_hash": data.pixels_hash}
    tracked._write_training(tracked.facts(model=model, settings=resolved, **hashes))
    score.main(CATEGORY, model)
    write_report(model)


def write_lock(models: list[str]) -> None:
    """Write a dvc.lock that says that the detectors were made by what lies here."""
    split, seed = (tracked.facts()[name] for name in ("split", "seed"))
    used = {"split": split, "seed": seed, "threshold.strict": False}
    stage = {"deps": [], "params": {"params.yaml": used}}
    stages = {f"{name}@{CATEGORY}-{model}": stage for name in ("train", "score") for model in models}
    stages[f"prepare@{CATEGORY}"] = {"deps": [], "params": {"params.yaml": {}}}
    Path("dvc.lock").write_text(tracked.yaml.safe_dump({"stages": stages}))


def write_report(model: str) -> None:
    """Write the report of a pair from its scores, as stage evaluate does."""
    folder = artifacts.scores_folder(CATEGORY, model)
    table, threshold = (
        read_table(folder / "scores.csv"),
        files.read_json(folder / "threshold.json"),
    )
    test = table[table["subset"] == "test"]
    labels, scores = test["label"].to_numpy(), test["score"].to_numpy()
    measured = metrics.evaluate(labels, scores, threshold["threshold"], 100, 0)
    asked = {name: threshold[name] for name in ("false_alarm_rate_asked", "false_alarm_rate_supported")}
    asked["follows_shortcut"] = evaluate._follows_shortcut(prepared.load(CATEGORY), table)
    report = artifacts.report_folder(CATEGORY, model)
    files.write_json(report / "metrics.json", tracked.metrics(CATEGORY, model, 0) | measured | asked)
    (report / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(report / "figures/mistakes.png")


def register(model: str) -> int:
    run_id = runs.record(DATASET, CATEGORY, model)
    return registry.register(DATASET, CATEGORY, model, run_id).version


def register_altered(model: str, change) -> int:
    """Register a version whose scores.csv or threshold.json `change` alters; leave the files as they were."""
    folder = artifacts.scores_folder(CATEGORY, model)
    kept = {path: path.read_bytes() for path in folder.glob("*.*") if path.suffix in (".csv", ".json")}
    table, threshold = (
        read_table(folder / "scores.csv"),
        files.read_json(folder / "threshold.json"),
    )
    change(table, threshold)
    write_table(folder / "scores.csv", table)
    files.write_json(folder / "threshold.json", threshold)
    write_report(model)
    version = register(model)
    for path, content in kept.items():
        path.write_bytes(content)
    write_report(model)
    return version


@contextmanager
def committed(folder: Path, database: Path, models: list[str]) -> Iterator[None]:
    """Make a committed project in a folder, whose registry has a version of each model; work in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "executable", str(fork_server.programs() / "python"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        shutil.copy(database, folder / "mlflow.db")
        tracked.write_params([CATEGORY], models)
        allow(latency_ms=1e9, memory_mb=1e9, margin=0.49)
        write_category(folder / artifacts.RAW / CATEGORY, seed=0, n_train=80, n_good=20, n_defective=20)
        prepare_category(artifacts.RAW / CATEGORY, artifacts.PREPARED / CATEGORY, 64, workers=1)
        write_lock(models)
        Path(".gitignore").write_text("mlflow.db*\nmlruns\nartifacts\ndata\n*.lock\n")
        git("init", "-q")
        git("add", ".")
        git("commit", "-qm", "first")
        shortcut = {"statistics": {"brightness": 0.45}, "strongest": "brightness", "strongest_auroc": 0.45}
        path = artifacts.report_folder(CATEGORY) / "shortcuts.json"
        files.write_json(path, shortcut | {"flagged": False})
        for model in models:
            train(model)
            register(model)
        yield


@pytest.fixture(scope="module")
def registered(tmp_path_factory, empty_database) -> Iterator[dict[str, int]]:
    """A committed project whose registry has a KD-CAE and a PCA; yields model → version."""
    names = ["kd_cae", "pca"]
    with committed(tmp_path_factory.mktemp("promotion"), empty_database, names):
        yield {name: number for number, name in enumerate(names, start=1)}


@pytest.fixture(scope="module")
def asked_once() -> Iterator[None]:
    """Let a model answer the same question once: each answer costs a process that loads torch."""
    answers: dict[Any, recorded_version.Answers] = {}
    ask = recorded_version.ask

    def remembered(of, images, maps=False):
        question = (of.version.version, tuple(images), maps)
        if question not in answers:
            answers[question] = ask(of, images, maps)
        return answers[question]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_version, "ask", remembered)
        yield


@pytest.fixture
def fresh(registered, asked_once) -> dict[str, int]:
    """The same registry with no champion, nor one in the past."""
    client = connection.connect()
    model = client.get_registered_model(NAME)
    for alias in model.aliases:
        client.delete_registered_model_alias(NAME, alias)
    for tag in model.tags:
        client.delete_registered_model_tag(NAME, tag)
    return registered


def allow(**values: float) -> None:
    """Change section `promote` of params.yaml in the working directory; not its commit."""
    tree = params.load_file()
    tree["promote"] |= values
    Path("params.yaml").write_text(tracked.yaml.dump(tree, Dumper=tracked.yaml.CSafeDumper))


def aliases() -> dict[str, int]:
    found = connection.connect().get_registered_model(NAME).aliases
    return {alias: int(version) for alias, version in found.items()}


def tags(version: int) -> dict[str, str]:
    return connection.connect().get_model_version(NAME, str(version)).tags
