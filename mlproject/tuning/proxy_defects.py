"""Synthetic defects in good images, on which a tuning evaluates detectors without any label.

They lie where an image has structure: on the part, mostly, where a defect matters and is harder to see than
on a plain background. `python benchmarks/tuning_objective.py` measures how well they rank settings.

Beware: training may inject noise.py's `stains` and `patches`. Settings that do so could win because their
detector is trained on the very defects it is evaluated on. Hence none of these kinds comes from noise.py:
here a defect is one compact spot, box or line, there the peaks of a smooth random field; most kinds have no
likeness there at all. Stains and patches remain similar to noise.py's: the results of each kind stand apart
in tuning.json, and the sealed evaluation says whether the objective as a whole chose well.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components.gaussian_blur import gaussian_blur
from mlproject.training.batches import random_source

VISIBLE = 8 / 255  # a changed pixel: eight grey levels
SMALLEST_SHARE = 0.0005  # of the pixels that must be so changed: an invisible defect does not count
ATTEMPTS = 20

STRUCTURE = 0.03  # of the side: Gaussian sigma over which an image's gradients are summed up
MARGIN = 0.06  # of the side: no defect has its centre so near the border

Centre = tuple[float, float]  # x and y in [0, 1]
Kind = Callable[[torch.Tensor, Centre, torch.Generator], torch.Tensor]


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
    best, most, where = image, -1.0, structure(image)
    for _ in range(ATTEMPTS):
        spoilt = kind(image, _centre(where, generator), generator).clamp(0, 1)
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


def structure(image: torch.Tensor) -> torch.Tensor:
    """Return (s, s) of a (3, s, s) image, how likely a defect's centre is there: its gradients, blurred."""
    grey, size = image.mean(dim=0), image.shape[-1]
    down, right = torch.gradient(gaussian_blur(grey[None, None], 1.0)[0, 0])
    found = gaussian_blur((down.square() + right.square()).sqrt()[None, None], STRUCTURE * size)[0, 0]
    margin = round(MARGIN * size)
    inner = torch.zeros_like(found)
    inner[margin : size - margin, margin : size - margin] = 1
    return (found + 1e-6) * inner  # a flat image has its defects anywhere


def _centre(where: torch.Tensor, generator: torch.Generator) -> Centre:
    size = where.shape[-1]
    y, x = divmod(int(torch.multinomial(where.flatten(), 1, generator=generator)), size)
    return (x + 0.5) / size, (y + 0.5) / size


def _spot(
    size: int, smallest: float, largest: float, centre: Centre, generator: torch.Generator
) -> torch.Tensor:
    """Return an (s, s) mask in [0, 1]: one round shape with an uneven outline and a soft edge.

    Args:
        smallest: mean radius as a share of the image's side, drawn from [smallest, largest].
    """
    (x, y), (cx, cy) = _grid(size), centre
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


