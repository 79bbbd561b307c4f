"""Labelled pool: the half of the test images that a supervised model trains on.

MVTec AD trains on good images alone, so only its test set has labelled defects. A supervised model is
evaluated on the other, *held-out* half only; every other model is evaluated on that half as well, so that
the two can be compared.
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out(paths: Sequence[str], defects: Sequence[str], seed: int) -> np.ndarray:
    """Return (n,) bool, the test images outside the labelled pool: half of each type, the odd one too.

    A type with a single image is thus never trained on, but still tested.

    Args:
        paths: of the n test images, relative to the category's folder.
        defects: their types, ``good`` among them.
        seed: another seed, another half.
    """
    kinds = np.asarray(defects, dtype=object)
    order = np.argsort([hashlib.sha256(f"pool {seed} {path}".encode()).hexdigest() for path in paths])
    out = np.zeros(len(paths), dtype=bool)
    for kind in sorted(set(kinds.tolist())):
        rows = order[kinds[order] == kind]
        out[rows[: (len(rows) + 1) // 2]] = True
    return out
