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

from mlproject.core import s3_faults
from mlproject.core.errors import UserError
from mlproject.data import buckets
from mlproject.tracking import connection, store_faults
from mlproject.tracking.connection import without_password
from mlproject.tracking.store_faults import PASSWORD, USER

FILES = "/api/2.0/mlflow-artifacts/artifacts"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
LOG_IN = f"Set {USER} and {PASSWORD}, or ask who administers the server."
CREDENTIALS = Path("~/.mlflow/credentials")  # another place for them
S3_OPTIONS = {  # of a remote in .dvc/config → as boto3 calls them
    "endpointurl": "endpoint_url",
    "region": "region_name",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
}


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
    """Whether a remote in S3 answers to the keys that are here."""
    if importlib.util.find_spec("dvc_s3") is None:
        return Answer(False, f"{described} needs dvc-s3", "`pip install '.[services]'`")
    set_there = {name.removeprefix(f"remote.{remote}."): value for name, value in config.items()}
    if "profile" in set_there or "credentialpath" in set_there:
        return Answer(None, f"{described}: not asked, its keys are in a file of their own", "Try `dvc pull`.")
    options = {name: set_there[option] for option, name in S3_OPTIONS.items() if option in set_there}
    try:
        buckets.check(set_there["url"], f"`dvc remote modify {remote} endpointurl`", **options)
    except UserError as error:
        return Answer(False, f"remote {remote}: {error}", "Correct that; `dvc push` and `dvc pull` need it.")
    return Answer(True, f"{described} answers")


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
    verify = connection.trusted()
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=5, verify=verify)
        asked = requests.get(f"{uri.rstrip('/')}{SEARCH}", timeout=5, auth=log_in, verify=verify)
    except requests.exceptions.SSLError as error:
        told = store_faults.untrusted(str(error)) or f"{shown}: {error}"
        return Answer(False, told, "Correct that. Runs wait in their files meanwhile: none is lost.")
    except requests.RequestException as error:
        return Answer(False, f"{shown}: no answer ({type(error).__name__})", remedy)
    if answer.ok and asked.status_code in (401, 403) and not CREDENTIALS.expanduser().is_file():
        found = "asks for a log-in" if asked.status_code == 401 and not user else "refuses"
        return Answer(False, f"{shown}: {found} ({asked.text[:80]})", LOG_IN)
    if answer.ok and (fault := _files_fault(f"{uri.rstrip('/')}{FILES}", log_in)):
        return Answer(False, f"{shown}: {fault.what}", f"{fault.remedy}, where the server was started.")
    return Answer(answer.ok, f"{shown}: answers {answer.status_code}", "" if answer.ok else remedy)


def _files_fault(address: str, log_in: tuple[str, str] | None) -> s3_faults.S3Fault | None:
    """Return why a server does not get at the files that it keeps; None if it does, or keeps none."""
    import requests

    try:
        files = requests.get(address, timeout=30, auth=log_in, verify=connection.trusted())
    except requests.RequestException as error:
        return s3_faults.S3Fault(f"brings no files ({type(error).__name__})", "Correct its store of files")
    if fault := s3_faults.told(files.text, "MLFLOW_S3_ENDPOINT_URL"):
        return s3_faults.S3Fault(f"its S3 store {fault.what}", f"{fault.remedy[0].upper()}{fault.remedy[1:]}")
    if files.status_code < 500 or "--no-serve-artifacts" in files.text:
        return None
    return s3_faults.S3Fault(
        f"brings no files ({files.status_code})",
        "Read its log: its store of files may be away, or refuse its key",
    )


def _mlflow_database(path: Path) -> Answer:
    if not path.exists():
        if writable(path.parent):
            return Answer(True, f"{path}: made by the first run")
        return Answer(False, f"{path}: cannot be made", f"Change the owner of {path.parent}.")
    if path.stat().st_size == 0:
        return Answer(None, f"{path} is empty", "The next run makes it again; nothing was recorded in it.")
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")  # takes the right to write and changes nothing
            database.execute("ROLLBACK")
        finally:
            database.close()
    except sqlite3.Error as error:
        return Answer(False, f"{path}: {error}", "Change its owner; a broken file can only be moved away.")
    return Answer(True, f"{path} can be written")


def writable(path: Path) -> bool:
    """Return whether the folder can be written or, where it does not exist yet, made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
