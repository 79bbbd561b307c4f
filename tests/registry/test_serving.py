"""`mlflow models serve`, really started: the scores of `predict`, and 4xx for whatever is no photo."""

import base64
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from mlflow import artifacts as mlflow_artifacts
from PIL import Image
from support import fork_server

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.data.decode import MAX_PIXELS
from mlproject.data.sample import build
from mlproject.inference import predict
from mlproject.registry import request_guard
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project"]

LIMIT_MB = 4
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(first, tmp_path_factory) -> Iterator[str]:
    """The address of a server started by the documented command, in a folder without this project."""
    folder = tmp_path_factory.mktemp("elsewhere")
    connection.connect().set_registered_model_alias(first.name, "champion", str(first.version))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [fork_server.programs() / "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", f"models:/{first.name}@champion", "-h", "127.0.0.1", "-p", str(port)]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": connection.uri(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLPROJECT_MAX_REQUEST_MB": str(LIMIT_MB),
        "PATH": f"{fork_server.programs()}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "Uvicorn running" in line:
                break
        else:
            pytest.fail("".join(said))
        threading.Thread(target=process.stdout.read, daemon=True).start()  # or a full pipe would stop it
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Images of the built-in sample as PNG and JPEG files."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for n, picture in enumerate(list(build.pictures("bracket", seed=0))[:4]):
        paths.append(folder / f"{n}{'.jpg' if n % 2 else '.png'}")
        Image.fromarray(build.render(picture)[0]).save(paths[-1])
    return paths


def post(server: str, body, headers=JSON) -> requests.Response:
    data = body if isinstance(body, str | bytes) or hasattr(body, "__next__") else json.dumps(body)
    return requests.post(f"{server}/invocations", data=data, headers=headers, timeout=120)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_served_scores_are_those_of_predict(server, first, photos, tmp_path):
    answer = post(server, {"inputs": {"image": [text(path.read_bytes()) for path in photos]}})
    assert answer.status_code == 200, answer.text
    uri = f"models:/{first.name}@champion"
    kept = Path(mlflow_artifacts.download_artifacts(uri, dst_path=str(tmp_path))) / "artifacts"
    predictions = list(predict.predict_photos(models.load(kept / "model"), 1.5, 48, photos))
    served = answer.json()["predictions"]
    assert [row["score"] for row in served] == pytest.approx([one.score for one in predictions], rel=1e-9)
    assert [row["defective"] for row in served] == [one.defective for one in predictions]


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a greyscale PNG file that says it has this size, and holds these bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def whole_png(side: int) -> bytes:
    file = BytesIO()
    Image.new("L", (side, side)).save(file, format="PNG")
    return file.getvalue()


def inputs(*cells) -> dict:
    return {"inputs": {"image": list(cells)}}


NESTED = "[" * 100_000 + "]" * 100_000
BOMB = png(60_000, 60_000, b"\0" * 1000)  # 3.6 gigapixels
LARGE = whole_png(6_000)  # 36 megapixels in 35 kB
HOSTILE = {
    "empty": b"",
    "no JSON": b"\xff\xfe photo",
    "half of it": '{"inputs": {"image": ["',
    "a number": "5",
    "null": "null",
    "a list": [1, 2],
    "no known key": {"photo": "x"},
    "two known keys": {"inputs": {"image": ["x"]}, "instances": [1]},
    "inputs: null": {"inputs": None},
    "inputs: text": {"inputs": "x"},
    "inputs: nothing": {"inputs": []},
    "another column": {"inputs": {"photo": ["x"]}},
    "instances: text": {"instances": "x"},
    "dataframe_split: text": {"dataframe_split": "x"},
    "dataframe_split: uneven": {"dataframe_split": {"columns": ["image"], "data": [[1, 2], 3]}},
    "dataframe_split: nothing": {"dataframe_split": {}},
    "dataframe_records: null": {"dataframe_records": None},
    "dataframe_records: numbers": {"dataframe_records": [1, 2]},
    "LLM request": {"messages": [{"role": "user", "content": "x"}]},
    "params: text": {**inputs("x"), "params": "x"},
    "params: unknown value": {**inputs(text(whole_png(8))), "params": {"maps": "perhaps"}},
    "nested deeply": NESTED,
    "nested deeply, inside": f'{{"inputs": {{"image": [{NESTED}]}}}}',
    "nested 900 deep": f'{{"inputs": {{"image": [{"[" * 900}{"]" * 900}]}}}}',
    "NaN": '{"inputs": {"image": [NaN]}}',
    "pixels NaN": '{"inputs": {"image": [[[NaN]]]}}',
    "pixels infinite": '{"inputs": {"image": [[[1e999]]]}}',
    "pixels huge": '{"inputs": {"image": [[[' + "9" * 4000 + "]]]}}",
    "objects": inputs({"a": 1}),
    "truth": inputs(True),
    "empty text": inputs(""),
    "no base64": inputs("no base64!"),
    "not ASCII": inputs("ü"),
    "base64 of text": inputs(text(b"text")),
    "a broken file among good ones": inputs(text(whole_png(8)), text(whole_png(8)[:40])),
    "decompression bomb": inputs(text(BOMB)),
    "many large images": inputs(*[text(LARGE)] * (MAX_PIXELS // 6_000**2 + 1)),
    "many images": inputs(*[text(whole_png(8))] * 300),
    "huge array": "[" + "0," * int(LIMIT_MB * 1e6) + "0]",
    "huge base64": inputs("A" * int(LIMIT_MB * 1e6)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_photo_gets_a_4xx_and_the_server_lives_on(server, name):
    answer = post(server, HOSTILE[name])
    assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
    assert requests.get(f"{server}/ping", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": ""}, 415),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "image/png"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/vnd.apache.parquet"}, 400),
        ({"Content-Type": "text/csv"}, 400),
    ],
)
def test_a_photo_of_another_type_is_refused(server, headers, status):
    assert post(server, whole_png(8), headers).status_code == status


def test_a_body_of_unknown_length_is_read_up_to_the_limit(server):
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b" " * 1_000_000

    with contextlib.suppress(requests.ConnectionError):  # it may hang up while we are sending
        assert post(server, endless()).status_code == 413
    assert sent < 200
    assert requests.get(f"{server}/ping", timeout=60).status_code == 200


@pytest.mark.parametrize("size", ["32MB", "", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_size_is_said_at_the_start(monkeypatch, size):
    """`install` is called while the server's process loads the model."""
    monkeypatch.setenv(request_guard.LIMIT, size)
    monkeypatch.setitem(sys.modules, request_guard.SERVER, object())
    with pytest.raises(UserError, match="must be a number of megabytes, such as 32"):
        request_guard.install()


def test_a_photo_is_scored_after_all_that(server):
    answer = post(server, inputs(np.zeros((5, 7), int).tolist()))
    assert answer.status_code == 200, answer.text
