"""Noise to corrupt images with. Each kind takes (n, c, h, w) float images in [0, 1] and keeps them there.

Gaussian, salt-and-pepper, Poisson and speckle are the paper's and its authors' (section 3.5.2, eq. 7).
Stains and patches are structured: they look like defects, so undoing them teaches what belongs there.
A new noise is one function here: `(images, variance, generator) -> images`, added to KINDS.
"""

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field, model_validator

from mlproject.core.params import Section
from mlproject.data.tensors import CHUNK


def _like(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    # drawn on the CPU: the same numbers on every device
    return torch.randn(images.shape, generator=generator).to(images.device)


def gaussian(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Add N(0, variance) to every value (eq. 7)."""
    return images + _like(images, generator) * variance**0.5


def speckle(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Add N(0, variance) times the value itself."""
    return images + images * _like(images, generator) * variance**0.5


def salt_and_pepper(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Set a share of the pixels to 0 or 1, half each; the share is 4 · variance, at most 1.

    Replacing a mid-grey value (.5) by 0 or 1 at rate p changes it by ±.5, a variance of p / 4.
    """
    n, _, h, w = images.shape
    draw = torch.rand((n, 1, h, w), generator=generator).to(images.device)
    share = min(4 * variance, 1.0)
    return torch.where(draw < share / 2, 0.0, torch.where(draw < share, 1.0, images))


def poisson(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Count photons: Poisson(value · k) / k with k = .5 / variance, so mid-grey gets that variance."""
    if variance == 0:
        return images
    photons = 0.5 / variance
    return torch.poisson(images.float().cpu() * photons, generator=generator).to(images.device) / photons


def blobs(n: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return (n, 1, h, w) masks in [0, 1]: smooth random shapes that cover 1 to 12 % of the image."""
    cells = int(torch.randint(5, 17, (1,), generator=generator))
    coarse = torch.randn((n, 1, cells, cells), generator=generator)
    field = F.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    share = 0.01 + 0.11 * torch.rand((n, 1), generator=generator)
    # a sum of Gaussians is Gaussian: its quantile needs no sorting
    deviations = torch.special.ndtri(1 - share)[:, :, None, None]
    level = field.mean(dim=(2, 3), keepdim=True) + deviations * field.std(dim=(2, 3), keepdim=True)
    return ((field - level) * 8).clamp(0, 1)


def stains(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Darken or lighten blobs by one N(0, variance) shade for each image and channel."""
    n, c, h, w = images.shape
    mask = blobs(n, (h, w), generator).to(images.device)
    shade = torch.randn((n, c, 1, 1), generator=generator).to(images.device) * variance**0.5
    return images + mask * shade


def patches(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Paste, inside blobs, what lies elsewhere in another image of the batch, plus N(0, variance) grain."""
    n, _, h, w = images.shape
    mask = blobs(n, (h, w), generator).to(images.device)
    move = [int(torch.randint(side // 8, side - side // 8, (1,), generator=generator)) for side in (h, w)]
    other = images.roll(shifts=(1, *move), dims=(0, 2, 3))
    return images + mask * (gaussian(other, variance, generator) - images)


def structured(images: torch.Tensor, variance: float, generator: torch.Generator) -> torch.Tensor:
    """Take stains for a random half of the images, patches for the rest."""
    chosen = (torch.rand((len(images), 1, 1, 1), generator=generator) < 0.5).to(images.device)
    stained = stains(images, variance, generator)
    return torch.where(chosen, stained, patches(images, variance, generator))


KINDS: dict[str, Callable[[torch.Tensor, float, torch.Generator], torch.Tensor]] = {
    function.__name__: function
    for function in (gaussian, salt_and_pepper, poisson, speckle, stains, patches, structured)
}


class Noise(Section):
    """Settings of the noise that is injected while training.

    Attributes:
        kind: a name in KINDS.
        variance: strength, in squared grey levels of the range [0, 1].
        share: share of the images that are corrupted (the paper: 10 %).
        redraw: whether it is drawn again in each epoch which images are corrupted, and how; if not, both are
            drawn once, before training (eq. 7).
        target: what the network must return for a corrupted image: ``clean`` (the image as it was)
            or ``noisy`` (as corrupted: what the paper's authors' code did).
    """

    kind: str
    variance: float = Field(ge=0, le=1)
    share: float = Field(ge=0, le=1)
    redraw: bool = True  # saved models of release 0.2 lack it
    target: str = Field(pattern="^(clean|noisy)$")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"noise.kind {self.kind!r} is not known. Allowed: {', '.join(KINDS)}")
        return self


def inject(
    images: torch.Tensor, noise: Noise, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (input, target) for images in [0, 1]: a random share of the inputs is corrupted."""
    hit = (torch.rand((len(images), 1, 1, 1), generator=generator) < noise.share).to(images.device)
    noisy = KINDS[noise.kind](images, noise.variance, generator).clamp(0, 1)
    noisy = torch.where(hit, noisy, images)
    return noisy, noisy if noise.target == "noisy" else images


def corrupt_once(images: torch.Tensor, noise: Noise, generator: torch.Generator) -> torch.Tensor:
    """Return (n, c, h, w) uint8 images, of which n · share, drawn at random, are corrupted."""
    corrupted = images.clone()
    chosen = torch.randperm(len(images), generator=generator)[: round(noise.share * len(images))]
    for rows in chosen.split(CHUNK):
        noisy = KINDS[noise.kind](images[rows].float() / 255, noise.variance, generator)
        corrupted[rows] = (noisy.clamp(0, 1) * 255).round().to(torch.uint8)
    return corrupted
