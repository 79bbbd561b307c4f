"""Runs from files: complete, never twice, gathered under a parent."""

import re
import subprocess
from pathlib import Path

import pytest
import support.tracked_project as project
from support.tracked_project import all_runs, recorded, steps

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.registry import card, record, version_tags
from mlproject.tracking import connection, detector_facts, facts, lineage, runs

pytest_plugins = ["support.tracked_project"]


def test_a_run_tells_all_that_its_files_say(folder):
    run = recorded()
    client = connection.connect()
    assert run.info.status == "FINISHED"
    assert run.data.params["settings.latent_channels"] == "4"
    assert run.data.params["split.calibration"] == "half"
    assert run.data.params["data_hash"] == "ab" * 32
    assert run.data.params["seed"] == "0"
    figures = run.data.metrics
    assert (figures["paper.f1"], figures["paper.thresholds.part"]) == (0.75, 1.1)
    assert (figures["clean.f1"], figures["oracle.f1"], figures["auroc"]) == (0.75, 0.75, 0.8)
    assert (figures["all_defective_f1"], figures["shortcut_auroc"]) == (0.75, 0.45)
    assert figures["training.seconds"] == 60
    assert "pixel_auroc" not in figures, "null in the file: no such figure"
    assert run.data.tags["version.torch"] == "2.15.0"
    assert steps(run.info.run_id) == list(range(1, project.EPOCHS + 1))
    assert run.info.end_time - run.info.start_time == 60_000
    (data,) = run.inputs.dataset_inputs
    assert ("ab" * 32).startswith(data.dataset.digest)
    assert [item.path for item in client.list_artifacts(run.info.run_id, "report/figures")] == [
        "report/figures/curves.png"
    ]


def test_reconstructions_are_images_by_epoch(folder):
    run = recorded()
    assert runs.image_steps(connection.connect(), run.info.run_id) == set(project.PICTURED)
    assert run.data.tags["mlflow.loggedImages"] == "True", "without it the UI shows none"


def test_a_training_that_was_cut_off_and_went_on_later_ended_when_it_ended(folder):
    """Its seconds are those that it computed for; the run also lasts for the pause."""
    path = artifacts.training_folder(project.CATEGORY, project.MODEL) / "run.json"
    client = connection.connect()
    experiment = connection.experiment(client, project.DATASET)
    began = client.get_run(runs.create(client, experiment, files.read_json(path))).info.start_time
    files.write_json(path, files.read_json(path) | {"ended": began / 1000 + 3600})
    run = recorded()
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 3_600_000)
    assert run.data.metrics["training.seconds"] == 60


def test_a_training_recorded_later_from_its_files_has_its_own_times(folder):
    path = artifacts.training_folder(project.CATEGORY, project.MODEL) / "run.json"
    ended = 1_700_000_000
    files.write_json(path, files.read_json(path) | {"ended": ended})
    run = recorded()
    assert (run.info.start_time, run.info.end_time) == ((ended - 60) * 1000, ended * 1000)
    history = connection.connect().get_metric_history(run.info.run_id, "loss")
    last = max(history, key=lambda point: point.step)
    assert (last.step, last.timestamp) == (project.EPOCHS, ended * 1000)
    version = project.version_of(project.register())
    assert version.tags[version_tags.TRAINED] == "2023-11-14 22:13 UTC"


def test_recording_again_writes_nothing(folder):
    first = recorded()
    second = recorded()
    assert first.to_dictionary() == second.to_dictionary()
    assert len(all_runs()) == 1
    assert len(steps(first.info.run_id)) == project.EPOCHS


def test_a_changed_metric_updates_the_same_run(folder, trained):
    before = recorded()
    project.write_pair(trained, f1=0.5)
    after = recorded()
    assert after.info.run_id == before.info.run_id
    assert after.data.metrics["clean.f1"] == 0.5
    assert after.data.tags[runs.CONTENT_HASH] != before.data.tags[runs.CONTENT_HASH]
    assert len(steps(after.info.run_id)) == project.EPOCHS


def test_another_model_of_the_same_settings_is_another_run(folder, tmp_path):
    """A change of code changes the weights; run.json cannot tell."""
    before = recorded()
    project.train_model(artifacts.model_folder(project.CATEGORY, project.MODEL), seed=1)
    assert recorded().info.run_id != before.info.run_id


def test_a_record_that_was_cut_off_is_completed(folder, monkeypatch):
    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "_log_data", die)
        with pytest.raises(KeyboardInterrupt):
            recorded()
    run = recorded()
    assert len(all_runs()) == 1
    assert run.info.status == "FINISHED"
    assert len(run.inputs.dataset_inputs) == 1
    assert steps(run.info.run_id) == list(range(1, project.EPOCHS + 1))
    assert len(connection.connect().list_artifacts(run.info.run_id, "images")) == 2 * len(project.PICTURED)


