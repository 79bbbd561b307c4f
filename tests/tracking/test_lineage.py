"""Where a version comes from: the commit that it was trained at, or the one its code was committed with."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import support.tracked_project as project
import yaml
from support import fork_server

from mlproject.core import artifacts, files
from mlproject.tracking import connection, facts, lineage, runs
from mlproject.tracking.detector_facts import DetectorFacts

pytest_plugins = ["support.tracked_project"]
CODE = Path("mlproject/models/kd_cae.py")
CLEAN = {"mlflow.source.git.commit": "a" * 40, "mlproject.tree": "clean"}
DIRTY = CLEAN | {"mlproject.tree": "dirty"}


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def committed(folder):
    """Code, settings and a dvc.lock that says that the model was made by them; all committed."""
    CODE.parent.mkdir(parents=True)
    CODE.write_text("# the model\n")
    known = project.facts()
    prepared = artifacts.PREPARED / project.CATEGORY / "prepared.json"
    files.write_json(prepared, files.read_json(prepared) | {"data_hash": known["data_hash"]})
    md5 = hashlib.md5(CODE.read_bytes(), usedforsecurity=False).hexdigest()
    settings = artifacts.settings_file(project.CATEGORY, project.MODEL)
    files.write_json(settings, {"source": "params.yaml: models.kd_cae", "settings": known["settings"]})
    deps = [
        {"path": CODE.as_posix(), "md5": md5},
        {"path": settings.as_posix(), "md5": hashlib.md5(settings.read_bytes()).hexdigest()},
        {"path": "data/prepared/bottle", "md5": "x.dir"},
    ]
    given = yaml.safe_load(Path("params.yaml").read_text())
    given["models"]["kd_cae"] = known["settings"]
    Path("params.yaml").write_text(yaml.safe_dump(given | {"split": known["split"], "seed": 0}))
    used = {"split": known["split"], "seed": 0}
    threshold = artifacts.threshold_settings_file(project.CATEGORY, project.MODEL)
    files.write_json(threshold, given["threshold"])
    stages = {
        name: {"deps": deps, "params": {"params.yaml": values}}
        for name, values in (
            ("prepare@bottle", {"prepare": given["prepare"]}),
            ("settings", {"threshold": given["threshold"], "models": given["models"]}),
            ("train@bottle-kd_cae", used),
            ("score@bottle-kd_cae", used),
        )
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    Path(".gitignore").write_text("mlflow.db*\nmlruns\nartifacts\ndata\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "the model")
    return DetectorFacts.read(project.CATEGORY, project.MODEL)


def found(facts, run, known=None):
    values = lineage.of_version(facts, "run", run, known or {})
    return values.get("git_commit"), values.get("git_tree")


def test_a_clean_training_keeps_its_commit(committed):
    assert found(committed, CLEAN) == ("a" * 40, "clean")


def test_who_commits_after_training_has_that_commit(committed):
    assert found(committed, DIRTY) == (git("rev-parse", "HEAD"), "clean")


def test_a_clean_commit_once_known_stands(committed):
    known = {"git_commit": "b" * 40, "git_tree": "clean", "lock_hash": "c" * 64}
    assert found(committed, DIRTY, known) == ("b" * 40, "clean")
    assert lineage.of_version(committed, "run", DIRTY, known)["lock_hash"] == "c" * 64


@pytest.mark.parametrize("what", ["code", "lock", "settings", "data"])
def test_a_commit_of_other_code_settings_or_data_is_not_taken(committed, what):
    if what == "code":
        CODE.write_text("# another model\n")
    elif what == "settings":
        path = artifacts.settings_file(project.CATEGORY, project.MODEL)
        files.write_json(path, {"source": "data/tuned", "settings": {}})
    elif what == "lock":
        Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace("seed: 0", "seed: 1"))
    else:
        path = artifacts.PREPARED / project.CATEGORY / "prepared.json"
        files.write_json(path, files.read_json(path) | {"data_hash": "cd" * 32})
    git("commit", "-qam", "later", "--allow-empty")
    assert found(committed, DIRTY) == ("a" * 40, "dirty")


@pytest.mark.parametrize(
    ("key", "trained_with"),
    [
        ("seed", 7),
        ("split", {"validation_share": 0.3, "calibration": "half", "folds": 4}),
        ("prepare", {"image_size": 40}),
        ("threshold", {"false_alarm_rate": 0.2, "strict": True}),
        ("settings", project.settings() | {"latent_channels": 9}),
    ],
)
def test_settings_that_were_taken_back_after_the_training_are_not_the_commits(committed, key, trained_with):
    """Trained with an uncommitted edit; `git checkout params.yaml`; registered: the tree was never clean."""
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    for entry in lock["stages"].values():
        used = entry["params"]["params.yaml"]
        used |= {key: trained_with} if key in used else {}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    recorded = artifacts.training_folder(project.CATEGORY, project.MODEL) / "run.json"
    if key in ("seed", "split", "settings"):
        files.write_json(recorded, files.read_json(recorded) | {key: trained_with})
    if key == "threshold":
        files.write_json(artifacts.threshold_settings_file(project.CATEGORY, project.MODEL), trained_with)
    if key == "settings":
        settings = artifacts.settings_file(project.CATEGORY, project.MODEL)
        before = hashlib.md5(settings.read_bytes()).hexdigest()
        files.write_json(settings, files.read_json(settings) | {"settings": trained_with})
        after = hashlib.md5(settings.read_bytes()).hexdigest()
        Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace(before, after))
    facts = DetectorFacts.read(project.CATEGORY, project.MODEL)
    assert found(facts, DIRTY) == ("a" * 40, "dirty")
    assert lineage.tags_from_files(facts)["mlproject.tree"] == "dirty"


def test_a_folders_hash_is_dvcs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("code/b.py", "code/a/c.py", "code/a/é.py", "code/__pycache__/b.pyc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    Path(".dvcignore").write_text("__pycache__\n")
    for command in (["init", "--no-scm", "-q"], ["add", "-q", "code"]):
        subprocess.run([fork_server.programs() / "dvc", *command], check=True)
    assert facts.dvc_md5(Path("code")) == yaml.safe_load(Path("code.dvc").read_text())["outs"][0]["md5"]


@pytest.mark.parametrize("trained_with", ["these files", "an edit that was taken back"])
def test_a_run_made_from_files_has_a_clean_tree_only_if_they_made_it(committed, trained_with):
    """A short training is recorded by `register`, when another tree may lie here."""
    if trained_with != "these files":
        lock = Path("dvc.lock")
        lock.write_text(lock.read_text().replace(hashlib.md5(CODE.read_bytes()).hexdigest(), "e" * 32))
    run = (
        connection.connect().get_run(runs.record(project.DATASET, project.CATEGORY, project.MODEL)).data.tags
    )
    tree = "clean" if trained_with == "these files" else "dirty"
    assert (run["mlflow.source.git.commit"], run["mlproject.tree"]) == (git("rev-parse", "HEAD"), tree)
    assert found(committed, run) == (git("rev-parse", "HEAD"), tree)


def test_uncommitted_changes_stay_dirty(committed):
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# changed\n")
    assert found(committed, DIRTY) == ("a" * 40, "dirty")


def test_a_name_that_is_not_utf_8_is_an_uncommitted_change(committed):
    git("config", "core.quotepath", "false")
    Path(os.fsdecode(b"caf\xe9.txt")).touch()
    assert facts.git_tags()["mlproject.tree"] == "dirty"


def test_without_git_and_lock_nothing_is_made_up(folder):
    values = lineage.of_version(DetectorFacts.read(project.CATEGORY, project.MODEL), "run", {}, {})
    assert not {"git_commit", "git_tree", "lock_hash"} & values.keys()
    assert values["seed"] == "0"


def test_the_parameters_are_all_that_the_stages_ran_with(committed):
    text = lineage.parameters_json(committed)
    parameters = yaml.safe_load(text)
    assert parameters["settings.latent_channels"] == 4
    assert parameters["threshold.strict"] is False
    assert not any(name.startswith("models") for name in parameters), "settings of other models, and twice"
    assert len(text) < lineage.LIMIT
