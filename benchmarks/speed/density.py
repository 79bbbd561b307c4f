"""Exact Gaussian kernel density in 8192 dimensions, against scikit-learn's in its exact mode."""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.speed.measure import Group, Row, Side
from benchmarks.speed.worker import Measured

BANDWIDTH = 0.2


def groups(tiny: bool) -> list[Group]:
    """Return a group for each number of points."""
    made = []
    for points, queries, goal in ((16, 4, 25.0),) if tiny else ((256, 256, 25.0), (2000, 64, 50.0)):
        options = {"points": points, "queries": queries, "dimensions": 64 if tiny else 8192}
        sides = {
            "ours": Side("exact", "density:ours", options),
            "exact": Side("scikit-learn, exact", "density:scikit_learn", options | {"leaf_size": points}),
            "default": Side("scikit-learn, default", "density:scikit_learn", options | {"leaf_size": 40}),
        }
        what = f"kernel density, d 8192, n {points:,}"
        rows = (
            Row(what, "ours", "exact", "queries/s", goal),
            Row(what, "ours", "default", "queries/s"),
        )
        made.append(Group(f"density-{points}", sides, rows))
    return made


def ours(points: int, queries: int, dimensions: int, scratch: str) -> Measured:
    """Queries a second of `GaussianKernelDensity`, once it is built."""
    from mlproject.models.components.kernel_density import GaussianKernelDensity

    codes, asked = _codes(points, dimensions, 0), _codes(queries, dimensions, 1)
    return _measured(GaussianKernelDensity(codes, BANDWIDTH).log_density, codes, asked)


def scikit_learn(points: int, queries: int, dimensions: int, leaf_size: int, scratch: str) -> Measured:
    """Queries a second of scikit-learn's estimator; exact where a leaf holds all points."""
    from sklearn.neighbors import KernelDensity

    codes, asked = _codes(points, dimensions, 0), _codes(queries, dimensions, 1)
    fitted = KernelDensity(bandwidth=BANDWIDTH, leaf_size=leaf_size).fit(codes)
    return _measured(fitted.score_samples, codes, asked)


def _codes(n: int, dimensions: int, seed: int) -> np.ndarray:
    """Return (n, dimensions) float32, as a network makes them, about a centre that all seeds share."""
    centre = np.random.default_rng(2).normal(size=dimensions)
    rng = np.random.default_rng(seed)
    return (centre + 0.05 * rng.normal(size=(n, dimensions))).astype(np.float32)


def _measured(
    log_density: Callable[[np.ndarray], np.ndarray], points: np.ndarray, asked: np.ndarray
) -> Measured:
    log_density(asked[:1])  # builds what is kept for all further queries

    def once() -> float:
        started = time.perf_counter()
        log_density(asked)
        return len(asked) / (time.perf_counter() - started)

    def facts() -> str:
        few = asked[:16]
        off = np.abs(log_density(few) - _by_differences(points, few)).max()
        return f"largest error {off:.0e} nats"

    return Measured(once, facts)


def _by_differences(points: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the log-densities the slow, plain way, float64."""
    points, asked = points.astype(np.float64), asked.astype(np.float64)
    squared = np.array([((points - query) ** 2).sum(axis=1) for query in asked])
    normaliser = np.log(len(points)) + points.shape[1] / 2 * np.log(2 * np.pi * BANDWIDTH**2)
    found: np.ndarray = np.logaddexp.reduce(-squared / (2 * BANDWIDTH**2), axis=1) - normaliser
    return found
