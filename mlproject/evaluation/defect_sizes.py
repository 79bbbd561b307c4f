"""Counts of the defects found, by type and by size."""

from typing import Any

import numpy as np


def found(defects: np.ndarray, masks: np.ndarray, called: np.ndarray) -> dict[str, Any]:
    """Return how many images of each type, and of the smaller and larger half of the defects, were found.

    Args:
        defects: (n,) type of defect, or ``good``.
        masks: (n, h, w), not 0 where the image is defective; empty where the mask is not known.
        called: (n,) bool, called defective.

    Returns:
        types: list of type, n, found and smallest_found_area, by name. smaller_half and larger_half: n, found
        and, of the smaller, largest_area. Areas are shares of the image, None where no mask is known.
        Images of equal area are ordered as given; with an odd number, the middle one is in the larger half.
    """
    defects, called = np.asarray(defects, dtype=object), np.asarray(called, dtype=bool)
    areas = np.array([np.count_nonzero(mask) / mask.size for mask in masks])
    types = []
    for name in sorted(set(defects.tolist()) - {"good"}):
        rows = defects == name
        sizes = areas[rows & called & (areas > 0)]
        types.append(
            {
                "type": name,
                "n": int(rows.sum()),
                "found": int(called[rows].sum()),
                "smallest_found_area": float(sizes.min()) if len(sizes) else None,
            }
        )
    known = np.flatnonzero((defects != "good") & (areas > 0))
    ordered = known[np.argsort(areas[known], kind="stable")]
    small, large = np.split(ordered, [len(ordered) // 2])
    return {
        "types": types,
        "smaller_half": _half(small, called)
        | {"largest_area": float(areas[small].max()) if len(small) else None},
        "larger_half": _half(large, called),
    }


def _half(rows: np.ndarray, called: np.ndarray) -> dict[str, int]:
    return {"n": len(rows), "found": int(called[rows].sum())}
