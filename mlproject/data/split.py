"""Roles of the good images: each is fixed by the image's path and the seed, independent of other images.

Plain hashing has that property too, but leaves the counts to chance: of MVTec's 209 bottles, seed 0 put
9 in calibration where 21 were asked for, too few for a false-alarm rate of .05. So the hash of the name
only sets the start, and the number in the name walks from there in steps of an irrational number
(Weyl's sequence): consecutively numbered images fill the roles evenly, for any seed.
Names without a number get a plain hash.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from mlproject.core.errors import TooFewImages

_WHOLE = 1 << 64
# Two steps that are independent of each other: with one step for both, a fold could hold all of validation.
_ROLE_STEP = math.isqrt(5 << 126) - (1 << 63)  # golden ratio's fraction, (sqrt(5) - 1) / 2, times 2^64
_FOLD_STEP = math.isqrt(2 << 128) - (1 << 64)  # sqrt(2) - 1, times 2^64


@dataclass(frozen=True)
class Roles:
    """Row numbers, each array ascending; no row is in two of them.

    Attributes:
        train: images to learn from.
        validation: images that choose the epoch, no two of them copies.
        calibration: images that set the threshold, no two of them copies; empty when `calibration` is
            ``cross``.
    """

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray


def split(
    paths: Sequence[str],
    validation_share: float,
    seed: int,
    calibration: Literal["half", "cross"] = "half",
) -> Roles:
    """Divide good images into roles; an image keeps its role when others are added or taken away.

    Of copies that are not learnt from the first alone has a role: a threshold counts independent images.

    Args:
        paths: relative to the category's folder, such as ``train/good/017.png``; copies have one in common.
        validation_share: in (0, 1), share that is held out from training, nearly exact for numbered names.
        seed: another seed, other roles.
        calibration: ``half`` keeps half of the held-out images from choosing the epoch, for the threshold;
            ``cross`` lets all of them choose it: the threshold then comes from `folds` or left-out scores.

    Raises:
        TooFewImages: a role would be empty.
    """
    places = _places(paths, seed, _ROLE_STEP, "role")
    calibration_share = validation_share / 2 if calibration == "half" else 0.0
    held_out = (places < validation_share) & without_copies(paths)
    roles = Roles(
        train=np.flatnonzero(places >= validation_share),
        validation=np.flatnonzero(held_out & (places >= calibration_share)),
        calibration=np.flatnonzero(held_out & (places < calibration_share)),
    )
    needed = ("train", "validation", "calibration")[: 3 if calibration == "half" else 2]
    empty = [role for role in needed if not len(getattr(roles, role))]
    if empty:
        raise TooFewImages(
            f"{_count(paths)} of train/good: too few, none is left for {' and '.join(empty)} with "
            f"split.validation_share {validation_share}, split.calibration {calibration} and seed {seed}. "
            f"Add good images, or change one of these three in params.yaml."
        )
    return roles


def without_copies(originals: Sequence[str]) -> np.ndarray:
    """Return (n,) bool, which images are the first of those that have the same original."""
    first = np.zeros(len(originals), dtype=bool)
    first[np.unique(np.asarray(originals, dtype=str), return_index=True)[1]] = True
    return first


def folds(paths: Sequence[str], k: int, seed: int) -> np.ndarray:
    """Return (n,) int64, the fold in 0 … k-1 of each good image, for out-of-fold scores.

    An image keeps its fold when others are added or taken away.

    Raises:
        TooFewImages: a fold would be empty.
    """
    numbers = np.floor(_places(paths, seed, _FOLD_STEP, "fold") * k).astype(np.int64)
    empty = k - len(np.unique(numbers))
    if empty:
        raise TooFewImages(
            f"{_count(paths)} of train/good: too few, {empty} of {k} folds would be empty. "
            f"Add good images, or lower split.folds in params.yaml."
        )
    return numbers


def in_seeded_order(paths: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Return the paths in an order that seed and purpose decide; a further path leaves that of the others."""
    return sorted(paths, key=lambda path: hashlib.sha256(f"{purpose} {seed} {path}".encode()).hexdigest())


def _count(paths: Sequence[str]) -> str:
    return f"{len(paths)} image{'' if len(paths) == 1 else 's'}"


def _places(paths: Sequence[str], seed: int, step: int, purpose: str) -> np.ndarray:
    """Return (n,) float64 in [0, 1): each path's place, a function of path, seed and purpose alone."""
    return np.array([_place(path, seed, step, purpose) / _WHOLE for path in paths], dtype=np.float64)


def _place(path: str, seed: int, step: int, purpose: str) -> int:
    """Return an integer in [0, 2^64 - 2^11), so that its quotient by 2^64 stays below 1."""
    file = PurePosixPath(path)
    number = re.search(r"([0-9]+)[^0-9]*$", file.stem)
    rest = (
        path
        if number is None
        else str(file.with_stem(file.stem[: number.start(1)] + "#" + file.stem[number.end(1) :]))
    )
    start = int.from_bytes(hashlib.sha256(f"{purpose} {seed} {rest}".encode()).digest()[:8], "big")
    place = (start + (int(number[1]) * step if number else 0)) % _WHOLE
    return place & ~((1 << 11) - 1)
