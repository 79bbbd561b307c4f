"""Does patch_kde gain from parts that are turned and cropped, and does it find out without labels?

    python -m benchmarks.alignment

Four kinds of photos that the sample does not have, drawn here at 512 px: a bright gear and a nut in its
shell, in any position on a dark table; a speckled pill that hardly moves; a zipper that reaches over the
border. With `align` `none` and `auto`, the other settings those of params.yaml: AUROC of 40 good images
against 12 of each defect, F1 and false alarms at the threshold of the left-out training images, of which
there are 120. Takes ten minutes.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
from scipy import ndimage

from benchmarks.window import images
from mlproject import models
from mlproject.core import params
from mlproject.evaluation import metrics, thresholds
from mlproject.models.components.patch_detector import PART, PatchDetector
from mlproject.training.run_options import RunOptions

SIDE = 512
TRAIN, GOOD, EACH = 120, 40, 12  # images
LAMP = 0.04  # deviation of its brightness
DOWN, RIGHT = np.mgrid[:SIDE, :SIDE].astype(float)
Array = np.ndarray
Draw = Callable[..., Array]


def _field(random: np.random.Generator, sigma: float | tuple[float, float]) -> Array:
    """Return (SIDE, SIDE) smoothed noise of deviation 1."""
    field = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    return np.asarray(field / field.std())


def _edge(distance: Array, width: float = 1.5) -> Array:
    """Return 1 where the distance is positive, 0 where it is negative, softly."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance / width, -50, 50))))


def _spot(x: float, y: float, radius: float) -> Array:
    return np.asarray(np.hypot(RIGHT - x, DOWN - y) < radius, dtype=float)


def _line(
    x: float, y: float, angle: float, half_length: float, half_width: float, bend: float = 0.0
) -> Array:
    along = (RIGHT - x) * np.cos(angle) + (DOWN - y) * np.sin(angle)
    across = (DOWN - y) * np.cos(angle) - (RIGHT - x) * np.sin(angle) + bend * np.sin(along / 9)
    return np.asarray((abs(along) < half_length) & (abs(across) < half_width), dtype=float)


def _soft(mark: Array, sigma: float = 1.0) -> Array:
    return np.asarray(ndimage.gaussian_filter(mark, sigma))[..., None]


def _on_table(table: Array, part: Array, inside: Array) -> Array:
    return np.asarray(table[..., None] * (1 - inside[..., None]) + part * inside[..., None])


def gear(random: np.random.Generator, defect: str) -> Array:
    """Return (SIDE, SIDE, 3): a disc with four hooked arms and a hole, grained, at any angle."""
    (x, y), turn = SIDE / 2 + random.normal(0, 10, 2), random.uniform(0, 2 * np.pi)
    right, down = RIGHT - x, DOWN - y
    along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
    radius, angle = np.hypot(along, across), np.arctan2(-across if defect == "mirrored" else across, along)
    reach = 135 + 62 * _edge(np.cos(4 * angle + 0.9 * (radius - 120) / 60) - 0.35, 0.08)
    if defect == "bent":
        off = np.angle(np.exp(1j * (angle - random.integers(4) * np.pi / 2)))
        reach = np.where(abs(off) < 0.5, reach - 40 * _edge(radius - 140, 6) * (off > 0), reach)
    inside = _edge(reach - radius) * _edge(radius - 52)
    light = 0.55 + 0.05 * _field(random, 1.2) + 0.03 * _field(random, 6) + 0.08 * np.cos(angle + turn)
    light = light - 0.12 * _edge(radius - 75, 2) * _edge(88 - radius, 2)
    part = light[..., None] * np.array([1, 0.97, 0.93])
    at, far, lie = random.uniform(0, 2 * np.pi), random.uniform(70, 125), random.uniform(0, np.pi)
    x, y = x + far * np.cos(at), y + far * np.sin(at)
    if defect == "scratch":
        part = part + 0.22 * _soft(_line(x, y, lie, random.uniform(12, 35), 2))
    if defect == "colour":
        part = part * (1 - _soft(_spot(x, y, random.uniform(8, 18)), 2) * np.array([0.1, 0.35, 0.5]))
    return _on_table(0.12 + 0.03 * _field(random, 1.5) + 0.01 * _field(random, 20), part, inside)


