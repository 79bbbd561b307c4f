"""A real MLflow server on loopback."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from support import fork_server


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen]:
    """Start a server over the folder's database; it answers when this returns."""
    command = [fork_server.programs() / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["-w", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", f"{folder}/served"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=60, backoff_factor=0.5, backoff_max=1)))
        assert session.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """Kill the server and its worker, as a power cut would."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
