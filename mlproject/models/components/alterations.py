"""Alterations of photos of a texture: what its defects may change, made everywhere at once, without labels.

They only choose which directions of a descriptor count (`whitening.most_changed`): none is learnt from.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components.gaussian_blur import gaussian_blur

Change = Callable[[torch.Tensor], torch.Tensor]  # of (n, 3, h, w) images in [0, 1]
SPOT = 10.0  # Gaussian sigma of spots, pixels
CONTRAST = 6.0  # Gaussian sigma of the surroundings from which a pixel's contrast is, pixels
LINES = 40  # in a photo
LONG = (40, 80)  # their lengths, pixels
STRONG = 0.15  # by how much lines are darker or brighter


def contrasted(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the images (n, 3, h, w) with weaker or stronger contrast: worn, faded or rough."""
    around = gaussian_blur(images, CONTRAST)
    return (around + factor * (images - around)).clamp(0, 1)


def spotted(images: torch.Tensor, strength: float, channels: int) -> torch.Tensor:
    """Return the images with spots, darker and brighter ones (one channel) or of other colours (three)."""
    return (images * (1 + strength * _spots(images.shape[-2], images.shape[-1], channels))).clamp(0, 1)


def resized(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the images' middle enlarged, or the images shrunk and mirrored at their border."""
    rows, columns = images.shape[-2:]
    size = [round(side * factor) for side in (rows, columns)]
    found = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    return _middle(found, rows, columns)


def turned(images: torch.Tensor) -> torch.Tensor:
    """Return the images turned by a quarter; of the same shape, where they are not square."""
    return _middle(images.rot90(1, (2, 3)), images.shape[-2], images.shape[-1])


def _middle(images: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return the images' middle, (n, 3, rows, columns); what is too short is mirrored at its ends."""
    for axis, side in ((-2, rows), (-1, columns)):
        length = images.shape[axis]
        steps = torch.arange(side) - (side - length) // 2
        while ((steps < 0) | (steps >= length)).any():
            steps = length - 1 - (length - 1 - steps.abs()).abs()
        images = images.index_select(axis, steps)
    return images


def lined(images: torch.Tensor, sign: int, width: float) -> torch.Tensor:
    """Return the images with lines, darker or brighter by STRONG: cuts, scratches, threads."""
    return (images + sign * STRONG * _lines(images.shape[-2], images.shape[-1], width)).clamp(0, 1)


@lru_cache(maxsize=16)
def _spots(rows: int, columns: int, channels: int) -> torch.Tensor:
    """Return (1, channels, rows, columns), smooth noise of deviation 1."""
    noise = torch.randn(1, channels, rows, columns, generator=torch.Generator().manual_seed(channels))
    smooth = gaussian_blur(noise, SPOT)
    return smooth / smooth.std()


@lru_cache(maxsize=16)
def _lines(rows: int, columns: int, width: float) -> torch.Tensor:
    """Return (rows, columns) in [0, 1]: straight lines of any place and direction."""
    random = torch.Generator().manual_seed(0)
    down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    found = torch.zeros(rows, columns)
    for angle, top, left, length in torch.rand(LINES, 4, generator=random).tolist():
        sine, cosine = math.sin(math.pi * angle), math.cos(math.pi * angle)
        y, x = down - top * rows, across - left * columns
        along, off = y * sine + x * cosine, y * cosine - x * sine
        inside = along.abs() < (LONG[0] + length * (LONG[1] - LONG[0])) / 2
        found = torch.maximum(found, (width / 2 + 0.5 - off.abs()).clamp(0, 1) * inside)
    return found


ALTERATIONS: tuple[Change, ...] = (
    partial(gaussian_blur, sigma=1.0),  # dirt, glue, a liquid
    partial(gaussian_blur, sigma=2.5),
    partial(contrasted, factor=0.6),
    partial(contrasted, factor=1.5),
    partial(spotted, strength=0.12, channels=1),
    partial(spotted, strength=0.06, channels=3),
    turned,
    partial(resized, factor=1.4),
    partial(resized, factor=0.7),
    partial(lined, sign=-1, width=2.0),
    partial(lined, sign=1, width=2.0),
    partial(lined, sign=-1, width=6.0),
)
