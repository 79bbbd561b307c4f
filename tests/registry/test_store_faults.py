"""A server that fails or an S3 store that refuses, and a full disk: one line for the user, no traceback."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import support.tracked_project as project
from PIL import Image
from support import fork_server

pytest_plugins = ["support.tracked_project", "support.promotion_project"]

PASSWORD = "marked-5f1c"


class Broken(BaseHTTPRequestHandler):
    """Says that it is well, then fails whatever is asked of it."""

    def do_GET(self) -> None:
        well = self.path == "/health"
        body = b"OK" if well else b'{"error_code": "INTERNAL_ERROR", "message": "no\\nspace left"}'
        self.send_response(200 if well else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def broken() -> Iterator[str]:
    """The address of the server, with a user and a password."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:{PASSWORD}@127.0.0.1:{server.server_port}"
        server.shutdown()


def check(code: int, text: str) -> None:
    assert code == 2, text
    (line,) = [line for line in text.splitlines() if "error:" in line]
    assert "http://127.0.0.1:" in line
    assert "too many 500 error responses" in line
    assert "Traceback" not in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "bottle/1", "PHOTO"], ["export", "bottle/1", "model.onnx"], ["inspect", "bottle/1"],
        ["promote", "bottle", "--version", "1"], ["compare", "bottle"], ["rollback", "bottle"],
        ["ui"], ["register"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_every_command_ends_with_one_line(folder, broken, mlproject, monkeypatch, tmp_path, command):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", broken)
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    code, out, err = mlproject(*[text.replace("PHOTO", str(tmp_path / "a.png")) for text in command])
    check(code, out + err)


def test_the_stage_ends_with_one_line(folder, broken):
    """In a process of its own: all that reaches the terminal, log messages of libraries included."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": broken, "PYTHONPATH": str(project.ROOT)}
    script = Path(project.ROOT, "pipelines/register.py")
    done = subprocess.run(
        [fork_server.programs() / "python", str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    check(done.returncode, done.stdout + done.stderr)


def test_a_full_disk_under_the_database_ends_the_stage_with_one_line(folder):
    """No file may grow beyond 100 kB, and the database is larger than that."""
    done = subprocess.run(
        [sys.executable, str(project.ROOT / "pipelines/register.py")],
        env=os.environ | {"PYTHONPATH": str(project.ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: MLflow at sqlite:///")
    assert line.endswith("disk I/O error. Is the disk full?")


def test_a_full_disk_here_is_no_reason_to_register_a_version_again(folder, capsys):
    """Its files cannot be brought back to be verified, and are where they were all the same."""
    first = project.register()
    allowed, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            project.register()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, most))
    assert "registered again" not in capsys.readouterr().out
    assert project.register() == first._replace(new=False)
