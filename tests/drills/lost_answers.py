"""Drill: a registration at an MLflow server whose answer to one write is lost; then one without faults.

    python tests/drills lost_answers [END OF A PATH …]

A proxy lies between the client and a real server. It passes the k-th write on to the server, then closes the
connection instead of sending the answer back. The client sends the write again, as it does by default, or
gives up (MLFLOW_HTTP_REQUEST_MAX_RETRIES 0). The end must be that of a registration that nothing disturbed:
one run and one version, one parent, one logged model, all finished. Tried is every write, and of the uploads
of files, which are all alike, every tenth; or those to paths with a given end, such as `runs/create`. Prints
how many were tried, survived and lost.
"""

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import yaml
from support import tracked_project as project
from support.mlflow_server import free_port, server

from mlproject.core import script
from mlproject.registry import loaded_version, record
from mlproject.registry.address import model_name
from mlproject.tracking import connection, runs

RETRIES = ("1", "0")  # the project's default, and a client that gives up
UPLOADS = 10  # one in so many is tried


class Proxy(ThreadingHTTPServer):
    """Passes requests on to the server on `port`; loses the answer to one write.

    Attributes:
        lose: number of that write, from 1; 0: none.
        writes: method and path of each write so far.
    """

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.port, self.lock = port, threading.Lock()
        self.lose, self.writes = 0, list[str]()

    def loses(self, write: str) -> bool:
        """Count a write; say whether its answer is to be lost."""
        with self.lock:
            self.writes.append(write)
            return len(self.writes) == self.lose


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        assert "Transfer-Encoding" not in self.headers
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        link = HTTPConnection("127.0.0.1", self.server.port)
        link.request(self.command, self.path, body, dict(self.headers))
        answer = link.getresponse()
        content = answer.read()
        link.close()
        place = self.path.partition("?")[0]
        reads = self.command == "GET" or place.endswith("/search")
        if not reads and self.server.loses(f"{self.command} {place}"):
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    """Yield a running proxy in front of the server on `port`."""
    with Proxy(port) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def register(said: Path, retries: str) -> None:
    """Record the project in the working directory as the stage does; what is printed goes into a file."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = retries
    with said.open("w", encoding="utf-8") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        sys.stdout = sys.stderr = file
        sys.argv = ["register"]
        script.run(record.record_all)


def registered(said: Path, retries: str) -> tuple[int | None, str]:
    """Register in a child of this process, which has imported the large packages; return its exit code and
    what it printed."""
    child = get_context("fork").Process(target=register, args=(said, retries))
    child.start()
    child.join()
    return child.exitcode, said.read_text(encoding="utf-8")


def result(dataset: str) -> dict[str, object]:
    """Return what a registration leaves, as far as it is the same each time."""
    client, name = connection.connect(), model_name(dataset, project.CATEGORY)
    experiment = connection.experiment(client, dataset)
    found = client.search_runs([experiment])
    versions = client.search_model_versions(f"name = '{name}'")
    of_versions = [version.source for version in versions]
    logged = client.search_logged_models([experiment])
    children = [run for run in found if runs.PARENT in run.data.tags]
    return {
        "runs": sorted((run.info.status, run in children) for run in found),
        "versions": len(versions),
        "logged models": [(str(one.status), f"models:/{one.model_id}" in of_versions) for one in logged],
        "epochs": [project.steps(run.info.run_id) for run in children],
        "pictures": [len(client.list_artifacts(run.info.run_id, "images")) for run in children],
        "data": [len(run.inputs.dataset_inputs) for run in children],
        "thresholds": [loaded_version.load_version(version).threshold for version in versions],
    }


def name_dataset(name: str) -> None:
    """Let params.yaml name another data set: MLflow then knows nothing of this project."""
    file = Path("params.yaml")
    tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    tree["data"] |= {"source": "folder", "path": name}
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")


def attempt(dataset: str, between: Proxy, retries: str, lose: int) -> dict[str, object] | str:
    """Register with the answer to one write lost, and again; return what is left, or what is wrong."""
    name_dataset(dataset)
    said = Path("said.txt")
    between.lose, between.writes = lose, []
    code, disturbed = registered(said, retries)
    between.lose = 0
    if code not in (0, 2) or "Traceback" in disturbed or (code == 2) != ("\nerror: " in f"\n{disturbed}"):
        return f"exit code {code}: {disturbed[-700:]}"
    writes = between.writes
    code, printed = registered(said, "1")
    between.writes = writes
    return result(dataset) if code == 0 else f"then exit code {code}: {printed[-700:]}"


def chosen(writes: Sequence[str], ends: Sequence[str]) -> list[int]:
    """Return the numbers, from 1, of the writes that are tried: those to paths with these ends, if any."""
    numbers = range(1, len(writes) + 1)
    if ends:
        return [number for number in numbers if writes[number - 1].endswith(tuple(ends))]
    return [number for number in numbers if not (number % UPLOADS and writes[number - 1].startswith("PUT"))]


def drill(
    folder: Path, trained: Path, ends: Sequence[str] = (), retries: Sequence[str] = RETRIES
) -> Iterator[tuple[str, str]]:
    """Yield the title of each try, and what is wrong afterwards: empty if nothing.

    Args:
        folder: holds mlflow.db; all is written into it.
        trained: a saved detector's folder.
        ends: as `chosen` has them.
        retries: how often the client sends a write again.
    """
    port = free_port()
    with pytest.MonkeyPatch.context() as patch, server(folder, port), proxy(port) as between:
        patch.chdir(folder)
        patch.setenv("NO_PROXY", "*")
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{between.server_port}")
        project.write_params([project.CATEGORY], [project.MODEL])
        project.write_pair(trained)
        expected = attempt("undisturbed", between, RETRIES[0], 0)
        for lose, again in product(chosen(between.writes, ends), retries):
            left = attempt(f"lost-{again}-{lose}", between, again, lose)
            write = between.writes[lose - 1] if lose <= len(between.writes) else "never sent"
            yield f"retries {again}, answer {lose} lost ({write})", differences(left, expected)


def differences(left: dict[str, object] | str, expected: dict[str, object] | str) -> str:
    """Return what is not as it should be; empty if all is."""
    if isinstance(left, str) or isinstance(expected, str):
        return str(left)
    return "; ".join(
        f"{name}: {left[name]}, not {value}" for name, value in expected.items() if left[name] != value
    )


def tries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    """Run the drill of the writes named, or of all."""
    torch.set_num_threads(1)  # a child that was forked must not wait for threads that it does not have
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "project")
        folder.mkdir()
        project.train_model(Path(place, "trained"))
        connection.create_database(Path(place, "mlflow.db"))
        shutil.copy(Path(place, "mlflow.db"), folder)  # as the tests do: no connection is open to it
        yield from drill(folder, Path(place, "trained"), arguments)
