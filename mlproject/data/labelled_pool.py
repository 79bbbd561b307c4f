"""Labelled pool: the half of the test images that a supervised model trains on.

MVTec AD trains on good images alone, so only its test set has labelled defects. A supervised model is
evaluated on the other, *held-out* half only; every other model is evaluated on that half as well, so that
the two can be compared.
"""

from collections.abc import Sequence

import numpy as np

from mlproject.data.split import in_seeded_order


def held_out(originals: Sequence[str], defects: Sequence[str], seed: int) -> np.ndarray:
    """Return (n,) bool, the test images outside the labelled pool: half of each type, the odd one too.

    A type with a single image is thus never trained on, but still tested. Copies stay together, so a type
    that has some may be halved less evenly; they count as the type of the first of them.

    Args:
        originals: paths of the n test images, relative to the category's folder; copies have one in common.
        defects: their types, ``good`` among them.
        seed: another seed, another half.
    """
    groups: dict[str, list[int]] = {}
    for row, original in enumerate(originals):
        groups.setdefault(original, []).append(row)
    order = in_seeded_order(groups, seed, "pool")
    out = np.zeros(len(originals), dtype=bool)
    for kind in set(defects):
        of_kind = [groups[path] for path in order if defects[groups[path][0]] == kind]
        wanted = (sum(map(len, of_kind)) + 1) // 2
        for rows in of_kind:
            if wanted > 0:
                out[rows] = True
                wanted -= len(rows)
    return out
