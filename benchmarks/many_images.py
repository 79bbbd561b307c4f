"""What does patch_kde gain from more training images than it describes?

    python benchmarks/many_images.py

It describes `patch_detector.MOST_DESCRIBED` at most; the others help to set the threshold. Here it learns
from more and more good images of the built-in sample, and from the most of them once with all described. Each
row is a process of its own. Takes half an hour.
"""

import multiprocessing
import time

import numpy as np
from drift import good_images

from benchmarks.speed.worker import peak
from mlproject import models
from mlproject.core import params
from mlproject.data.sample import build
from mlproject.evaluation import metrics, thresholds
from mlproject.models.components import patch_detector
from mlproject.training.run_options import RunOptions

CATEGORIES = ("bracket", "weave")
COUNTS = (200, 500, 2000)
TESTED = (1000, 1001)  # seeds of the test images; two draws of each
NEW = 400  # good photos


def main() -> None:
    """Print a row for each category and number of training images."""
    print("| category | training images | described | AUROC | false alarms | seconds | peak, MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    context = multiprocessing.get_context("spawn")
    for category in CATEGORIES:
        for count in COUNTS:
            for most in dict.fromkeys((min(count, patch_detector.MOST_DESCRIBED), count)):
                process = context.Process(target=_row, args=(category, count, most))
                process.start()
                process.join()


def _row(category: str, count: int, most: int) -> None:
    patch_detector.MOST_DESCRIBED = most
    good, new = (
        np.concatenate([good_images(category, "train", build.TRAIN_GOOD, seed)[1] for seed in seeds])
        for seeds in (range(-(-count // build.TRAIN_GOOD)), range(1000, 1000 + NEW // build.TRAIN_GOOD))
    )
    detector = models.create("patch_kde", params.value("models.patch_kde"))
    started = time.perf_counter()
    detector.fit(good[:count], new[:50], RunOptions(seed=0))
    seconds, memory = time.perf_counter() - started, peak()
    detector.calibrate(new[:50])
    rate = params.value("threshold.false_alarm_rate")
    threshold = thresholds.calibrate(
        detector.threshold_scores(detector.left_out_parts()), rate, strict=False
    ).value
    tested = [picture for seed in TESTED for picture in build.pictures(category, seed)]
    tested = [picture for picture in tested if picture.subset == "test"]
    scores = detector.score(np.stack([build.render(picture)[0] for picture in tested])).scores
    labels = np.array([picture.defect != "good" for picture in tested])
    false = np.mean(detector.score(new).scores > threshold)
    print(
        f"| {category} | {count} | {most} | {metrics.auroc(labels, scores):.3f} | {false:.3f} | "
        f"{seconds:.0f} | {memory:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