def stain(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Lighten or darken one spot of a (3, s, s) image."""
    return image + _spot(image.shape[-1], 0.025, 0.09, centre, generator) * _shade(generator)


def faint(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Lighten or darken one small spot, less than half as much."""
    return image + 0.4 * _spot(image.shape[-1], 0.02, 0.06, centre, generator) * _shade(generator)


def scratch(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Draw one thin bent line across a part of the image."""
    size = image.shape[-1]
    x, y = _grid(size)
    (x0, y0), turn = centre, _uniform(0, 2 * math.pi, generator)
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


def warp(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Twist the image around one point: every part is there, in the wrong place."""
    x, y = _grid(image.shape[-1])
    (cx, cy), radius = centre, _uniform(0.08, 0.18, generator)
    sign = 1 if _uniform(0, 1, generator) < 0.5 else -1
    fall = (1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2).clamp(min=0)
    angle = sign * _uniform(0.8, 2.0, generator) * fall
    dx, dy = x - cx, y - cy
    source_x = cx + dx * torch.cos(angle) - dy * torch.sin(angle)
    source_y = cy + dx * torch.sin(angle) + dy * torch.cos(angle)
    return torch.where(fall > 0, _taken_from(image, source_x, source_y), image)


def push(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Move what lies around one point aside; its surroundings are stretched and squeezed."""
    x, y = _grid(image.shape[-1])
    (cx, cy), radius = centre, _uniform(0.08, 0.18, generator)
    fall = (1 - ((x - cx) ** 2 + (y - cy) ** 2) / radius**2).clamp(min=0).sqrt()
    turn, way = _uniform(0, 2 * math.pi, generator), _uniform(0.25, 0.6, generator) * radius
    source = x - way * math.cos(turn) * fall, y - way * math.sin(turn) * fall
    return torch.where(fall > 0, _taken_from(image, *source), image)


def _taken_from(image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return (3, s, s), at each pixel what the image has at x and y."""
    grid = torch.stack([x, y], dim=-1)[None] * 2 - 1
    taken = F.grid_sample(image[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return taken[0]


def erased(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Smooth one spot away, as if a detail were missing or worn."""
    mask = _spot(image.shape[-1], 0.04, 0.12, centre, generator)
    return image + mask * (gaussian_blur(image[None], 0.06 * image.shape[-1])[0] - image)


def patch(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Paste into one spot what lies elsewhere in the same image, turned by a quarter."""
    size = image.shape[-1]
    move = [round(_uniform(0.15, 0.85, generator) * size) for _ in range(2)]
    elsewhere = image.rot90(1, dims=(1, 2)).roll(shifts=move, dims=(1, 2))
    return image + _spot(size, 0.04, 0.1, centre, generator) * (elsewhere - image)


def blended(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Put a box from elsewhere in the image without a seam: its gradients, the surroundings' values."""
    box, size = _box(image.shape[-1], 0.08, 0.25, centre, generator), image.shape[-1]
    down, right = (int(_uniform(1, size - 1 - length, generator)) for _, length in box)
    (_, height), (_, width) = box
    source = image[:, down - 1 : down + height + 1, right - 1 : right + width + 1]
    return _filled(image, box, _laplacian(source))


def missing(image: torch.Tensor, centre: Centre, generator: torch.Generator) -> torch.Tensor:
    """Fill a box as smoothly as its border allows, as if what lay there were absent."""
    box = _box(image.shape[-1], 0.05, 0.16, centre, generator)
    return _filled(image, box, torch.zeros(3, *(length for _, length in box)))


Box = tuple[tuple[int, int], tuple[int, int]]  # first row and number of rows; the same of columns


def _box(size: int, smallest: float, largest: float, centre: Centre, generator: torch.Generator) -> Box:
    """Return a box around a point, inside the image; its sides are shares of the image's side."""
    x, y = centre
    sides = [max(3, round(_uniform(smallest, largest, generator) * size)) for _ in range(2)]
    down, right = (
        (min(max(round(middle * size - length / 2), 1), size - 1 - length), length)
        for middle, length in zip((y, x), sides, strict=True)
    )
    return down, right


def _laplacian(values: torch.Tensor) -> torch.Tensor:
    """Return (3, h, w) of (3, h + 2, w + 2)."""
    across = values[:, 1:-1, 2:] + values[:, 1:-1, :-2]
    return across + values[:, 2:, 1:-1] + values[:, :-2, 1:-1] - 4 * values[:, 1:-1, 1:-1]


def _filled(image: torch.Tensor, box: Box, laplacian: torch.Tensor) -> torch.Tensor:
    """Return the image with a box whose Laplacian is given (3, h, w), continuous at its border.

    Poisson image editing (Pérez et al. 2003), solved exactly by sine transforms.
    """
    (top, height), (left, width) = box
    around = image[:, top - 1 : top + height + 1, left - 1 : left + width + 1].double().clone()
    around[:, 1:-1, 1:-1] = 0
    wanted = (laplacian.double() - _laplacian(around)).numpy()
    rows, columns = (2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) - 2 for n in (height, width))
    solved = scipy.fft.dstn(wanted, type=1, axes=(1, 2)) / (rows[:, None] + columns)
    filled = image.clone()
    inside = torch.from_numpy(scipy.fft.idstn(solved, type=1, axes=(1, 2)))
    filled[:, top : top + height, left : left + width] = inside.float()
    return filled


KINDS: dict[str, Kind] = {
    function.__name__: function
    for function in (stain, faint, scratch, warp, push, erased, patch, blended, missing)
}
