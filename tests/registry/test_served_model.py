"""What is served: any image in, the detector's own score out, without this project."""

import base64
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import fastapi
import numpy as np
import pandas as pd
import pytest
import requests
import support.tracked_project as project
import uvicorn
from mlflow import pyfunc
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from PIL import Image
from support import fork_server
from support.tracked_project import version_of

from mlproject import models
from mlproject.core import artifacts
from mlproject.data.decode import decode_bytes
from mlproject.registry import request_guard
from mlproject.tracking import connection

pytest_plugins = ["support.tracked_project"]

PREPARED_SIZE = 48
LOAD_ELSEWHERE = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
import mlproject
table = model.predict(pandas.DataFrame({"image": json.load(open(sys.argv[2]))}))
print(json.dumps({"scores": table["score"].tolist(), "package": mlproject.__file__}))
"""


@pytest.fixture(scope="module")
def loaded(first) -> pyfunc.PyFuncModel:
    return pyfunc.load_model(f"models:/{first.name}/{first.version}")


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """Files of several sizes and formats, none the prepared size."""
    random = np.random.default_rng(5)
    return [png(random.integers(0, 256, (40 + 9 * n, 70, 3), dtype=np.uint8)) for n in range(3)]


def png(array: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def table(cells) -> pd.DataFrame:
    return pd.DataFrame({"image": list(cells)})


def own_scores(photos: list[bytes]) -> np.ndarray:
    detector = models.load(artifacts.model_folder(project.CATEGORY, project.MODEL))
    return detector.score(np.stack([decode_bytes(photo, PREPARED_SIZE) for photo in photos])).scores


def test_the_served_model_scores_as_the_detector(loaded, photos):
    scores = own_scores(photos)
    answer = loaded.predict(table(photos))
    assert list(answer.columns) == ["score", "threshold", "defective"]
    assert np.abs(answer["score"] - scores).max() <= 1e-9
    assert answer["defective"].tolist() == (scores > 1.5).tolist()


def test_bytes_base64_arrays_and_lists_are_the_same_image(loaded, photos):
    array = np.asarray(Image.open(BytesIO(photos[0])))
    cells = [photos[0], base64.b64encode(photos[0]).decode(), array, array.tolist()]
    scores = [loaded.predict(table([cell]))["score"].item() for cell in cells]
    assert scores == [scores[0]] * 4


def post(model: pyfunc.PyFuncModel, body: dict | str) -> list[dict]:
    """Return the predictions of a request, handled as `mlflow models serve` does."""
    text = body if isinstance(body, str) else json.dumps(body)
    schema = model.metadata.get_input_schema()
    response = scoring_server.invocations(text, "application/json", model, schema)
    assert response.status == 200
    return json.loads(response.response)["predictions"]


def test_every_json_that_mlflow_serves_is_understood(loaded, photos):
    texts = [base64.b64encode(photo).decode() for photo in photos]
    expected = loaded.predict(table(photos)).to_dict("records")
    assert post(loaded, {"inputs": {"image": texts}}) == expected
    assert (
        post(loaded, {"dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]}})
        == expected
    )
    assert post(loaded, {"dataframe_records": [{"image": text} for text in texts]}) == expected
    (answer,) = post(loaded, {"inputs": {"image": texts[:1]}, "params": {"maps": True}})
    assert np.shape(answer["anomaly_map"]) == (project.SIDE, project.SIDE)


def test_the_input_example_is_a_request_that_works(first, loaded, tmp_path):
    path = Path(download_artifacts(artifact_uri=version_of(first).source, dst_path=str(tmp_path)))
    assert len(post(loaded, (path / "serving_input_example.json").read_text())) == 1


def test_maps_and_reconstructions_come_on_request(loaded, photos):
    answer = loaded.predict(table(photos), params={"maps": True})
    assert answer["anomaly_map"][0].shape == (project.SIDE, project.SIDE)
    assert answer["reconstruction"][0].shape == (project.SIDE, project.SIDE, 3)


def test_more_images_than_a_batch_keep_their_order(loaded, photos):
    many = [photos[n % 3] for n in range(70)]
    expected = loaded.predict(table(photos))["score"]
    assert loaded.predict(table(many))["score"].tolist() == pytest.approx(
        [expected[n % 3] for n in range(70)], abs=1e-5
    )


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"", "empty"),
        (b"not an image", "no PNG, JPEG, BMP, TIFF"),
        ("no base64!", "base64"),
        ([[1, 2], [3]], "equal length"),
        ([[0.5]], "whole numbers"),
        ([[300]], "whole numbers"),
        ([["a"]], "whole numbers"),
        (None, "image 1"),
        (7, "image 1"),
        (np.zeros((2, 2, 7), np.uint8), "image 1"),
    ],
)
def test_what_is_no_image_is_named_by_its_row(loaded, photos, cell, reason):
    with pytest.raises(MlflowException, match=reason) as caught:
        loaded.predict(table([photos[0], cell]))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_the_model_brings_its_card_its_requirements_and_its_own_code(first, tmp_path):
    source = version_of(first).source
    path = Path(download_artifacts(artifact_uri=source, dst_path=str(tmp_path)))
    card = (path / "artifacts/README.md").read_text()
    assert "AUROC 0.800 [0.700, 0.900]" in card
    pins = (path / "requirements.txt").read_text().split()
    assert {pin.split("==")[0] for pin in pins} >= {
        "mlflow",
        "torch",
        "numpy",
        "pillow",
        "safetensors",
        "pydantic",
    }
    assert not [pin for pin in pins if "==" not in pin]
    code = {file.relative_to(path / "code").as_posix() for file in (path / "code").rglob("*.py")}
    assert {"mlproject/models/kd_cae.py", "mlproject/data/decode.py"} <= code
    assert not [name for name in code if "tracking" in name or "figures" in name or "ni_cae" in name]
    assert not [file for file in path.rglob("*") if file.suffix in (".pkl", ".pickle", ".pt")]


def test_it_loads_where_this_project_is_not_and_scores_the_same(first, photos, tmp_path):
    """In another process and folder, without this project on the path, and with pickles forbidden."""
    images = tmp_path / "images.json"
    images.write_text(json.dumps([base64.b64encode(photo).decode() for photo in photos]))
    environment = {
        "MLFLOW_TRACKING_URI": connection.uri(),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
    }
    # -S -E would lose the environment's packages; a path hook of an editable install is all that must go.
    hide = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f)]; "
    hide += f"sys.path[:] = [p for p in sys.path if p != {str(project.ROOT)!r}]\n"
    command = [
        fork_server.programs() / "python",
        "-P",
        "-c",
        hide + LOAD_ELSEWHERE,
        f"models:/{first.name}/{first.version}",
        str(images),
    ]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    assert not Path(answer["package"]).is_relative_to(project.ROOT)
    assert np.abs(np.array(answer["scores"]) - own_scores(photos)).max() <= 1e-9


@pytest.fixture
def served(first, monkeypatch) -> Iterator[tuple[pyfunc.PyFuncModel, str]]:
    """A model loaded as a scoring server does, MLflow's own application around it, and its address."""
    monkeypatch.setitem(sys.modules, request_guard.SERVER, object())
    monkeypatch.setattr(fastapi, "FastAPI", fastapi.FastAPI)  # `install` replaces it
    monkeypatch.setenv(request_guard.PIXELS, "0.015")
    monkeypatch.setenv(request_guard.LIMIT, "2")
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")  # `init` sets it
    model = pyfunc.load_model(f"models:/{first.name}/{first.version}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(scoring_server.init(model), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield model, f"http://127.0.0.1:{listener.getsockname()[1]}/invocations"
        server.should_exit = True
        thread.join()


def ask(address: str, *images: np.ndarray) -> requests.Response:
    cells = [base64.b64encode(png(image)).decode() for image in images]
    return requests.post(address, json={"inputs": {"image": cells}}, timeout=120)


def test_more_pixels_at_a_time_than_allowed_are_refused_until_there_is_room(served, monkeypatch):
    model, address = served
    detector = model.unwrap_python_model().detector
    score, begun, finish = detector.score, threading.Event(), threading.Event()

    def waiting(images):
        begun.set()
        assert finish.wait(60)
        return score(images)

    monkeypatch.setattr(detector, "score", waiting)
    half, small = np.zeros((100, 100, 3), np.uint8), np.zeros((50, 100, 3), np.uint8)
    with ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(ask, address, half, half)  # one after another, so 10,000 pixels at a time
            assert begun.wait(60)
            refused = ask(address, half)
            second = pool.submit(ask, address, small)
        finally:
            finish.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert request_guard.PIXELS in refused.json()["message"]
    assert ask(address, half).status_code == 200


def test_an_image_that_never_fits_is_a_mistake_of_the_request(served):
    answer = ask(served[1], np.zeros((200, 100, 3), np.uint8))
    assert answer.status_code == 400
    assert "20,000 pixels, 15,000 at most" in answer.json()["message"]


def test_an_error_does_not_repeat_a_large_input(served):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(served[1], data=b'{"inputs": ' + b"x" * 1_000_000, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert len(answer.content) < 3000
    assert "valid JSON" in answer.json()["message"]


def test_the_reason_follows_a_table_that_is_cut(served):
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    answer = ask(served[1], *[image] * 40, np.zeros((200, 100, 3), np.uint8))
    assert answer.status_code == 400
    assert len(answer.content) < 3000
    assert "pixels, 15,000 at most" in answer.json()["message"]


def test_what_content_type_must_be_is_said(served):
    answer = requests.post(served[1], data=b"image", timeout=60)
    assert (answer.status_code, answer.text) == (
        415,
        "Content-Type is missing: it must be application/json\n",
    )


def test_a_client_that_hangs_up_leaves_no_traceback(served, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
    place = urlsplit(served[1])
    with socket.create_connection((place.hostname, place.port)) as client:
        head = f"POST {place.path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    assert ask(served[1], np.zeros((9, 9, 3), np.uint8)).status_code == 200
    assert not caplog.records


def test_a_client_that_sends_all_before_it_reads_is_told_that_it_is_too_much(served):
    place = urlsplit(served[1])
    client = HTTPConnection(place.hostname, place.port, timeout=60)
    client.request("POST", place.path, b" " * 9_000_000, {"Content-Type": "application/json"})
    assert client.getresponse().status == 413
