"""Noise of the camera, which tells two photos of much the same view from one photo that was saved twice.

Two photos have noise of their own; a copy has the original's, or less where it was compressed or resized.
It shows where a photo is smooth, in detail so fine that a part's own pattern has hardly any there.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE = 256  # pixels at which photos are compared; at 32, as `copies` does first, noise averages out
# `python benchmarks/copies.py` prints what the limits lie between
LEAST_NOISE = 0.6  # levels of 256: what compression leaves of weaker noise looks like other noise
ALIKE = 1.5  # times as much noise as the other at most, or one is compressed, and nothing is known
LARGEST_CORRELATION = 0.05  # of separate photos' noise
_SMOOTH = 0.5  # share of a photo's pixels that count as smooth
_DARK, _BRIGHT = 8, 247  # levels: beyond, noise is cut off
_FEWEST = 2000  # pixels
_KEPT = 1024  # photos whose noise is kept, 32 kB each
_MOST = 200_000  # pairs that are compared, in half a minute: of thousands of photos all may look alike
_HIDDEN = -128


class Noise(NamedTuple):
    """Noise of a photo in every second row of pixels.

    Attributes:
        spread: standard deviation, levels; by the median, which hardly an edge changes.
        values: int8, 40 a standard deviation, at most 3 of them; `_HIDDEN` where the photo is not smooth.
    """

    spread: float
    values: np.ndarray


def of(pixels: np.ndarray) -> Noise:
    """Return the noise of (s, s, 3) uint8."""
    image = Image.fromarray(pixels)
    if max(image.size) > SIDE:
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    brightness = np.asarray(image).mean(axis=2, dtype=np.float32)
    smooth = _box(brightness)
    slope = _box(np.hypot(*np.gradient(smooth)))
    seen = (smooth > _DARK) & (smooth < _BRIGHT)
    if seen.sum() < _FEWEST:
        return Noise(0.0, np.zeros(0, np.int8))
    seen &= slope <= np.quantile(slope[seen], _SMOOTH)
    fine = _second_difference(_second_difference(brightness).T).T / 6  # white noise keeps its spread
    spread = 1.4826 * float(np.median(np.abs(fine[seen])))
    scaled = (40 * np.clip(fine / max(spread, 1e-6), -3, 3)).astype(np.int8)
    return Noise(spread, np.where(seen, scaled, np.int8(_HIDDEN))[::2].ravel())


def separate(a: Noise, b: Noise) -> bool:
    """Return whether two photos have noise of their own; False where there is too little to know."""
    less, more = sorted((a.spread, b.spread))
    if less < LEAST_NOISE or more > ALIKE * less:
        return False
    both = (a.values != _HIDDEN) & (b.values != _HIDDEN)
    x, y = a.values[both].astype(np.float32), b.values[both].astype(np.float32)
    if len(x) < _FEWEST / 2:
        return False
    return bool(x @ y < LARGEST_CORRELATION * np.sqrt((x @ x) * (y @ y)))


def separate_in(photo: Callable[[int], np.ndarray]) -> Callable[[int, int], bool]:
    """Return `separate` of two photos by their numbers; False for each pair after the first _MOST.

    Args:
        photo: returns (s, s, 3) uint8 of a number.
    """
    noise = lru_cache(maxsize=_KEPT)(lambda number: of(photo(number)))
    asked = itertools.count()
    return lambda a, b: next(asked) < _MOST and separate(noise(a), noise(b))


def _box(values: np.ndarray) -> np.ndarray:
    """Return the mean of the 5 × 5 pixels around each; the edge's go on outside."""
    for _ in range(2):
        padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
        values = np.stack([padded[start : start + len(values)] for start in range(5)]).mean(axis=0).T
    return values


def _second_difference(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    found: np.ndarray = padded[2:] - 2 * padded[1:-1] + padded[:-2]
    return found