def nut(random: np.random.Generator, defect: str) -> Array:
    """Return (SIDE, SIDE, 3): a streaked, nearly round nut with a pale end, at any angle."""
    (x, y), turn = SIDE / 2 + random.normal(0, 12, 2), random.uniform(0, 2 * np.pi)
    right, down = RIGHT - x, DOWN - y
    along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
    length, width = np.array([165, 145]) * random.uniform(0.95, 1.05, 2)
    radius = np.hypot(along / length, across / width)
    places = [(value + SIDE / 2).clip(0, SIDE - 1) for value in (across, along)]
    streaks = ndimage.map_coordinates(_field(random, (3, 40)), places, order=1)
    light = 0.42 + 0.07 * streaks + 0.03 * _field(random, 2)
    light = light + _edge(-along - 0.55 * length, 12) * (0.18 + 0.08 * _field(random, 3))
    light = light * (0.55 + 0.45 * np.sqrt((1 - radius**2).clip(0.05))) * (1 - 0.15 * (right + down) / 300)
    part = light[..., None] * np.array([1.15, 0.72, 0.42])
    at, far, lie = random.uniform(0, 2 * np.pi), random.uniform(0, 0.7), random.uniform(0, np.pi)
    x, y = x + far * length * np.cos(at), y + far * width * np.sin(at)
    if defect == "hole":
        part = part * (1 - 0.75 * _soft(_spot(x, y, random.uniform(5, 14)), 1.5))
    if defect == "cut":
        part = part + 0.25 * _soft(_line(x, y, lie, random.uniform(20, 60), 3), 1.2)
    if defect == "crack":
        part = part * (1 - 0.7 * _soft(_line(x, y, lie, 50, 4, bend=6)))
    return _on_table(0.05 + 0.01 * _field(random, 30), part, _edge((1 - radius) * width))


def pill(random: np.random.Generator, defect: str) -> Array:
    """Return (SIDE, SIDE, 3): an oval with an H printed on it and red specks anywhere, which hardly moves."""
    x, y = SIDE / 2 + random.normal(0, 5, 2)
    along = RIGHT - x
    across = DOWN - y + random.normal(0, 0.02) * along
    radius = np.hypot(along / 190, across / 110)
    part = (0.85 - 0.2 * radius**2 + 0.01 * _field(random, 1))[..., None] * np.array([1, 0.98, 0.9])
    part = part * (1 - _edge(_field(random, 3) - 2, 0.1)[..., None] * np.array([0.1, 0.5, 0.5]))
    strokes = [_line(x - 40, y, np.pi / 2, 30, 4), _line(x + 40, y, np.pi / 2, 30, 4), _line(x, y, 0, 36, 3)]
    if defect == "print":
        strokes.pop(random.integers(3))
    part = part * (1 - 0.25 * _soft(np.maximum.reduce(strokes)))
    inside = _edge((1 - radius) * 110, 2)
    at, far, lie = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.8), random.uniform(0, np.pi)
    if defect == "chip":
        inside = inside * (
            1 - _soft(_spot(x + 190 * np.cos(at), y + 110 * np.sin(at), random.uniform(8, 18)), 1.5)[..., 0]
        )
    x, y = x + 190 * far * np.cos(at), y + 110 * far * np.sin(at)
    if defect == "scratch":
        part = part * (1 - 0.2 * _soft(_line(x, y, lie, random.uniform(10, 40), 1.5), 0.8))
    if defect == "dirt":
        part = part * (1 - 0.35 * _soft(_spot(x, y, random.uniform(4, 9))))
    return _on_table(0.1 + 0.005 * _field(random, 10), part, inside)


