"""How much memory `mlflow models serve` takes for small files that hold many pixels, asked for at once.

    python benchmarks/serve_memory.py sample-bracket/1      # a registered version

Each of eight requests is a transparent PNG of 9459 × 9459 pixels, the most that one image may have, in .4 MB.
Prints the answers and the peak memory of all the server's processes, before and after. Takes half a minute.
"""

import base64
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import requests
from PIL import Image
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mlproject.tracking import connection

SIDE, REQUESTS, PORT = 9459, 8, "5099"


def main() -> None:
    """Start the server, ask it, print what it took, end it."""
    file = BytesIO()
    Image.new("RGBA", (SIDE, SIDE)).save(file, "PNG")
    body = {"inputs": {"image": [base64.b64encode(file.getvalue()).decode()]}}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-p", PORT]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = os.environ | {"MLFLOW_TRACKING_URI": connection.uri(), "PATH": path}
    command += ["-m", f"models:/{sys.argv[1]}"]
    server = subprocess.Popen(  # noqa: S603
        command, env=settings, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{PORT}"
    try:
        session = requests.Session()
        session.mount("http://", HTTPAdapter(max_retries=Retry(60, backoff_factor=0.5, backoff_max=1)))
        session.get(f"{address}/ping", timeout=60)
        print(f"{file.tell() / 1e6:.2f} MB a file; peak at rest {_peak(server.pid):,} MB", flush=True)
        with ThreadPoolExecutor(REQUESTS) as pool:
            asked = [pool.submit(requests.post, f"{address}/invocations", json=body) for _ in range(REQUESTS)]
            answers = Counter(answer.result().status_code for answer in asked)
        print(f"answers {dict(answers)}; peak {_peak(server.pid):,} MB")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _peak(group: int) -> int:
    """Return the sum of the most memory that each process of a group has held, MB."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError, FileNotFoundError):  # it ended meanwhile
            if os.getpgid(int(process.name)) == group:
                text = (process / "status").read_text(encoding="utf-8")
                found += int(text.partition("VmHWM:")[2].split()[0])
    return found // 1000


if __name__ == "__main__":
    main()
