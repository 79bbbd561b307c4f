"""Do skip connections and the gradient map bring NI-CAE level with pca and patch_kde?

    python benchmarks/ni_cae_skips.py bottle,bracket,transistor,weave

NI-CAE without and with skips, trained with the settings of params.yaml, then up to three times its epochs;
scored by the maps `ssim` and `gradient`, and compared with pca and patch_kde. Seed 0, protocol clean, one
thread; seconds are of the processor. Differences are paired, over the same resamples of the test images; * is
shown, by Holm's correction over all pairs of a category. Reads data/prepared; opens the test set.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer

from mlproject import models
from mlproject.core import params
from mlproject.data import prepared
from mlproject.data.split import Roles
from mlproject.evaluation import metrics, paired_comparison, pixel_metrics, thresholds
from mlproject.models.components import map_size
from mlproject.models.components.detector import Detector
from mlproject.training.run_options import RunOptions

SEED = 0
LONGER = 3  # times the epochs of params.yaml
MAPS = ("ssim", "gradient")
BASELINES = ("pca", "patch_kde")
HEAD = (
    "category",
    "model",
    "AUROC",
    "− pca [95 %]",
    "− patch_kde [95 %]",
    "pixel AUROC",
    "F1",
    "best epoch",
    "s",
)


class Measured(NamedTuple):
    """What one model gave on a category; `scores` are those of its test images."""

    scores: np.ndarray
    pixel_auroc: float
    f1: float
    epochs: str
    seconds: float


def main(categories: Annotated[str, typer.Argument(help="Names with commas between.")]) -> None:
    """Print a line for each category and model."""
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    torch.set_num_threads(1)
    tree = params.load_file()["models"]
    for category in categories.split(","):
        data = prepared.load(category)
        roles = data.roles(params.load("split", params.Split), SEED)
        found = {
            name: measured(detector, data, roles, epochs, seconds)
            for name, detector, epochs, seconds in fitted(tree, data, roles)
        }
        labels = data.manifest["label"].to_numpy()[data.rows(split="test")]
        gaps = paired_comparison.differences(labels, {name: one.scores for name, one in found.items()})
        for name, one in found.items():
            against = [shown(gaps[name].get(other)) for other in BASELINES]
            figures = [f"{value:.3f}" for value in (one.pixel_auroc, one.f1)]
            auroc = f"{metrics.auroc(labels, one.scores):.3f}"
            cells = [category, name, auroc, *against, *figures, one.epochs, f"{one.seconds:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def fitted(
    tree: dict[str, Any], data: prepared.Prepared, roles: Roles
) -> Iterator[tuple[str, Detector, str, float]]:
    """Yield name, detector, best epoch of how many, and the processor's seconds that its training took."""
    train, validation = data.images[roles.train], data.images[roles.validation]
    own = tree["ni_cae"]
    for skips in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            run, seconds = RunOptions(seed=SEED, checkpoint=Path(folder) / "checkpoint.pt"), 0.0
            for times in (1, LONGER):  # the longer training goes on from the other's checkpoint
                epochs = times * own["epochs"]
                settings = own | {"skips": skips, "epochs": epochs}
                trained = models.create("ni_cae", settings)
                began = time.process_time()
                history = trained.fit(train, validation, run)
                seconds += time.process_time() - began
                best = min(history, key=lambda row: row["validation_loss"])["epoch"]
                for kind in MAPS:
                    detector = models.create("ni_cae", settings | {"map": own["map"] | {"kind": kind}})
                    detector.restore(trained.state())
                    detector.after_fit(train, validation)
                    title = f"ni_cae, {'skips' if skips else 'no skips'}, {kind}, {epochs} epochs"
                    yield title, detector, f"{best} of {len(history)}", seconds
    for name in BASELINES:
        began = time.process_time()
        detector = models.create(name, tree[name])
        detector.fit(train, validation, RunOptions(seed=SEED))
        yield name, detector, "-", time.process_time() - began


def measured(
    detector: Detector, data: prepared.Prepared, roles: Roles, epochs: str, seconds: float
) -> Measured:
    """Return what a fitted detector gives on the test images."""
    unseen = detector.measure(data.images[roles.calibration]).parts
    detector.calibrate(data.images[roles.validation], unseen)
    good = thresholds.good_images(
        detector, roles, data.originals(roles.train), lambda rows: data.images[rows]
    )
    rate = params.load("threshold", params.Threshold).false_alarm_rate
    threshold = thresholds.calibrate(detector.threshold_scores(good.parts), rate, strict=False).value
    rows = data.rows(split="test")
    labels, scored = data.manifest["label"].to_numpy()[rows], detector.score(data.images[rows])
    maps = map_size.at_prepared_size(scored.maps, data.image_size)
    f1 = metrics.classification(labels, scored.scores, threshold)["f1"]
    pixels = pixel_metrics.pixel_auroc(data.masks, maps)
    return Measured(scored.scores, float(pixels or 0), float(f1 or 0), epochs, seconds)


def shown(gap: dict[str, Any] | None) -> str:
    """Return a difference with its interval; * where Holm's correction leaves it shown."""
    if gap is None:
        return "-"
    mark = "" if gap["shown"] == "unclear" else "*"
    return f"{gap['difference']:+.3f}{mark} [{gap['low']:+.3f}, {gap['high']:+.3f}]"


if __name__ == "__main__":
    typer.run(main)
