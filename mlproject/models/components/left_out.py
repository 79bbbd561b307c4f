"""Scores of good images by the other good images, and what is usual at each place."""

from typing import TYPE_CHECKING

import torch

from mlproject.models.components.local_descriptors import sample

if TYPE_CHECKING:
    from mlproject.models.components.position_density import PositionDensity

FLOOR = 0.1  # of the mean spread, added to each cell's
SMALLEST = 1e-3  # spread and peak of images that are all equal
NEIGHBOURHOOD = 1.5  # Gaussian sigma over which cells share their spread: one cell alone has few images
MOMENT = 4  # of the spread: 2 is the standard deviation; more, and rare large deviations count more


def standardised(
    density: "PositionDensity", distances: torch.Tensor
) -> "tuple[PositionDensity, torch.Tensor]":
    """Return the density with the mean, spread and peak of left-out images, and the images' scores (n,).

    Args:
        distances: (n, rows, columns), of each image from the n - 1 others.
    """
    mean = distances.mean(dim=0)
    density = density.changed(mean=mean, spread=spread((distances - mean).pow(MOMENT).mean(dim=0)))
    peaks = density.heights(density.standardise(distances))
    density = density.changed(peak=peaks.mean().clamp_min(SMALLEST))
    return density, scores_by_others(density, distances, peaks)


def spread(moment: torch.Tensor) -> torch.Tensor:
    """Return `PositionDensity.spread` of the central moment (rows, columns) of order MOMENT."""
    rows, columns = moment.shape
    found = sample(moment, rows, columns, NEIGHBOURHOOD).pow(1 / MOMENT)
    return (found + FLOOR * found.mean()).clamp_min(SMALLEST)


def scores_by_others(
    density: "PositionDensity", distances: torch.Tensor, peaks: torch.Tensor
) -> torch.Tensor:
    """Return (n,), the score of each left-out image in units of what the n - 1 others give.

    Args:
        distances: (n, rows, columns), of each image from the others.
        peaks: (n,) map height of each, standardised by mean and spread of all n.
    """
    others = len(distances) - 1
    sums = torch.stack([_powers(one - density.mean) for one in distances]).sum(dim=0)
    scores = []
    for one, peak in zip(distances, peaks, strict=True):
        first, second, third, fourth = (sums - _powers(one - density.mean)) / others
        # central moment of the others, whose mean lies `first` above that of all
        moment = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        alone = density.changed(
            mean=density.mean + first.float(),
            spread=spread(moment.clamp_min(0).float()),
            peak=((peaks.sum() - peak) / others).clamp_min(SMALLEST),
        )
        scores.append(alone.heights(alone.standardise(one[None])))
    return torch.cat(scores)


def _powers(deviation: torch.Tensor) -> torch.Tensor:
    """Return (MOMENT, …) float64, the first to the fourth power of (…)."""
    return torch.stack([deviation.double().pow(power) for power in range(1, MOMENT + 1)])
