"""How sure an AUROC is that several trainings gave, and how sure a difference of two is.

Images are drawn again with replacement, good and defective ones separately; the same draw judges every
training and every model, so differences are paired. Each resample gives the AUROC's mean over the seeds.
How trainings differ among themselves is another matter, and told beside: the spread over seeds.
"""

import numpy as np

from mlproject.metrics import INTERVAL

BOOTSTRAP_SEED = 0  # not that of a training: the same scores have the same interval
WORDS = (
    "95 % bootstrap over images (good and defective drawn separately) of the mean over seeds; differences "
    "are paired: the same images judge both. Neither holds the spread over seeds, nor is corrected for "
    "several comparisons."
)


def aurocs(labels: np.ndarray, scores: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (k,) AUROCs of k trainings and (k, resamples) of resampled images; ties count half.

    Args:
        labels: (n,) 0 good, 1 defective.
        scores: (k, n), one row a training.

    Returns:
        None where a class is missing.
    """
    defective = np.asarray(labels) == 1
    n_good, n_defective = int((~defective).sum()), int(defective.sum())
    if not n_good or not n_defective:
        return None
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    good_share, defective_share = (
        rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n for n in (n_good, n_defective)
    )
    points, drawn = [], []
    for row in scores:
        high, low = row[defective][:, None], row[~defective][None, :]
        wins = (high > low) + 0.5 * (high == low)  # (defective, good)
        points.append(wins.mean())
        drawn.append(((defective_share @ wins) * good_share).sum(axis=1))
    return np.array(points), np.array(drawn)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of (resamples,) values."""
    low, high = np.percentile(resampled, INTERVAL)
    return float(low), float(high)


def spread(values: np.ndarray) -> float | None:
    """Return the sample standard deviation over seeds; None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
