"""What it costs that idle threads sleep, as here, or spin, as PyTorch has it: the same training, in turn.

Run: python benchmarks/waiting_threads.py      (quiet, then beside a process that keeps one core busy)
"""

import os
import subprocess
import sys
import time
from statistics import median

import numpy as np

from mlproject.training.run_options import RunOptions

ROUNDS = 3


def train() -> None:
    """Train KD-CAE for three epochs on all cores; print the seconds."""
    from mlproject import models
    from mlproject.core import params

    images = np.random.default_rng(0).integers(0, 256, (120, 128, 128, 3), dtype=np.uint8)
    settings = params.value("models.kd_cae") | {"epochs": 3, "patience": 3}
    detector = models.create("kd_cae", settings)
    started = time.perf_counter()
    detector.fit(images[20:], images[:20], RunOptions(seed=0))
    print(time.perf_counter() - started)


def seconds(policy: str | None) -> float:
    """Return how long a training takes in a process of its own; None: as PyTorch has it."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["OMP_WAIT_POLICY"] = policy or ""
    command = [sys.executable, __file__, "train"]
    found = subprocess.run(  # noqa: S603
        command, env=environment, check=True, capture_output=True, encoding="utf-8"
    )
    return float(found.stdout)


def main() -> None:
    """Print each round's seconds and ratio, quiet and busy."""
    for name in ("quiet", "busy"):
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if name == "busy" else None
        try:
            ratios = []
            for _ in range(ROUNDS):
                sleeping, spinning = seconds("PASSIVE"), seconds(None)
                ratios.append(spinning / sleeping)
                print(f"{name}: {sleeping:.1f} s sleeping, {spinning:.1f} s spinning, ratio {ratios[-1]:.2f}")
            print(f"{name}: median ratio {median(ratios):.2f}")
        finally:
            if other:
                other.kill()


if __name__ == "__main__":
    train() if sys.argv[1:] == ["train"] else main()
