"""Lamps: the change of light between a photo and the usual one, divided out; and photos under other lamps."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.data.tensors import grey

STRENGTH = 0.1  # share by which a lamp's brightness, slope or contrast differs
THUMBNAIL = 32  # side at which lamps are compared, pixels
DARKEST = 0.02  # luminance below which a place says nothing of the lamp
CLIPPED = 0.97  # luminance from which a photo does not show how bright a place is
ROUNDS = 6  # of the robust fit
USUAL = 0.02  # relative deviation from the plane from which a place counts less


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Return (n, THUMBNAIL, THUMBNAIL) of (n, 3, h, w) images in [0, 1]."""
    return F.interpolate(grey(images)[:, None], (THUMBNAIL, THUMBNAIL), mode="area")[:, 0]


def levelled(images: torch.Tensor, usual: torch.Tensor) -> torch.Tensor:
    """Return (n, 3, h, w) images divided by how their lamp differs from the usual one: a plane.

    The plane is fitted to the ratio of luminances, robustly: a defect is no lamp.

    Args:
        images: (n, 3, h, w) in [0, 1].
        usual: (THUMBNAIL, THUMBNAIL), mean luminance of good images.
    """
    found = luminance(images).double()
    ratio = (found / usual.clamp_min(DARKEST)).flatten(1)
    told = ((found > DARKEST) & (found < CLIPPED) & (usual > DARKEST)).flatten(1).double()  # what counts
    steps = (torch.arange(THUMBNAIL, dtype=torch.float64) + 0.5) / THUMBNAIL * 2 - 1
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    design = torch.stack([torch.ones(THUMBNAIL**2).double(), across.flatten(), down.flatten()], dim=1)
    weights, ridge = told, 1e-6 * torch.eye(3, dtype=torch.float64)  # an image that tells nothing: no change
    for _ in range(ROUNDS):
        weighted = design.T * weights[:, None]
        moments = weighted @ ratio[..., None] + ridge[:, :1]
        plane = torch.linalg.solve(weighted @ design + ridge, moments)[..., 0]
        deviation = ratio - plane @ design.T
        weights = told / (1 + (deviation / USUAL).square())
    rows, columns = ((torch.arange(side) + 0.5) / side * 2 - 1 for side in images.shape[-2:])
    level, slope, fall = plane.float()[:, :, None, None].unbind(1)
    factor = level + slope * columns + fall * rows[:, None]
    return images / factor.clamp(0.2, 5.0)[:, None]


def brighter(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Return (n, 3, h, w) in [0, 1] under a lamp that is brighter by a factor; the camera clips."""
    return (images * factor).clamp(0, 1)


def sloping(images: torch.Tensor, across: float, down: float) -> torch.Tensor:
    """Return the images under a lamp whose brightness changes linearly by ± a share of its mean."""
    rows, columns = (torch.linspace(-1, 1, side) for side in images.shape[-2:])
    return (images * (1 + across * columns + down * rows[:, None])).clamp(0, 1)


def contrasting(images: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the images with each value's distance from the image's mean times a factor."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor).clamp(0, 1)


LAMPS: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (
    *(partial(brighter, factor=1 + sign * STRENGTH) for sign in (-1, 1)),
    *(partial(sloping, across=sign * STRENGTH, down=0.0) for sign in (-1, 1)),
    *(partial(sloping, across=0.0, down=sign * STRENGTH) for sign in (-1, 1)),
    *(partial(contrasting, factor=1 + sign * STRENGTH) for sign in (-1, 1)),
)
