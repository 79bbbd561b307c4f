"""Distances between images: nearest neighbours, MS-SSIM, Fréchet distance."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from mlproject.models.components import anomaly_maps

SIDE = 32  # images are compared at this size, so that noise in single pixels does not count
PAIRS = 200  # of images, drawn for the mean MS-SSIM
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, from fine to coarse


@dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each of n images, and its distance.

    Attributes:
        rows: (n,) row of the training image.
        nearest: (n,) root-mean-square difference of pixels in [0, 1].
        second: (n,) distance to the second nearest.
    """

    rows: np.ndarray
    nearest: np.ndarray
    second: np.ndarray

    def closest_first(self) -> np.ndarray:
        """Return (n,) image rows, the likeliest copies first."""
        return np.argsort(self.nearest, kind="stable")


def neighbours(images: np.ndarray, train: np.ndarray, *, same: bool = False) -> Neighbours:
    """Return each image's nearest training image, compared at SIDE pixels.

    Args:
        images: (n, s, s, 3) uint8.
        train: (m, s, s, 3) uint8, m at least 3.
        same: images and train are the same rows; an image is then not its own neighbour.
    """
    a, b = torch.from_numpy(pixels(images)), torch.from_numpy(pixels(train))
    # the exact mode: computed through dot products, two equal images would be 1e-4 apart
    distances = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") / a.shape[1] ** 0.5
    if same:
        distances.fill_diagonal_(torch.inf)
    nearest, rows = distances.topk(2, largest=False)
    return Neighbours(rows[:, 0].numpy(), nearest[:, 0].numpy(), nearest[:, 1].numpy())


def mean_pairwise_ms_ssim(images: np.ndarray) -> float:
    """Return the mean MS-SSIM of PAIRS pairs of (n, s, s, 3) uint8 images; equal n, equal pairs."""
    random = np.random.default_rng(0)
    first = random.integers(len(images), size=PAIRS)
    second = (first + random.integers(1, len(images), size=PAIRS)) % len(images)  # never the same image
    values = [
        ms_ssim(tensor(images[first[i : i + 50]]), tensor(images[second[i : i + 50]]))
        for i in range(0, PAIRS, 50)
    ]
    return float(torch.cat(values).mean())


def ms_ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return (n,) multi-scale SSIM of (n, c, h, w) images in [0, 1] (Wang, Simoncelli, Bovik 2003).

    Scales whose image is smaller than the window are left out; the other weights are scaled to sum to 1.
    """
    scales = [s for s in range(len(SCALE_WEIGHTS)) if min(x.shape[-2:]) >> s >= anomaly_maps.SSIM_WINDOW]
    weights = np.array(SCALE_WEIGHTS)[scales] / sum(SCALE_WEIGHTS[: len(scales)])
    product = torch.ones(len(x), dtype=x.dtype)
    for scale, weight in zip(scales, weights, strict=True):
        luminance, structure = anomaly_maps.ssim_terms(x, y)
        last = scale == scales[-1]
        value = (luminance * structure if last else structure).mean(dim=(1, 2, 3))
        product = product * value.clamp(min=0) ** weight
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return product


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Return ‖μx − μy‖² + tr(Σx + Σy − 2 (Σx Σy)^½) of (n, d) and (m, d) features (Heusel et al. 2017)."""
    mean = x.mean(axis=0) - y.mean(axis=0)
    cov_x, cov_y = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (x, y))
    # the eigenvalues of Σx Σy are those of the symmetric Σx^½ Σy Σx^½: real and not negative
    values, vectors = np.linalg.eigh(cov_x)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(min=0)).sum()
    return float(max(0.0, mean @ mean + np.trace(cov_x) + np.trace(cov_y) - 2 * cross))


def spread(images: np.ndarray) -> float:
    """Return the root of the mean variance of a pixel from image to image, pixels in [0, 1]."""
    return float(np.sqrt(pixels(images).var(axis=0).mean()))


def pixels(images: np.ndarray) -> np.ndarray:
    """Return (n, SIDE × SIDE × 3) float64 in [0, 1]."""
    small = F.interpolate(tensor(images), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    return small.flatten(1).numpy()


def tensor(images: np.ndarray) -> torch.Tensor:
    """Return (n, 3, s, s) float64 in [0, 1] for (n, s, s, 3) uint8."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).double() / 255
