"""When it pays to share one training out to processes: KD-CAE's speed and processor time, by batch.

    python benchmarks/data_parallel.py

On CPUs, gradients by gloo: one process on one thread, one on a thread a core, and a process a core. In turn,
several times; medians of all epochs but each training's first.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mlproject import models
from mlproject.core import params
from mlproject.training.loop import Epoch
from mlproject.training.run_options import RunOptions

BATCHES = (4, 16, 64)
IMAGES, VALIDATION = 128, 4
EPOCHS, ROUNDS = 3, 3


def processor_seconds() -> float:
    """Return the processor time so far of this process and of those that share its training."""
    others = [psutil.Process(process.pid).cpu_times() for process in multiprocessing.active_children()]
    return time.process_time() + sum(used.user + used.system for used in others)


def epochs(batch: int, processes: int, threads: int) -> list[tuple[float, float]]:
    """Return images a second and processor milliseconds an image of each epoch but the first.

    Args:
        threads: of all processes together.
    """
    import torch  # after mlproject, which says how its idle threads wait

    settings = params.value("models.kd_cae") | {"batch_size": batch, "epochs": EPOCHS, "patience": EPOCHS}
    side = settings["image_size"]
    shape = (IMAGES + VALIDATION, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rates, used = [], []

    def on_epoch(epoch: Epoch) -> None:
        rates.append(epoch.images_per_second)
        used.append(processor_seconds())

    torch.set_num_threads(threads)
    run = RunOptions(seed=0, on_epoch=on_epoch, processes=processes)
    models.create("kd_cae", settings).fit(images[VALIDATION:], images[:VALIDATION], run)
    return list(zip(rates[1:], np.diff(used) / IMAGES * 1000, strict=True))


def main() -> None:
    """Print the table."""
    cores = os.cpu_count() or 1
    ways = {"one thread": (1, 1), f"{cores} threads": (1, cores), f"{cores} processes": (cores, cores)}
    print(f"before it, {os.getloadavg()[0]:.1f} processes ran on {cores} cores\n")
    print(f"| batch | {' | '.join(ways)} |")
    print(f"| --- | {' | '.join('---' for _ in ways)} |")
    for batch in BATCHES:
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, (processes, threads) in ways.items():
                found[way] += epochs(batch, processes, threads)
        cells = [
            f"{median(rate for rate, _ in rows):.0f}/s, {median(used for _, used in rows):.1f} ms"
            for rows in found.values()
        ]
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
