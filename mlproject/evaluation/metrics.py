"""Image-level measures. Positive class: defective (label 1). Defective ⇔ score > threshold."""

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mlproject.core.errors import UserError
from mlproject.evaluation.thresholds import decide

INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap: a 95 % interval
BOOTSTRAP_SEED = 0  # not that of training: the same scores have the same interval


def auroc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the chance that a defective image scores above a good one; ties count half.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (n,) finite.

    Returns:
        In [0, 1]; None if the test set lacks good or defective images.

    Raises:
        UserError: a score is not finite, or the lengths differ.
    """
    defective, scores = _checked(labels, scores)
    return float(roc_auc_score(defective, scores)) if _both_classes(defective) else None


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the precision-recall steps; None if a class is missing. Raises as `auroc`."""
    defective, scores = _checked(labels, scores)
    return float(average_precision_score(defective, scores)) if _both_classes(defective) else None


def auroc_interval(
    labels: np.ndarray, scores: np.ndarray, resamples: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Return the bootstrap 95 % interval of the AUROC.

    Stratified: good and defective images are drawn separately, so every resample has as many of
    each as the test set. Perfectly separated scores give [1, 1], however few the images.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (n,) finite.
        resamples: number of bootstrap resamples.
        seed: same seed, same interval.

    Returns:
        (low, high), or (None, None) if a class is missing.
    """
    is_defective, scores = _checked(labels, scores)
    if not _both_classes(is_defective):
        return None, None
    good, defective = np.sort(scores[~is_defective]), scores[is_defective]
    rng = np.random.default_rng(seed)
    good_counts = resample_counts(rng, len(good), resamples)
    defective_counts = resample_counts(rng, len(defective), resamples)
    low, high = np.percentile(resampled_auroc(good, defective, good_counts, defective_counts), INTERVAL)
    return float(low), float(high)


def resampled_auroc(
    good: np.ndarray, defective: np.ndarray, good_counts: np.ndarray, defective_counts: np.ndarray
) -> np.ndarray:
    """Return (resamples,) the AUROC of each resample, given as the number of times each image was drawn.

    Args:
        good: (g,) finite scores of good images.
        defective: (d,) finite scores of defective ones.
        good_counts: (resamples, g) as `resample_counts` draws them, or weights that sum to g;
            defective_counts alike.
    """
    order = np.argsort(good, kind="stable")
    good, good_counts = good[order], good_counts[:, order]
    # Column k: how many drawn good images are among the k lowest; half the sum at the two ends of a
    # run of ties counts the ties half.
    below = np.concatenate([np.zeros((len(good_counts), 1)), np.cumsum(good_counts, axis=1)], axis=1)
    first, last = np.searchsorted(good, defective, "left"), np.searchsorted(good, defective, "right")
    wins = (defective_counts * (below[:, first] + below[:, last])).sum(axis=1) / 2
    return wins / (len(good) * len(defective))


def resample_counts(rng: np.random.Generator, n: int, resamples: int) -> np.ndarray:
    """Return (resamples, n): the count of each of n images when n are drawn with replacement."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples)


def all_defective_f1(labels: np.ndarray) -> float:
    """Return the F1 of calling every image defective, which any useful F1 must beat."""
    n_defective = int(np.count_nonzero(labels))
    return 2 * n_defective / (len(labels) + n_defective)


def classification(labels: np.ndarray, scores: np.ndarray, threshold: float) -> dict[str, float | None]:
    """Return the measures of the decisions score > threshold.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (n,) finite.
        threshold: finite.

    Returns:
        threshold, f1, balanced_accuracy, precision, recall and false_alarm_rate (the share of good
        images called defective), all but the first in [0, 1]. None where the test set does not determine it:
        f1 and recall without defective images, false_alarm_rate without good ones,
        balanced_accuracy without either. Precision is 0 when nothing is called defective.
    """
    defective, scores = _checked(labels, scores)
    called = decide(scores, threshold)
    hits, alarms = np.count_nonzero(called & defective), np.count_nonzero(called & ~defective)
    n_defective = np.count_nonzero(defective)
    n_good = len(defective) - n_defective
    recall = hits / n_defective if n_defective else None
    false_alarm_rate = alarms / n_good if n_good else None
    balanced = None if recall is None or false_alarm_rate is None else (recall + 1 - false_alarm_rate) / 2
    return {
        "threshold": float(threshold),
        "f1": 2 * hits / (hits + alarms + n_defective) if n_defective else None,
        "balanced_accuracy": balanced,
        "precision": hits / (hits + alarms) if hits + alarms else 0.0,
        "recall": recall,
        "false_alarm_rate": false_alarm_rate,
    }


def oracle_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold with the best F1 on these same images: an upper bound, not a result.

    Like the conformal threshold, it is one of the scores (the highest that is called good), or the
    float just below the lowest score, which calls every image defective. Among equally good
    thresholds it is the highest, which has the fewest false alarms.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (n,) finite.
    """
    candidates, hits, alarms = _outcomes(labels, scores)
    f1 = 2 * hits / np.maximum(hits + alarms + hits[0], 1)  # hits[0]: every defective image
    return _highest_best(candidates, f1)


def fewest_errors_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the threshold with the fewest wrong decisions on these same images, as `oracle_threshold`."""
    candidates, hits, alarms = _outcomes(labels, scores)
    return _highest_best(candidates, hits - alarms)  # errors: the defects not hit, and the alarms


def evaluate(
    labels: np.ndarray, scores: np.ndarray, threshold: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the image-level content of metrics.json.

    Args:
        labels: (n,) 0 good, 1 defective, of the test images.
        scores: (n,) finite.
        threshold: of protocol clean, from good images alone.
        resamples: bootstrap resamples of the AUROC's interval.
        seed: of the bootstrap.

    Returns:
        n_good, n_defective, auroc, auroc_low, auroc_high, average_precision, all_defective_f1,
        clean and oracle (as `classification`), threshold_optimism (oracle F1 − clean F1, ≥ 0).
        None where a class is missing.

    Raises:
        UserError: no image, a score that is not finite, or lengths that differ.
    """
    low, high = auroc_interval(labels, scores, resamples, seed)
    clean = classification(labels, scores, threshold)
    oracle = classification(labels, scores, oracle_threshold(labels, scores))
    n_defective = int(np.count_nonzero(labels))
    optimism = None if oracle["f1"] is None or clean["f1"] is None else oracle["f1"] - clean["f1"]
    return {
        "n_good": len(labels) - n_defective,
        "n_defective": n_defective,
        "auroc": auroc(labels, scores),
        "auroc_low": low,
        "auroc_high": high,
        "average_precision": average_precision(labels, scores),
        "all_defective_f1": all_defective_f1(labels),
        "clean": clean,
        "oracle": oracle,
        "threshold_optimism": optimism,
    }


def _outcomes(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every threshold that gives different decisions, ascending, with its hits and false alarms."""
    defective, scores = _checked(labels, scores)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    candidates = np.concatenate([[np.nextafter(ordered[0], -np.inf)], ordered])
    called_good = np.searchsorted(ordered, candidates, "right")
    missed = np.concatenate([[0], np.cumsum(defective[order])])[called_good]
    hits = np.count_nonzero(defective) - missed
    return candidates, hits, len(scores) - called_good - hits


def _highest_best(candidates: np.ndarray, quality: np.ndarray) -> float:
    return float(candidates[np.flatnonzero(quality == quality.max())[-1]])


def _both_classes(defective: np.ndarray) -> bool:
    return bool(defective.any() and not defective.all())


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as bool and scores as float64, or raise a UserError."""
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not len(labels):
        raise UserError(f"metrics: needs one label a score; found {labels.shape} and {scores.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise UserError("metrics: labels must be 0 (good) or 1 (defective)")
    if not np.isfinite(scores).all():
        raise UserError(f"metrics: {np.count_nonzero(~np.isfinite(scores))} scores are not finite")
    return labels.astype(bool), scores
