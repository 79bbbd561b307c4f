"""Images that the sides are given, the same ones for all sides of a group."""

from pathlib import Path

import numpy as np
from PIL import Image

PART = 0.8  # share of their shapes that photos of one part in a fixed position have in common


def arrays(n: int, side: int, seed: int = 0, alike: float = 0.0) -> np.ndarray:
    """Return (n, side, side, 3) uint8 that compress as photos do: smooth shapes with a little noise.

    Args:
        alike: share of the shapes that is the same in all, whatever the seed.
    """
    rng, common = np.random.default_rng(seed), _shapes(np.random.default_rng(1), side)
    made = np.empty((n, side, side, 3), dtype=np.uint8)
    for i in range(n):
        shapes = alike * common + (1 - alike) * _shapes(rng, side)
        made[i] = np.clip(shapes + rng.normal(0, 2, (side, side, 3)), 0, 255)
    return made


def _shapes(rng: np.random.Generator, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side)))


def photos(folder: Path, n: int, side: int, ending: str = "png") -> list[Path]:
    """Return the files of n photos of a part in a folder; written where it is not there yet."""
    paths = [folder / f"{i:06d}.{ending}" for i in range(n)]
    if not folder.exists():
        folder.mkdir(parents=True)
        for i, path in enumerate(paths):
            Image.fromarray(arrays(1, side, seed=i, alike=PART)[0]).save(path, quality=92)
    return paths
