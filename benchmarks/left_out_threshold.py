"""False alarms at thresholds from held-out good images, and from held-out and left-out ones.

    python benchmarks/left_out_threshold.py

patch_kde on the built-in sample, defaults of params.yaml. The seed says which good images are held out; the
thresholds, for the false-alarm rate of params.yaml, are tried on new good photos. Takes five minutes.
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
SEEDS = (0, 1, 2)
NEW = 400  # good photos


def main() -> None:
    """Print the share of new good photos above each threshold."""
    tree = params.load_file()
    rate = tree["threshold"]["false_alarm_rate"]
    print(f"| category | seed | held out: images, false alarms ({rate:g} asked) | held out and left out |")
    print("| --- | --- | --- | --- |", flush=True)
    for category in CATEGORIES:
        names, train = good_images(category, "train", build.TRAIN_GOOD, 0)
        draws = range(1000, 1000 + NEW, build.TRAIN_GOOD)
        new = np.concatenate([good_images(category, "train", build.TRAIN_GOOD, seed)[1] for seed in draws])
        for seed in SEEDS:
            roles = split.split(names, tree["split"]["validation_share"], seed)
            detector = models.create("patch_kde", tree["models"]["patch_kde"])
            detector.fit(train[roles.train], train[roles.validation], RunOptions(seed=seed))
            detector.calibrate(train[roles.validation])
            good = thresholds.good_images(
                detector, roles, [names[row] for row in roles.train], train.__getitem__
            )
            scores, found = detector.score(new).scores, detector.threshold_scores(good.parts)
            held_out = found[~np.isin(good.rows, roles.train)]
            cells = [
                f"{len(known)}, {np.mean(scores > thresholds.calibrate(known, rate, strict=False).value):.3f}"
                for known in (held_out, found)
            ]
            print(f"| {category} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
