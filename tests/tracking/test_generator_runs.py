"""Generators in MLflow, from their files: losses by epoch, grids as images, quality; never twice."""

import json

import pandas as pd
import pytest
import support.tracked_project as project
import yaml
from PIL import Image
from support.small_models import create_generator
from support.tracked_project import all_runs, steps

from mlproject.core import artifacts, files
from mlproject.core.tables import write_table
from mlproject.registry import record
from mlproject.tracking import connection, runs
from mlproject.tracking.generator_facts import GeneratorFacts

pytest_plugins = ["support.tracked_project"]

GENERATOR = "dcgan"


def write_generator(frechet=0.5):
    """Write every file of one (category, generator) into the working directory."""
    generator = create_generator()
    folder = artifacts.training_folder(project.CATEGORY, GENERATOR)
    generator.save(artifacts.model_folder(project.CATEGORY, GENERATOR))
    run = project.facts(model=GENERATOR, settings=generator.settings.model_dump()) | {
        "n_train": 8, "parameters": 1234, "epochs": 2, "seconds": 60.0, "images_per_second": 0.3,
        "threads": 2, "versions": {"torch": "2.15.0"},
    }  # fmt: skip
    files.write_json(folder / "run.json", run)
    history = {"epoch": [1, 2], "generator_loss": [0.7, 0.6], "discriminator_loss": [1.4, 1.3]}
    write_table(folder / "history.csv", pd.DataFrame(history))
    (folder / "grids").mkdir(exist_ok=True)
    for epoch in (1, 2):
        Image.new("RGB", (16, 16), (epoch, 0, 0)).save(folder / f"grids/epoch_{epoch:04d}.png")
    report = artifacts.report_folder(project.CATEGORY, GENERATOR)
    quality = {"frechet": {"generated": frechet, "features": "ours"}, "memorised": False}
    collapsed = {"collapsed": True, "collapsed_because": "all the same"}
    files.write_json(report / "quality.json", quality | collapsed)
    (report / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(report / "figures/grid.png")


@pytest.fixture
def generated(folder):
    write_generator()
    return folder


def recorded():
    run_id = runs.log(project.DATASET, GeneratorFacts.read(project.CATEGORY, GENERATOR))
    return connection.connect().get_run(run_id)


def test_a_run_tells_all_that_its_files_say(generated):
    run = recorded()
    client = connection.connect()
    assert run.info.status == "FINISHED"
    assert run.data.params["settings.filters"] == "4"
    assert run.data.tags["mlflow.source.name"] == "dvc repro generate@bottle-dcgan"
    assert run.data.tags["collapsed_because"] == "all the same"
    figures = run.data.metrics
    assert (figures["frechet.generated"], figures["collapsed"], figures["memorised"]) == (0.5, 1, 0)
    assert steps(run.info.run_id, "generator_loss") == steps(run.info.run_id, "discriminator_loss") == [1, 2]
    assert runs.image_steps(client, run.info.run_id, "generated") == {1, 2}
    assert [item.path for item in client.list_artifacts(run.info.run_id, "report/figures")] == [
        "report/figures/grid.png"
    ]


def test_a_run_recorded_later_has_the_times_of_its_files(generated):
    path, ended = artifacts.training_folder(project.CATEGORY, GENERATOR) / "run.json", 1_700_000_000
    files.write_json(path, files.read_json(path) | {"ended": ended})
    run = recorded()
    assert (run.info.start_time, run.info.end_time) == ((ended - 60) * 1000, ended * 1000)


def test_recording_again_writes_nothing_and_a_change_updates_the_same_run(generated):
    first = recorded()
    assert recorded().to_dictionary() == first.to_dictionary()
    path = artifacts.report_folder(project.CATEGORY, GENERATOR) / "quality.json"
    quality = json.loads(path.read_text())
    quality["frechet"]["generated"] = 0.25
    quality |= {"collapsed": False, "collapsed_because": None}
    files.write_json(path, quality)
    changed = recorded()
    assert changed.info.run_id == first.info.run_id
    assert changed.data.metrics["frechet.generated"] == 0.25
    assert changed.data.tags["collapsed_because"] == "", "what the earlier report said is gone"
    assert len(all_runs()) == 1


def test_register_records_detectors_and_generators_under_one_parent(generated, capsys):
    record.record_all()
    record.record_all()
    children = [run for run in all_runs() if runs.PARENT in run.data.tags]
    assert {run.data.tags["model"] for run in children} == {"kd_cae", "dcgan"}
    assert len({run.data.tags[runs.PARENT] for run in children}) == 1
    assert len(all_runs()) == 3
    names = {model.name for model in connection.connect().search_registered_models()}
    assert len(names) == 1, "a generator is no detector: no version of it is registered"
    assert "bottle dcgan: recorded" in capsys.readouterr().out


def test_generators_switched_off_are_not_recorded(generated, capsys):
    path = generated / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"generators_used": []}))
    record.record_all()
    assert "dcgan" not in capsys.readouterr().out
    assert len(all_runs()) == 2
