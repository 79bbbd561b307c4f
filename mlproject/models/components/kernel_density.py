"""Exact Gaussian kernel density in many dimensions (the paper, section 3.5.1).

scikit-learn's `KernelDensity` is not exact at its default leaf size: with 256 points of 8192
dimensions it is off by hundreds of nats and more (`python -m benchmarks.speed density-256` shows it).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from mlproject.core.errors import UserError
from mlproject.models.components import threads

TOGETHER = 512  # points in one product, which one thread computes
BLOCK_VALUES = 2**22  # values that one block may hold: at most 32 MiB
TOLERANCE = 9e-7  # allowed error of a log-density, relative to max(1, |log-density|)
ROUNDING = 16  # error of ‖a‖² + ‖b‖² − 2ab, in ε(‖a‖² + ‖b‖²): five times the largest seen at d = 8192
FEW = 32  # differences to one point in so many cost less than a float64 product with all
NEGLIGIBLE_NATS = 50.0  # a term this far below the largest adds less than float64 can hold


@dataclass(frozen=True, eq=False)
class GaussianKernelDensity:
    """The density (1/n) Σ_i N(x; x_i, h² I).

    >>> density = GaussianKernelDensity(np.array([[0.0], [2.0]]), bandwidth=1.0)
    >>> density.log_density(np.array([[1.0], [9.0]])).round(3)
    array([ -1.419, -26.112])

    ‖a − b‖² = ‖a‖² + ‖b‖² − 2ab makes all distances of a block one matrix product, which is fast,
    but cancels digits where a and b are close compared with their norms. Hence: everything is
    centred first, which keeps the norms at the size of the spread; the product is taken in
    float32, which bounds every distance; a query whose error may exceed the tolerance is taken
    again from plain differences to the points that matter, in which nothing cancels, or, when
    many points matter, from a float64 product first.

    Attributes:
        points: (n, d) finite values, such as the latent codes of the training images.
        bandwidth: h > 0, in the units of the points. The paper: 0.2 on 8192-dimensional codes.

    Raises:
        UserError: a point is not finite, or there is none.
    """

    points: np.ndarray
    bandwidth: float

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or not self.points.size:
            raise UserError(f"kernel density: points must be (n, d), not empty; found {self.points.shape}")
        if not self.bandwidth > 0:
            raise UserError(f"kernel density: bandwidth must be above 0, found {self.bandwidth}")
        _check_finite(self.points, "points")

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Return the natural logarithm of the density at each row of x, in nats.

        Within 1e-6, relative, of a float64 sum over differences. Memory is bounded by the points.

        Args:
            x: (m, d) finite values.

        Returns:
            (m,) float64.

        Raises:
            UserError: a value of x is not finite, or x has another width than the points.
        """
        n, d = self.points.shape
        if x.ndim != 2 or x.shape[1] != d:
            raise UserError(f"kernel density: x must be (m, {d}) as the points are, found {x.shape}")
        _check_finite(x, "x")
        rows = max(1, BLOCK_VALUES // max(n, d))
        blocks = [self._block(x[start : start + rows]) for start in range(0, len(x), rows)]
        return np.concatenate([np.empty(0), *blocks])

    def traced(self, x: torch.Tensor) -> torch.Tensor:
        """Return (m,) log-densities of (m, d) x by plain float64 operations, which ONNX export can record."""
        centre = torch.from_numpy(self._centre).double()
        points = torch.from_numpy(self.points).double() - centre
        queries = x.double() - centre
        squared = queries.square().sum(1)[:, None] + points.square().sum(1) - 2 * queries @ points.T
        exponents = squared.clamp(min=0) / (-2 * self.bandwidth**2)
        return torch.logsumexp(exponents, dim=1) - self._log_normaliser

    @cached_property
    def _centre(self) -> np.ndarray:
        # Need not be the exact mean, but must be the same number in float32 and float64.
        return self.points.mean(axis=0).astype(np.float32)

    @cached_property
    def _log_normaliser(self) -> float:
        n, d = self.points.shape
        return math.log(n) + d / 2 * math.log(2 * math.pi * self.bandwidth**2)

    @cached_property
    def _double(self) -> tuple[np.ndarray, np.ndarray]:
        return self._centred(self.points, np.float64)

    @cached_property
    def _single(self) -> tuple[np.ndarray, np.ndarray]:
        return self._centred(self.points, np.float32)

    def _centred(self, values: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return centred rows (k, d) and their squared norms (k,)."""
        # Where torch puts its own tensors: `_product` depends on it.
        centred = torch.empty(values.shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype).numpy()
        # float64 codes are subtracted in float64 even for the float32 product: an offset that they
        # share is gone before anything is rounded.
        exact = np.result_type(values, dtype)
        np.subtract(values, self._centre, out=centred, dtype=exact, casting="same_kind")
        return centred, np.vecdot(centred, centred).astype(np.float64)

    def _block(self, x: np.ndarray) -> np.ndarray:
        """Return the log-densities of a block of queries, (m,)."""
        n = len(self.points)
        result = np.empty(len(x))
        left, queries = np.arange(len(x)), x
        for dtype, few in ((np.float32, n // FEW), (np.float64, n)):
            with np.errstate(over="ignore", invalid="ignore"):  # NaN, from overflow, is poor and near
                exponents, error = self._exponents(queries, dtype)
                result[left] = _log_sum_exp(exponents) - self._log_normaliser
            poor = ~(error <= TOLERANCE * np.maximum(1, np.abs(result[left])))
            near = ~(exponents < (exponents.max(axis=1) - NEGLIGIBLE_NATS - 2 * error)[:, None])
            cheap = poor & (near.sum(axis=1) <= few)
            for k in np.flatnonzero(cheap):
                exact = self._exponents_by_difference(queries[k], np.flatnonzero(near[k]))
                result[left[k]] = _log_sum_exp(exact[None])[0] - self._log_normaliser
            left, queries = left[poor & ~cheap], queries[poor & ~cheap]
            if not len(left):
                break
        return result

    def _exponents(self, x: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return −‖x − x_i‖² / 2h², (m, n), and what rounding may cost each query, (m,), in nats."""
        points, points_norms = self._single if dtype == np.float32 else self._double
        centred, norms = self._centred(x, dtype)
        squared = norms[:, None] + points_norms - 2 * _product(centred, points)
        exponents = np.maximum(squared, 0) / (-2 * self.bandwidth**2)
        worst = ROUNDING * np.finfo(dtype).eps * (norms + points_norms.max())
        return exponents, worst / (2 * self.bandwidth**2)

    def _exponents_by_difference(self, query: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Return −‖x − x_i‖² / 2h² of one query (d,) and the points with indices near (k,)."""
        squared = np.empty(len(near))
        rows = max(1, BLOCK_VALUES // len(query))
        for start in range(0, len(near), rows):
            chosen = self.points[near[start : start + rows]]
            difference = np.subtract(chosen, query, dtype=np.float64)
            squared[start : start + rows] = np.vecdot(difference, difference)
        return squared / (-2 * self.bandwidth**2)


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a bᵀ by torch, twice as fast as numpy's BLAS: equal input, equal bytes.

    The last digits of a library's product depend on how it splits the sums: on its threads, which it
    chooses by how busy the machine is, and on where in memory the numbers lie. So: TOGETHER rows of b at a
    time, on one thread each, and arrays that lie where torch puts its own tensors.
    """
    left, right = torch.from_numpy(a), torch.from_numpy(b)

    def of_some(first: int) -> torch.Tensor:
        # Inside a caller's autocast the product would silently be rounded to bfloat16.
        with torch.autocast("cpu", enabled=False):
            return left @ right[first:][:TOGETHER].T

    return torch.cat(threads.map_items(of_some, range(0, len(b), TOGETHER)), dim=1).numpy()


def _log_sum_exp(exponents: np.ndarray) -> np.ndarray:
    """Return log Σ_j exp(e_ij) for each row, without underflow."""
    largest = exponents.max(axis=1)
    return largest + np.log(np.exp(exponents - largest[:, None]).sum(axis=1))


def _check_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise UserError(f"kernel density: {name} holds values that are not finite; did training diverge?")
