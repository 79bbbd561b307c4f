"""Versions: one a distinct model, KD-CAE and NI-CAE of a category under one name."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import support.tracked_project as project
from mlflow import MlflowClient, pyfunc
from support.tracked_project import register, version_of

from mlproject.core import artifacts
from mlproject.registry import register as registry
from mlproject.tracking import connection, runs

pytest_plugins = ["support.tracked_project"]


def test_a_version_tells_what_it_is(first):
    assert first.new
    assert first.name == "sample-bottle"
    version = version_of(first)
    assert version.tags["architecture"] == project.MODEL
    assert version.tags["data_hash"] == "ab" * 32
    figures = [version.tags[name] for name in ("auroc", "clean_f1", "threshold")]
    assert figures == ["0.8", "0.75", "1.5"]
    assert version.tags[runs.RUN_KEY] == project.key()
    run = connection.connect().get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 60_000, "registering is no part of the training"


def test_registering_again_makes_no_second_version(first):
    assert register() == first._replace(new=False)
    assert len(connection.connect().search_model_versions(f"name = '{first.name}'")) == 1


def test_a_changed_metric_changes_the_tags_alone(first, trained):
    project.write_pair(trained, f1=0.5)
    changed = register()
    project.write_pair(trained)
    assert changed == first._replace(new=False)
    assert version_of(first).tags["clean_f1"] == "0.5"


def test_another_threshold_is_another_version(first):
    """The threshold is served with the model: the old version goes on with the old one."""
    project.set_threshold(2.5)
    second = register()
    project.set_threshold(1.5)
    assert second.new
    assert second.version > first.version
    image = pd.DataFrame({"image": [np.zeros((9, 9), np.uint8)]})
    for version, threshold in ((first, 1.5), (second, 2.5)):
        model = pyfunc.load_model(f"models:/{version.name}/{version.version}")
        assert model.predict(image)["threshold"].tolist() == [threshold]
    assert register() == first._replace(new=False)


def test_another_architecture_is_a_version_of_the_same_model(first, trained):
    project.write_pair(trained, model="ni_cae")
    project.train_model(artifacts.model_folder(project.CATEGORY, "ni_cae"), seed=1)
    run_id = runs.record(project.DATASET, project.CATEGORY, "ni_cae")
    other = registry.register(project.DATASET, project.CATEGORY, "ni_cae", run_id)
    assert (other.name, other.new) == (first.name, True)
    assert version_of(other).tags["architecture"] == "ni_cae"


def test_two_processes_at_once_make_one_database_one_run_and_one_version(shared_folder, tmp_path):
    """From nothing: MLflow alone crashes when two processes make its tables."""
    for name in ("artifacts", "data", "reports"):
        shutil.copytree(shared_folder / name, tmp_path / name)
    shutil.copy(shared_folder / "params.yaml", tmp_path)
    environment = os.environ | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "PYTHONPATH": str(project.ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", "from mlproject.tracking import record; record.record_all()"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    answers = [process.communicate()[0] for process in started]
    assert sorted(answer.count("version 1 (new)") for answer in answers) == [0, 1], answers
    assert sorted(answer.count("version 1 (known)") for answer in answers) == [0, 1], answers
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name(project.DATASET).experiment_id])
    assert len(found) == 2, "a parent and its child"
    assert not list(tmp_path.glob("*.part"))
