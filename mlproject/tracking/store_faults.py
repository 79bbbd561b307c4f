"""Faults of MLflow's store, its server and its artifact store: told in one line that says what to set."""

import os
import re
import sys
from urllib.parse import urlsplit

from mlproject.core import s3_faults
from mlproject.core.errors import UserError
from mlproject.tracking import connection

SHOWN = 500  # characters of an answer, which may be a whole page
STATEMENT = re.compile(r"\[SQL:|\(Background on this error")  # before what SQLAlchemy repeats
CLASSES = {  # module → base classes of what it raises
    "mlflow.exceptions": ("MlflowException",),
    "requests.exceptions": ("RequestException",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "boto3.exceptions": ("Boto3Error",),
}
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
STATUS = re.compile(r"\b(401|403|5\d\d) (?:Client|Server) Error")
SERVED = "/mlflow-artifacts/"  # in the address of a file that the server brings
AWAY = re.compile("NewConnectionError|ConnectTimeoutError|NameResolutionError")
CERTIFICATE = re.compile(r"certificate verify failed: ([^(]*[^(\s])")
FAILED = re.compile(r"too many 5\d\d error responses|Max retries exceeded")


class StoreFault(UserError):
    """A server or an artifact store refuses or is away: that says nothing of what was asked for."""


def kinds(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the classes of a store's faults, of libraries that are loaded: no other raised any."""
    loaded = ((sys.modules.get(module), names) for module, names in CLASSES.items())
    return (*(getattr(module, name) for module, names in loaded if module for name in names), *others)


def plain(error: Exception) -> UserError | None:
    """Return the one line that a user reads of what the store refused or failed at; None of other errors."""
    if isinstance(error, ModuleNotFoundError) and error.name in ("boto3", "botocore"):
        where = f"MLflow at {connection.shown()} keeps its files in an S3 store"
        return UserError(f"{where}, which needs {error.name}: pip install '.[services]'")
    if not isinstance(error, kinds()):
        return None
    said = _said(error)
    hint = ". Is the disk full?" if "disk I/O error" in said else ""  # SQLite's word for it, in most cases
    return refusal(error) or UserError(f"MLflow at {connection.shown()} failed: {said}{hint}")


def refusal(error: Exception) -> StoreFault | None:
    """Return what to tell of a server or an artifact store that refuses or is away; None of others."""
    said, status, store = _said(error), _status(error), f"MLflow at {connection.shown()}"
    if told := untrusted(said):
        return StoreFault(told)
    if fault := _s3_fault(error, store):
        return fault
    if status == 401:
        return StoreFault(f"{store} {_log_in()}")
    if status == 403 and "Host header" in said:
        host = urlsplit(connection.uri()).netloc.rpartition("@")[2]
        return StoreFault(f"{store} does not serve this address: start it with --allowed-hosts {host}")
    if status == 403:
        return StoreFault(
            f"{store} denies this request ({said}). Its administrator can grant the permission: "
            "READ to those who use models, MANAGE to those who train and promote."
        )
    what = "does not answer." if AWAY.search(str(error)) else f"failed: {said}"
    return StoreFault(f"{store} {what}") if status >= 500 or FAILED.search(said) else None


def untrusted(said: str) -> str | None:
    """Return what to tell where an error's text says that no TLS could be agreed on with the server."""
    store = f"MLflow at {connection.shown()}"
    if "WRONG_VERSION_NUMBER" in said:
        return f"{store} does not speak TLS: correct MLFLOW_TRACKING_URI to http://…"
    if not (found := CERTIFICATE.search(said)):
        return None
    why, name = found[1].rstrip("."), connection.OWN_AUTHORITY
    return (
        f"{store} has a certificate that is not trusted here ({why}). "
        f"If your own certificate authority issued it, set {name} to the file with that authority's "
        "certificate."
    )


def _s3_fault(error: Exception, store: str) -> StoreFault | None:
    """Return what is wrong with the S3 store that MLflow's files are in, if that is what an error tells of.

    Either the server asks that store, with keys of its own, or this process does.
    """
    said = f"{_said(error)} {error.__context__ or ''}"  # S3's own code is below what MLflow makes of it
    if SERVED not in said:
        given = os.environ.get("MLFLOW_S3_ENDPOINT_URL", "not set")
        fault = s3_faults.told(said, f"MLFLOW_S3_ENDPOINT_URL ({given})")
        where = f"The files of {store} are in an S3 store that"
        return StoreFault(f"{where} {fault.what}: {fault.remedy}.") if fault else None
    if fault := s3_faults.told(said, "MLFLOW_S3_ENDPOINT_URL"):
        remedy = f"On the server's machine, its administrator must {fault.remedy}."
        return StoreFault(f"{store} has its files in an S3 store that {fault.what}. {remedy}")
    if not FAILED.search(said):
        return None
    return StoreFault(
        f"{store} cannot reach its files ({_said(error)}). Its log says why: its S3 store is away, for "
        "example, or refuses the key that the server was started with."
    )


def _said(error: Exception) -> str:
    return " ".join(connection.without_password(STATEMENT.split(str(error))[0]).split())[:SHOWN]


def _status(error: Exception) -> int:
    """Return the HTTP status that an error tells of; 0 if it tells of none."""
    answer = getattr(error, "response", None)
    if (number := getattr(answer, "status_code", None)) is not None:
        return int(number)
    if found := STATUS.search(str(error)):  # in the text of several downloads that failed
        return int(found[1])
    code = getattr(error, "error_code", "")
    return {"UNAUTHENTICATED": 401, "CUSTOMER_UNAUTHORIZED": 401, "PERMISSION_DENIED": 403}.get(code, 0)


def _log_in() -> str:
    if os.environ.get(USER):
        return f"refuses the log-in of {os.environ[USER]}: correct {USER} and {PASSWORD}."
    if "@" in urlsplit(connection.uri()).netloc:
        return "refuses the log-in that its address names."
    return f"asks for a log-in: set {USER} and {PASSWORD}."
