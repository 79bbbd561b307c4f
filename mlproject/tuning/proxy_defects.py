"""Synthetic defects in good images, on which a tuning evaluates detectors without any label.

Beware: noise.py's `stains` and `patches` are what training may inject, so settings that train on them could
win by being taught the exam's answers. Hence none of these five kinds comes from noise.py: here a defect is
one compact spot or line, there the peaks of a smooth random field; scratches, warps and erased spots have no
likeness there at all. Stains and patches remain kin of noise.py's: the results of each kind stand apart in
tuning.json, and the sealed evaluation says whether the whole exam chose well.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components.anomaly_maps import gaussian_blur
from mlproject.training.loop import random_source

VISIBLE = 8 / 255  # a changed pixel: eight grey levels
SMALLEST_SHARE = 0.0005  # of the pixels that must be so changed: an invisible defect does not count
ATTEMPTS = 20

Kind = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Defects:
    """Images with one defect each, kind after kind.

    Attributes:
        images: (k · n, s, s, 3) uint8.
        kinds: the k · n names of what was done to each.
    """

    images: np.ndarray
    kinds: list[str]


def make(good: np.ndarray, seed: int) -> Defects:
    """Return every good image once with every kind of defect; same images and seed, same defects.

    Args:
        good: (n, s, s, 3) uint8.
    """
    images, kinds = [], []
    for number, (name, kind) in enumerate(KINDS.items()):
        for row, image in enumerate(good):
            generator = random_source(seed, number, row)
            picture = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
            spoilt = (_visible(picture, kind, generator) * 255).round().to(torch.uint8)
            images.append(spoilt.permute(1, 2, 0).numpy())
            kinds.append(name)
    return Defects(np.stack(images), kinds)


def _visible(image: torch.Tensor, kind: Kind, generator: torch.Generator) -> torch.Tensor:
    """Return the image with a defect that shows, or after ATTEMPTS the one that shows most."""
    best, most = image, -1.0
    for _ in range(ATTEMPTS):
        spoilt = kind(image, generator).clamp(0, 1)
        share = float(((spoilt - image).abs().amax(dim=0) > VISIBLE).float().mean())
        if share > most:
            best, most = spoilt, share
        if most >= SMALLEST_SHARE:
            break
    return best


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _grid(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x and y of every pixel, (s, s) each, in [0, 1]."""
    steps = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return x, y


def _centre(generator: torch.Generator) -> tuple[float, float]:
    return _uniform(0.15, 0.85, generator), _uniform(0.15, 0.85, generator)


def _spot(size: int, smallest: float, largest: float, generator: torch.Generator) -> torch.Tensor:
    """Return an (s, s) mask in [0, 1]: one round shape with an uneven outline and a soft edge.

    Args:
        smallest: mean radius as a share of the image's side, drawn from [smallest, largest].
    """
    x, y = _grid(size)
    cx, cy = _centre(generator)
    radius = _uniform(smallest, largest, generator)
    angle = torch.atan2(y - cy, x - cx)
    outline = torch.ones_like(angle)
    for wave in (2, 3, 5):
        phase = _uniform(0, 2 * math.pi, generator)
        outline += _uniform(0, 0.5 / wave, generator) * torch.cos(wave * angle + phase)
    distance = ((x - cx) ** 2 + (y - cy) ** 2).sqrt()
    return ((radius * outline - distance) * size / 2 + 0.5).clamp(0, 1)


def _shade(generator: torch.Generator) -> torch.Tensor:
    """Return (3, 1, 1): clearly lighter or darker, slightly tinted."""
    sign = 1 if _uniform(0, 1, generator) < 0.5 else -1
    tint = torch.rand((3, 1, 1), generator=generator) * 0.1
    return sign * (_uniform(0.12, 0.45, generator) + tint)


def stain(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Lighten or darken one spot of a (3, s, s) image."""
    return image + _spot(image.shape[-1], 0.025, 0.09, generator) * _shade(generator)


def scratch(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one thin bent line across a part of the image."""
    size = image.shape[-1]
    x, y = _grid(size)
    (x0, y0), turn = _centre(generator), _uniform(0, 2 * math.pi, generator)
    length, bend = _uniform(0.15, 0.5, generator), _uniform(-0.6, 0.6, generator)
    half_width = max(_uniform(0.002, 0.006, generator), 0.5 / size)
    nearest = torch.full_like(x, math.inf)
    for step in range(65):
        t = step / 64
        along = turn + bend * (t - 0.5)
        px = x0 + length * (t - 0.5) * math.cos(along)
        py = y0 + length * (t - 0.5) * math.sin(along)
        nearest = torch.minimum(nearest, (x - px) ** 2 + (y - py) ** 2)
    line = ((half_width - nearest.sqrt()) * size + 0.5).clamp(0, 1)
    return image + line * _shade(generator)


def warp(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Twist the image around one point: every part is there, in the wrong place."""
    x, y = _grid(image.shape[-1])
    (cx, cy), radius = _centre(generator), _uniform(0.08, 0.18, generator)
    sign = 1 if _uniform(0, 1, generator) < 0.5 else -1
    fall = (1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2).clamp(min=0)
    angle = sign * _uniform(0.8, 2.0, generator) * fall
    dx, dy = x - cx, y - cy
    source_x = cx + dx * torch.cos(angle) - dy * torch.sin(angle)
    source_y = cy + dx * torch.sin(angle) + dy * torch.cos(angle)
    grid = torch.stack([source_x, source_y], dim=-1)[None] * 2 - 1
    twisted = F.grid_sample(
        image[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return torch.where(fall > 0, twisted[0], image)


def erased(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Smooth one spot away, as if a detail were missing or worn."""
    mask = _spot(image.shape[-1], 0.04, 0.12, generator)
    return image + mask * (gaussian_blur(image[None], 0.06 * image.shape[-1])[0] - image)


def patch(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Paste into one spot what lies elsewhere in the same image, turned by a quarter."""
    size = image.shape[-1]
    move = [round(_uniform(0.15, 0.85, generator) * size) for _ in range(2)]
    elsewhere = image.rot90(1, dims=(1, 2)).roll(shifts=move, dims=(1, 2))
    return image + _spot(size, 0.04, 0.1, generator) * (elsewhere - image)


KINDS: dict[str, Kind] = {function.__name__: function for function in (stain, scratch, warp, erased, patch)}
