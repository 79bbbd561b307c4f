"""The page of `mlproject inspect` reads uploaded files alone: the real server, a model that echoes."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from conftest import ROOT
from support import fork_server

SERVER = """
from base64 import b64encode
from mlproject.inference import inspect_server

class Echo:
    def waiting(self): return "waiting"
    def inspect(self, photo, name): return "content: " + b64encode(photo).decode()

inspect_server.serve(
    inspect_server.Inspectors({"echo": Echo}), "echo", "127.0.0.1", 0, lambda where: print(where, flush=True)
)
"""
CONTENT = "content: cHJpdmF0ZQ=="


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with subprocess.Popen(
        [fork_server.programs() / "python", "-c", SERVER],
        cwd=tmp_path_factory.mktemp("cwd"),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip() or pytest.fail("the server ended")
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0


@pytest.fixture
def photo(tmp_path) -> Path:
    (tmp_path / "photo.png").write_bytes(b"private")
    return tmp_path / "photo.png"


def upload(address: str, photo: Path) -> str:
    """Send a file as the page does; return the path that the server gives it."""
    with photo.open("rb") as file:
        return requests.post(f"{address}/gradio_api/upload", files={"files": file}, timeout=60).json()[0]


def ask(address: str, path: str) -> tuple[bool, str]:
    """Ask for the verdict on a file of the server's machine by its path; return success and answer."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = {"fn_index": 0, "data": ["echo", file], "session_hash": "a"}
    requests.post(f"{address}/gradio_api/queue/join", json=body, timeout=60).raise_for_status()
    with requests.get(f"{address}/gradio_api/queue/data?session_hash=a", stream=True, timeout=120) as events:
        for line in events.iter_lines():
            if b"process_completed" in line:
                event = json.loads(line.removeprefix(b"data: "))
                return event["success"], json.dumps(event["output"])
    pytest.fail("no answer")


def test_only_uploaded_files_are_read(address, photo):
    """Seven paths of the server's machine that were not uploaded, one of them of a missing file."""
    uploaded = upload(address, photo)
    assert CONTENT in ask(address, uploaded)[1]
    link = photo.with_name("link.png")
    link.symlink_to(photo)
    up = "/".join([".."] * len(Path(uploaded).parent.parts))
    missing = str(photo.with_name("gone.png"))
    refused = {
        path: ask(address, path)
        for path in (
            str(photo),
            missing,
            f"/{photo}",
            f"/proc/self/root{photo}",
            f"file://{photo}",
            f"{Path(uploaded).parent}/{up}{photo}",
            str(link),
        )
    }
    for path, (success, answer) in refused.items():
        assert not success, path
        assert "content" not in answer, path
    assert refused[str(photo)][1].replace(str(photo), missing) == refused[missing][1]


def test_another_hosts_page_may_not_ask(address):
    for header in ({"Host": "rebound.example"}, {"Origin": "http://rebound.example"}):
        assert requests.get(f"{address}/config", headers=header, timeout=60).status_code == 403
    assert requests.get(f"{address}/config", timeout=60).status_code == 200
