"""Studies in MLflow, from their files: curves by level, differences, the answer in words; never twice."""

import json

import pandas as pd
import pytest
import support.tracked_project as project
import yaml
from PIL import Image
from support.tracked_project import all_runs

from mlproject.core import artifacts, files
from mlproject.core.tables import write_table
from mlproject.registry import record
from mlproject.studies.components import tables
from mlproject.tracking import connection, runs, study_facts
from mlproject.tracking.study_facts import StudyFacts

pytest_plugins = ["support.tracked_project"]

STUDY = "labels"
SUMMARY = {
    "study": STUDY, "category": project.CATEGORY, "title": "How many labels?", "gap": None,
    "statements": ["From 5 labelled defects on the CNN lies above pca."], "notes": ["20 were not there."],
    "comparisons": [
        {"arm": "cnn", "against": "pca", "series": "labels", "level": 5.0, "subset": "held_out",
         "difference": 0.2, "low": 0.1, "high": 0.3, "spread": 0.01, "clear": "above"},
        {"arm": "cnn_without_type", "against": "cnn", "series": "type_left_out", "level": 3.0,
         "subset": "dent", "difference": -0.2, "low": -0.4, "high": 0.1, "spread": None, "clear": "unclear"},
    ],
    "labels_needed": {"pca": 5, "kd_cae": None}, "figures": ["labels.png"],
}  # fmt: skip


def row(arm, level, auroc, series="labels", subset="held_out"):
    return {"series": series, "arm": arm, "level": level, "subset": subset, "auroc": auroc, "f1": auroc}


def rows():
    found = [row("cnn", level, auroc) for level, auroc in ((0, 0.5), (1, 0.6), (5, 0.9))]
    left_out = row("cnn_without_type", 3, 0.4, "type_left_out", "dent")
    return [*found, row("pca", 0, 0.7), left_out]


def write_study():
    """Write every file of one (category, study) into the working directory."""
    report = artifacts.study_report_folder(project.CATEGORY, STUDY)
    folder = artifacts.study_folder(project.CATEGORY, STUDY)
    write_table(report / "table.csv", tables.frame(STUDY, project.CATEGORY, rows()))
    files.write_json(report / "summary.json", SUMMARY)
    (report / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(report / "figures/labels.png")
    run = project.facts(model=f"study {STUDY}", settings={"seeds": 3}) | {
        "n_train": 8, "n_validation": 4, "seconds": 60.0, "threads": 1, "versions": {"torch": "2.15.0"},
    }  # fmt: skip
    files.write_json(folder / "run.json", run)
    write_table(folder / "cells/0123.csv", pd.DataFrame({"path": ["a"], "score": [0.5]}))


@pytest.fixture
def made(folder):
    write_study()
    return folder


def recorded():
    run_id = runs.log(project.DATASET, StudyFacts.read(project.CATEGORY, STUDY))
    return connection.connect().get_run(run_id)


def test_a_run_tells_all_that_its_files_say(made):
    run = recorded()
    client = connection.connect()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "bottle study labels"
    assert run.data.params["settings.seeds"] == "3"
    assert run.data.tags["mlflow.source.name"] == "dvc repro study@bottle-labels"
    assert "From 5 labelled defects on" in run.data.tags["mlflow.note.content"]
    points = client.get_metric_history(run.info.run_id, "labels.cnn.auroc")
    assert {(point.step, point.value) for point in points} == {(0, 0.5), (1, 0.6), (5, 0.9)}
    level = client.get_metric_history(run.info.run_id, "labels.pca.auroc")
    assert {(point.step, point.value) for point in level} == {(0, 0.7), (1, 0.7), (5, 0.7)}
    figures = run.data.metrics
    assert figures["difference.labels.cnn-pca.5"] == 0.2
    assert figures["difference.type_left_out.cnn_without_type-cnn.dent.low"] == -0.4
    assert (figures["labels_needed.pca"], "labels_needed.kd_cae" in figures) == (5, False)
    assert [item.path for item in client.list_artifacts(run.info.run_id, "report/figures")] == [
        "report/figures/labels.png"
    ]


def test_a_run_recorded_later_has_the_times_of_its_files(made):
    path, ended = artifacts.study_folder(project.CATEGORY, STUDY) / "run.json", 1_700_000_000
    files.write_json(path, files.read_json(path) | {"ended": ended})
    run = recorded()
    assert (run.info.start_time, run.info.end_time) == ((ended - 60) * 1000, ended * 1000)


def test_recording_again_writes_nothing_and_a_change_updates_the_same_run(made):
    first = recorded()
    assert recorded().to_dictionary() == first.to_dictionary()
    path = artifacts.study_report_folder(project.CATEGORY, STUDY) / "summary.json"
    files.write_json(path, json.loads(path.read_text()) | {"statements": ["It never does."]})
    changed = recorded()
    assert changed.info.run_id == first.info.run_id
    assert "It never does." in changed.data.tags["mlflow.note.content"]
    assert len(all_runs()) == 1


def test_a_study_that_could_not_be_made_is_recorded_with_the_reason(made):
    report = artifacts.study_report_folder(project.CATEGORY, STUDY)
    write_table(report / "table.csv", tables.frame(STUDY, project.CATEGORY, []))
    gap = SUMMARY | {"gap": "nothing to compare with", "comparisons": [], "labels_needed": {}}
    files.write_json(report / "summary.json", gap)
    run = recorded()
    assert run.data.tags["gap"] == "nothing to compare with"
    assert set(run.data.metrics) == {"training.seconds"}


def test_variances_are_steps_by_their_place():
    noise = [row("kd_cae", level, 0.9, "gaussian", "test") for level in (0.0, 0.001, 0.05)]
    curves = study_facts.curves(tables.frame("noise", "bottle", noise))
    assert curves["epoch"].tolist() == [0, 1, 2]
    assert "gaussian.kd_cae.auroc" in curves


def test_register_records_studies_under_the_same_parent_and_no_version_of_them(made, capsys):
    path = made / "params.yaml"
    listed = {"studies_used": [STUDY], "generators_used": []}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | listed))
    record.record_all()
    record.record_all()
    children = [run for run in all_runs() if runs.PARENT in run.data.tags]
    assert {run.data.tags["model"] for run in children} == {"kd_cae", "study labels"}
    assert len({run.data.tags[runs.PARENT] for run in children}) == 1
    assert len(connection.connect().search_registered_models()) == 1
    assert "bottle study labels: recorded" in capsys.readouterr().out
