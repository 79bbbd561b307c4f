"""Connection to MLflow's store: its address, its database, its experiments, and whether it answers."""

import fcntl
import getpass
import hashlib
import logging
import os
import re
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.core.files import written_file
from mlproject.tracking import sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Before mlflow is imported: it reads some of them then.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # An absent server must cost seconds, not the four minutes of MLflow's defaults.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Files come through the server, whose S3 store may have an address that only the server knows.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}
for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)

DATABASE = "mlflow.db"
OWN_AUTHORITY = "MLFLOW_TRACKING_SERVER_CERT_PATH"
DVC_COPIES = Path(".dvc/tmp/exps")
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
DESCRIPTION = "mlflow.note.content"
TIMEOUT = 3.0  # seconds that the store has to answer


def workspace() -> Path:
    """Return the project's folder: the working directory, or the folder that DVC copied it from.

    `dvc exp run --temp` and `--queue` run in a copy below `.dvc/tmp/exps`, which DVC deletes afterwards, with
    all that was recorded in it. DVC_ROOT is the folder that the copy was made of.
    """
    here, root = Path.cwd(), Path(os.environ.get("DVC_ROOT", "")).resolve()
    if not here.is_relative_to(root / DVC_COPIES):
        return here
    copy = next(folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir())
    return root / here.relative_to(copy)


