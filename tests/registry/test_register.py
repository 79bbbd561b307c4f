"""Versions: one a distinct model, KD-CAE and NI-CAE of a category under one name."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import support.tracked_project as project
from mlflow import MlflowClient, pyfunc
from support import fork_server
from support.tracked_project import register, version_of

from mlproject.core import artifacts
from mlproject.core.errors import UserError
from mlproject.registry import aliases, card, description, version_tags
from mlproject.registry import register as registry
from mlproject.tracking import connection, runs
from mlproject.tracking.detector_facts import DetectorFacts

pytest_plugins = ["support.tracked_project"]


def test_a_version_tells_what_it_is(first):
    assert first.new
    assert first.name == "sample-bottle"
    version = version_of(first)
    run = connection.connect().get_run(version.run_id)
    shown = {tag: value for tag, value in version.tags.items() if not tag.startswith("mlproject.")}
    trained = datetime.fromtimestamp(run.info.end_time / 1000, UTC)
    assert shown == {
        "architecture": project.MODEL,
        "auroc": "0.800 [0.700, 0.900]",
        "f1": "0.750 (all defective: 0.750)",
        "trained": f"{trained:%Y-%m-%d %H:%M} UTC",
        "commit": "unknown",
    }
    recorded = version_tags.lineage(version)
    assert recorded["data_hash"] == "ab" * 32
    assert (recorded["category"], recorded["threshold"]) == (project.CATEGORY, "1.5")
    assert recorded["run_key"] == run.data.tags[runs.RUN_KEY]
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 60_000, "registering is no part of the training"


def test_a_version_is_described_by_a_sentence_and_its_card(first):
    sentence, _, card = version_of(first).description.partition("\n\n")
    assert sentence == ("kd_cae for bottle: AUROC 0.800 [0.700, 0.900], F1 0.750 (all defective: 0.750).")
    assert card.startswith("# kd_cae for bottle (sample)")


def test_the_card_of_a_model_that_learnt_from_labels_says_from_how_many(trained, first):
    project.write_pair(trained, n_labelled_good=16, n_labelled_defective=13)
    text = card.model_card("sample", DetectorFacts.read(project.CATEGORY, project.MODEL))
    project.write_pair(trained)
    assert "It also learnt from 16 good and 13 defective images of the test set" in text


def test_the_registered_model_has_a_table_of_its_versions_and_says_how_to_promote(first):
    client = connection.connect()
    aliases.promote(client, first.name, str(first.version), None)
    text = client.get_registered_model(first.name).description
    client.delete_registered_model_alias(first.name, "champion")
    trained = version_of(first).tags["trained"]
    cells = f"kd_cae | 0.800 [0.700, 0.900] | 0.750 (all defective: 0.750) | champion | {trained} |"
    assert f"| [1](#/models/sample-bottle/versions/1) | {cells}" in text
    assert "`mlproject promote bottle --version N`" in text


def test_registering_again_makes_no_second_version(first):
    assert register() == first._replace(new=False)
    assert len(connection.connect().search_model_versions(f"name = '{first.name}'")) == 1


def test_a_changed_metric_changes_the_tags_alone(first, trained):
    project.write_pair(trained, f1=0.5)
    changed = register()
    project.write_pair(trained)
    assert changed == first._replace(new=False)
    assert version_of(first).tags["f1"] == "0.500 (all defective: 0.750)"


def test_the_oldest_versions_are_left_out_of_a_table_that_is_too_long():
    many = [
        SimpleNamespace(name="sample-bottle", version=number, tags={"architecture": "pca"})
        for number in range(500, 0, -1)
    ]
    text = description.of_model(many, {})
    assert len(text) <= description.LIMIT
    assert "| [500](" in text
    assert "| [1](" not in text
    assert text.endswith("--version N`")


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
    client = connection.connect()
    logged = client.search_logged_models([client.get_run(version_of(first).run_id).info.experiment_id])
    kept = {f"models:/{model.model_id}" for model in logged}
    assert {version_of(first).source, version_of(second).source} <= kept, "neither is taken for a leftover"


def test_another_architecture_is_a_version_of_the_same_model(first, trained):
    project.write_pair(trained, model="ni_cae")
    project.train_model(artifacts.model_folder(project.CATEGORY, "ni_cae"), seed=1)
    run_id = runs.record(project.DATASET, project.CATEGORY, "ni_cae")
    other = registry.register(project.DATASET, project.CATEGORY, "ni_cae", run_id)
    assert (other.name, other.new) == (first.name, True)
    assert version_of(other).tags["architecture"] == "ni_cae"


@pytest.mark.parametrize(
    ("owner", "other"),
    [(("mvtec-old", "bottle"), ("mvtec", "old-bottle")), (("my data", "bottle"), ("my-data", "bottle"))],
)
def test_a_name_that_is_another_data_sets_or_categorys_is_refused(folder, trained, owner, other):
    for _, category in (owner, other):
        project.write_pair(trained, category=category)
    made = registry.register(*owner, project.MODEL, runs.record(*owner, project.MODEL))
    run_id = runs.record(*other, project.MODEL)
    said = f"{made.name} is the registered model of category {owner[1]} of data set {owner[0]}; "
    with pytest.raises(UserError, match=re.escape(said)):
        registry.register(*other, project.MODEL, run_id)
    assert len(connection.connect().search_model_versions(f"name = '{made.name}'")) == 1
    again = registry.register(*owner, project.MODEL, runs.record(*owner, project.MODEL))
    assert again == made._replace(new=False)


def test_an_experiment_that_was_renamed_is_no_other_data_set(folder):
    made = register()
    client = connection.connect()
    client.rename_experiment(client.get_experiment_by_name(project.DATASET).experiment_id, "archive")
    assert register() == made._replace(new=False)


def test_two_processes_at_once_make_one_database_one_run_and_one_version(shared_folder, tmp_path):
    """From nothing: MLflow alone crashes when two processes make its tables."""
    for name in ("artifacts", "data", "reports"):
        shutil.copytree(shared_folder / name, tmp_path / name)
    shutil.copy(shared_folder / "params.yaml", tmp_path)
    environment = os.environ | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "PYTHONPATH": str(project.ROOT)}
    record_all = "from mlproject.registry import record; record.record_all()"
    started = [
        subprocess.Popen(
            [fork_server.programs() / "python", "-c", record_all],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    answers = [process.communicate()[0] for process in started]
    assert sorted(answer.count("version 1 (new)") for answer in answers) == [0, 1], answers
    assert sorted(answer.count("version 1 (known)") for answer in answers) == [0, 1], answers
    assert not any("WARNING" in answer for answer in answers), answers
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name(project.DATASET).experiment_id])
    assert len(found) == 2, "a parent and its child"
    assert not list(tmp_path.glob("*.part"))
