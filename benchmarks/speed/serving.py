"""Models behind a web server, asked by one client and by many at once; anomalib's PaDiM behind FastAPI."""

import base64
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import inputs, scoring
from benchmarks.speed.machine import ROOT
from benchmarks.speed.measure import Group, Row, Side
from benchmarks.speed.worker import Measured

CLIENTS = (1, 8, 32)
REQUESTS = 64  # a measurement, of all clients together
PERCENTILES = (50, 95, 99)


def groups(tiny: bool) -> list[Group]:
    """Return a group for each number of clients."""
    return [_group(clients, tiny) for clients in ((2,) if tiny else CLIENTS)]


def _group(clients: int, tiny: bool) -> Group:
    options = {"clients": clients, "requests": 4 if tiny else REQUESTS, "side": 64 if tiny else scoring.SIZE}
    good = {"good": 8 if tiny else 160}
    names = ("kd_cae", "patch_kde")
    sides = {
        name: Side(scoring.NAMES[name], "serving:ours", options | good | {"model": name}) for name in names
    }
    sides["padim"] = Side("anomalib PaDiM", "serving:padim", options, peers=True)
    who = "1 client" if clients == 1 else f"{clients} clients"
    rows = tuple(
        Row(f"served, {who}, {scoring.NAMES[name]}", name, "padim", "requests/s", at_least=1)
        for name in names
    )
    return Group(f"served-{clients}", sides, rows, rounds=1 if tiny else 3)


def ours(model: str, good: int, clients: int, requests: int, side: int, scratch: str) -> Measured:
    """Requests a second to MLflow's scoring server, a photo each, as `mlflow models serve` starts it."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    from mlproject.registry import hashes, register, request_guard

    folder = Path(scratch, f"served-{model}")
    scoring.save_fitted(model, good, side, folder / "model")
    for name, value in (("threshold", 0.0), ("image_size", side)):
        (folder / f"{name}.json").write_text(json.dumps({name: value}), encoding="utf-8")
    artifacts = {"model": "model", "threshold": "threshold.json", "prepared": "image_size.json"}
    with hashes.being_logged():
        mlflow.pyfunc.save_model(
            path=folder / "mlflow",
            python_model=str(register.SERVED_MODEL),
            artifacts={name: str(folder / file) for name, file in artifacts.items()},
            pip_requirements=[],
            signature=register.signature(),
        )
    hashes.write_list(folder / "mlflow")
    app = scoring_server.init(mlflow.pyfunc.load_model(str(folder / "mlflow")))
    app.add_middleware(request_guard.Guard, limit=float(request_guard.DEFAULT_LIMIT) * 1e6)
    photos = inputs.photos(Path(scratch, "photos-8"), 8, side)

    def body(photo: bytes) -> bytes:
        return json.dumps({"inputs": {"image": [base64.b64encode(photo).decode()]}}).encode()

    return _measured(app, "/invocations", [body(path.read_bytes()) for path in photos], clients, requests)


def padim(clients: int, requests: int, side: int, scratch: str) -> Measured:
    """Requests a second to a small FastAPI application around anomalib's network and transform."""
    from benchmarks.speed import anomalib_models

    photos = inputs.photos(Path(scratch, "photos-8"), 8, side)
    app = anomalib_models.application("padim")
    return _measured(app, "/predict", [path.read_bytes() for path in photos], clients, requests)


def _measured(app: Any, path: str, bodies: list[bytes], clients: int, requests: int) -> Measured:
    """Serve an application from a thread of this process; the clients are another one."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    seconds: list[float] = []

    def once() -> float:
        given = {"port": port, "path": path, "clients": clients, "requests": requests}
        given["bodies"] = [body.decode("latin-1") for body in bodies]
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.speed.clients"], cwd=ROOT, check=True,
            input=json.dumps(given), capture_output=True, encoding="utf-8",
        )  # fmt: skip
        answer = json.loads(found.stdout)
        seconds.extend(answer["seconds"])
        return requests / float(answer["all"])

    def facts() -> str:
        times = np.percentile(seconds, PERCENTILES) * 1000
        return ", ".join(f"p{p} {ms:.0f} ms" for p, ms in zip(PERCENTILES, times, strict=True))

    once()
    seconds.clear()
    return Measured(once, facts)
