"""Copies among a category's images: equal images, and photos that were saved, resized or compressed again.

Two parts of one kind, photographed alike, resemble each other more than a photo resembles its own copy of low
quality, by any distance between whole images. So copies must agree in what distinguishes photos of one kind:
the fine detail of their brightness that is left when smooth shading and the category's mean detail are taken
away. They must also agree everywhere, in each colour, or a part that was photographed twice would count as
copied, and a part with a defect as a copy of the part without it. Photos of parts without a texture of their
own agree in all that; of those, the noise decides (`sensor_noise`).
"""

import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image

from mlproject.data import sensor_noise

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
_TOGETHER = 512  # images whose details are compared with those of as many others at a time
_SAMPLED = 512  # images at most by which the axes are chosen
_FEWEST, _MOST = 64, 256  # of 1024 axes, on which details are compared first
_ENERGY = 0.6  # share of the details' energy on these: well above LARGEST_SHARE, or all pairs are possible
_ROUNDING = 1e-4  # of two details' energy
_SMALL = 1e-8  # of the largest variance: axes of less are made shorter than 1, which loses no pair


class Thumbnails(Protocol):
    """Small images in an array, or in a file that is read a slice at a time."""

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        """Return consecutive ones, (m, 32, 32, 3) uint8."""


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return an image of (s, s, 3) uint8 as (32, 32, 3) uint8."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))


def originals(
    thumbnails: Thumbnails,
    digests: Sequence[Hashable],
    folder: Path | None = None,
    photo: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """Return (n,) int64, for each image the first one that it is a copy of; its own number if there is none.

    A copy of a copy has the original of both.

    Args:
        thumbnails: of the n images, n at least 1.
        digests: n, of the pixels: images with the same digest are copies.
        folder: of a temporary file, 1.5 kB an image; by default the system's.
        photo: returns the larger pixels, (s, s, 3) uint8, of an image by its number; asked for those that
            look like copies, whose noise decides. Without it, parts without a texture of their own may pass
            for copies.
    """
    separate = sensor_noise.separate_in(photo) if photo else lambda a, b: False
    first: dict[Hashable, int] = {}
    equal = np.array([first.setdefault(digest, number) for number, digest in enumerate(digests)])
    order = np.unique(equal)  # of equal images, only the first is compared
    original = np.arange(len(equal))
    blocks = [order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)]
    total = np.sum([_detail(_taken(thumbnails, block)).sum(axis=0, dtype=np.float64) for block in blocks], 0)
    mean = (total / len(order)).astype(np.float32)
    some = order[:: -(-len(order) // _SAMPLED)]
    few = (some[start : start + _BLOCK] for start in range(0, len(some), _BLOCK))  # memory
    axes = _axes(np.concatenate([_distinct(_each(thumbnails, block), mean) for block in few]))
    with tempfile.TemporaryFile(dir=folder) as file:
        projections = _Projections(file, axes)
        for block in blocks:
            projections.append(_distinct(_taken(thumbnails, block), mean))
        for later, earlier in projections.possible_pairs():
            rows, columns = np.unique(order[later]), np.unique(order[earlier])
            details, others = (_distinct(_each(thumbnails, some), mean) for some in (rows, columns))
            for row, column in np.argwhere(_alike(details, others)):
                a, b = rows[row], columns[column]
                if b >= a or original[a] == original[b]:
                    continue
                if _agree(thumbnails[a : a + 1], thumbnails[b : b + 1]) and not separate(a, b):
                    _join(original, a, b)
    found: np.ndarray = original[equal]
    return found


class _Projections:
    """Details on some axes, in a file: memory would grow by 1.5 kB an image.

    No two details are nearer to each other than they are on some axes alone, so most pairs need no more.
    """

    def __init__(self, file: BinaryIO, axes: np.ndarray) -> None:
        self._file = file
        self._axes = axes
        self._needed: list[np.ndarray] = []

    def append(self, details: np.ndarray) -> None:
        """Add (m, 1024) details."""
        found = details @ self._axes
        energy, there = (np.einsum("ij,ij->i", values, values) for values in (details, found))
        # of two that `_alike` takes for one, the product on the axes is at least the sum of these
        self._needed.append((there - (LARGEST_SHARE + _ROUNDING) * energy) / 2)
        self._file.write(found.data)

    def possible_pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield numbers of details, and of others before them: all that are `_alike` are among these."""
        needed = np.concatenate(self._needed)[:, None]
        for start in range(0, len(needed), _TOGETHER):
            limit = needed[start : start + _TOGETHER]
            here = np.hstack([self._read(start), -limit, np.full_like(limit, -1)])
            for before in range(0, start + 1, _TOGETHER):
                limit = needed[before : before + _TOGETHER]
                # one product, less what is needed: to take that off afterwards takes as long again
                margin = here @ np.hstack([self._read(before), np.ones_like(limit), limit]).T
                if margin.max() < 0:
                    continue
                rows, columns = (margin >= 0).nonzero()
                earlier = before + columns < start + rows
                if earlier.any():
                    yield start + rows[earlier], before + columns[earlier]

    def _read(self, start: int) -> np.ndarray:
        """Return (_TOGETHER at most, axes)."""
        axes = self._axes.shape[1]
        self._file.seek(4 * axes * start)
        return np.frombuffer(self._file.read(4 * axes * _TOGETHER), dtype=np.float32).reshape(-1, axes)


def _taken(thumbnails: Thumbnails, numbers: np.ndarray) -> np.ndarray:
    """Return the thumbnails of ascending numbers."""
    return thumbnails[numbers[0] : numbers[-1] + 1][numbers - numbers[0]]


def _each(thumbnails: Thumbnails, numbers: np.ndarray) -> np.ndarray:
    """Return the thumbnails of numbers that may lie far apart."""
    return np.concatenate([thumbnails[number : number + 1] for number in numbers])


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


def _axes(details: np.ndarray) -> np.ndarray:
    """Return (1024, k) float32, orthogonal columns of length 1 at most: the principal axes.

    They are of one half of the details (m, 1024); how many, the energy of the other half says.
    Photos of one kind need few axes, noise all that are allowed.
    """
    chosen = details[::2].astype(np.float64)
    variance, weights = np.linalg.eigh(chosen @ chosen.T)  # less memory than an SVD
    length = np.sqrt(np.maximum(variance, max(1.0, _SMALL * variance[-1])))
    axes = ((weights / length).T[::-1] @ chosen).astype(np.float32)
    others = details[1::2]
    energy = np.square(others @ axes.T).sum(axis=0).cumsum()
    enough = int(np.searchsorted(energy, _ENERGY * np.square(others).sum())) + 1
    found: np.ndarray = axes[: min(max(enough, _FEWEST), _MOST)].T
    return found


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
