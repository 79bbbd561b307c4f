"""How many photos a second `mlproject predict` scores, what one photo waits, and whether its memory grows.

    python benchmarks/predict.py                       # KD-CAE at 128 px, made-up 256 px PNG photos
    python benchmarks/predict.py --model pca --photos ../photos --images 10000

An untrained network takes as long as a trained one, so the detector is fitted for one epoch on noise.
CPU time an image is printed too: on a busy machine it says more than images a second. Peak memory is that of
a fresh process for each number of photos. Target: 150 images/s on 2 idle cores, so 13 ms of CPU an image.
Runs in about a minute.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject import models
from mlproject.core import params
from mlproject.data import photos
from mlproject.inference import predict
from mlproject.models.components import detector as base
from mlproject.training.run_options import RunOptions

SIZE = 256  # of the photos and of the prepared squares, pixels
GOOD = 160  # training images, so as many points in KD-CAE's density


def main() -> None:
    """Print images a second, CPU time an image, latency of one, and peak memory for n and 4 n photos."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="kd_cae", choices=models.names())
    parser.add_argument("--photos", type=Path, help="a folder; by default, made-up 256 px PNGs")
    parser.add_argument("--images", type=int, default=500, help="the folder's are repeated")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of:
        _predict(models.load(asked.memory_of), photos.find([asked.photos]).paths, asked.images)
        print(_peak())
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.photos or _made_up(Path(scratch, "photos"))
        saved = _detector(asked.model, Path(scratch, "model"))
        detector, paths = models.load(saved), photos.find([folder]).paths
        _print_speed(detector, paths, asked.images)
        _print_latency(detector, paths)
        for n in (asked.images, 4 * asked.images):
            command = [sys.executable, __file__, "--memory-of", str(saved), "--photos", str(folder)]
            done = subprocess.run(  # noqa: S603
                [*command, "--images", str(n)], check=True, capture_output=True, encoding="utf-8"
            )
            print(f"peak memory {done.stdout.strip()} MiB with {n} photos")


def _predict(detector: base.Detector, paths: list[Path], count: int) -> None:
    """Score photos as the command does, and keep its rows."""
    repeated = [paths[i % len(paths)] for i in range(count)]
    rows = [one.row() for one in predict.predict_photos(detector, 0.0, SIZE, repeated)]
    assert len(rows) == count


def _print_speed(detector: base.Detector, paths: list[Path], count: int) -> None:
    _predict(detector, paths, 32)  # warm
    wall, cpu = time.perf_counter(), time.process_time()
    _predict(detector, paths, count)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cores = photos.cores()
    print(
        f"{count / wall:.0f} images/s on {cores} cores; {1000 * cpu / count:.1f} ms of CPU an image", end=""
    )
    print(f": {1000 * cores / (1000 * cpu / count):.0f} images/s if nothing else ran")


def _print_latency(detector: base.Detector, paths: list[Path]) -> None:
    """Print what one photo waits, file to verdict, once the model is loaded."""
    wall: list[float] = []
    cpu: list[float] = []
    for i in range(30):
        started, before = time.perf_counter(), time.process_time()
        _predict(detector, [paths[i % len(paths)]], 1)
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - before))
    waited, used = statistics.median(wall), statistics.median(cpu)
    print(f"one photo: {waited:.1f} ms, {used:.1f} ms of CPU (median of 30)")


def _peak() -> int:
    """Return the most memory that this process has held, MiB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def _detector(name: str, folder: Path) -> Path:
    """Save a detector with the settings of params.yaml, fitted for one epoch on noise; return its folder."""
    settings = params.value("models")[name]
    quick = {"epochs": 1, "encoder_epochs": 1, "patience": 1}
    detector = models.create(name, settings | {key: v for key, v in quick.items() if key in settings})
    images = np.random.default_rng(0).integers(0, 256, (GOOD + 8, SIZE, SIZE, 3), dtype=np.uint8)
    labelled = base.Labelled(images[:16], np.arange(16) % 2) if detector.supervised else None
    detector.fit(images[:GOOD], images[GOOD:], RunOptions(seed=0), labelled=labelled)
    detector.calibrate(images[GOOD:])
    detector.save(folder)
    return folder


def _made_up(folder: Path) -> Path:
    """Write 256 px PNGs that compress as photos do: smooth shapes with a little noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        shapes = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((SIZE, SIZE))
        noisy = np.clip(np.asarray(shapes) + rng.normal(0, 2, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i:03d}.png")
    return folder


if __name__ == "__main__":
    main()
