"""Simulate how often the promotion gate's check "not worse" passes a challenger that loses a given AUROC.

Champion and challenger score the same images; scores of good and defective images are normal distributions
that the champion separates with AUROC `--champion`. The challenger loses `loss` in one of these ways:

- misses:      some defects look good to it; all else it ranks as the champion does
- alarms:      some good images look defective to it
- both:        half of each
- noise:       its scores have additional noise, so it finds every defect a little less well
- independent: it is another model with as much noise, half of it the champion's
- inverted:    some defects look better than good to it; the interval does not allow for such an image

    python benchmarks/gate_simulation.py
"""

import argparse
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from mlproject.evaluation import intervals
from mlproject.evaluation.metrics import BOOTSTRAP_SEED
from mlproject.registry import gate

SIZES = ((20, 20), (30, 36), (40, 40), (40, 60), (60, 60), (100, 100))  # good, defective
LOSSES = (0.0, 0.051, 0.075)
Scores = tuple[np.ndarray, np.ndarray]
Loss = Callable[[np.random.Generator, np.ndarray, float, float], Scores]


def misses(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: the challenger overlooks some defects."""
    return _replaced(rng, labels, auroc, chance=loss / (auroc - 0.5) * (labels == 1), place=0.0)


def alarms(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: some good images look defective to the challenger."""
    chance = loss / (auroc - 0.5) * (labels == 0)
    return _replaced(rng, labels, auroc, chance, place=separation(auroc))


def both(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: the challenger errs on defects and on good images."""
    chance = np.full(len(labels), loss / 2 / (auroc - 0.5))
    return _replaced(rng, labels, auroc, chance, place=separation(auroc) * (1 - labels))


def inverted(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: some defects look better than good to the challenger."""
    chance = loss / (2 * auroc - 1) * (labels == 1)
    return _replaced(rng, labels, auroc, chance, place=-separation(auroc))


def noise(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: the challenger's are the champion's and noise."""
    champion = rng.normal(size=len(labels)) + separation(auroc) * labels
    variance = (separation(auroc) / separation(auroc - loss)) ** 2 - 1
    return champion, champion + rng.normal(0, variance**0.5, len(labels))


def independent(rng: np.random.Generator, labels: np.ndarray, auroc: float, loss: float) -> Scores:
    """Return both models' scores: half of their variance is common."""
    common = rng.normal(size=len(labels))
    own = rng.normal(size=(2, len(labels)))
    champion, challenger = (common + own) * 0.5**0.5
    return champion + separation(auroc) * labels, challenger + separation(auroc - loss) * labels


def _replaced(
    rng: np.random.Generator, labels: np.ndarray, auroc: float, chance: np.ndarray, place: float | np.ndarray
) -> Scores:
    """Return the champion's scores, and these with each image's drawn about `place` instead by `chance`."""
    champion = rng.normal(size=len(labels)) + separation(auroc) * labels
    other = rng.normal(size=len(labels)) + place
    return champion, np.where(rng.random(len(labels)) < chance, other, champion)


def separation(auroc: float) -> float:
    """Return the distance of two normal distributions of variance 1 with this AUROC."""
    return NormalDist().inv_cdf(auroc) * 2**0.5


def pass_rate(make: Loss, n_good: int, n_defective: int, loss: float, given: argparse.Namespace) -> float:
    """Return the share of repeats in which the rule of `gate.not_worse` passes, for any number of images."""
    rng = np.random.default_rng(given.seed)
    labels = np.repeat([0, 1], [n_good, n_defective])
    passed = 0
    for _ in range(given.repeats):
        champion, challenger = make(rng, labels, given.champion, loss)
        gap = intervals.auroc_difference(labels, champion, challenger, given.resamples, BOOTSTRAP_SEED)
        passed += gap.high >= 0 and gap.low >= -given.margin
    return passed / given.repeats


def main() -> None:
    """Print a table: one line per number of test images and loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--champion", type=float, default=0.99, help="AUROC (default .99)")
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    ways: tuple[Loss, ...] = (misses, alarms, both, noise, independent, inverted)
    names = [way.__name__ for way in ways]
    print(f"champion's AUROC {given.champion:g}, margin {given.margin:g}, {given.repeats} repeats; passed:")
    print(f"{'good + defective':>16} {'loss':>5}  {'  '.join(f'{name:>11}' for name in names)}  gate")
    for good, defective in SIZES:
        says = "compares" if min(good, defective) >= gate.FEWEST_COMPARED else "refuses"
        for loss in LOSSES:
            rates = [pass_rate(way, good, defective, loss, given) for way in ways]
            columns = "  ".join(f"{rate:11.1%}" for rate in rates)
            print(f"{f'{good} + {defective}':>16} {loss:5.3f}  {columns}  {says}", flush=True)


if __name__ == "__main__":
    main()
