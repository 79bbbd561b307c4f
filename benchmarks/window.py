"""Does a texture gain from kernels that all places share?

    python benchmarks/window.py

patch_kde with `window: near` and `all` on four textures without order, drawn here: wood, tile, leather and
carpet at 256 px, 160 good images to fit, the other settings those of params.yaml. A third row is of `all`
fitted to 128 of them and extended by the other 32. AUROC of 48 good images against the same with a made
defect of each kind that can show in a texture, 40 % visible; false alarms of 200 new good images at the
threshold of the left-out ones. Takes seven minutes.
"""

import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from scipy import ndimage

from mlproject import models
from mlproject.core import params
from mlproject.evaluation import metrics, thresholds
from mlproject.models.components.patch_detector import PART, PatchDetector
from mlproject.training.run_options import RunOptions
from mlproject.tuning import proxy_defects

SIDE = 256
TRAIN, TEST, NEW = 160, 48, 200  # images
KINDS = ("stain", "faint", "scratch", "warp", "patch")
FIRST = 128  # of the images to fit: the model is extended by the others
VISIBLE = 0.4  # of the made defect, against the image without it


def _field(random: np.random.Generator, sigma: float | tuple[float, float]) -> np.ndarray:
    field = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    return np.asarray(field / field.std())


def wood(random: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3): upright grain that bends."""
    across = np.arange(SIDE) / random.uniform(9, 13)
    phase = across + 1.8 * _field(random, (60, 12)) + random.uniform(0, 100)
    light = 0.5 + 0.18 * np.sin(phase) + 0.08 * np.sin(2.7 * phase + 1) + 0.03 * _field(random, (14, 0.7))
    return (light + 0.05 * random.standard_normal())[..., None] * np.array([0.85, 0.6, 0.4])


def tile(random: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3): dark specks of two sizes in a pale ground."""
    large, small = (
        1 / (1 + np.exp(-6 * (_field(random, size) - level))) for size, level in ((7, 0.6), (4, 1.2))
    )
    light = 0.6 - 0.3 * large - 0.2 * small + 0.02 * _field(random, 0.8)
    return light[..., None] * np.array([0.95, 0.97, 1.0])


def leather(random: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3): rounded grains lit from the side."""
    height = np.abs(_field(random, 3)) + 0.5 * np.abs(_field(random, 1.6))
    light = 0.35 + 0.03 * _field(random, 40) + 0.12 * np.tanh(height - 1) + 0.02 * ndimage.sobel(height, 1)
    return light[..., None] * np.array([0.9, 0.7, 0.55])


def carpet(random: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE, 3): a small pattern that lies elsewhere in each image."""
    down, right = np.mgrid[:SIDE, :SIDE] + random.uniform(0, 8, (2, 1, 1))
    turn = random.normal(0, 0.01)
    x, y = right * np.cos(turn) - down * np.sin(turn), right * np.sin(turn) + down * np.cos(turn)
    pattern = np.sin(2 * np.pi * x / 8) * np.sin(2 * np.pi * y / 6)
    return (0.4 + 0.1 * pattern + 0.09 * _field(random, 1.0))[..., None] * np.array([0.8, 0.8, 0.85])


def images(
    texture: Callable[[np.random.Generator], np.ndarray], count: int, seed: int, lamp: float = 0.05
) -> np.ndarray:
    """Return (count, h, w, 3) uint8 photos, each under its own lamp, with sensor noise.

    `lamp` is the deviation of its brightness.
    """
    photos = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        light = texture(random) * (1 + lamp * random.standard_normal())
        light = light + 0.008 * random.standard_normal(light.shape)
        photos.append((light.clip(0, 1) * 255).round().astype(np.uint8))
    return np.stack(photos)


def main() -> None:
    """Print the rows of each texture."""
    tree = params.load_file()
    settings, rate = tree["models"]["patch_kde"], tree["threshold"]["false_alarm_rate"]
    torch.set_num_threads(1)
    print(
        f"| texture | window | AUROC, mean | {' | '.join(KINDS)} | false alarms ({rate:g} asked) | fit, s |"
    )
    print("| --- | --- | --- |" + " --- |" * (len(KINDS) + 2), flush=True)
    for texture in (wood, tile, leather, carpet):
        train, test, new = (images(texture, n, seed) for seed, n in enumerate((TRAIN, TEST, NEW)))
        made = proxy_defects.make(test, seed=0)
        kinds = np.array(made.kinds)
        for window, first in (("near", TRAIN), ("all", TRAIN), ("all", FIRST)):
            detector = cast(PatchDetector, models.create("patch_kde", settings | {"window": window}))
            started = time.process_time()
            detector.fit(train[:first], train[:1], RunOptions(seed=0))
            if first < TRAIN:
                started = time.process_time()
                detector = detector.extended(train[first:], np.ones(first, dtype=bool))
            seconds = time.process_time() - started
            good = detector.measure(test).parts[PART]
            aurocs: list[float] = []
            for kind in KINDS:
                seen = VISIBLE * made.images[kinds == kind] + (1 - VISIBLE) * test
                scores = detector.measure(seen.round().astype(np.uint8)).parts[PART]
                labels = np.repeat([0, 1], len(test))
                found = metrics.auroc(labels, np.concatenate([good, scores]))
                assert found is not None
                aurocs.append(found)
            threshold = thresholds.calibrate(detector.left_out_scores, rate, strict=False).value
            alarms = np.mean(detector.measure(new).parts[PART] > threshold)
            cells = " | ".join(f"{value:.3f}" for value in (np.mean(aurocs), *aurocs))
            title = window if first == TRAIN else f"{window}, {first} + {TRAIN - first} images"
            print(f"| {texture.__name__} | {title} | {cells} | {alarms:.3f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
