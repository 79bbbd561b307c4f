"""Kernel density of local descriptors, one for each position of the grid.

The paper's kernel density (3.5.1), not on one vector an image but on one a cell. At each cell the kernels
stand on the descriptors that the good images have there and up to `radius` cells away; radius and bandwidth
are the likeliest on good images that are left out.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components.local_descriptors import sample

BANDWIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4)  # whitened units: the usual spread of one cell along one axis is 1
RADII = (1, 2)  # cells
TRIAL_IMAGES = 2  # that choose among them: each has thousands of cells
FLOOR = 0.1  # of the mean spread, added to each cell's
SMALLEST = 1e-3  # spread and peak of images that are all equal
NEIGHBOURHOOD = 1.5  # Gaussian sigma over which cells share their variance: one cell alone has few images
BLOCK = 64  # cells whose exponents are held at once: about what a processor's cache holds
IMAGES = 8  # whose surroundings are put together at once
MANY_CELLS = 512
FAR = 1e9  # squared distance of what must not count
# Exponent below which a kernel adds nothing to one of value 1. Further down, where float32 has no normal
# numbers left, a processor takes a hundred times as long for each.
LOWEST = -80.0


@dataclass(frozen=True)
class PositionDensity:
    """Kernels at every cell of a grid of rows × columns.

    Attributes:
        projection: (c, d) float32, from descriptors to whitened values.
        offset: (rows · columns, d) float32, mean of each cell's whitened values.
        step: (rows · columns, d) float32, of the whole numbers in `kernels`.
        kernels: (rows · columns, n, d) int8: a good image's whitened values are offset + step × these.
        bandwidth: () float32, h of the Gaussian kernels, in whitened units.
        mean: (rows, columns) float32, of the energy of good images that were left out, and
        spread: (rows, columns) float32, its standard deviation: what `maps` are in units of.
        peak: () float32, mean over left-out good images of their map's maximum: 1 in `maps`.
        radius: cells that a kernel may lie off, each way.
        smoothing: Gaussian sigma of the maps, cells.
    """

    projection: torch.Tensor
    offset: torch.Tensor
    step: torch.Tensor
    kernels: torch.Tensor
    bandwidth: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor
    peak: torch.Tensor
    radius: int
    smoothing: float

    def changed(self, **values: Any) -> "PositionDensity":
        """Return a copy with other values, on the same kernels."""
        other = replace(self, **values)
        other.__dict__.update(extended=self.extended)
        return other

    @property
    def bank(self) -> torch.Tensor:
        """(rows · columns, n, d) float32, whitened values of the good images."""
        return self.extended[..., :-2]

    @cached_property
    def extended(self) -> torch.Tensor:
        """(rows · columns, n, d + 2) float32, as `window_energy` takes them."""
        return extended(torch.addcmul(self.offset[:, None], self.kernels, self.step[:, None]))

    def energy(self, values: torch.Tensor, without: int | None = None) -> torch.Tensor:
        """Return (k, rows, columns) energies of (k, rows, columns, d) whitened values; as `window_energy`."""
        return window_energy(self.extended, values, self.radius, float(self.bandwidth), without)

    def maps(self, descriptors: torch.Tensor) -> torch.Tensor:
        """Return (k, rows, columns) of (k, rows, columns, c): about 1 at the worst of good images."""
        return self.standardise(self.energy(descriptors @ self.projection))

    def standardise(self, energy: torch.Tensor) -> torch.Tensor:
        """Return energies (k, rows, columns) as maps."""
        raw = (energy - self.mean) / self.spread
        rows, columns = raw.shape[-2:]
        return sample(raw, rows, columns, self.smoothing) / self.peak

    def left_out(self, image: int) -> torch.Tensor:
        """Return (1, rows, columns), the energy of one of the bank's images by all the others."""
        return self.energy(self.bank[:, image].reshape(1, *self.mean.shape, -1), without=image)


