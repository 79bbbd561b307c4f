"""Pictures made while training, one PNG per epoch: reconstructions below originals; grids of made images."""

from pathlib import Path

import numpy as np
from PIL import Image

from mlproject.core import files

GAP = 4


def is_due(epoch: int) -> bool:
    """Say whether an epoch gets a picture: 0 (untrained), 1, 2, 5, 10, 20, … often at first."""
    while epoch >= 10 and epoch % 10 == 0:
        epoch //= 10
    return epoch in (0, 1, 2, 5)


def strip(originals: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return (h, w, 3) uint8: a row of originals, below it the row of their reconstructions.

    Args:
        originals: (n, s, s, 3) uint8, shrunk here to the reconstructions' size.
        reconstructions: (n, r, r, 3) uint8.
    """
    size = reconstructions.shape[1]
    shrunk = [np.asarray(Image.fromarray(image).resize((size, size))) for image in originals]
    rows = []
    for images in (shrunk, reconstructions):
        framed = [np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for image in images]
        rows.append(np.concatenate(framed, axis=1))
    return np.concatenate(rows)[:-GAP, :-GAP]


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Return (h, w, 3) uint8: (n, s, s, 3) uint8 images in rows of `columns`, white where there is none."""
    framed = np.pad(images, ((0, -len(images) % columns), (0, GAP), (0, GAP), (0, 0)), constant_values=255)
    rows = [np.concatenate(list(row), axis=1) for row in framed.reshape(-1, columns, *framed.shape[1:])]
    return np.concatenate(rows)[:-GAP, :-GAP]


def write(path: Path, picture: np.ndarray) -> None:
    """Write a PNG, whole or not at all."""
    with files.written_file(path) as part:
        Image.fromarray(picture).save(part, format="PNG")
