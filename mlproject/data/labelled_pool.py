"""Which test images a supervised model may learn from: half of them; it is judged on the other half only.

MVTec AD trains on good images alone, so labels are to be had from its test set and nowhere else. The half
that is learnt from is the *labelled pool*; every model is also judged on the *held-out* half by itself,
so that a supervised one can be compared.
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out(paths: Sequence[str], defects: Sequence[str], seed: int) -> np.ndarray:
    """Return (n,) bool, which test images stay out of the labelled pool: half of each type, the odd one too.

    A type with a single image is thus never learnt from, and still judged.

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
