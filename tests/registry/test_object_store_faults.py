"""A store that speaks S3 and refuses or is away: one line that says what to set, nothing half-written."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import support.tracked_project as project
from PIL import Image
from support import object_store
from support.object_store import BUCKET, FOREIGN, ObjectStore

from mlproject.commands import doctor_stores
from mlproject.data import buckets
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
AWAY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9"}
FAULTS = {  # what is set wrongly, and what is said
    "no key": (NOBODY, "gets no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    "wrong key": (
        {"AWS_ACCESS_KEY_ID": "AKIAWRONG"},
        "does not know the access key: correct AWS_ACCESS_KEY_ID",
    ),
    "wrong secret": (
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        "refuses the secret key: correct AWS_SECRET_ACCESS_KEY",
    ),
    "away": (AWAY, "does not answer: start it, or correct"),
}
COMMANDS = {
    "predict": ["predict", "bottle/1", "a.png", "--out", "results.csv"],
    "promote": ["promote", "bottle", "--version", "1", "--force", "--why", "a test"],
    "register": ["register"],
}


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store.running() as started:
        yield started


@pytest.fixture
def shell(store, tmp_path, monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of somebody whose keys are right, to be changed, in a process without a client yet."""
    _set(monkeypatch, store, tmp_path)
    buckets.client.cache_clear()
    yield monkeypatch
    buckets.client.cache_clear()


def _set(patch: pytest.MonkeyPatch, store: ObjectStore, home: Path) -> None:
    own = {"MLFLOW_S3_ENDPOINT_URL": store.url, "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    for name, value in (store.keys | own | {"HOME": str(home)}).items():
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def kept_in_s3(store, shared_folder) -> Path:
    """A project whose record keeps its files in the store, which is asked without a server in between."""
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, store, shared_folder)
        connection.connect().create_experiment(project.DATASET, f"s3://{BUCKET}/mlflow")
        project.register()
    Image.new("RGB", (40, 40)).save(shared_folder / "a.png")
    return shared_folder


def forget_clients(patch: pytest.MonkeyPatch) -> None:
    """Undo what keeps the first client of a process: MLflow's cache, and boto3's session."""
    import boto3
    from mlflow.store.artifact import s3_artifact_repo

    s3_artifact_repo._cached_get_s3_client.cache_clear()
    patch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_mlflows_files_out_of_reach_are_one_line_and_nothing_is_written(
    kept_in_s3, shell, mlproject, fault, command
):
    changes, message = FAULTS[fault]
    forget_clients(shell)
    for name, value in changes.items():
        shell.setenv(name, value)
    code, out, err = mlproject(*COMMANDS[command])
    assert code == 2, out + err
    assert "Traceback" not in out + err
    assert f"are in an S3 store that {message}" in out + err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert not Path("results.csv").exists()
    client = connection.connect()
    assert len(client.search_model_versions("")) == 1
    assert client.get_registered_model("sample-bottle").aliases == {}


def test_a_bucket_that_is_not_there_is_no_reason_to_register_again(kept_in_s3, shell, mlproject):
    forget_clients(shell)
    shutil.copy("mlflow.db", "mlflow.db.kept")
    with sqlite3.connect("mlflow.db") as database:
        for table, column in (("logged_models", "artifact_location"), ("model_versions", "storage_location")):
            moved = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            database.execute(moved, (f"s3://{BUCKET}", "s3://gone"))
    try:
        for command in COMMANDS.values():
            code, out, err = mlproject(*command)
            assert code == 2
            assert "S3 store that has no such bucket: correct the bucket's name, or MLFLOW_S3" in out + err
    finally:
        shutil.move("mlflow.db.kept", "mlflow.db")


@pytest.mark.parametrize("url", [f"s3://{BUCKET}/x", f"s3://{BUCKET}"])
def test_a_bucket_that_answers_is_no_fault(shell, url):
    buckets.check(url)


@pytest.mark.parametrize(
    ("url", "changes", "said"),
    [(f"s3://{BUCKET}/x", *fault) for fault in FAULTS.values()]
    + [
        ("s3://gone/x", {}, "has no such bucket"),
        (f"s3://{FOREIGN}/x", {}, "denies this key access"),
        ("s3://no bucket", {}, "Invalid bucket name"),
        (f"s3://{BUCKET}", {"AWS_ENDPOINT_URL": "no address"}, "or correct AWS_ENDPOINT_URL (no address)"),
    ],
)  # fmt: skip
def test_a_buckets_fault_says_what_to_set(shell, url, changes, said):
    for name, value in changes.items():
        shell.setenv(name, value)
    with pytest.raises(buckets.BucketFault) as raised:
        buckets.check(url)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_doctor_asks_dvcs_remote(shell, store):
    pytest.importorskip("dvc_s3")
    config = {"remote.store.url": f"s3://{BUCKET}/dvc", "remote.store.endpointurl": store.url}
    shell.delenv("AWS_ENDPOINT_URL")
    assert doctor_stores._s3_remote("store", config, "3.67").ok is True
    wrong = config | {
        "remote.store.secret_access_key": "wrong",
        "remote.store.access_key_id": store.keys["AWS_ACCESS_KEY_ID"],
    }
    answer = doctor_stores._s3_remote("store", wrong, "3.67")
    assert answer.ok is False
    assert f"s3://{BUCKET}/dvc: its S3 store refuses the secret key" in answer.detail
    answer = doctor_stores._s3_remote(
        "store", config | {"remote.store.endpointurl": "http://127.0.0.1:9"}, "3.67"
    )
    assert "does not answer: start it, or correct `dvc remote modify store endpointurl`" in answer.detail
