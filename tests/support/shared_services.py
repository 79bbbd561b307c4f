"""Services of compose.yaml without containers: PostgreSQL, an S3 store and MLflow with its log-in."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from support import fork_server, postgresql
from support.mlflow_server import free_port, stop

BUCKETS = ("mlflow", "dvc")
DATABASES = ("mlflow", "mlflow_auth", "optuna")
ADMIN = ("admin", "password-of-the-admin")
PEOPLE = {"anna": "password-of-anna", "ben": "password-of-ben", "line": "password-of-line"}
TRAINERS = ("anna", "ben")  # the others only use models
KEYS = {"AWS_ACCESS_KEY_ID": "dvc", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Services:
    """Running services.

    Attributes:
        database: URL of PostgreSQL's database `postgres`.
        s3: URL of the S3 store.
        mlflow: URL of the MLflow server.
        processes: of the S3 store and of MLflow, to be killed.
    """

    folder: Path
    database: str
    s3: str = ""
    mlflow: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"{self.database.rpartition('/')[0]}/{database}"

    def person(self, name: str) -> dict[str, str]:
        """Return what somebody sets in the shell, as docs/shared-services.md says."""
        return {
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": PEOPLE[name],
            "MLPROJECT_STUDY_STORAGE": self.url("optuna"),
            "AWS_ENDPOINT_URL": self.s3,
            **KEYS,
        }

    def rows(self, statement: str, database: str = "mlflow") -> list[tuple]:
        """Return what a query finds."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []

    def objects(self) -> dict[str, int]:
        """Return bucket → how many objects it holds."""
        store = self.bucket_store()
        pages = store.get_paginator("list_objects_v2")
        return {b: sum(page["KeyCount"] for page in pages.paginate(Bucket=b)) for b in BUCKETS}

    def bucket_store(self):
        """Return a client of the S3 store."""
        import boto3

        own = {"aws_access_key_id": "mlflow", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.s3, **own)

    def counts(self) -> dict[str, object]:
        """Return how much of everything there is: what a restored back-up must have."""
        tables = ("experiments", "runs", "metrics", "params", "tags", "registered_models", "model_versions")
        found: dict[str, object] = {
            f"{name}": self.rows(f"select count(*) from {name}")[0][0] for name in tables
        }
        found["aliases"] = self.rows(
            "select name, alias, version from registered_model_aliases order by 1, 2"
        )
        found["users"] = self.rows("select count(*) from users", "mlflow_auth")[0][0]
        if self.rows("select to_regclass('trials')", "optuna")[0][0]:
            found["trials"] = self.rows("select count(*) from trials", "optuna")[0][0]
        return found | self.objects()

    def start_s3(self) -> None:
        """Start an S3 store that holds nothing."""
        port = int(self.s3.rpartition(":")[2] or 0) if self.s3 else free_port()
        command = ["python", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.processes["s3"] = self._start("s3", command, {})
        self.s3 = f"http://127.0.0.1:{port}"
        _wait(f"{self.s3}/moto-api/")
        for name in BUCKETS:
            self.bucket_store().create_bucket(Bucket=name)

    def start_mlflow(self) -> None:
        """Start MLflow as compose.yaml does, with one worker."""
        ini = self.folder / "basic_auth.ini"
        ini.write_text(
            "[mlflow]\ndefault_permission = READ\n"
            f"database_uri = {self.url('mlflow_auth')}\nadmin_username = {ADMIN[0]}\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        environment = {
            "MLFLOW_BACKEND_STORE_URI": self.url("mlflow"),
            "MLFLOW_AUTH_CONFIG_PATH": str(ini),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_S3_ENDPOINT_URL": self.s3,
            "AWS_ACCESS_KEY_ID": "mlflow",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_MAX_ATTEMPTS": "1",  # where the store is away, a test need not wait for more
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        port = int(self.mlflow.rpartition(":")[2]) if self.mlflow else free_port()
        command = ["mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--artifacts-destination", "s3://mlflow"]
        command += ["--allowed-hosts", "127.0.0.1:*,localhost:*"]  # as compose.yaml
        self.processes["mlflow"] = self._start("mlflow", command, environment)
        self.mlflow = f"http://127.0.0.1:{port}"
        _wait(f"{self.mlflow}/health")

    def add_people(self) -> None:
        """Make the accounts, and the role of those who train, as docs/shared-services.md says."""
        trainers = self._ask("roles/create", {"workspace": "default", "name": "trainers"})["role"]["id"]
        for kind in ("experiment", "registered_model"):
            grant = {"resource_type": kind, "resource_pattern": "*", "permission": "MANAGE"}
            self._ask("roles/permissions/add", {"role_id": trainers, **grant})
        for name, password in PEOPLE.items():
            self._ask("users/create", {"username": name, "password": password})
            if name in TRAINERS:
                self._ask("roles/assign", {"username": name, "role_id": trainers})

    def kill(self, *names: str) -> None:
        """Kill services, as a power cut would; the S3 store forgets all that it held."""
        for name in names:
            stop(self.processes.pop(name))

    def _ask(self, route: str, body: dict[str, object]) -> dict:
        version = "2.0" if route.startswith("users") else "3.0"
        answer = requests.post(
            f"{self.mlflow}/api/{version}/mlflow/{route}", json=body, auth=ADMIN, timeout=20
        )
        assert answer.ok, answer.text
        return answer.json()

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        own = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "AWS_"))}
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [fork_server.programs() / command[0], *command[1:]],
                cwd=self.folder,
                env=own | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _wait(url: str) -> None:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=120, backoff_factor=0.5, backoff_max=0.5)))
    assert session.get(url, timeout=10).status_code == 200


@contextmanager
def running(folder: Path, backup: Path | None = None) -> Iterator[Services]:
    """Start all services, empty or with what a back-up holds; they end with the block, and their data too."""
    for module in ("moto", "boto3", "flask_wtf", "s3fs"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[dev,services]'")
    with ExitStack() as stack:
        services = Services(folder, stack.enter_context(postgresql.server()))
        stack.callback(lambda: services.kill(*list(services.processes)))
        for name in DATABASES:
            services.rows(f"create database {name}", "postgres")
        services.start_s3()
        if backup:
            restore(services, backup)
        services.start_mlflow()
        if not backup:
            services.add_people()
        yield services


def back_up(services: Services, into: Path) -> None:
    """Copy the databases, then the buckets: files are added before rows refer to them, never changed."""
    import s3fs

    for name in DATABASES:
        _postgresql("pg_dump", services.url(name), "--format=custom", f"--file={into / name}.dump")
    store = s3fs.S3FileSystem(endpoint_url=services.s3, key="mlflow", secret="secret")
    for bucket in BUCKETS:
        (into / bucket).mkdir()
        if store.ls(bucket):
            store.get(f"{bucket}/", f"{into / bucket}/", recursive=True)


def restore(services: Services, backup: Path) -> None:
    """Bring a back-up into services that hold nothing, before MLflow starts."""
    import s3fs

    for name in DATABASES:
        _postgresql("pg_restore", services.url(name), "--no-owner", str(backup / f"{name}.dump"))
    store = s3fs.S3FileSystem(endpoint_url=services.s3, key="mlflow", secret="secret")
    for bucket in BUCKETS:
        if any((backup / bucket).iterdir()):
            store.put(f"{backup / bucket}/", f"{bucket}/", recursive=True)


def _postgresql(program: str, url: str, *arguments: str) -> None:
    """Run a client program of PostgreSQL on a database."""
    command = [postgresql.binaries() / program, "-d", url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
