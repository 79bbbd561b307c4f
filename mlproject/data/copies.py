"""Copies among a category's images: equal images, and photos that were saved, resized or compressed again.

Two parts of one kind, photographed alike, resemble each other more than a photo resembles its own copy of low
quality, by any distance between whole images. So copies must agree in what distinguishes photos of one kind:
the fine detail of their brightness that is left when smooth shading and the category's mean detail are taken
away. They must also agree everywhere, in each colour, or a part that was photographed twice would count as
copied, and a part with a defect as a copy of the part without it.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import Image

SIDE = 32  # pixels of the small images that are compared
# What the limits lie between is printed by benchmarks/copies.py.
LARGEST_DIFFERENCE = 12  # levels of 256: copies stay below; two of MVTec's bottles, much alike, differ by 16
LARGEST_SHARE = 0.12  # of two details' energy, in their difference; most other photos: near 1
NAMED = 3  # copies that are listed by name
_SMOOTH = 5  # pixels of the window whose mean counts as shading
_PIXELS = np.arange(SIDE)[:, None]
_NEAR = np.clip(_PIXELS + np.arange(_SMOOTH) - _SMOOTH // 2, 0, SIDE - 1)  # (32, 5) pixels of each's window
_WINDOW = (_NEAR[:, None] == _PIXELS).sum(axis=2, dtype=np.float32)  # (32, 32): how often each is in it
_BLOCK = 128  # images that are read at a time
_KEPT = 32  # blocks whose details on the axes are kept while those of all earlier ones pass by
_AXES = 256  # of 1024, on which details are compared first
_ROUNDING = 1e-4  # of two details' energy


class Thumbnails(Protocol):
    """Small images in an array, or in a file that is read a slice at a time."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """Return consecutive ones, (m, 32, 32, 3) uint8."""


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return an image of (s, s, 3) uint8 as (32, 32, 3) uint8."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))


def originals(thumbnails: Thumbnails, digests: Sequence[Hashable]) -> np.ndarray:
    """Return (n,) int64, for each image the first one that it is a copy of; its own number if there is none.

    A copy of a copy has the original of both.

    Args:
        thumbnails: of the n images, n at least 1.
        digests: n, of the pixels: images with the same digest are copies.
    """
    first: dict[Hashable, int] = {}
    equal = np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)])
    order = np.unique(equal)  # of equal images, only the first is compared
    original = np.arange(len(equal))
    blocks = [order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)]
    total = np.sum([_detail(_taken(thumbnails, block)).sum(axis=0, dtype=np.float64) for block in blocks], 0)
    mean = (total / len(order)).astype(np.float32)
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(SIDE * SIDE, _AXES)).astype(np.float32))
    for start in range(0, len(blocks), _KEPT):
        kept = blocks[start : start + _KEPT]
        later = np.concatenate(kept)
        projected = [_on_axes(_distinct(_taken(thumbnails, block), mean), axes) for block in kept]
        here, needed = (np.concatenate(values) for values in zip(*projected, strict=True))
        for earlier in blocks[: start + _KEPT]:  # made again: the details of all images would fill memory
            others = _distinct(_taken(thumbnails, earlier), mean)
            others_on_axes, needed_there = _on_axes(others, axes)
            # no two details are nearer to each other than they are on some axes alone
            possible = here @ others_on_axes.T >= needed[:, None] + needed_there
            rows, columns = (possible.any(axis=axis).nonzero()[0] for axis in (1, 0))
            if not len(rows):
                continue
            details = _distinct(_taken(thumbnails, later[rows]), mean)
            for row, column in np.argwhere(_alike(details, others[columns])):
                a, b = later[rows[row]], earlier[columns[column]]
                if b >= a or original[a] == original[b]:
                    continue
                if _agree(thumbnails[a : a + 1], thumbnails[b : b + 1]):
                    _join(original, a, b)
    found: np.ndarray = original[equal]
    return found


def _taken(thumbnails: Thumbnails, numbers: np.ndarray) -> np.ndarray:
    """Return the thumbnails of ascending numbers."""
    return thumbnails[numbers[0] : numbers[-1] + 1][numbers - numbers[0]]


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
    """Return (n, m) bool, whether details (n, 1024) and (m, 1024) differ by LARGEST_SHARE at most."""
    energy, of_others = (np.einsum("ij,ij->i", detail, detail) for detail in (some, others))
    # |a - b|^2 = |a|^2 + |b|^2 - 2ab, at most this share of |a|^2 + |b|^2
    enough = (1 - LARGEST_SHARE) / 2 * (energy[:, None] + of_others)
    found: np.ndarray = (some @ others.T >= enough) & (energy[:, None] > 0)
    return found


def _on_axes(details: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, _AXES) details (n, 1024) on orthonormal axes, and (n,) what each needs of a product.

    The product of two that `_alike` takes for one is there at least the sum of what both need.
    """
    found = details @ axes
    energy, there = (np.einsum("ij,ij->i", values, values) for values in (details, found))
    return found, (there - (LARGEST_SHARE + _ROUNDING) * energy) / 2


def _distinct(thumbnails: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return (n, 1024) float32, the details, each less its share of the mean (1024,) of all images'."""
    detail = _detail(thumbnails)
    if norm := float(mean @ mean):
        detail -= np.outer(detail @ mean / norm, mean)
    return detail


def _detail(thumbnails: np.ndarray) -> np.ndarray:
    """Return (n, 1024) float32: each image's brightness less its local mean, times the window's 25 pixels.

    Brightness is the sum of the colours; the edge's pixels go on outside. All values are exact whole numbers.
    """
    red, green, blue = (thumbnails[..., colour].astype(np.float32) for colour in range(3))
    brightness = red + green + blue
    detail: np.ndarray = _SMOOTH**2 * brightness - _WINDOW @ brightness @ _WINDOW.T
    return detail.reshape(-1, SIDE * SIDE)


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a.astype(np.int16) - b).max() <= LARGEST_DIFFERENCE)


def _join(original: np.ndarray, a: int, b: int) -> None:
    """Give the images with the originals of `a` and `b` the earlier of these two."""
    first, second = sorted((original[a], original[b]))
    original[original == second] = first
