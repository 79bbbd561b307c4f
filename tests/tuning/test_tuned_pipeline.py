"""`tuned: true`, run by DVC: what a study found reruns its own pair, and comes from git alone."""

import json

import pytest
import yaml
from support.pipeline_project import Project

from mlproject.core import artifacts

FAR = 0.15


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with a category and two models that train in a second, whose pipeline has run once."""
    made = Project(tmp_path_factory.mktemp("tuned"))
    made.edit(lambda tree: tree.update(categories=["disc"], detectors=["pca", "patch_kde"]))
    made.edit(lambda tree: tree.update(generators_used=[], studies_used=[]))
    made.edit(lambda tree: tree["tune"].update(trials=3))
    made.call("dvc", "repro", "compare")
    return made


def of_pairs(stages):
    """Return the stages but those that gather all pairs."""
    return {stage for stage in stages if "@" in stage}


def tuned_file(project):
    return project.folder / artifacts.tuned_file("disc", "pca")


def write(project, **changes):
    """Write what a study might have found."""
    settings = yaml.safe_load((project.folder / "params.yaml").read_text())["models"]["pca"]
    tree = {"study": {}, "threshold": {"false_alarm_rate": FAR}, "settings": settings | changes}
    tuned_file(project).parent.mkdir(parents=True, exist_ok=True)
    tuned_file(project).write_text(yaml.safe_dump(tree))


def test_a_tuned_file_is_not_read_before_it_is_asked_for(project):
    write(project, components=5)
    assert project.repro("settings") == {"settings"}
    assert not of_pairs(project.changed())


def test_tuned_reruns_the_pair_that_was_tuned_and_no_other(project):
    project.edit(lambda tree: tree.update(tuned=True))
    project.repro("settings")
    reruns = {f"{stage}@disc-pca" for stage in ("train", "score", "evaluate")}
    assert of_pairs(project.changed()) == reruns
    assert of_pairs(project.repro("evaluate@disc-pca")) == reruns
    run = json.loads((project.folder / "artifacts/disc/pca/training/run.json").read_text())
    assert run["settings"]["components"] == 5
    threshold = json.loads((project.folder / "artifacts/disc/pca/scores/threshold.json").read_text())
    assert threshold["false_alarm_rate_asked"] == FAR


def test_another_threshold_trains_nothing(project):
    tree = yaml.safe_load(tuned_file(project).read_text())
    tuned_file(project).write_text(yaml.safe_dump(tree | {"threshold": {"false_alarm_rate": 0.2}}))
    project.repro("settings")
    changed = of_pairs(project.changed())
    assert "score@disc-pca" in changed
    assert not {stage for stage in changed if stage.startswith("train")}


def test_a_tuned_pipeline_comes_back_from_git_alone(project, tmp_path):
    model = (project.folder / "artifacts/disc/pca/model/weights.safetensors").read_bytes()
    project.call("git", "add", "-A", ":!photos")
    project.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "tuned")
    project.call("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = object.__new__(Project)
    clone.folder = tmp_path / "clone"
    (clone.folder / "photos").exists() or (clone.folder / "photos").symlink_to(project.folder / "photos")
    clone.call("dvc", "repro", "train@disc-pca")
    assert (clone.folder / "artifacts/disc/pca/model/weights.safetensors").read_bytes() == model


def test_a_key_that_is_none_names_the_nearest(project):
    kept = tuned_file(project).read_text()
    write(project, componets=5)
    try:
        printed = project.call("dvc", "repro", "settings", check=False)
    finally:
        tuned_file(project).write_text(kept)
    assert "data/tuned/disc/pca.yaml: settings.componets is not known. Did you mean components?" in printed
    assert "Traceback" not in printed


def test_settings_chosen_by_labels_are_evaluated_on_the_images_whose_labels_they_have_not_seen(project):
    kept = tuned_file(project).read_text()
    prepared = json.loads((project.folder / "data/prepared/disc/prepared.json").read_text())
    study = {"objective": "labelled", "data_hash": prepared["data_hash"], "split_seed": 0}
    tree = yaml.safe_load(kept)
    try:
        tuned_file(project).write_text(yaml.safe_dump(tree | {"study": study}))
        project.repro("compare")
        found = json.loads((project.folder / "reports/categories/disc/pca/metrics.json").read_text())
        assert (found["tuned_on_labels"], found["supervised"]) == (True, False)
        assert (found["n_good"], found["n_defective"], found["n_labelled_defective"]) == (3, 3, 3)
        assert found["auroc"] == found["held_out"]["auroc"]
        assert "Tuned on labels: " in (project.folder / "reports/comparison.md").read_text()
        tuned_file(project).write_text(yaml.safe_dump(tree | {"study": study | {"split_seed": 1}}))
        printed = project.call("dvc", "repro", "score@disc-pca", check=False)
        assert "no half is known to be unseen" in printed
    finally:
        tuned_file(project).write_text(kept)
    project.repro("evaluate@disc-pca")
    found = json.loads((project.folder / "reports/categories/disc/pca/metrics.json").read_text())
    assert (found["tuned_on_labels"], found["n_good"]) == (False, 6)


def test_the_stage_tune_is_off_and_on_by_one_parameter(project):
    """On, its study decides what the pair trains with in the same `dvc repro`."""
    assert not {stage for stage in project.changed() if stage.startswith("tune")}
    project.edit(lambda tree: tree.update(models_tuned=["pca"]))
    assert {"tune@disc-pca", "train@disc-pca"} <= project.repro("train@disc-pca")
    written = yaml.safe_load(tuned_file(project).read_text())
    run = json.loads((project.folder / "artifacts/disc/pca/training/run.json").read_text())
    assert written["study"]["complete"] + written["study"]["failed"] == 3
    assert run["settings"] == written["settings"]
    assert not {stage for stage in project.changed() if stage.startswith(("tune", "train"))}
    project.edit(lambda tree: tree["tune"].update(trials=4))
    printed = project.call("dvc", "repro", "tune@disc-pca")
    assert "trial 3  4/4" in printed, "three trials are kept, one is added"
