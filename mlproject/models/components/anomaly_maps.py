"""Anomaly maps: difference of an image and its reconstruction, and image scores. Higher = more anomalous."""

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import Field

from mlproject.core.params import Section
from mlproject.models.components.gaussian_blur import gaussian_blur

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
GRADIENT_STABILISER = (
    0.0026  # c of Xue et al., "Gradient Magnitude Similarity Deviation", for values in [0, 1]
)


class MapSettings(Section):
    """How a difference becomes a map, and the map a score.

    Attributes:
        kind: ``squared_error``; ``ssim`` (1 − SSIM, the paper's NI-CAE); ``gradient`` (1 − multi-scale
            gradient-magnitude similarity).
        ignore_offset: shift the reconstruction to the image's mean first, so that a lamp that shines
            brighter is no defect.
        normalise: divide each pixel's distance from its mean on validation images by its spread there,
            so that edges, always hard to reconstruct, do not drown the rest.
        smoothing: Gaussian sigma in pixels of the model's image; 0 for none.
        pooling: image score: ``mean`` of the map, or its ``max``.
    """

    kind: Literal["squared_error", "ssim", "gradient"]
    ignore_offset: bool
    normalise: bool
    smoothing: float = Field(ge=0, le=32)
    pooling: Literal["mean", "max"]


def squared_error(images: torch.Tensor, reconstructions: torch.Tensor) -> torch.Tensor:
    """Return (n, h, w) squared differences, averaged over the channels."""
    # contiguous: with the channels last, three values a pixel, torch averages ten times as slowly
    return (images - reconstructions).square().contiguous().mean(dim=1)


def ssim_terms(images: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (n, c, h, w) luminance and contrast-structure: Gaussian window 11, sigma 1.5 (Wang et al. 2004).

    Their product is SSIM, for values in [0, 1].
    """

    def blur(values: torch.Tensor) -> torch.Tensor:
        return gaussian_blur(values, SSIM_SIGMA, SSIM_WINDOW // 2)

    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = blur(images), blur(others)
    var_x = blur(images * images) - mean_x**2
    var_y = blur(others * others) - mean_y**2
    covariance = blur(images * others) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return luminance, structure


def ssim_difference(images: torch.Tensor, reconstructions: torch.Tensor) -> torch.Tensor:
    """Return (n, h, w) of 1 − SSIM in [0, 2]."""
    luminance, structure = ssim_terms(images, reconstructions)
    return 1 - (luminance * structure).mean(dim=1)


def _gradient_magnitude(grey: torch.Tensor) -> torch.Tensor:
    prewitt = torch.tensor([[1.0, 0, -1]] * 3, device=grey.device, dtype=grey.dtype) / 3
    padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    dx = F.conv2d(padded, prewitt[None, None])
    dy = F.conv2d(padded, prewitt.T[None, None])
    return (dx**2 + dy**2 + 1e-12).sqrt()


def gradient_difference(images: torch.Tensor, reconstructions: torch.Tensor, scales: int = 3) -> torch.Tensor:
    """Return (n, h, w) of 1 − gradient-magnitude similarity in [0, 1], averaged over halved sizes.

    Zavrtanik et al. 2021, "Reconstruction by inpainting for visual anomaly detection", eq. 5-6.
    """
    x, y = images.mean(dim=1, keepdim=True), reconstructions.mean(dim=1, keepdim=True)
    size, total = images.shape[-2:], torch.zeros((), device=images.device)
    for scale in range(scales):
        gx, gy = _gradient_magnitude(x), _gradient_magnitude(y)
        similar = (2 * gx * gy + GRADIENT_STABILISER) / (gx**2 + gy**2 + GRADIENT_STABILISER)
        total = total + F.interpolate(1 - similar, size=size, mode="bilinear", align_corners=False)
        if scale + 1 < scales:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return (total / scales)[:, 0]


KINDS = {"squared_error": squared_error, "ssim": ssim_difference, "gradient": gradient_difference}


def difference(images: torch.Tensor, reconstructions: torch.Tensor, settings: MapSettings) -> torch.Tensor:
    """Return (n, h, w) anomaly maps, not yet normalised.

    Args:
        images: (n, c, h, w) in [0, 1].
        reconstructions: the same shape.
    """
    if settings.ignore_offset:
        offset = (images - reconstructions).mean(dim=(1, 2, 3), keepdim=True)
        reconstructions = reconstructions + offset
    maps = KINDS[settings.kind](images, reconstructions)
    return gaussian_blur(maps[:, None], settings.smoothing)[:, 0]


def pool(maps: torch.Tensor, pooling: str) -> torch.Tensor:
    """Return (n,) float64 image scores of (n, h, w) maps."""
    flat = maps.double().flatten(1)
    return flat.amax(dim=1) if pooling == "max" else flat.mean(dim=1)


def pixel_statistics(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the (h, w) mean and spread of the maps of good images, for `normalise`.

    A spread over few images is itself noisy, so it is smoothed and half of the image's typical
    spread is added: pixels that hardly ever vary do not explode.
    """
    mean = gaussian_blur(maps.mean(dim=0)[None, None], 2)[0, 0]
    spread = gaussian_blur(maps.std(dim=0, unbiased=False)[None, None], 2)[0, 0]
    return mean, spread + spread.mean() / 2 + 1e-8


def normalise(maps: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return maps (n, h, w), less each pixel's mean (h, w) on good images, in units of its spread (h, w)."""
    return (maps - mean) / spread
