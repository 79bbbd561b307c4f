"""What the order of computing in `models/chain.py` saves: the same training, in turn with the plain sequence.

Run: python benchmarks/chain.py      (one thread, about two minutes)
"""

import time
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from mlproject import models
from mlproject.core import params
from mlproject.models.components import fast_sequential
from mlproject.training.run_options import RunOptions

ROUNDS = 5
IMAGES = 100


def seconds(name: str, images: np.ndarray) -> float:
    """Return how long the second of two epochs takes: the first one also warms up."""
    detector = models.create(name, params.value("models")[name] | {"epochs": 2, "patience": 2})
    ends: list[float] = []
    detector.fit(
        images, images[:10], RunOptions(seed=0, on_epoch=lambda epoch: ends.append(time.perf_counter()))
    )
    return ends[1] - ends[0]


def main() -> None:
    """Print each model's images a second, plain and chained, and the median ratio."""
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 128, 128, 3), dtype=np.uint8)
    for name in ("kd_cae", "ni_cae"):
        ratios = []
        for _ in range(ROUNDS):
            ours = seconds(name, images)
            with patch.object(fast_sequential.FastSequential, "forward", nn.Sequential.forward):
                plain = seconds(name, images)
            ratios.append(plain / ours)
            print(f"{name}: {IMAGES / plain:.0f} images/s plain, {IMAGES / ours:.0f} chained")
        print(f"{name}: median ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
