"""Speed of prepare compared with one-process Pillow, and whether its memory grows with the number of images.

    python benchmarks/prepare.py --folder ../shared/mvtec-native/transistor

Both decode the same files and resize them alike, in turns (A B B A …), so that what else the machine does
hits both; the speed-up is the median over rounds. Peak memory is that of a fresh process for each number
of images. Target: at least 1.7 times on 2 cores at 1024 px. Runs in about a minute.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.data.layout import read_layout
from mlproject.data.prepare import prepare_category

SIZE = 256


def main() -> None:
    """Print images a second of both, their ratio, and peak memory for n and 4 n images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="a category; by default, made-up 1024 px PNGs")
    parser.add_argument("--images", type=int, default=150, help="training images; the folder's are repeated")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of:
        prepare_category(asked.memory_of, asked.memory_of.with_name("prepared"), SIZE)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or _made_up(Path(scratch, "made_up"))
        category = _repeated(folder, Path(scratch, "raw"), asked.images)
        _print_speed(category, Path(scratch, "prepared"), asked.rounds)
        _print_memory(folder, Path(scratch), asked.images)


def _print_speed(category: Path, out: Path, rounds: int) -> None:
    entries = read_layout(category)
    files = [category / path for entry in entries for path in (entry.path, entry.mask) if path]
    seconds: dict[str, list[float]] = {"prepare": [], "Pillow": []}
    both = {"prepare": lambda: prepare_category(category, out, SIZE), "Pillow": lambda: _plain(files)}
    for i in range(rounds):
        for name in ("prepare", "Pillow") if i % 2 else ("Pillow", "prepare"):
            seconds[name].append(_timed(both[name]))
    for name, taken in seconds.items():
        print(f"{name:8} {len(entries) / statistics.median(taken):7.1f} images/s")
    ratios = [plain / ours for ours, plain in zip(seconds["prepare"], seconds["Pillow"], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    cores = len(os.sched_getaffinity(0))
    print(f"speed-up {statistics.median(ratios):7.2f} times ({spread} in {rounds} rounds, {cores} cores)")


def _print_memory(folder: Path, scratch: Path, images: int) -> None:
    for n in (images, 4 * images):
        category = _repeated(folder, scratch / f"memory_{n}" / "raw", n)
        command = [sys.executable, __file__, "--memory-of", str(category)]
        peak = int(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)  # noqa: S603
        print(f"peak memory {peak / 1024:6.0f} MiB with {len(read_layout(category))} images")
        shutil.rmtree(category.parent)


def _plain(files: list[Path]) -> None:
    """Decode and resize one after another, as a loop over Pillow does; hold no result."""
    for file in files:
        with Image.open(file) as image:
            np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS, reducing_gap=2.0))


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _repeated(folder: Path, target: Path, images: int) -> Path:
    """Copy a category with its training images repeated up to a number."""
    entries = read_layout(folder)
    train = [entry for entry in entries if entry.split == "train"]
    for i in range(images):
        source = folder / train[i % len(train)].path
        _copy(source, target / "train/good" / f"{i:04d}{source.suffix}")
    for entry in entries[len(train) :]:
        for path in (entry.path, entry.mask):
            if path:
                _copy(folder / path, target / path)
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _made_up(folder: Path) -> Path:
    """Write 1024 px PNGs that compress as photos do: smooth shapes with a little noise."""
    rng = np.random.default_rng(0)
    for part, n in (("train/good", 12), ("test/good", 3), ("test/dent", 3)):
        (folder / part).mkdir(parents=True)
        for i in range(n):
            shapes = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((1024, 1024))
            noise = rng.normal(0, 2, (1024, 1024, 3))
            pixels = np.clip(np.asarray(shapes) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{i:03d}.png")
    return folder


if __name__ == "__main__":
    main()