def test_a_parent_gathers_the_children_and_holds_the_comparison(folder, trained, capsys):
    project.write_params([project.CATEGORY], [project.MODEL, "ni_cae"])
    project.write_pair(trained, model="ni_cae")
    for name in ("paper.md", "paper.html"):
        Path("reports", name).write_text("the report")
    record.record_all()
    children = [run for run in all_runs() if runs.PARENT in run.data.tags]
    (parent,) = [run for run in all_runs() if runs.PARENT not in run.data.tags]
    assert {run.data.tags["model"] for run in children} == {"kd_cae", "ni_cae"}
    assert {run.data.tags[runs.PARENT] for run in children} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    items = connection.connect().list_artifacts(parent.info.run_id)
    assert [item.path for item in items] == ["comparison.md", "paper.html", "paper.md"]
    assert "/#/models/sample-bottle\n" in capsys.readouterr().out

    record.record_all()
    assert len(all_runs()) == 3, "nothing new: no new parent"
    project.write_pair(trained, f1=0.5)
    record.record_all()
    assert len(all_runs()) == 3
    path = connection.connect().download_artifacts(parent.info.run_id, "comparison.md")
    assert "0.5" in Path(path).read_text()


def test_what_has_no_results_yet_is_left_out(folder, capsys):
    project.write_params([project.CATEGORY, "leather"], [project.MODEL])
    record.record_all()
    assert "leather kd_cae: no results yet" in capsys.readouterr().out
    assert len(all_runs()) == 2


def test_the_commit_is_recorded_and_the_pipelines_own_files_do_not_make_it_dirty(folder, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True)

    Path(".gitignore").write_text("mlflow.db*\nmlruns\nartifacts\ndata\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    Path("dvc.lock").write_text(
        "stages:\n  evaluate@bottle-kd_cae:\n    params:\n      params.yaml:\n        x.y: 3\n"
    )
    Path("reports/comparison.md").write_text("new")
    monkeypatch.setattr(lineage, "made_by_these_files", lambda facts: True)
    run = recorded()
    assert re.fullmatch("[0-9a-f]{40}", run.data.tags["mlflow.source.git.commit"])
    assert run.data.tags["mlproject.tree"] == "clean"
    assert run.data.tags["x.y"] == "3", "what the stage ran with, by the lock"
    hashed = run.data.tags["mlproject.lock_hash"]
    made_by = detector_facts.stages_of(project.CATEGORY, project.MODEL)
    with Path("dvc.lock").open("a") as lock:
        lock.write("  register:\n    cmd: python pipelines/register.py\n")
    assert facts.lock_hash(made_by) == hashed, "other stages do not count"
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace("x.y: 3", "x.y: 4"))
    assert facts.lock_hash(made_by) != hashed
    Path("params.yaml").write_text("")
    assert facts.git_tags()["mlproject.tree"] == "dirty"


def test_a_deleted_experiment_is_not_written_to_in_silence(folder):
    client = connection.connect()
    client.delete_experiment(connection.experiment(client, project.DATASET))
    with pytest.raises(UserError, match="mlflow experiments restore"):
        recorded()


def test_a_card_says_whose_labels_chose_the_settings(folder):
    path = artifacts.report_folder(project.CATEGORY, project.MODEL) / "metrics.json"
    told = files.read_json(path) | {"tuned_on_labels": True, "n_labelled_defective": 31}
    before = card.model_card("mvtec", detector_facts.DetectorFacts.read(project.CATEGORY, project.MODEL))
    files.write_json(path, told)
    after = card.model_card("mvtec", detector_facts.DetectorFacts.read(project.CATEGORY, project.MODEL))
    line = "by the labels of half of the test set (31 defective images); all figures are of the other half"
    assert line in after
    assert line not in before


def test_a_card_says_what_the_good_images_were_for(folder):
    """A model without epochs, whose threshold comes from its training images too."""
    report = artifacts.report_folder(project.CATEGORY, project.MODEL) / "metrics.json"
    training = artifacts.training_folder(project.CATEGORY, project.MODEL) / "run.json"
    before = card.model_card("mvtec", detector_facts.DetectorFacts.read(project.CATEGORY, project.MODEL))
    files.write_json(report, files.read_json(report) | {"n_calibration": 28})
    files.write_json(training, files.read_json(training) | {"epochs": 1})
    after = card.model_card("mvtec", detector_facts.DetectorFacts.read(project.CATEGORY, project.MODEL))
    assert "4 more chose the epoch" in before
    assert "from 20 good images, for" in before
    assert "4 more were held out" in after
    said = "(its training images included, each scored as if it were new)"
    assert f"from 28 good images {said}, for" in after
