"""Faults of MLflow's store, its server and its artifact store: told in one line that says what to set."""

import os
import re
import sys
from urllib.parse import urlsplit

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
KEYS = re.compile(
    r"Unable to locate credentials|Partial credentials|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|AccessDenied|\(403\) when calling"
)
UNREACHED = re.compile("Could not connect to the endpoint|Connect timeout on endpoint")
AWAY = re.compile("NewConnectionError|ConnectTimeoutError|NameResolutionError")
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
    if status == 401:
        return StoreFault(f"{store} {_log_in()}")
    if status == 403 and "Host header" in said:
        host = urlsplit(connection.uri()).netloc.rpartition("@")[2]
        return StoreFault(f"{store} does not serve this address: start it with --allowed-hosts {host}")
    if status == 403:
        return StoreFault(
            f"{store} does not allow that ({said}). Who administers it grants the permission: "
            "READ for those who use models, MANAGE for those who train and promote."
        )
    if KEYS.search(said):
        return StoreFault(
            f"The files of {store} are in an S3 store that takes no keys from here ({said}). "
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if UNREACHED.search(said):
        given = os.environ.get("MLFLOW_S3_ENDPOINT_URL", "not set")
        where = f"in an S3 store out of reach ({said}). MLFLOW_S3_ENDPOINT_URL is {given}"
        return StoreFault(f"The files of {store} are {where}.")
    what = "does not answer." if AWAY.search(str(error)) else f"failed: {said}"
    return StoreFault(f"{store} {what}") if status >= 500 or FAILED.search(said) else None


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
