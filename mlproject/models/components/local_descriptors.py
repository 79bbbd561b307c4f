"""Local descriptors of each cell of a grid: gradient orientations, luminance, colour.

In the family of SIFT (Lowe 2004) and HOG (Dalal & Triggs 2005): soft orientation bins, pooled by a Gaussian,
square-rooted (Arandjelović & Zisserman 2012, RootSIFT). Here at three scales, and in units of the image's own
mean luminance, so that a brighter or darker lamp changes nothing.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.data.tensors import grey

SCALES = (
    1,
    2,
    4,
)  # Gaussian sigma, pixels, at which gradients are taken; each is also the step between samples
ORIENTATIONS = 8  # over the full turn: a dark line and a bright one differ
LENGTH = len(SCALES) * (ORIENTATIONS + 1) + 2
DARKEST = 0.02  # mean luminance below which an image is not brightened further
BAND = 32  # Gaussian sigmas that are sampled in one product: beyond 5 on either side weights are 0
EPSILON = 1e-8  # squared gradient of what counts as flat


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


def gradient_descriptors(images: torch.Tensor, grids: Sequence[tuple[int, float]]) -> list[torch.Tensor]:
    """Return (n, h // cell, w // cell, LENGTH) float32 descriptors of (n, 3, h, w) RGB images in [0, 1].

    Args:
        images: height and width must be multiples of each `cell` and of 4.
        grids: of each, `cell`, its step, pixels, and `pooling`, the Gaussian sigma of what a descriptor sums
            up, pixels; at least 2 × the scale.

    Returns:
        One a grid.
    """
    height, width = images.shape[-2:]
    luminance = grey(images)
    mean = luminance.mean(dim=(1, 2), keepdim=True).clamp_min(DARKEST)
    luminance = luminance / mean
    layers: list[list[torch.Tensor]] = [[] for _ in grids]
    for scale in SCALES:
        halves = _oriented_energy(sample(luminance, height // scale, width // scale, scale) / scale)
        for (cell, pooling), found in zip(grids, layers, strict=True):
            grid, reach = (height // cell, width // cell), max(pooling, 2.0 * scale)
            pooled = torch.cat([sample(half, *grid, reach / scale) for half in halves], dim=1)
            # × scale: coarse edges count as fine ones
            found.append((pooled.clamp_min(0) * scale + EPSILON).sqrt())
            found.append(sample(luminance, *grid, reach)[:, None])
    chroma = images[:, ::2] - images[:, 1:2]  # red and blue, less green
    for (cell, pooling), found in zip(grids, layers, strict=True):
        found.append(sample(chroma, height // cell, width // cell, pooling) / mean[:, None])
    return [torch.cat(found, dim=1).permute(0, 2, 3, 1).contiguous() for found in layers]


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


def with_surroundings(
    descriptors: torch.Tensor, offsets: tuple[tuple[int, int], ...], weight: float
) -> torch.Tensor:
    """Return (n, rows, columns, c · (1 + k)): each cell's descriptor, then weight × those at k offsets.

    Args:
        descriptors: (n, rows, columns, c).
        offsets: rows down and columns to the right, in cells; beyond the border its last cell is repeated.
        weight: how much a neighbour counts against the cell itself.
    """
    if not offsets:
        return descriptors
    reach = max(max(abs(down), abs(right)) for down, right in offsets)
    rows, columns = descriptors.shape[1:3]
    padded = F.pad(descriptors.permute(0, 3, 1, 2), (reach,) * 4, mode="replicate").permute(0, 2, 3, 1)
    weighted = weight * padded
    neighbours = [
        weighted[:, reach + down : reach + down + rows, reach + right : reach + right + columns]
        for down, right in offsets
    ]
    return torch.cat([descriptors, *neighbours], dim=-1)


def ring(radius: int) -> tuple[tuple[int, int], ...]:
    """Return the offsets of eight neighbours on a ring of that radius, cells."""
    near = round(radius / math.sqrt(2))
    straight = ((radius, 0), (-radius, 0), (0, radius), (0, -radius))
    return (*straight, (near, near), (near, -near), (-near, near), (-near, -near))
