"""Hashes of a registered version's files: written when it is registered, verified whenever it is loaded.

`hashes.json` lies among the files and lists the sha256 of each; the registry holds the sha256 of that list.
"""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from mlproject.core import files
from mlproject.core.errors import UserError
from mlproject.registry import version_tags

LIST = "hashes.json"
ADDED = "registered_model_meta"  # by MLflow, in every copy of a version that it hands out: name and number
# Not those of tracking.connection, which sets MLflow's environment: here it is that of whoever loads a model.
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
PATIENCE = 3.0  # seconds for a registry to accept a connection
_being_logged = ContextVar("being_logged", default=False)


@contextmanager
def being_logged() -> Iterator[None]:
    """While the block runs, verify nothing: MLflow tries a model that it logs before there is a list."""
    token = _being_logged.set(True)
    try:
        yield
    finally:
        _being_logged.reset(token)


def write_list(folder: Path) -> Path:
    """Write the list of a folder's files into it; return its path."""
    path = folder / LIST
    hashes = {name: files.sha256(file) for name, file in _files(folder).items()}
    path.write_text(json.dumps(hashes, indent=1, sort_keys=True), encoding="utf-8")
    return path


def verify(folder: Path, title: str, recorded: str | None = None) -> None:
    """Compare the files of a version with their list, and the list with the registry.

    Args:
        folder: the version's files, as MLflow keeps them.
        title: how the error names the version.
        recorded: sha256 of the list that the registry holds; None where no registry can be asked.

    Raises:
        UserError: a file was changed, is missing or was added; names it.
    """
    if _being_logged.get():
        return
    path = folder / LIST
    if not path.is_file():
        raise UserError(f"{title}: {LIST} is missing: its files cannot be verified.")
    if recorded is not None and files.sha256(path) != recorded:
        raise _refused(title, f"{LIST} is not the one that was registered")
    hashes = json.loads(path.read_text(encoding="utf-8"))
    found = _files(folder)
    for name in sorted(hashes.keys() | found.keys()):
        if name not in found:
            raise _refused(title, f"{name} is missing")
        if name not in hashes:
            raise _refused(title, f"{name} was added")
        if files.sha256(found[name]) != hashes[name]:
            raise _refused(title, f"{name} is not as it was registered")


def verify_loaded(folder: Path) -> None:
    """Verify a model's files where MLflow loads them, with the hash of this process's registry if it has one.

    MLflow has written into the folder which registered version it holds. A folder without that, and one whose
    version no registry here knows, is compared with its own list alone.

    Raises:
        UserError: as `verify`.
    """
    if _being_logged.get():
        return
    file = folder / ADDED
    given = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not given.get("model_name"):  # or it was loaded by the id of a logged model
        verify(folder, "this model")
        return
    name, number = given["model_name"], str(given["model_version"])
    verify(folder, f"models:/{name}/{number}", _recorded(name, number))


def _recorded(name: str, number: str) -> str | None:
    """Return the hash that the registry of this process holds of a version's list; None if it has none."""
    import mlflow
    from mlflow.exceptions import MlflowException

    why = "does not answer" if not mlflow.get_registry_uri().startswith("sqlite:") else "is not there"
    if _is_there(mlflow.get_registry_uri()):
        try:
            return version_tags.lineage(mlflow.MlflowClient().get_model_version(name, number)).get("files")
        except MlflowException as error:
            why = "has no such version" if error.error_code == "RESOURCE_DOES_NOT_EXIST" else "fails"
    note = f"note: MLflow's registry {why}: the files of {name} version {number} are compared with their own"
    print(f"{note} {LIST} alone.", file=sys.stderr)
    return None


def _is_there(address: str) -> bool:
    """Say whether there is a store at an address: MLflow would make a file, and wait minutes for a server."""
    if address.startswith("sqlite:///"):
        return Path(address.removeprefix("sqlite:///")).is_file()
    store = urlsplit(address)
    port = store.port or PORTS.get(store.scheme.partition("+")[0])
    if not store.hostname or not port:
        return False
    try:
        socket.create_connection((store.hostname, port), PATIENCE).close()
    except OSError:
        return False
    return True


def _files(folder: Path) -> dict[str, Path]:
    """Return relative name → file of all that is listed: not the list, nor what running the code leaves."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (LIST, ADDED) and path.parent.name != "__pycache__"
    }


def _refused(title: str, why: str) -> UserError:
    return UserError(
        f"{title}: {why}. Nothing was loaded. `mlproject register`, where it was trained, registers it again."
    )
