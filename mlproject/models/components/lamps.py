"""Lamps: the change of light between a photo and the usual one, taken out; and photos under other lamps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.data.tensors import grey

STRENGTH = 0.1  # share by which a lamp's brightness, slope or contrast differs
THUMBNAIL = 32  # side at which lamps are compared, pixels
DARKEST = 0.02  # luminance below which a place says nothing of the lamp
CLIPPED = 0.97  # luminance from which a photo does not show how bright a place is
FADING = 0.03  # below and above it: a value is taken as clipped by degrees
FEW = 0.01  # share of a place's pixels that may be clipped
ROUNDS = 6  # of the robust fit
OUTLYING = 0.02  # relative deviation from the fit from which a place counts less
FIRM = 200.0  # how strongly an offset is kept small: on an even photo it is no different from a brighter lamp


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Return (n, THUMBNAIL, THUMBNAIL) of (n, 3, h, w) images in [0, 1]."""
    return F.interpolate(grey(images)[:, None], (THUMBNAIL, THUMBNAIL), mode="area")[:, 0]


@dataclass(frozen=True)
class Usual:
    """The light of good images.

    Attributes:
        luminance: (THUMBNAIL, THUMBNAIL) float32, the mean of good images'.
        offset: whether a photo may also be lighter or darker everywhere by the same amount, as under stray
            light or in another contrast, and what is clipped is taken to be as bright as usual. Models of
            earlier releases had neither.
    """

    luminance: torch.Tensor
    offset: bool = True

    def levelled(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, 3, h, w) images in [0, 1] as they would be under the usual lamp.

        How the lamp differs is a plane that luminances are multiplied with, and an offset. They are fitted
        robustly: a defect is no lamp.
        """
        found, usual = luminance(images).double(), self.luminance.clamp_min(DARKEST)
        ratio = (found / usual).flatten(1)
        told = (found > DARKEST) & (found < CLIPPED) & (self.luminance > DARKEST)  # what counts
        steps = (torch.arange(THUMBNAIL, dtype=torch.float64) + 0.5) / THUMBNAIL * 2 - 1
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        design = [torch.ones_like(across).flatten(), across.flatten(), down.flatten()]
        small = [1e-6] * 3  # an image that tells nothing: no change
        if self.offset:
            design, small = [*design, 1 / usual.double().flatten()], [*small, FIRM]
            clipped = (grey(images) >= CLIPPED).float()[:, None]
            told &= F.interpolate(clipped, (THUMBNAIL, THUMBNAIL), mode="area")[:, 0] < FEW
        columns = torch.stack(design, dim=1)
        lamp = _fitted(ratio, told.flatten(1).double(), columns, torch.tensor(small).double())
        y, x = ((torch.arange(side) + 0.5) / side * 2 - 1 for side in images.shape[-2:])
        level, slope, fall, *offset = lamp.float()[:, :, None, None].unbind(1)
        factor = (level + slope * x + fall * y[:, None]).clamp(0.2, 5.0)[:, None]
        if not self.offset:
            return images / factor
        seen = (images - offset[0][:, None]).clamp_min(0)
        even, clipped = seen / factor, ((images - CLIPPED + FADING) / (2 * FADING)).clamp(0, 1)
        # a clipped place may be brighter than it looks, up to what is usual around it
        bright = F.max_pool2d(self.luminance[None, None], 3, stride=1, padding=1)
        bright = F.interpolate(bright, images.shape[-2:], mode="bilinear", align_corners=False)
        return even + clipped * (torch.minimum(seen, bright) - even).clamp_min(0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` needs: ``usual_luminance`` and ``usual_offset``."""
        return {"usual_luminance": self.luminance.numpy(), "usual_offset": np.array(self.offset)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self | None:
        """Take the arrays of `arrays` back, which others may be among; None where there are none."""
        if "usual_luminance" not in arrays:
            return None
        usual = torch.from_numpy(np.array(arrays["usual_luminance"]))
        return cls(usual, bool(arrays.get("usual_offset", False)))


def _fitted(
    ratio: torch.Tensor, told: torch.Tensor, design: torch.Tensor, small: torch.Tensor
) -> torch.Tensor:
    """Return (n, k), the weights of the columns of `design` whose sum is nearest to `ratio`.

    Places that deviate much count little.

    Args:
        ratio: (n, places).
        told: (n, places), weights of the places.
        design: (places, k).
        small: (k,), how strongly each is kept small; the first is kept near 1.
    """
    weights, ridge = told, torch.diag(small)
    for _ in range(ROUNDS):
        weighted = design.T * weights[:, None]
        moments = weighted @ ratio[..., None] + ridge[:, :1]
        found = torch.linalg.solve(weighted @ design + ridge, moments)[..., 0]
        weights = told / (1 + ((ratio - found @ design.T) / OUTLYING).square())
    return found


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
