"""Pixel metrics: against scikit-learn and a slow reading of MVTec's definition."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from mlproject.core.errors import UserError
from mlproject.evaluation.pixel_metrics import aupro, bootstrap, pixel_auroc


def slow_aupro(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    """One threshold after another, one region after another, as the papers define it."""
    regions = []
    for image, mask in enumerate(masks):
        labelled, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(image, labelled == k) for k in range(1, count + 1)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        marked = maps >= threshold
        rates.append(marked[masks == 0].mean())
        overlaps.append(np.mean([marked[image][region].mean() for image, region in regions]))
    area = 0.0
    for k in range(1, len(rates)):
        if rates[k] <= limit:
            area += (rates[k] - rates[k - 1]) * (overlaps[k] + overlaps[k - 1]) / 2
        elif rates[k - 1] < limit:
            part = (limit - rates[k - 1]) / (rates[k] - rates[k - 1])
            at_limit = overlaps[k - 1] + part * (overlaps[k] - overlaps[k - 1])
            area += (limit - rates[k - 1]) * (at_limit + overlaps[k - 1]) / 2
    return area / limit


def random_case(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Five images, some regions touching by a corner only; `levels` distinct scores make ties."""
    rng = np.random.default_rng(seed)
    masks = (ndimage.uniform_filter(rng.random((5, 12, 14)), (0, 3, 3)) > 0.62).astype(np.uint8)
    masks[0] = 0
    maps = rng.normal(size=masks.shape) + masks * rng.uniform(0, 3)
    return masks, np.rint(maps * levels) / levels


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("levels", [1, 4, 10_000])
def test_pixel_auroc_equals_scikit_learn(levels: int, dtype: type) -> None:
    masks, maps = random_case(levels, levels)
    maps = maps.astype(dtype)
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("levels", [1, 4, 10_000])
@pytest.mark.parametrize("seed", range(4))
def test_aupro_equals_the_slow_definition(seed: int, levels: int, limit: float) -> None:
    masks, maps = random_case(seed, levels)
    assert aupro(masks, maps, limit) == pytest.approx(slow_aupro(masks, maps, limit), abs=1e-9)


def test_aupro_when_a_threshold_meets_the_limit_exactly() -> None:
    masks = np.zeros((1, 1, 13), np.uint8)
    masks[0, 0, 10:] = 1
    maps = np.array([[[9.0, 7, 5, 4, 3, 2, 1, 0, 0, 0, 8, 5, 4.5]]])
    for limit in (0.1, 0.3, 0.4):
        assert aupro(masks, maps, limit) == pytest.approx(slow_aupro(masks, maps, limit), abs=1e-12)


def test_a_perfect_map_scores_one_and_a_blind_one_little() -> None:
    masks, _ = random_case(0, 1)
    assert aupro(masks, masks.astype(np.float32)) == pytest.approx(1)
    assert pixel_auroc(masks, masks.astype(np.float32)) == 1
    # All pixels tie: the curve is the diagonal, whose area up to the limit is limit / 2.
    assert aupro(masks, np.zeros(masks.shape), 0.3) == pytest.approx(0.15)
    assert pixel_auroc(masks, np.zeros(masks.shape)) == 0.5


def test_aupro_weighs_regions_and_not_pixels() -> None:
    """A map that finds a large defect and misses a small one is half right."""
    masks = np.zeros((1, 40, 40), np.uint8)
    masks[0, :20, :20] = masks[0, 30, 30] = 1
    maps = masks.astype(np.float64)
    maps[0, 30, 30] = -1
    assert aupro(masks, maps) == pytest.approx(0.5)
    assert pixel_auroc(masks, maps) > 0.99


def test_regions_that_touch_by_a_corner_are_one() -> None:
    masks = np.zeros((1, 4, 4), np.uint8)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 3, 3] = 1
    maps = np.zeros((1, 4, 4))
    maps[0, 3, 3] = 2  # one of two regions found, at no false alarm; the rest ties
    assert aupro(masks, maps, 1.0) == pytest.approx((0.5 + 1) / 2)


@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_one_kind_leave_the_measures_unknown(value: int) -> None:
    masks = np.full((2, 4, 4), value, np.uint8)
    assert pixel_auroc(masks, np.zeros((2, 4, 4))) is None
    assert aupro(masks, np.zeros((2, 4, 4))) is None


@pytest.mark.parametrize("measure", [pixel_auroc, aupro])
def test_what_cannot_be_measured_is_refused(measure) -> None:
    masks = np.eye(4, dtype=np.uint8)[None]
    with pytest.raises(UserError, match="not finite"):
        measure(masks, np.full((1, 4, 4), np.nan))
    with pytest.raises(UserError, match="needs a mask a map"):
        measure(masks, np.zeros((1, 8, 8)))


def brute_force_intervals(masks, maps, resamples: int, seed: int) -> np.ndarray:
    """[[low, high] of pixel AUROC, of AUPRO]: every resample stacked as images and measured exactly."""
    rng = np.random.default_rng(seed)
    with_defect = masks.any(axis=(1, 2))
    groups = [np.flatnonzero(~with_defect), np.flatnonzero(with_defect)]
    measured = []
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in groups])
        measured.append([pixel_auroc(masks[drawn], maps[drawn]), aupro(masks[drawn], maps[drawn])])
    return np.percentile(measured, [2.5, 97.5], axis=0).T


@pytest.mark.parametrize("levels", [1, 4, 10_000])
def test_intervals_are_those_of_resampled_images(levels: int) -> None:
    masks, maps = random_case(levels, levels)
    found = bootstrap(masks, maps, resamples=60, seed=3)
    assert np.array(found) == pytest.approx(brute_force_intervals(masks, maps, 60, 3), abs=1e-9)


def test_intervals_of_more_scores_than_bins_are_near_the_exact_ones() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((12, 48, 48), np.uint8)
    masks[5:, 10:22, 10:22] = 1
    maps = rng.normal(size=masks.shape) + masks * rng.uniform(0, 3, (12, 1, 1))
    found = np.array(bootstrap(masks, maps, resamples=40, seed=0))
    assert found == pytest.approx(brute_force_intervals(masks, maps, 40, 0), abs=1e-3)
    assert found[0, 0] < pixel_auroc(masks, maps) < found[0, 1]
    assert found[1, 0] < aupro(masks, maps) < found[1, 1]


@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_one_kind_have_no_intervals(value: int) -> None:
    found = bootstrap(np.full((2, 4, 4), value, np.uint8), np.zeros((2, 4, 4)), 10, 0)
    assert found == ((None, None), (None, None))
