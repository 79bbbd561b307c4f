"""False alarms of a two-part score whose scales and threshold come from the same few good images.

    python benchmarks/left_out_scales.py

Both parts of a good image are drawn from normal or log-normal distributions. The threshold is asked for
5 % false alarms, once from scores by scales that the image itself helped to set, once by those that the
others give (`Combination.left_out_scores`). Needs no data; takes seconds.
"""

from collections.abc import Callable

import numpy as np

from mlproject.evaluation import thresholds
from mlproject.models.components.combination import Combination

ASKED = 0.05
REPEATS = 1000
NEW = 4000  # good images that the threshold is tried on, a repeat


def main() -> None:
    """Print the mean false-alarm rate of both ways for several numbers of images."""
    rng = np.random.default_rng(0)
    print("parts       images  own scales  others' scales")
    draws: dict[str, Callable[[int], np.ndarray]] = {
        "normal": lambda n: rng.normal(size=n),
        "log-normal": lambda n: rng.lognormal(size=n),
    }
    for name, draw in draws.items():
        for n in (20, 40, 100):
            rates = np.mean([_rates(draw, n) for _ in range(REPEATS)], axis=0)
            print(f"{name:10}  {n:6}  {rates[0]:10.3f}  {rates[1]:14.3f}")


def _rates(draw: Callable[[int], np.ndarray], n: int) -> tuple[float, float]:
    parts = {"error": draw(n), "density": draw(n)}
    combination = Combination.fit(parts)
    new = combination.apply({name: draw(NEW) for name in parts})
    own, others = combination.apply(parts), Combination.left_out_scores(parts)
    limits = [thresholds.calibrate(scores, ASKED, strict=False).value for scores in (own, others)]
    return float(np.mean(new > limits[0])), float(np.mean(new > limits[1]))


if __name__ == "__main__":
    main()
