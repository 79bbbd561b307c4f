"""The pipeline, run for real by DVC in a clone: what runs when, what is recorded, what comes back."""

import json
import sqlite3

import pytest
import yaml
from PIL import Image
from support.pipeline_project import Project, write_category

ALWAYS = {"register"}
MODELS = ("kd_cae", "pca")  # one that learns by epochs, one that does not; test_stages.py has all
PAIR_STAGES = ("train", "score", "evaluate")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone whose pipeline has run once, for a category with two models."""
    made = Project(tmp_path_factory.mktemp("project"))
    made.edit(lambda tree: tree.update(categories=["disc"], detectors=list(MODELS)))
    made.edit(lambda tree: tree.update(generators_used=[], studies_used=[]))
    made.first = made.repro()
    return made


def append_comment(files):
    for file in files:
        file.write_text(file.read_text() + "\n# changed\n")


def versions(project):
    with sqlite3.connect(project.folder / "mlflow.db") as database:
        return database.execute("select name, version from model_versions").fetchall()


def test_first_run_runs_every_stage_and_leaves_a_table(project):
    expected = {"ingest", "prepare@disc", "shortcuts@disc", "settings", "compare", "report", "register"}
    expected |= {f"{stage}@disc-{model}" for stage in PAIR_STAGES for model in MODELS}
    assert project.first == expected
    rows = json.loads((project.folder / "reports/comparison.json").read_text())
    assert [(row["category"], row["model"]) for row in rows] == [("disc", model) for model in MODELS]
    text = (project.folder / "reports/comparison.md").read_text()
    assert all(name in text for name in ("disc", *MODELS))


def test_one_version_a_pair_is_registered(project):
    assert versions(project) == [("photos-disc", 1), ("photos-disc", 2)]


def test_second_run_runs_nothing_but_the_record_and_makes_no_version(project):
    before = versions(project)
    assert project.repro() == ALWAYS
    assert versions(project) == before


def test_a_models_parameter_reruns_that_model_only(project):
    with project.edited("params.yaml"):
        project.edit(lambda tree: tree["models"]["kd_cae"].update(bandwidth=0.3))
        project.repro("settings")
        assert project.changed() - ALWAYS == {f"{stage}@disc-kd_cae" for stage in PAIR_STAGES}
    project.repro("settings")


def test_a_metrics_parameter_reruns_the_evaluation_alone(project):
    with project.edited("params.yaml"):
        project.edit(lambda tree: tree["evaluate"].update(aupro_limit=0.2))
        assert {stage.split("@")[0] for stage in project.changed() - ALWAYS} == {"evaluate"}


def test_a_metrics_code_retrains_and_rescores_nothing(project):
    with project.edited("mlproject/evaluation/metrics.py", "mlproject/evaluation/pixel_metrics.py") as files:
        append_comment(files)
        found = {stage.split("@")[0] for stage in project.changed() - ALWAYS}
        assert found == {"evaluate", "shortcuts", "compare"}


def test_one_models_file_reruns_that_model_only(project):
    with project.edited("mlproject/models/pca.py") as files:
        append_comment(files)
        assert project.changed() - ALWAYS == {"train@disc-pca", "score@disc-pca"}


def test_a_training_that_came_out_equal_reruns_nothing_after_it(project):
    with project.edited("mlproject/models/pca.py") as files:
        append_comment(files)
        assert "train@disc-pca" in project.repro("evaluate@disc-pca")
        assert "evaluate@disc-pca" not in project.changed()
    project.repro("evaluate@disc-pca")


def test_generators_and_studies_can_be_switched_on_and_off(project):
    with project.edited("params.yaml"):
        project.edit(lambda tree: tree.update(generators_used=["dcgan"], studies_used=["noise"]))
        added = {"generate@disc-dcgan", "study@disc-noise", "report"}
        assert project.changed() - ALWAYS == added
    assert project.changed() == ALWAYS


def test_one_changed_image_reprepares_its_category_only(project):
    name = "photos/disc/train/good/003.png"
    with project.edited(name, "params.yaml", "dvc.lock") as (photo, *_):
        project.edit(lambda tree: tree.update(categories=["disc", "plate"]))
        project.repro("prepare@plate")
        Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photo)
        project.repro("ingest")
        changed = {stage for stage in project.changed() if stage.startswith("prepare")}
        assert changed == {"prepare@disc"}
    project.repro("ingest")


def test_tracking_code_is_no_dependency(project):
    with project.edited("mlproject/tracking/runs.py") as files:
        append_comment(files)
        assert project.changed() == ALWAYS


def test_pushed_results_come_back_in_another_clone(project, tmp_path):
    remote = tmp_path / "remote"
    project.call("dvc", "remote", "add", "--force", "--default", "store", str(remote))
    project.call("dvc", "push", "-q")
    project.call("git", "add", "-A")
    project.call("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "results")
    project.call("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = object.__new__(Project)
    clone.folder = tmp_path / "clone"
    clone.call("dvc", "pull", "-q")
    original = (project.folder / "data/raw/disc/train/good/003.png").read_bytes()
    assert (clone.folder / "data/raw/disc/train/good/003.png").read_bytes() == original
    assert clone.repro() == ALWAYS  # an empty registry is filled, nothing is trained again
    assert versions(clone) == versions(project)


def test_lock_names_the_images(project):
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())
    raw = {out["path"]: out for out in lock["stages"]["ingest"]["outs"]}["data/raw"]
    assert raw["nfiles"] == 40 + 6 + 6 + 6
    assert raw["md5"].endswith(".dir")


def test_a_users_mistake_is_a_line_of_text_and_exit_code_2(project, tmp_path):
    write_category(tmp_path / "photos" / "disc", 3, n_train=30)
    (tmp_path / "photos/disc/train/good/002.png").write_bytes(b"no image")
    old = (project.folder / "params.yaml").read_text()
    try:
        project.edit(
            lambda tree: (
                tree["data"].update(path=str(tmp_path / "photos")) or tree.update(categories=["disc"])
            )
        )
        printed = project.call("dvc", "repro", "prepare@disc", check=False)
    finally:
        (project.folder / "params.yaml").write_text(old)
    assert "002.png" in printed
    assert "Traceback" not in printed
    assert "exit" in printed or "failed" in printed