def fit(
    descriptors: torch.Tensor,
    widen: Callable[[torch.Tensor], torch.Tensor],
    length: int,
    shrinkage: float,
    smoothing: float,
    each: Callable[[Callable[[int], torch.Tensor], int], list[torch.Tensor]],
) -> tuple[PositionDensity, torch.Tensor]:
    """Return the density of good images' descriptors, and maps (n, rows, columns) of each by the others.

    Args:
        descriptors: (n, rows, columns, c) of n good images, at least 3.
        widen: puts the surroundings into (k, rows, columns, c): (k, rows, columns, C).
        length: d, of the whitened values; C at most.
        shrinkage: share of the mean eigenvalue that is added to each; more where cells are few.
        smoothing: Gaussian sigma of the maps, cells.
        each: calls a function for 0 … n - 1.
    """
    chunks = descriptors.split(IMAGES)
    # every other row and column of a large grid has cells enough for a covariance
    every = 2 if descriptors.shape[1] * descriptors.shape[2] >= MANY_CELLS else 1
    seen = (widen(chunk)[:, ::every, ::every] for chunk in chunks)
    within, total, count = scatter(seen)
    # few cells in many dimensions: their covariance would call new images unusual
    projection = whitening(within, total, length, max(shrinkage, 2 * len(within) / count))
    values = torch.cat([widen(chunk) @ projection for chunk in chunks])
    n, rows, columns, _ = values.shape
    values = values.flatten(1, 2).transpose(0, 1)
    offset = values.mean(dim=1)
    residual = values - offset[:, None]
    step = residual.abs().amax(dim=1).clamp_min(1e-6) / 127
    kernels = (residual / step[:, None]).round().to(torch.int8).contiguous()
    one, grid = torch.tensor(1.0), torch.ones(rows, columns)
    density = PositionDensity(projection, offset, step, kernels, one, grid, grid, one, 1, smoothing)
    density = likeliest(density)
    energies = torch.cat(each(density.left_out, n))
    spread = sample(energies.var(dim=0), rows, columns, NEIGHBOURHOOD).sqrt()
    spread = (spread + FLOOR * spread.mean()).clamp_min(SMALLEST)
    density = density.changed(mean=energies.mean(dim=0), spread=spread)
    peak = density.standardise(energies).flatten(1).amax(dim=1).mean()
    density = density.changed(peak=peak.clamp_min(SMALLEST))
    return density, density.standardise(energies)


