"""Which defects are found, counted by hand."""

import numpy as np

from mlproject.evaluation import defect_sizes


def masks(*pixels):
    """One 2 × 4 mask for each number of defective pixels."""
    return np.array([[1] * count + [0] * (8 - count) for count in pixels]).reshape(-1, 2, 4)


def test_types_and_halves():
    defects = np.array(["hole", "good", "dent", "hole", "dent"], dtype=object)
    called = np.array([True, True, False, True, True])
    assert defect_sizes.found(defects, masks(3, 0, 1, 2, 4), called) == {
        "types": [
            {"type": "dent", "n": 2, "found": 1, "smallest_found_area": 0.5},
            {"type": "hole", "n": 2, "found": 2, "smallest_found_area": 0.25},
        ],
        "smaller_half": {"n": 2, "found": 1, "largest_area": 0.25},
        "larger_half": {"n": 2, "found": 2},
    }


def test_without_masks_sizes_are_not_known():
    got = defect_sizes.found(np.array(["hole", "good"], dtype=object), masks(0, 0), np.array([True, False]))
    assert got["smaller_half"] == {"n": 0, "found": 0, "largest_area": None}
    assert got["larger_half"] == {"n": 0, "found": 0}
    assert got["types"] == [{"type": "hole", "n": 1, "found": 1, "smallest_found_area": None}]


def test_a_category_without_defects_has_no_types():
    got = defect_sizes.found(np.array(["good"], dtype=object), masks(0), np.array([False]))
    assert got["types"] == []