def uri() -> str:
    """Return MLFLOW_TRACKING_URI, else the project's SQLite file.

    SQLite paths come back absolute: MLflow keeps one engine an address, whatever the directory. Relative ones
    are relative to `workspace`.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DATABASE}"
    path = _sqlite_file(given)
    return f"sqlite:///{path}" if path else given


def shown() -> str:
    """Return `uri` fit to be shown: without its password."""
    return without_password(uri())


def without_password(text: str) -> str:
    """Return an address, or a text that holds some, fit to be shown: without user names and passwords."""
    text = re.sub(r"//(?:[^\s/:@]*:\S*|[^\s/]*)@", "//", text)
    return re.sub(r"(?i)\b(password=)[^&\s]*", r"\1…", text)


def is_file() -> bool:
    """Say whether the store is a SQLite file, which no server of its own shows."""
    return _sqlite_file(uri()) is not None


def is_server() -> bool:
    """Say whether the store is an MLflow server, which shows its own pages."""
    return urlsplit(uri()).scheme in ("http", "https")


def exists() -> bool:
    """Say whether the store is there to be asked: False only for a SQLite file that nobody has made yet."""
    path = _sqlite_file(uri())
    return path is None or path.is_file()


def who() -> str:
    """Return who works here, as others who share a server are told: NAME@MACHINE."""
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if not name:
        with suppress(OSError, KeyError):  # a user that the machine has no name for
            name = getpass.getuser()
    return f"{name or 'somebody'}@{socket.gethostname()}"


def workspace_id() -> str:
    """Return 16 hex digits that tell this workspace on this machine from every other."""
    place = f"{uuid.getnode()} {socket.gethostname()} {os.getuid()} {workspace()}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def dataset() -> str:
    """Return the name of the data set that params.yaml speaks of; its experiment is called so."""
    return params.load("data", params.Data).dataset_name


def away_message(meanwhile: str = "training goes on") -> str:
    """Return the one line that a user reads when the store does not answer."""
    return (
        f"MLflow at {shown()} is away: {meanwhile}; "
        "the run is logged from its files by the next `dvc repro` or `mlproject register`."
    )


def trusted() -> str | bool:
    """Return what certificates of the server are verified by, as `requests` takes it and MLflow does.

    Raises:
        UserError: MLFLOW_TRACKING_SERVER_CERT_PATH or REQUESTS_CA_BUNDLE names no file.
    """
    for name in (OWN_AUTHORITY, "REQUESTS_CA_BUNDLE"):
        if (path := os.environ.get(name)) and not Path(path).exists():
            raise UserError(f"{name}: {path}: no such file. It holds the certificate of an authority.")
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get(OWN_AUTHORITY) or True


def reachable() -> bool:
    """Say within `TIMEOUT` seconds whether the store answers; a SQLite file always does.

    So does a server whose certificate is not trusted: what is asked of it next fails, and `store_faults`
    says why.

    Raises:
        UserError: as `trusted`.
    """
    address = urlsplit(uri())
    if address.scheme in ("http", "https"):
        import requests

        health = f"{uri().rstrip('/')}/health"
        try:
            return requests.get(health, timeout=TIMEOUT, verify=trusted()).status_code < 500
        except requests.exceptions.SSLError:
            return True
        except requests.RequestException:
            return False
    if not address.hostname:
        return True
    port = address.port or PORTS.get(address.scheme.split("+")[0], 0)
    try:
        socket.create_connection((address.hostname, port), TIMEOUT).close()
    except OSError:
        return False
    return True


def connect() -> "MlflowClient":
    """Return a client of the store; makes the SQLite database if there is none."""
    import mlflow

    path = _sqlite_file(uri())
    if path:
        create_database(path)
        sqlite_file.wait_for_lock(path)
        sqlite_file.follow_project(path)
    # Retries are no news: the failure after the last one is reported. Nor is that all is well. A fault of the
    # database is raised as well as logged, with its traceback.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri())
    return mlflow.MlflowClient(uri())


def open_registry() -> "MlflowClient":
    """Return a client for a command that can do nothing without the store.

    Raises:
        UserError: it does not answer, is a file that does not exist, or an older MLflow made its tables.
    """
    from mlflow.exceptions import MlflowException

    if not exists():
        raise UserError(f"{shown()}: no such file. Set MLFLOW_TRACKING_URI to where the models are recorded.")
    if not reachable():
        raise UserError(f"MLflow at {shown()} does not answer. Nothing was changed.")
    try:
        client = connect()
        client.search_registered_models(max_results=1)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
        raise UserError(
            f"{shown()}: an older MLflow made these tables. Copy the database, then bring them up to date: "
            f"mlflow db upgrade {uri() if is_file() else '$MLFLOW_TRACKING_URI'}"
        ) from None
    return client


def create_database(path: Path) -> None:
    """Make MLflow's SQLite database whole or not at all; safe from several processes at once.

    MLflow alone crashes when two processes make the tables of one file, and again when both add the
    default experiment. So one makes both under another name; the rest wait, then see it.
    """
    if _has_content(path):
        return
    import mlflow

    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with _locked(_lock_beside(path)):
        if _has_content(path):
            return
        with written_file(path) as part:
            mlflow.MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)


@contextmanager
def machine_lock() -> Iterator[None]:
    """Keep other processes on this machine, that use the same store, from the same work.

    Not to be taken twice by one process. `tracking.lock` keeps those of other machines away too.
    """
    path = _sqlite_file(uri())
    name = hashlib.sha256(f"{os.getuid()} {uri()}".encode()).hexdigest()[:16]
    with _locked(_lock_beside(path) if path else Path(tempfile.gettempdir()) / f"mlproject-{name}.lock"):
        yield


def experiment(client: "MlflowClient", dataset: str, note: str | None = None) -> str:
    """Return the id of the data set's experiment; makes it if there is none.

    Args:
        note: what a new one's page says of it; None: what it says where the pipeline's runs are.

    Raises:
        UserError: somebody deleted it; says how to have it back.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(dataset)
    if found is None:
        note = note or (
            f"Anomaly detectors on the data set {dataset}: one run per training; those recorded together "
            "share a parent run."
        )
        try:
            return client.create_experiment(dataset, _artifact_location(), tags={DESCRIPTION: note})
        except MlflowException as error:
            found = client.get_experiment_by_name(dataset)  # another process was first
            if found is None:
                raise error
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"MLflow's experiment {dataset} (id {found.experiment_id}) was deleted. "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` brings it back."
        )
    return found.experiment_id


def _artifact_location() -> str | None:
    """Return where a new experiment's artifacts go: MLflow's default (None), but not into a copy by DVC."""
    if not is_file() or workspace() == Path.cwd():
        return None
    return str(workspace() / "mlruns" / uuid.uuid4().hex)


def _sqlite_file(address: str) -> Path | None:
    prefix = "sqlite:///"
    return workspace() / address.removeprefix(prefix) if address.startswith(prefix) else None


def _has_content(path: Path) -> bool:
    """Say whether a database is there; an empty file is what a full disk or a killed process leaves."""
    return path.exists() and path.stat().st_size > 0


def _lock_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
