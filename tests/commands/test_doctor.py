"""`mlproject doctor` finds what is wrong, says what to do, and never fails itself."""

import shutil
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from support import fork_server
from support.download_server import serving

from mlproject.commands import doctor_checks, doctor_stores
from mlproject.core.errors import UserError
from mlproject.tracking import connection

NAMES = [
    "Python",
    "torch and torchvision",
    "cores",
    "GPU",
    "free disk",
    "file system",
    "DVC",
    "MLflow",
    "params.yaml",
    "data",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml as the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def change(section: str, **values: object) -> None:
    """Change keys of a section of the current params.yaml."""
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree[section].update(values)
    Path("params.yaml").write_text(yaml.safe_dump(tree))


def test_every_question_is_answered_even_where_nothing_is_right(tmp_path, monkeypatch):
    """No params.yaml, no .dvc, a Python that starts nothing: answers, not a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    answers = doctor_checks.checks()
    assert list(answers) == NAMES
    for name in ("torch and torchvision", "GPU", "DVC", "MLflow", "params.yaml", "data"):
        assert answers[name].ok is False
        assert answers[name].detail
        assert answers[name].remedy


def raises(error: Exception):
    def question() -> doctor_stores.Answer:
        raise error

    return question


@pytest.mark.parametrize(
    "error", [UserError("what"), OSError("what"), RuntimeError("what"), KeyError("what")]
)
def test_a_question_that_fails_is_an_answer(error):
    answer = doctor_checks.answered(raises(error))
    assert answer.ok is False
    assert "what" in answer.detail


def test_the_python_of_the_stages_must_be_this_one(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: sys.executable)
    assert doctor_checks.python().ok is True
    monkeypatch.setattr(shutil, "which", lambda name: "/elsewhere/bin/python")
    answer = doctor_checks.python()
    assert answer.ok is None
    assert "/elsewhere/bin/python" in answer.detail
    assert "activate" in answer.remedy


def test_a_torchvision_that_dies_at_import_is_found_in_its_own_process(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0+cpu'\n")
    text = "operator torchvision::nms does not exist"
    (tmp_path / "torchvision.py").write_text(f"raise RuntimeError({text!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = doctor_checks.torch_pair(doctor_checks.probe_torch())
    assert answer.ok is False
    assert answer.detail == f"RuntimeError: {text}"
    assert "pip install --force-reinstall torch torchvision" in answer.remedy
    assert "https://download.pytorch.org/whl/cpu" in answer.remedy


@pytest.mark.parametrize(
    ("torch", "torchvision", "ok"),
    [
        ("2.15.0+cu132", "0.29.2+cu132", True),
        ("2.15.0", "0.29.2", True),
        ("2.15.0+cpu", "0.29.2+cu132", None),
    ],
)
def test_builds_of_torch_and_torchvision_are_compared(torch, torchvision, ok):
    assert doctor_checks.torch_pair({"torch": torch, "torchvision": torchvision, "gpu": ""}).ok is ok


def test_no_gpu_is_wrong_only_where_cuda_is_asked_for(project, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor_checks.gpu({"gpu": ""}).ok is True
    change("training", device="cuda")
    assert doctor_checks.gpu({"gpu": ""}).ok is False
    assert doctor_checks.gpu({"gpu": "H100"}).ok is True


def test_little_disk_is_a_reservation(tmp_path, monkeypatch):
    space = namedtuple("Space", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: space(0, 0, 9_900_000_000))
    assert doctor_checks.disk(tmp_path)[:2] == (None, "9.9 GB")


def test_the_file_system_must_tell_upper_from_lower_case(tmp_path, monkeypatch):
    (tmp_path / "mlproject").mkdir()
    assert "missing" in doctor_checks.file_system(tmp_path).detail
    (tmp_path / "MLproject").touch()
    assert doctor_checks.file_system(tmp_path).ok is True
    monkeypatch.setattr(Path, "exists", lambda path: True)  # as a file system without case answers
    answer = doctor_checks.file_system(tmp_path)
    assert answer.ok is None
    assert "dvc repro" in answer.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MLproject", "mlproject"]


def dvc(*arguments: str) -> None:
    subprocess.run([fork_server.programs() / "dvc", "--quiet", *arguments], check=True)


def test_dvc_outside_a_project_is_wrong(project):
    assert "no .dvc" in doctor_stores.dvc(project).detail


def test_dvc_remotes_that_are_folders_must_be_within_reach(project, tmp_path_factory):
    dvc("init", "--no-scm")
    assert doctor_stores.dvc(project).ok is True
    remote = tmp_path_factory.mktemp("remote")
    dvc("remote", "add", "--default", "store", str(remote))
    answer = doctor_stores.dvc(project)
    assert answer.ok is True
    assert str(remote) in answer.detail
    (project / "file").touch()
    dvc("remote", "modify", "store", "url", str(project / "file"))
    answer = doctor_stores.dvc(project)
    assert answer.ok is None
    assert "out of reach" in answer.detail


def test_a_dvc_cache_that_cannot_be_made_is_wrong(project):
    dvc("init", "--no-scm")
    (project / ".dvc" / "cache").touch()
    answer = doctor_stores.dvc(project)
    assert answer.ok is False
    assert "cache" in answer.detail


def test_a_missing_mlflow_database_is_fine_and_is_not_made(tmp_path):
    assert doctor_stores.mlflow(f"sqlite:///{tmp_path}/mlflow.db").ok is True
    assert list(tmp_path.iterdir()) == []


def test_a_broken_mlflow_database_is_found_and_a_good_one_left_as_it_is(tmp_path):
    path = tmp_path / "mlflow.db"
    sqlite3.connect(path).execute("CREATE TABLE runs (id)").connection.close()
    before = path.read_bytes()
    assert doctor_stores.mlflow(f"sqlite:///{path}").ok is True
    assert path.read_bytes() == before
    path.write_text("this is no database, and long enough to have a header that says so" * 10)
    answer = doctor_stores.mlflow(f"sqlite:///{path}")
    assert answer.ok is False
    assert "not a database" in answer.detail


def test_mlflow_servers_are_asked_for_their_health(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(b"OK") as server:
        uri = server.url.removesuffix("/share/download")
        assert doctor_stores.mlflow(uri).ok is True
        server.statuses = [503]
        assert doctor_stores.mlflow(uri).ok is False
    answer = doctor_stores.mlflow(uri.replace("//", "//me:secret@"))
    assert answer.ok is False
    assert "no answer" in answer.detail
    assert "secret" not in answer.detail


@pytest.mark.parametrize(("user", "found"), [("", "asks for a log-in"), ("anna", "refuses")])
def test_a_server_that_wants_another_log_in_is_found(monkeypatch, user, found):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setattr(doctor_stores, "CREDENTIALS", Path("absent"))
    with serving(b"OK") as server:
        server.statuses = [200, 401]
        answer = doctor_stores.mlflow(server.url.removesuffix("/share/download"))
    assert answer.ok is False
    assert found in answer.detail
    assert "MLFLOW_TRACKING_USERNAME" in answer.remedy


def test_the_projects_own_settings_are_right(project):
    tree = yaml.safe_load(Path("params.yaml").read_text())
    counted = f"{len(tree['detectors'])} detectors on {len(tree['categories'])} categories"
    assert doctor_checks.answered(doctor_checks.parameters) == doctor_stores.Answer(True, counted)


@pytest.mark.parametrize(
    ("detectors", "categories", "counted"),
    [
        (["pca"], ["weave"], "1 detector on 1 category"),
        (["pca", "vae"], ["a", "b"], "2 detectors on 2 categories"),
    ],
)
def test_one_is_singular(project, detectors, categories, counted):
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree |= {"detectors": detectors, "categories": categories}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    assert doctor_checks.parameters().detail == counted


def test_a_setting_that_does_not_exist_is_named_with_the_nearest(project):
    change("threshold", false_alarm_rat=0.1)
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is False
    assert "Did you mean false_alarm_rate?" in answer.detail


@pytest.mark.parametrize(
    ("section", "changed", "said"),
    [
        ("tune", {"trials": -1}, "params.yaml: tune.trials is -1"),
        ("promote", {"margn": 0.1}, "Did you mean margin?"),
        ("generators", {"dcgan": {"latent": -5}}, "generators.dcgan"),
        ("studies", {"light": {"modls": []}}, "studies.light"),
    ],
)
def test_every_section_is_looked_at(project, section, changed, said):
    change(section, **changed)
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is False
    assert said in answer.detail


def test_whether_tunings_count_is_true_or_false(project):
    tree = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(tree | {"tuned": "maybe"}))
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is False
    assert "tuned is 'maybe'. Allowed: true, false" in answer.detail


def test_a_key_that_nothing_reads_is_a_reservation(project):
    tree = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(tree | {"detektors": ["pca"]}))
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is None
    assert "detektors is not known. Did you mean detectors?" in answer.detail


def test_settings_of_a_model_that_does_not_exist_are_named(project):
    change("models", kd_cea={})
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is False
    assert "Did you mean kd_cae?" in answer.detail


def test_a_detector_without_settings_is_named(project):
    tree = yaml.safe_load(Path("params.yaml").read_text())
    del tree["models"]["ni_cae"]
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    answer = doctor_checks.answered(doctor_checks.parameters)
    assert answer.ok is False
    assert "detectors: ni_cae" in answer.detail


def test_data_is_here_or_can_be_brought_here(project):
    categories = yaml.safe_load(Path("params.yaml").read_text())["categories"]
    assert doctor_checks.data().ok is True  # the sample
    change("data", source="mvtec", accept_licence=False)
    assert "licence" in doctor_checks.data().detail
    change("data", source="mvtec", accept_licence=True)
    assert doctor_checks.data().ok is None
    change("data", source="folder", path="photos")
    (project / "photos" / categories[0] / "train" / "good").mkdir(parents=True)
    answer = doctor_checks.data()
    assert (answer.ok, answer.detail) == (False, f"photos lacks {categories[1]}")
    for name in categories:
        (project / "data/raw" / name / "train/good").mkdir(parents=True)
    assert doctor_checks.data().ok is False, "the next run takes photos, not data/raw"
    change("data", source="folder", path=f"photos/{categories[0]}")
    tree = yaml.safe_load(Path("params.yaml").read_text()) | {"categories": categories[:1]}
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    assert doctor_checks.data().ok is True, "a category's own folder"
    change("data", source="sample", path="photos")
    assert doctor_checks.data().ok is True


def test_a_project_without_git_is_told_that_dvc_fails_and_both_ways_out_work(project):
    dvc("init", "--no-scm")
    shutil.copytree(
        ROOT / ".dvc", project / ".dvc", dirs_exist_ok=True, ignore=shutil.ignore_patterns("cache", "tmp")
    )
    (project / "dvc.yaml").write_text("stages:\n  nothing:\n    cmd: 'true'\n")
    answer = doctor_stores.dvc(project)
    assert answer.ok is False
    assert "no git repository" in answer.detail
    assert "git init" in answer.remedy
    command = [fork_server.programs() / "dvc", "repro"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode != 0, "dvc works here: nothing to be told"
    dvc("config", "core.no_scm", "true")
    assert doctor_stores.dvc(project).ok is True
    subprocess.run(command, capture_output=True, check=True)
    dvc("config", "--unset", "core.no_scm")
    subprocess.run(["git", "init", "-q"], check=True)
    assert doctor_stores.dvc(project).ok is True
    subprocess.run(command, capture_output=True, check=True)


def test_an_empty_database_is_noted_and_made_again(project):
    Path("mlflow.db").touch()
    answer = doctor_stores.mlflow("sqlite:///mlflow.db")
    assert answer.ok is None
    assert "is empty" in answer.detail
    connection.create_database(Path("mlflow.db").absolute())
    with sqlite3.connect("mlflow.db") as database:
        assert database.execute("select count(*) from experiments").fetchone() == (1,)
