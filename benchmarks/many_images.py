"""What does patch_kde gain from many training images, and from describing them all?

    python -m benchmarks.many_images

It describes `patch_detector.MOST_DESCRIBED` at most; the others help to set the threshold. Here it learns
from more and more good images of the built-in sample, with a lower limit too. Each row is a process of its
own, whose seconds and memory are those of `fit`. Takes a quarter of an hour.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.drift import good_images
from benchmarks.speed.worker import peak
from mlproject import models
from mlproject.core import params
from mlproject.data.sample import build
from mlproject.evaluation import metrics, thresholds
from mlproject.models.components import patch_detector
from mlproject.training.run_options import RunOptions

CATEGORIES = ("bracket", "weave")
COUNTS = (200, 500, 1500)
TESTED = (0, 1)  # seeds of the test images, two draws of each kind
NEW = (1000, 1001)  # seeds of new good photos
LIMIT = 500  # described images
VALIDATION = 50  # of the new photos


def main() -> None:
    """Print a row for each category and number of training images."""
    print("| category | training images | described | AUROC | false alarms | seconds | peak, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    context = multiprocessing.get_context("spawn")
    for category in CATEGORIES:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder, "good.npy"), _good(category, range(-(-max(COUNTS) // build.TRAIN_GOOD))))
            np.save(Path(folder, "new.npy"), _good(category, NEW))
            for count in COUNTS:
                for most in dict.fromkeys((min(count, LIMIT), count)):
                    process = context.Process(target=_row, args=(category, count, most, Path(folder)))
                    process.start()
                    process.join()


def _good(category: str, seeds: range | tuple[int, ...]) -> np.ndarray:
    return np.concatenate([good_images(category, "train", build.TRAIN_GOOD, seed)[1] for seed in seeds])


def _row(category: str, count: int, most: int, folder: Path) -> None:
    patch_detector.MOST_DESCRIBED = most
    train, new = np.load(folder / "good.npy", mmap_mode="r")[:count].copy(), np.load(folder / "new.npy")
    validation, new = new[:VALIDATION], new[VALIDATION:]
    detector = models.create("patch_kde", params.value("models.patch_kde"))
    started = time.perf_counter()
    detector.fit(train, validation, RunOptions(seed=0))
    seconds, memory = time.perf_counter() - started, peak()
    detector.calibrate(validation)
    good = detector.threshold_scores(detector.left_out_parts())
    threshold = thresholds.calibrate(good, params.value("threshold.false_alarm_rate"), strict=False).value
    pictures = [p for seed in TESTED for p in build.pictures(category, seed) if p.subset == "test"]
    scores = detector.score(np.stack([build.render(picture)[0] for picture in pictures])).scores
    auroc = metrics.auroc(np.array([picture.defect != "good" for picture in pictures]), scores)
    false_alarms = np.mean(detector.score(new).scores > threshold)
    figures = f"{auroc:.3f} | {false_alarms:.3f} | {seconds:.0f} | {memory:,.0f}"
    print(f"| {category} | {count:,} | {most:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
