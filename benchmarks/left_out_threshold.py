"""False alarms at thresholds from held-out good images, and from held-out and left-out ones.

    python benchmarks/left_out_threshold.py

patch_kde on the built-in sample, defaults of params.yaml, on DRAWS sets of good images that share no image;
the thresholds, for the false-alarm rate of params.yaml, are tried on new good photos. Takes eight minutes.
"""

import numpy as np
from drift import good_images

from mlproject import models
from mlproject.core import params
from mlproject.data import split
from mlproject.data.sample import build
from mlproject.evaluation import thresholds
from mlproject.training.run_options import RunOptions

CATEGORIES = ("bracket", "weave")
DRAWS = 8
NEW = 200  # good photos, others for each draw


def main() -> None:
    """Print the share of new good photos above each threshold."""
    tree = params.load_file()
    rate = tree["threshold"]["false_alarm_rate"]
    print(f"False alarms, {rate:g} asked: mean ± standard error (smallest to largest) of {DRAWS} draws.\n")
    print("| category | threshold by held-out images | by held-out and left-out ones |")
    print("| --- | --- | --- |", flush=True)
    for category in CATEGORIES:
        found = np.array([_false_alarms(category, draw, tree, rate) for draw in range(DRAWS)])
        print(f"| {category} | {' | '.join(map(_summary, found.T))} |", flush=True)


def _summary(shares: np.ndarray) -> str:
    error = shares.std(ddof=1) / len(shares) ** 0.5
    return f"{shares.mean():.3f} ± {error:.3f} ({shares.min():.3f} to {shares.max():.3f})"


def _false_alarms(category: str, draw: int, tree: dict, rate: float) -> tuple[float, float]:
    """Return them at the threshold by held-out images, and at that by held-out and left-out ones."""
    names, train = good_images(category, "train", build.TRAIN_GOOD, 2 * draw)
    new = good_images(category, "train", NEW, 2 * draw + 1)[1]
    roles = split.split(names, tree["split"]["validation_share"], 0)
    detector = models.create("patch_kde", tree["models"]["patch_kde"])
    detector.fit(train[roles.train], train[roles.validation], RunOptions(seed=0))
    detector.calibrate(train[roles.validation])
    good = thresholds.good_images(detector, roles, [names[row] for row in roles.train], train.__getitem__)
    scores, known = detector.score(new).scores, detector.threshold_scores(good.parts)
    held_out = known[~np.isin(good.rows, roles.train)]
    by_held_out, by_all = (
        float(np.mean(scores > thresholds.calibrate(given, rate, strict=False).value))
        for given in (held_out, known)
    )
    return by_held_out, by_all


if __name__ == "__main__":
    main()
