"""Local descriptors of each cell of a grid: gradient orientations, luminance, colour.

In the family of SIFT (Lowe 2004) and HOG (Dalal & Triggs 2005): soft orientation bins, pooled by a Gaussian,
square-rooted (Arandjelović & Zisserman 2012, RootSIFT). Here at several scales, and in units of the image's
own mean luminance, so that a brighter or darker lamp changes nothing.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.data.tensors import grey
from mlproject.models.components.descriptor_grid import Grid

ORIENTATIONS = 8  # over the full turn: a dark line and a bright one differ
DARKEST = 0.02  # mean luminance below which an image is not brightened further
BAND = 32  # Gaussian sigmas that are sampled in one product: beyond 5 on either side weights are 0
EPSILON = 1e-8  # squared gradient that has no direction
FAINT = 0.003  # of a texture's gradients, shares of the mean luminance a pixel: weaker ones are noise


@lru_cache(maxsize=64)
def gaussian_sampling(n_out: int, n_in: int, sigma: float) -> torch.Tensor:
    """Return (n_out, n_in) float32: rows are Gaussian weights around even centres, summing to 1.

    Smoothing and subsampling by one matrix product, with weights renormalised at the border.
    """
    centres = (torch.arange(n_out, dtype=torch.float64) + 0.5) * (n_in / n_out) - 0.5
    distances = torch.arange(n_in, dtype=torch.float64) - centres[:, None]
    weights = torch.exp(-0.5 * (distances / sigma) ** 2)
    weights[weights < 1e-5] = 0  # of the peak's weight
    return (weights / weights.sum(dim=1, keepdim=True)).float()


@lru_cache(maxsize=64)
def _bands(n_out: int, n_in: int, sigma: float, device: torch.device) -> list[tuple[slice, torch.Tensor]]:
    """Return blocks of the rows of `gaussian_sampling`, without the zeros on either side; where they were."""
    weights = gaussian_sampling(n_out, n_in, sigma)
    blocks = []
    for rows in weights.split(max(1, round(BAND * sigma * n_out / n_in))):
        used = rows.any(dim=0).nonzero()
        some = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((some, rows[:, some].contiguous().to(device)))
    return blocks


def sample(maps: torch.Tensor, rows: int, columns: int, sigma: float) -> torch.Tensor:
    """Return (…, rows, columns) Gaussian-weighted samples of (…, h, w), sigma in the pixels of `maps`.

    Where sigma is 0, `maps` itself, of that many rows and columns.
    """
    if sigma == 0:
        return maps
    down = _bands(rows, maps.shape[-2], sigma, maps.device)
    across = _bands(columns, maps.shape[-1], sigma, maps.device)
    if len(down) == len(across) == 1:
        return down[0][1] @ maps @ across[0][1].T
    maps = torch.cat([weights @ maps[..., some, :] for some, weights in down], dim=-2)
    return torch.cat([maps[..., some] @ weights.T for some, weights in across], dim=-1)


def gradient_descriptors(images: torch.Tensor, grids: Sequence[Grid]) -> list[torch.Tensor]:
    """Return (n, h // cell, w // cell, c) float32 descriptors of (n, 3, h, w) RGB images in [0, 1].

    Their length c is 9 × the grid's scales + 2: at each scale 8 orientations and the luminance; two colours.
    Of a texture 13 × the scales + 2: see `_of_texture`.

    Args:
        images: height and width must be multiples of each `cell` and scale.
        grids: what a descriptor sums up is at least 2 × the scale wide, if `pooling` is less.

    Returns:
        One a grid.
    """
    height, width = images.shape[-2:]
    luminance = grey(images)
    mean = luminance.mean(dim=(1, 2), keepdim=True).clamp_min(DARKEST)
    luminance = luminance / mean
    layers: list[list[torch.Tensor]] = [[] for _ in grids]
    for scale in sorted({scale for grid in grids for scale in grid.scales}):
        step = max(1, int(scale))
        smooth = sample(luminance, height // step, width // step, scale)
        halves = _oriented_energy(smooth / step)
        for grid, found in zip(grids, layers, strict=True):
            if scale not in grid.scales:
                continue
            shape, reach = (height // grid.cell, width // grid.cell), max(grid.pooling, 2.0 * scale)
            pooled = torch.cat([sample(half, *shape, reach / step) for half in halves], dim=1)
            pooled = pooled.clamp_min(0) * step  # coarse edges count as fine ones
            if grid.texture:
                gradients = (halves[0].sum(dim=1) + halves[1].sum(dim=1)) * step
                found.append(_of_texture(pooled, smooth, gradients, reach / step))
            else:
                found.append((pooled + grid.faint).sqrt())
                found.append(sample(luminance, *shape, reach)[:, None])
    chroma = images[:, ::2] - images[:, 1:2]  # red and blue, less green
    for grid, found in zip(grids, layers, strict=True):
        found.append(sample(chroma, height // grid.cell, width // grid.cell, grid.pooling) / mean[:, None])
    return [torch.cat(found, dim=1).permute(0, 2, 3, 1).contiguous() for found in layers]


def _of_texture(
    pooled: torch.Tensor, luminance: torch.Tensor, gradients: torch.Tensor, sigma: float
) -> torch.Tensor:
    """Return (n, 13, rows, columns) of one scale: the luminance; logarithms of all else.

    8 orientations; how much the luminance and the gradients vary (their deviations); how much brighter and
    how much darker pixels are than a cell's mean.

    Args:
        pooled: (n, 8, rows, columns) gradients in each direction.
        luminance: (n, h, w), smoothed.
        gradients: (n, h, w), in all directions.
        sigma: of what a cell sums up, pixels of these.
    """
    shape = (pooled.shape[-2], pooled.shape[-1])
    mean = sample(luminance, *shape, sigma)
    squares = [sample(some.square(), *shape, sigma) for some in (luminance, gradients)]
    variances = [squares[0] - mean.square(), squares[1] - pooled.sum(dim=1).square()]
    deviations = [(variance.clamp_min(0) + FAINT**2).sqrt() for variance in variances]
    off = luminance - F.interpolate(mean[:, None], luminance.shape[-2:], mode="nearest")[:, 0]
    sides = [sample((sign * off).clamp_min(0), *shape, sigma) + FAINT for sign in (1, -1)]
    logarithms = torch.cat([pooled + FAINT, torch.stack([*deviations, *sides], dim=1)], dim=1).log()
    return torch.cat([mean[:, None], logarithms], dim=1)


def _oriented_energy(luminance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gradient magnitude × cos³ of the angle to each orientation, where positive.

    Two of (n, ORIENTATIONS / 2, h, w): half of the orientations, and the opposite ones.
    """
    padded = F.pad(luminance[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    angles = torch.arange(ORIENTATIONS // 2, device=luminance.device) * (2 * math.pi / ORIENTATIONS)
    cosines, sines = (values[:, None, None] for values in (angles.cos(), angles.sin()))
    along = (across[:, None] * cosines).addcmul_(down[:, None], sines)
    energy = (along * along).mul_(along).div_((across * across + down * down + EPSILON)[:, None])
    return energy.clamp_min(0), energy.neg_().clamp_min_(0)
