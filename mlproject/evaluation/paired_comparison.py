"""Paired AUROC differences between all models that scored the same images, with Holm's correction.

The overlap of two models' own intervals says nothing about their difference: images that are hard for both
move both intervals alike. Here every model is evaluated on the same resamples.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from mlproject.evaluation import metrics

RESAMPLES = 10_000  # smallest p value 0.0002: fine enough for Holm's correction over 200 pairs
LEVEL = 0.05  # family-wise error


def differences(
    labels: np.ndarray, scores: Mapping[str, np.ndarray], resamples: int = RESAMPLES
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return model → other model → AUROC of the model minus AUROC of the other, and whether it is shown.

    Stratified bootstrap over images; the p value is twice the share of resamples on the other side of 0.
    The family of Holm's correction is all pairs of the models.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: model → (n,) finite scores of these images in this order.
        resamples: number of bootstrap resamples.

    Returns:
        For each ordered pair: difference; low and high, the 95 % interval of this pair alone; p and
        p_holm, two-sided, in (0, 1]; shown: above or below where p_holm ≤ `LEVEL`, else unclear.
        No pairs where a class is missing.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in scores}
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    pairs = list(combinations(scores, 2))
    if not pairs or not len(good) or not len(defective):
        return found
    rng = np.random.default_rng(metrics.BOOTSTRAP_SEED)
    counts = [metrics.resample_counts(rng, len(rows), resamples) for rows in (good, defective)]
    points = {name: metrics.auroc(labels, values) or 0.0 for name, values in scores.items()}
    drawn = {
        name: metrics.resampled_auroc(values[good], values[defective], *counts)
        for name, values in scores.items()
    }
    gaps = [drawn[one] - drawn[other] for one, other in pairs]
    p_values = [two_sided_p(gap) for gap in gaps]
    for (one, other), gap, p, p_holm in zip(pairs, gaps, p_values, holm(p_values), strict=True):
        low, high = np.percentile(gap, metrics.INTERVAL).tolist()
        value = points[one] - points[other]
        found[one][other] = _described(value, low, high, p, p_holm)
        found[other][one] = _described(-value, -high, -low, p, p_holm)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm (1979): those ≤ α are significant at family-wise error α.

    Args:
        p_values: of m hypotheses, each in [0, 1].
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def two_sided_p(resampled: np.ndarray) -> float:
    """Return the two-sided p value of a difference of 0, from (resamples,) resampled differences."""
    smaller = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    return min(1.0, 2 * (1 + int(smaller)) / (1 + len(resampled)))


def _described(value: float, low: float, high: float, p: float, p_holm: float) -> dict[str, Any]:
    shown = "unclear" if p_holm > LEVEL else "above" if value > 0 else "below"
    return {"difference": value, "low": low, "high": high, "p": p, "p_holm": p_holm, "shown": shown}
