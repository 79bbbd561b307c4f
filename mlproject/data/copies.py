"""Copies among a category's images: equal images, and photos that were saved, resized or compressed again.

Two parts of one kind, photographed alike, resemble each other more than a photo resembles its own copy of low
quality, by any distance between whole images. So copies must agree in what distinguishes photos of one kind:
the fine detail that is left when smooth shading and the category's mean detail are taken away. They must also
agree everywhere, or a part that was photographed twice would count as copied, and a part with a defect as a
copy of the part without it.
"""

from collections.abc import Mapping

import numpy as np
from PIL import Image

SIDE = 32  # pixels of the small images that are compared
# What the limits lie between is printed by benchmarks/copies.py.
LARGEST_DIFFERENCE = 12  # levels of 256: copies stay below; two of MVTec's bottles, much alike, differ by 16
LARGEST_SHARE = 0.12  # of two details' energy, in their difference; copies: up to .08, other photos: near 1
NAMED = 3  # copies that are listed by name
_SMOOTH = 5  # pixels of the window whose mean counts as shading
_BLOCK = 512  # images that are compared at a time with as many others
_CACHED = 16  # images whose local means the processor's cache holds


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return an image of (s, s, 3) uint8 as (32, 32, 3) uint8."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))


def originals(thumbnails: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Return (n,) int64, for each image the first one that it is a copy of; its own number if there is none.

    A copy of a copy has the original of both.

    Args:
        thumbnails: (n, 32, 32, 3) uint8, n at least 1.
        digests: (n,) of the pixels: images with the same digest are copies.
    """
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    order = np.sort(first)  # of equal images, only the first is compared
    original = np.arange(len(thumbnails))
    blocks = [order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)]
    details = [_detail(thumbnails[block]).sum(axis=0, dtype=np.float64) for block in blocks]
    mean = (np.sum(details, axis=0) / len(order)).astype(np.float32)
    for number, later in enumerate(blocks):
        here = _distinct(thumbnails[later], mean)
        for earlier in blocks[: number + 1]:  # details are made again: those of all images would fill memory
            others = here if earlier is later else _distinct(thumbnails[earlier], mean)
            for row, column in np.argwhere(_alike(here, others)):
                a, b = later[row], earlier[column]
                if b < a and _agree(thumbnails[a], thumbnails[b]):
                    _join(original, a, b)
    found: np.ndarray = original[first[group]]
    return found


def summary(copies: Mapping[str, str]) -> list[str]:
    """Return lines that count the copies, and name those that are tested and trained on.

    Args:
        copies: path of a copy → path of its original, both relative to the category's folder.
    """
    if not copies:
        return []
    lines = [f"{counted(copies)}; all copies of an image have one role"]
    trained = trained_and_tested(copies)
    if trained:
        lines.append(f"tested on copies of training images: {named(trained)}")
    return lines


def counted(copies: Mapping[str, str]) -> str:
    """Return how many images are copies."""
    return (
        "1 image is a copy of another" if len(copies) == 1 else f"{len(copies)} images are copies of others"
    )


def named(copies: Mapping[str, str]) -> str:
    """Return the first copies with their originals, and how many more there are."""
    first = "; ".join(f"{copy} of {original}" for copy, original in list(copies.items())[:NAMED])
    return first + (f" and {len(copies) - NAMED} more" if len(copies) > NAMED else "")


def trained_and_tested(copies: Mapping[str, str]) -> dict[str, str]:
    """Return the copies that are test images of which the original is a training image."""
    return {
        copy: original
        for copy, original in copies.items()
        if copy.startswith("test/") and original.startswith("train/")
    }


def _alike(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (n, m) bool, whether details (n, 3072) and (m, 3072) differ by LARGEST_SHARE at most."""
    energy, of_others = (np.square(detail).sum(axis=1) for detail in (some, others))
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab, at most this share of |a|^2 + |b|^2
    enough = (1 - LARGEST_SHARE) / 2 * (energy[:, None] + of_others)
    found: np.ndarray = (some @ others.T >= enough) & (energy[:, None] > 0)
    return found


def _distinct(thumbnails: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return (n, 3072) float32, the details, each less its share of the mean (3072,) of all images'."""
    detail = _detail(thumbnails)
    if norm := float(mean @ mean):
        detail -= np.outer(detail @ mean / norm, mean)
    return detail


def _detail(thumbnails: np.ndarray) -> np.ndarray:
    """Return (n, 3072) float32: each image less its local mean; the edge's pixels go on outside."""
    edge, side = _SMOOTH // 2, thumbnails.shape[1]
    detail = np.empty(thumbnails.shape, dtype=np.float32)
    for start in range(0, len(thumbnails), _CACHED):
        images = thumbnails[start : start + _CACHED].astype(np.float32)
        padded = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
        rows, window = np.zeros_like(padded[:, :side]), np.zeros_like(images)
        for k in range(_SMOOTH):
            rows += padded[:, k : k + side]
        for k in range(_SMOOTH):
            window += rows[:, :, k : k + side]
        detail[start : start + _CACHED] = images - window / _SMOOTH**2
    return detail.reshape(len(detail), -1)


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a.astype(np.int16) - b).max() <= LARGEST_DIFFERENCE)


def _join(original: np.ndarray, a: int, b: int) -> None:
    """Give the images with the originals of `a` and `b` the earlier of these two."""
    first, second = sorted((original[a], original[b]))
    original[original == second] = first