def scatter(batches: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the covariance within positions and over all cells, (c, c) float64 each, and how many there are.

    Args:
        batches: of (k, rows, columns, c).
    """
    squares, sums, n = torch.zeros(()), torch.zeros(()), 0
    for batch in batches:
        flat = batch.flatten(0, 2)
        squares = squares + (flat.T @ flat).double()
        sums = sums + batch.double().sum(dim=0).flatten(0, 1)
        n += len(batch)
    means = sums / n
    cells = len(means)
    total = squares / (n * cells)
    centre = means.mean(dim=0)
    return total - means.T @ means / cells, total - torch.outer(centre, centre), n * cells


def whitening(within: torch.Tensor, total: torch.Tensor, length: int, shrinkage: float) -> torch.Tensor:
    """Return (c, d) float32: whitens what varies within a position, then keeps what differs most over all.

    Linear discriminant analysis (Fisher 1936) with positions as classes: of the whitened directions, those in
    which one place of the part, or one part and another, differ most.
    """
    variance, axes = torch.linalg.eigh(within)
    white = axes / (variance.clamp_min(0) + shrinkage * variance.clamp_min(0).mean() + 1e-12).sqrt()
    _, directions = torch.linalg.eigh(white.T @ total @ white)
    return (white @ directions.flip(1)[:, :length]).float()


def likeliest(density: PositionDensity) -> PositionDensity:
    """Return the density with the radius and bandwidth that make left-out images the likeliest."""
    n, length = density.kernels.shape[1:]
    held_out = range(0, n, -(-n // TRIAL_IMAGES))

    def log_density(radius: int, h: float) -> float:
        trial = density.changed(radius=radius, bandwidth=torch.tensor(h))
        energies = torch.stack([trial.left_out(image) for image in held_out])
        return -float(energies.square().mean()) / (2 * h * h) - length * math.log(h)

    trials = [(radius, h) for radius in RADII for h in BANDWIDTHS]
    radius, h = max(trials, key=lambda trial: log_density(*trial))
    return density.changed(radius=radius, bandwidth=torch.tensor(h))


def extended(bank: torch.Tensor) -> torch.Tensor:
    """Return (…, d + 2) of kernel centres b (…, d): b, |b|², 1."""
    squares = bank.square().sum(dim=-1, keepdim=True)
    return torch.cat([bank, squares, torch.ones_like(squares)], dim=-1)


def window_energy(
    kernels: torch.Tensor, values: torch.Tensor, radius: int, bandwidth: float, without: int | None = None
) -> torch.Tensor:
    """Return (k, rows, columns): √(−2h² log of the mean of exp(−d²/2h²)), to the nearest if h → 0.

    Args:
        kernels: (rows · columns, n, d + 2), `extended` centres.
        values: (k, rows, columns, d).
        radius: cells; the mean is over n · (2 radius + 1)² kernels, those beyond the border infinitely far.
        bandwidth: h.
        without: number of the image that is left out.
    """
    count, rows, columns, length = values.shape
    side, scale = 2 * radius + 1, 2 * bandwidth**2
    # a · b of these and the extended centres is −d²/2h²: one matrix product, and no array of distances
    squares = values.square().sum(dim=3, keepdim=True)
    queries = torch.cat([2 * values, -torch.ones_like(squares), -squares], dim=3) / scale
    padded = F.pad(queries, (0, 0, radius, radius, radius, radius))
    # for each cell of the bank, the values at every offset from it: (rows · columns, side² · k, d + 2)
    shifted = [
        padded[:, down : down + rows, right : right + columns]
        for down in range(side)
        for right in range(side)
    ]
    around = torch.stack(shifted).permute(2, 3, 0, 1, 4).reshape(rows * columns, -1, length + 2)
    log_sums = []
    for queried, centres in zip(around.split(BLOCK), kernels.split(BLOCK), strict=True):
        exponents = torch.bmm(queried, centres.transpose(1, 2))
        if without is not None:
            exponents[:, :, without] = -FAR / scale
        log_sums.append(_log_sum(exponents, 2))
    by_offset = torch.cat(log_sums).T.reshape(side * side, count, rows, columns)
    n = kernels.shape[1] - (without is not None)
    log_mean = _gather(by_offset, radius, -FAR / scale) - math.log(n * side * side)
    return (-scale * log_mean).clamp_min(0).sqrt()


def _log_sum(exponents: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the logarithm of the sum of exp over a dimension; `exponents` is overwritten."""
    largest = exponents.amax(dim=dim, keepdim=True)
    kernels = exponents.sub_(largest).clamp_min_(LOWEST).exp_()
    return kernels.sum(dim=dim).log_().add_(largest.squeeze(dim))


def _gather(log_sums: torch.Tensor, radius: int, beyond: float) -> torch.Tensor:
    """Return (k, rows, columns) at the query, of (side², k, rows, columns) at the bank's cell, by offset.

    Args:
        beyond: what counts where the border hides a cell.
    """
    rows, columns = log_sums.shape[-2:]
    side, reach = 2 * radius + 1, 2 * radius
    padded = F.pad(log_sums, (radius,) * 4, value=beyond)
    at_query = [
        padded[
            down * side + right,
            :,
            reach - down : reach - down + rows,
            reach - right : reach - right + columns,
        ]
        for down in range(side)
        for right in range(side)
    ]
    return _log_sum(torch.stack(at_query), 0)


def arrays(density: PositionDensity) -> dict[str, np.ndarray]:
    """Return all that `from_arrays` needs."""
    values = {field.name: getattr(density, field.name) for field in fields(density)}
    return {name: np.asarray(value) for name, value in values.items()}


def from_arrays(found: dict[str, np.ndarray]) -> PositionDensity:
    """Take the arrays of `arrays` back."""
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in found.items()}
    radius, smoothing = int(tensors.pop("radius")), float(tensors.pop("smoothing"))
    return PositionDensity(**tensors, radius=radius, smoothing=smoothing)
