"""Probe of a registered model in its own process: its predictions, its latency, its memory.

Run as a script (`python -P probe.py JOB.json`). It imports nothing of this project: the model brings its
own copy of the code, as it does where it is served. The job names the model's folder, image files, how often
to repeat the timing, and where answers go.
"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

CHUNK = 32  # images in memory at once
WARM_UP = 3


def main(job: dict[str, Any]) -> None:
    """Write answers.json, and maps.npy where maps are asked for and the model makes any."""
    # Warnings of other versions would be read by nobody, and cost a second: MLflow looks at every package.
    model = mlflow.pyfunc.load_model(job["model"], suppress_warnings=True)
    first = _table(job["images"][:1])
    times = [_milliseconds(model, first) for _ in range(WARM_UP + job["repeats"])]
    answers: dict[str, Any] = {
        "latency_ms": statistics.median(times[WARM_UP:]),
        "memory_mb": _peak_memory(),
        "own_code": _own_code(Path(job["model"])),
    }
    chunks = [
        model.predict(_table(job["images"][start : start + CHUNK]), params={"maps": job["maps"]})
        for start in range(0, len(job["images"]), CHUNK)
    ]
    scored = pd.concat(chunks, ignore_index=True)
    out = Path(job["out"])
    if job["maps"] and "anomaly_map" in scored and scored["anomaly_map"].notna().all():
        np.save(out / "maps.npy", np.stack(scored["anomaly_map"].to_list()).astype(np.float32))
    answers["score"] = scored["score"].tolist()
    (out / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def _table(paths: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"image": [Path(path).read_bytes() for path in paths]})


def _milliseconds(model: Any, table: pd.DataFrame) -> float:
    started = time.perf_counter()
    model.predict(table)
    return 1000 * (time.perf_counter() - started)


def _peak_memory() -> float:
    """Return the most memory that this process has held, in MB.

    Linux's VmHWM, not `ru_maxrss`: that starts from what the parent process held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(
            line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")
        )
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _own_code(model: Path) -> bool:
    """Say whether the code that ran came with the model."""
    loaded = sys.modules.get("mlproject")
    return loaded is not None and Path(loaded.__file__ or "").is_relative_to(model)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
