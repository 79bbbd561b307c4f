"""Pixel-level measures of anomaly maps against masks: pixel AUROC and AUPRO. Exact, ties included."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from mlproject.core.errors import UserError
from mlproject.evaluation import metrics

EIGHT_NEIGHBOURS = np.ones((3, 3))
BINS = 4096  # of scores, for the bootstrap: an area is off by less than 1 / 4096 of its range


def pixel_auroc(masks: np.ndarray, maps: np.ndarray) -> float | None:
    """Return the chance that a defective pixel scores above a good one; ties count half.

    All pixels of all test images, good images included, are one population. A defective image
    whose mask is unknown must be left out by the caller: its zeros would count as good pixels.

    Args:
        masks: (n, h, w), not 0 where defective.
        maps: (n, h, w) finite, higher = more anomalous.

    Returns:
        In [0, 1]; None if all pixels are good or all are defective.

    Raises:
        UserError: shapes differ, or a map is not finite.
    """
    defective, scores = _checked(masks, maps)
    good_scores, defective_scores = np.sort(scores[~defective]), np.sort(scores[defective])
    if not len(good_scores) or not len(defective_scores):
        return None
    below = np.searchsorted(good_scores, defective_scores, "left").sum()
    not_above = np.searchsorted(good_scores, defective_scores, "right").sum()
    return float((below + not_above) / 2 / (len(good_scores) * len(defective_scores)))


def aupro(masks: np.ndarray, maps: np.ndarray, limit: float = 0.3) -> float | None:
    """Return the normalised area under the per-region-overlap curve up to a false-positive rate.

    As in MVTec's evaluation code (Bergmann et al., IJCV 2021): for every threshold, the share
    of each connected defect region (8 neighbours) that is found, averaged over all regions of all
    images, against the share of all defect-free pixels that are marked; the curve starts at (0, 0),
    is joined by straight lines and cut at `limit` by interpolation.

    Args:
        masks: (n, h, w), not 0 where defective.
        maps: (n, h, w) finite, higher = more anomalous.
        limit: largest false-positive rate, in (0, 1].

    Returns:
        In [0, 1]; None if all pixels are good or all are defective.

    Raises:
        UserError: shapes differ, or a map is not finite.
    """
    defective, scores = _checked(masks, maps)
    n_good = int(np.count_nonzero(~defective))
    if n_good in (0, defective.size):
        return None
    good_scores = scores[~defective]
    # The curve is needed up to `limit` only, so pixels under the threshold that reaches it are
    # dropped before the costly sort.
    rank = int(np.ceil(round(limit * n_good, 6)))
    cut = np.partition(good_scores, n_good - rank)[n_good - rank]
    good_scores = good_scores[good_scores >= cut]
    region_scores, shares = _region_pixels(defective, scores, cut)
    rates, overlaps = _curve(good_scores, region_scores, shares, n_good)
    inside = rates <= limit
    overlaps = np.append(overlaps[inside], np.interp(limit, rates, overlaps))
    rates = np.append(rates[inside], limit)
    return float(np.trapezoid(overlaps, rates) / limit)


class Intervals(NamedTuple):
    """95 % intervals (low, high) of both measures; (None, None) where there is nothing to measure."""

    pixel_auroc: tuple[float, float] | tuple[None, None]
    aupro: tuple[float, float] | tuple[None, None]


def bootstrap(
    masks: np.ndarray, maps: np.ndarray, resamples: int, seed: int, limit: float = 0.3
) -> Intervals:
    """Return the bootstrap 95 % intervals of pixel AUROC and AUPRO; arguments as for `resampled`."""
    areas = resampled(masks, maps, resamples, seed, limit)
    if not len(areas):
        return Intervals((None, None), (None, None))
    (auroc_low, aupro_low), (auroc_high, aupro_high) = np.percentile(areas, metrics.INTERVAL, axis=0).tolist()
    return Intervals((auroc_low, auroc_high), (aupro_low, aupro_high))


def with_intervals(
    masks: np.ndarray,
    maps: np.ndarray,
    labels: np.ndarray,
    masked: np.ndarray,
    resamples: int,
    seed: int,
    limit: float = 0.3,
) -> dict[str, float | None]:
    """Return pixel AUROC and AUPRO with intervals, None without masks; unmasked defects are left out.

    Args:
        masks, maps: (n, h, w), as for `aupro`.
        labels: (n,) 0 good, 1 defective.
        masked: (n,) bool, whether an image has a mask.
        resamples, seed, limit: as for `resampled`.
    """
    if not masked.any():
        return dict.fromkeys(
            f"{name}{end}" for name in ("pixel_auroc", "aupro") for end in ("", "_low", "_high")
        )
    known = masked | (labels == 0)
    masks, maps = masks[known], maps[known]
    ends = bootstrap(masks, maps, resamples, seed, limit)
    return {
        "pixel_auroc": pixel_auroc(masks, maps),
        "pixel_auroc_low": ends.pixel_auroc[0],
        "pixel_auroc_high": ends.pixel_auroc[1],
        "aupro": aupro(masks, maps, limit),
        "aupro_low": ends.aupro[0],
        "aupro_high": ends.aupro[1],
    }


def resampled(
    masks: np.ndarray, maps: np.ndarray, resamples: int, seed: int, limit: float = 0.3
) -> np.ndarray:
    """Return (resamples, 2): pixel AUROC and AUPRO of resampled images; (0, 2) with nothing to measure.

    Images are drawn, not pixels, and the same ones for all maps on the same masks. Images with and without
    a mask are drawn separately. Scores are sorted into `BINS` bins first, half of them quantiles of good and
    half of defective pixels, so that a resample is a sum of histograms; within a bin scores count as ties.

    Args:
        masks, maps, limit: as for `aupro`.
        resamples: number of bootstrap resamples.
        seed: same seed, same draws.
    """
    defective, scores = _checked(masks, maps)
    with_defect = defective.any(axis=(1, 2))
    if not with_defect.any() or defective.all():
        return np.empty((0, 2))
    good, bad, regions = _histograms(defective, scores)
    n_regions = regions.sum(axis=1)
    rng = np.random.default_rng(seed)
    groups = [rows for rows in (np.flatnonzero(~with_defect), np.flatnonzero(with_defect)) if len(rows)]
    areas = np.empty((resamples, 2))
    for i in range(resamples):
        drawn = np.concatenate([rng.choice(rows, len(rows)) for rows in groups])
        times = np.bincount(drawn, minlength=len(masks))
        areas[i] = _areas(times @ good, times @ bad, times @ regions / (times @ n_regions), limit)
    return areas


def _histograms(defective: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n, bins) by falling score: good pixels, defective pixels, sums of shares of regions."""
    shares = np.linspace(0, 1, BINS // 2)
    parts = (scores[~defective], scores[defective])
    quantiles = [np.quantile(part, shares, method="nearest") for part in parts]
    edges = np.unique(np.concatenate(quantiles))[::-1]  # a bin for each edge: scores from it up to the next
    found = np.zeros((3, len(scores), len(edges)))
    for i, (mask, values) in enumerate(zip(defective, scores, strict=True)):
        bins = np.searchsorted(-edges, -values, "left")  # the highest edge that is not above the score
        labels, _ = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
        worth = (1 / np.bincount(labels.ravel()).clip(1))[labels]
        for row, (pixels, weights) in enumerate(((~mask, None), (mask, None), (mask, worth[mask]))):
            found[row, i] = np.bincount(bins[pixels], weights, minlength=len(edges))
    return found[0], found[1], found[2]


def _areas(good: np.ndarray, bad: np.ndarray, overlap: np.ndarray, limit: float) -> tuple[float, float]:
    """Return pixel AUROC and AUPRO of (bins,) histograms by falling score."""
    rates, recalls, overlaps = (
        np.append(0, np.cumsum(part)) / total
        for part, total in ((good, good.sum()), (bad, bad.sum()), (overlap, 1))
    )
    inside = rates <= limit
    cut = np.append(overlaps[inside], np.interp(limit, rates, overlaps))
    at = np.append(rates[inside], limit)
    return float(np.trapezoid(recalls, rates)), float(np.trapezoid(cut, at) / limit)


def _region_pixels(defective: np.ndarray, scores: np.ndarray, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores ≥ cut of defective pixels, and the share of the mean overlap that each counts for."""
    pixel_scores, pixel_shares = [], []
    n_regions = 0
    for mask, image_scores in zip(defective, scores, strict=True):
        regions, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
        n_regions += count
        shares = 1 / np.bincount(regions.ravel()).clip(1)
        kept = mask & (image_scores >= cut)
        pixel_scores.append(image_scores[kept])
        pixel_shares.append(shares[regions[kept]])
    return np.concatenate(pixel_scores), np.concatenate(pixel_shares) / n_regions


def _curve(
    good_scores: np.ndarray, region_scores: np.ndarray, shares: np.ndarray, n_good: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return false-positive rates and mean overlaps at falling thresholds, one point per distinct score."""
    scores = np.concatenate([good_scores, region_scores])
    order = np.argsort(-scores)
    ordered = scores[order]
    last_of_ties = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    alarms = np.cumsum(order < len(good_scores))[last_of_ties]
    worth = np.concatenate([np.zeros(len(good_scores)), shares])
    overlaps = np.cumsum(worth[order])[last_of_ties].clip(max=1)
    return np.append(0, alarms / n_good), np.append(0, overlaps)


def _checked(masks: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return masks as bool and maps as floats that sort quickly, or raise a UserError."""
    if masks.shape != maps.shape or masks.ndim != 3:
        raise UserError(f"pixel metrics: needs a mask a map, (n, h, w); found {masks.shape}, {maps.shape}")
    scores = maps.astype(np.result_type(maps, np.float32), copy=False)
    if not np.isfinite(scores).all():
        raise UserError("pixel metrics: an anomaly map holds values that are not finite")
    return masks != 0, scores
