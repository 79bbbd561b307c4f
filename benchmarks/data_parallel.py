"""When it pays to share one training out to processes: KD-CAE's images a second, by batch and by processes.

    python benchmarks/data_parallel.py

On CPUs, gradients by gloo: one process on one thread, one on a thread a core, and a process a core. In turn,
several times; the median of all epochs but each training's first.
"""

import os
import sys
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mlproject import models
from mlproject.core import params
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions

BATCHES = (4, 16, 64)
IMAGES, VALIDATION = 256, 8
EPOCHS, ROUNDS = 3, 3


def rates(batch: int, processes: int, threads: int) -> list[float]:
    """Return images a second of each epoch but the first, with so many threads in all."""
    settings = params.value("models.kd_cae") | {"batch_size": batch, "epochs": EPOCHS, "patience": EPOCHS}
    side = settings["image_size"]
    shape = (IMAGES + VALIDATION, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found: list[float] = []

    def on_epoch(epoch: Epoch) -> None:
        found.append(epoch.images_per_second)

    torch.set_num_threads(threads)
    run = RunOptions(seed=0, on_epoch=on_epoch, processes=processes)
    models.create("kd_cae", settings).fit(images[VALIDATION:], images[:VALIDATION], run)
    return found[1:]


def main() -> None:
    """Print the table."""
    cores = len(os.sched_getaffinity(0))
    ways = {"one thread": (1, 1), f"{cores} threads": (1, cores), f"{cores} processes": (cores, cores)}
    print(f"before it, the load average was {os.getloadavg()[0]:.1f}\n")
    print(f"| batch | {' | '.join(ways)} |")
    print(f"| --- | {' | '.join('---' for _ in ways)} |")
    for batch in BATCHES:
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, (processes, threads) in ways.items():
                found[way] += rates(batch, processes, threads)
        print(f"| {batch} | {' | '.join(f'{median(values):.1f}' for values in found.values())} |", flush=True)


if __name__ == "__main__":
    main()