def zipper(random: np.random.Generator, defect: str) -> Array:
    """Return (SIDE, SIDE, 3): an upright zipper in woven cloth, whose teeth lie at any height."""
    middle, start, tilt = SIDE / 2 + random.normal(0, 6), random.uniform(0, 24), random.normal(0, 0.01)
    x, place = RIGHT - middle + tilt * (DOWN - SIDE / 2), random.uniform(100, SIDE - 100)
    weave = np.sin(2 * np.pi * RIGHT / 7 + random.uniform(0, 6)) * np.sin(2 * np.pi * DOWN / 7)
    cloth = 0.35 + 0.05 * weave + 0.03 * _field(random, 1)
    if defect == "squeezed":
        x = x * (1 + 0.5 * np.exp(-(((DOWN - place) / 35) ** 2)))
    tooth = np.cos(2 * np.pi * (DOWN + start) / 24 + np.pi * (x <= 0)) * _edge(40 - abs(x))
    band = _edge(44 - abs(x), 2)
    light = cloth * (1 - band) + band * (0.2 + 0.35 * _edge(tooth, 0.15) * _edge(40 - abs(x)))
    light = light + 0.015 * _field(random, 1)
    if defect == "tooth":
        light = np.where((abs(DOWN - place) < 14) & (x > 2) & (x < 44), 0.2 + 0.02 * _field(random, 1), light)
    if defect == "split":
        half = 7 * np.sqrt((1 - ((DOWN - place) / 40) ** 2).clip(0))
        light = np.where(abs(x) < half, 0.08, light)
    if defect == "cloth":
        spot = _spot(middle + random.choice([-1, 1]) * random.uniform(90, 200), place, random.uniform(8, 20))
        light = np.where(spot > 0, 0.35 + 0.06 * _field(random, 3), light)
    return np.asarray(light[..., None] * np.array([1, 1, 1.05]))


PRODUCTS: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "gear": (gear, ("scratch", "colour", "bent", "mirrored")),
    "nut": (nut, ("hole", "cut", "crack")),
    "pill": (pill, ("print", "scratch", "chip", "dirt")),
    "zipper": (zipper, ("squeezed", "tooth", "split", "cloth")),
}


def main() -> None:
    """Print a row for each product and way to align."""
    tree = params.load_file()
    settings, rate = tree["models"]["patch_kde"], tree["threshold"]["false_alarm_rate"]
    print(
        f"| product | align | parts are | AUROC | F1 | false alarms ({rate:g} asked) | each defect | fit, s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    torch.set_num_threads(1)
    for product, (draw, defects) in PRODUCTS.items():
        train, good = (
            images(partial(draw, defect=""), n, seed, LAMP) for seed, n in enumerate((TRAIN, GOOD))
        )
        defective = np.concatenate(
            [images(partial(draw, defect=defect), EACH, 2 + n, LAMP) for n, defect in enumerate(defects)]
        )
        labels = np.repeat([0, 1], [GOOD, len(defective)])
        for align in ("none", "auto"):
            detector = cast(PatchDetector, models.create("patch_kde", settings | {"align": align}))
            started = time.process_time()
            detector.fit(train, train[:1], RunOptions(seed=0))
            seconds = time.process_time() - started
            scores = detector.measure(np.concatenate([good, defective])).parts[PART]
            each = []
            for n, defect in enumerate(defects):
                some = np.r_[:GOOD, GOOD + n * EACH : GOOD + (n + 1) * EACH]
                each.append(f"{defect} {metrics.auroc(labels[some], scores[some]):.3f}")
            called = scores > thresholds.calibrate(detector.left_out_scores, rate, strict=False).value
            found, alarms = called[GOOD:].sum(), called[:GOOD].sum()
            f1 = 2 * found / (found + alarms + len(defective))
            print(
                f"| {product} | {align} | {'as they are' if detector.alignment is None else 'aligned'} "
                f"| {metrics.auroc(labels, scores):.3f} | {f1:.3f} | {alarms / GOOD:.3f} "
                f"| {', '.join(each)} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
