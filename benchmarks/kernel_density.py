"""Exact kernel density, ours and scikit-learn's, in one run on one thread: time and error.

Run: python benchmarks/kernel_density.py
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.neighbors import KernelDensity

from mlproject.models.components.kernel_density import GaussianKernelDensity

POINTS, QUERIES, DIMENSIONS, BANDWIDTH, ROUNDS = 256, 256, 8192, 0.2, 7


def by_differences(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the log-densities the slow, plain way, float64."""
    points, x = points.astype(np.float64), x.astype(np.float64)
    squared = np.array([((points - query) ** 2).sum(axis=1) for query in x])
    exponents = -squared / (2 * BANDWIDTH**2)
    normaliser = np.log(len(points)) + points.shape[1] / 2 * np.log(2 * np.pi * BANDWIDTH**2)
    return np.logaddexp.reduce(exponents, axis=1) - normaliser


def scikit_learn(points: np.ndarray, leaf_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the log-density function of scikit-learn's estimator."""
    return KernelDensity(bandwidth=BANDWIDTH, leaf_size=leaf_size).fit(points).score_samples


def main() -> None:
    """Measure each in alternating rounds against plain differences."""
    torch.set_num_threads(1)  # scikit-learn's estimator has no more, and ours gains with more
    rng = np.random.default_rng(0)
    centre = rng.normal(size=DIMENSIONS)
    # float32, as a network makes them.
    points, x = (
        (centre + 0.05 * rng.normal(size=(n, DIMENSIONS))).astype(np.float32) for n in (POINTS, QUERIES)
    )
    truth = by_differences(points, x)
    # Built once, asked often: building is left out of the time, for all of them.
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "ours": GaussianKernelDensity(points, BANDWIDTH).log_density,
        f"scikit-learn, exact (leaf_size={POINTS})": scikit_learn(points, POINTS),
        "scikit-learn, default (leaf_size=40)": scikit_learn(points, 40),
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    errors: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, method in methods.items():
            start = time.perf_counter()
            result = method(x)
            seconds[name].append(time.perf_counter() - start)
            errors[name] = float(np.abs(result - truth).max())
    print(
        f"{POINTS} points, {QUERIES} queries, {DIMENSIONS} dimensions; medians of {ROUNDS} alternating rounds"
    )
    ours = float(np.median(seconds["ours"]))
    for name, times in seconds.items():
        median = float(np.median(times))
        print(f"{name:40} {median:7.4f} s  {median / ours:5.1f} x  largest error {errors[name]:.1e} nats")


if __name__ == "__main__":
    main()
