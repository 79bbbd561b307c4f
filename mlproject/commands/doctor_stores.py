"""Checks that DVC's and MLflow's stores can be used from here. Neither is imported: both take seconds."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mlproject.tracking.connection import without_password
from mlproject.tracking.store_faults import PASSWORD, USER

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
LOG_IN = f"Set {USER} and {PASSWORD}, or ask who administers the server."
CREDENTIALS = Path("~/.mlflow/credentials")  # another place for them
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE")  # one of them names an S3 log-in


class Answer(NamedTuple):
    """What a look at something found.

    Attributes:
        ok: True; False: it will not work; None: it works, with a reservation.
        detail: what was found.
        remedy: what to do, empty when there is nothing to do.
    """

    ok: bool | None
    detail: str
    remedy: str = ""


def run(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of this Python with other arguments; 60 seconds at most."""
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, arguments from this package
            [sys.executable, *arguments], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, "", "no answer within 60 seconds"
    return done.returncode, done.stdout.strip(), done.stderr.strip() or f"exit code {done.returncode}"


def dvc(folder: Path) -> Answer:
    """Whether DVC runs, has a cache that can be written, and reaches its default remote."""
    code, output, errors = run("-m", "dvc", "config", "--list")
    if code != 0:
        return Answer(
            False, errors.splitlines()[-1], "Correct .dvc/config, or install again: `pip install -e .`"
        )
    config = dict(line.split("=", 1) for line in output.splitlines() if "=" in line)
    unusable = _no_project(folder, config)
    if unusable:
        return unusable
    cache = folder / config.get("cache.dir", ".dvc/cache")
    if not writable(cache):
        return Answer(
            False, f"the cache {cache} cannot be written", "Change its owner, or `dvc cache dir PATH`."
        )
    version, remote = metadata.version("dvc"), config.get("core.remote")
    if not remote:
        return Answer(True, f"{version}; no remote, which only `dvc push` and `dvc pull` need")
    url = config.get(f"remote.{remote}.url", "")
    described = f"{version}; remote {remote} ({without_password(url)})"
    if "://" not in url and not writable(folder / url):
        return Answer(
            None, f"{described} is out of reach", "Mount or make that folder, or `dvc remote modify`."
        )
    return _s3_remote(remote, config, described) if url.startswith("s3://") else Answer(True, described)


def _s3_remote(remote: str, config: Mapping[str, str], described: str) -> Answer:
    """Whether what DVC needs for a remote in S3 is here; the remote itself is not asked."""
    if importlib.util.find_spec("dvc_s3") is None:
        return Answer(False, f"{described} needs dvc-s3", "`pip install '.[services]'`")
    options = (f"remote.{remote}.{name}" for name in ("access_key_id", "profile", "credentialpath"))
    own = any((Path("~/.aws").expanduser() / name).is_file() for name in ("credentials", "config"))
    if own or any(name in config for name in options) or any(map(os.environ.get, KEYS)):
        return Answer(True, described)
    remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless the machine itself has a role."
    return Answer(None, f"{described}; no keys found", remedy)


def _no_project(folder: Path, config: Mapping[str, str]) -> Answer | None:
    """Return why DVC finds no project in the folder, None if it does."""
    if not (folder / ".dvc").is_dir():
        return Answer(False, f"{folder} has no .dvc", "Run in the project's folder, cloned with git.")
    in_git = any((above / ".git").exists() for above in (folder, *folder.parents))
    if in_git or config.get("core.no_scm", "").lower() == "true":
        return None
    detail = f"{folder} is in no git repository (downloaded as ZIP?), so `dvc repro` fails"
    return Answer(False, detail, "`git init`, or to do without git: `dvc config core.no_scm true`.")


def mlflow(uri: str) -> Answer:
    """Whether the store at a tracking URI can be used."""
    kind, shown = urlsplit(uri).scheme, without_password(uri)
    if kind in ("http", "https"):
        return _mlflow_server(uri)
    if kind == "sqlite":
        return _mlflow_database(Path(uri.removeprefix("sqlite:///")))
    if kind in ("", "file"):
        remedy = "Unset MLFLOW_TRACKING_URI, or set it to sqlite:///mlflow.db."
        return Answer(False, f"{shown}: MLflow 3 keeps no runs in plain files", remedy)
    return Answer(None, f"{shown}: not tried", "The stage `register` will tell.")


def _mlflow_server(uri: str) -> Answer:
    import requests

    shown = without_password(uri)
    remedy = (
        "Start the server or correct MLFLOW_TRACKING_URI. Runs wait in their files meanwhile: none is lost."
    )
    user = os.environ.get(USER)
    log_in = (user, os.environ.get(PASSWORD, "")) if user else None  # or the address has one
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=5)
        asked = requests.get(f"{uri.rstrip('/')}{SEARCH}", timeout=5, auth=log_in)
    except requests.RequestException as error:
        return Answer(False, f"{shown}: no answer ({type(error).__name__})", remedy)
    if answer.ok and asked.status_code in (401, 403) and not CREDENTIALS.expanduser().is_file():
        found = "asks for a log-in" if asked.status_code == 401 and not user else "refuses"
        return Answer(False, f"{shown}: {found} ({asked.text[:80]})", LOG_IN)
    return Answer(answer.ok, f"{shown}: answers {answer.status_code}", "" if answer.ok else remedy)


def _mlflow_database(path: Path) -> Answer:
    if not path.exists():
        if writable(path.parent):
            return Answer(True, f"{path}: made by the first run")
        return Answer(False, f"{path}: cannot be made", f"Change the owner of {path.parent}.")
    if path.stat().st_size == 0:
        return Answer(None, f"{path} is empty", "The next run makes it again; nothing was recorded in it.")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")  # takes the right to write and changes nothing
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Answer(False, f"{path}: {error}", "Change its owner; a broken file can only be moved away.")
    return Answer(True, f"{path} can be written")


def writable(path: Path) -> bool:
    """Return whether the folder can be written or, where it does not exist yet, made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
