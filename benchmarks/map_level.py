"""How much of a new good photo lies above the level that regions and the colours of heat maps start from?

    python benchmarks/map_level.py

PCA and patch_kde on the built-in sample, defaults of params.yaml, few and many good images; the seed says
which of them are held out. .1 % of the pixels are meant to lie above a level set by the validation images,
which also set each pixel's spread in PCA, or by the calibration images, which set nothing else of a map.
Takes four minutes.
"""

import numpy as np
from drift import good_images

from mlproject import models
from mlproject.core import params
from mlproject.data import split
from mlproject.data.sample import build
from mlproject.models.components.detector import Detector
from mlproject.training.run_options import RunOptions

CATEGORIES, MODELS = ("bracket", "weave"), ("pca", "patch_kde")
SIZES = (30, 60, build.TRAIN_GOOD)  # good images
SEEDS = (0, 1, 2)


def main() -> None:
    """Print the share of the pixels of new good photos above each level."""
    tree = params.load_file()
    print("| category | model | good images | level by validation images | by calibration images |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for category in CATEGORIES:
        names, good = good_images(category, "train", build.TRAIN_GOOD, 0)
        new = good_images(category, "train", build.TRAIN_GOOD, 1000)[1]
        for model in MODELS:
            for size in SIZES:
                detector = models.create(model, tree["models"][model])
                shares = []
                for seed in SEEDS:
                    kept = np.random.default_rng(seed).permutation(len(good))[:size]
                    of_kept = [names[row] for row in kept]
                    roles = split.split(of_kept, tree["split"]["validation_share"], seed)
                    shares.append(_shares(detector, good[kept], roles, seed, new))
                cells = (
                    ", ".join(f"{share:.2%}" for share in column) for column in zip(*shares, strict=True)
                )
                print(f"| {category} | {model} | {size} | {' | '.join(cells)} |", flush=True)


def _shares(
    detector: Detector, good: np.ndarray, roles: split.Roles, seed: int, new: np.ndarray
) -> tuple[float, float]:
    detector.fit(good[roles.train], good[roles.validation], RunOptions(seed=seed))
    detector.calibrate(good[roles.validation])
    maps, validation = detector.score(new).maps, detector.heat_scale
    unseen = detector.measure(good[roles.calibration])
    detector.calibrate(good[roles.validation], unseen.parts, unseen.maps)
    assert validation and detector.heat_scale  # both calibrations set one
    return float((maps > validation.usual).mean()), float((maps > detector.heat_scale.usual).mean())


if __name__ == "__main__":
    main()
