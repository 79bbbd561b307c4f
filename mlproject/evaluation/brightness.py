"""Mean brightness of images, the most common shortcut, and scaling images to one brightness."""

import numpy as np

from mlproject.core.errors import UserError


def mean_brightness(images: np.ndarray) -> float:
    """Return the mean over all pixels and channels of (n, h, w, 3) uint8 images, in [0, 1]."""
    return float(images.mean(dtype=np.float64)) / 255


def match_brightness(images: np.ndarray, target: float) -> np.ndarray:
    """Return the images, each scaled so that its mean brightness is the target.

    A scaled value above 255 is clipped; the factor allows for that, found by bisection on the
    histogram. The remaining error is rounding, below half a grey level. A black image stays black; an
    image with too many black pixels to reach the target gets as near to it as possible.

    Args:
        images: (n, h, w, 3) uint8.
        target: mean brightness, in [0, 1]: `mean_brightness` of the training images.

    Returns:
        (n, h, w, 3) uint8.
    """
    if not 0 <= target <= 1:
        raise UserError(f"match_brightness: the target must lie in [0, 1], found {target}")
    matched = np.empty(images.shape, np.uint8)
    for i, image in enumerate(images):
        matched[i] = _scaling_table(image, 255 * target)[image]
    return matched


def _scaling_table(image: np.ndarray, target: float) -> np.ndarray:
    """Return (256,) uint8: grey value → grey value scaled so that the mean is nearest to the target."""
    counts = np.bincount(image.ravel(), minlength=256)
    low, high = 0.0, 256.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        reached = counts @ _scaled_values(middle) / image.size
        low, high = (middle, high) if reached < target else (low, middle)
    candidates = [_scaled_values(factor) for factor in (low, high)]
    nearest = min(candidates, key=lambda values: abs(counts @ values / image.size - target))
    return nearest.astype(np.uint8)


def _scaled_values(factor: float) -> np.ndarray:
    return np.minimum(np.rint(np.arange(256) * factor), 255)
