"""Hashes of a registered version's files: written when it is registered, verified whenever it is loaded.

`hashes.json` lies among the files and lists the sha256 of each; the registry holds the sha256 of that list.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from mlproject.core.errors import UserError

LIST = "hashes.json"
ADDED = "registered_model_meta"  # by MLflow, in every copy that it hands out
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
    hashes = {name: sha256(file) for name, file in _files(folder).items()}
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
    if recorded is not None and sha256(path) != recorded:
        raise _refused(title, f"{LIST} is not the one that was registered")
    hashes = json.loads(path.read_text(encoding="utf-8"))
    found = _files(folder)
    for name in sorted(hashes.keys() | found.keys()):
        if name not in found:
            raise _refused(title, f"{name} is missing")
        if name not in hashes:
            raise _refused(title, f"{name} was added")
        if sha256(found[name]) != hashes[name]:
            raise _refused(title, f"{name} is not as it was registered")


def sha256(path: Path) -> str:
    """Return a file's sha256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
