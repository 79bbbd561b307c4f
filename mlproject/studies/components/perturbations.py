"""Changes between a camera when a detector was set up and the same camera later: pure functions.

Each takes one (s, s, 3) uint8 image and returns another. What comes in at a border is the image mirrored.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # (down, right): to the right, down, to the left, up


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Return the image with every value multiplied: a lamp that is brighter or darker."""
    return _rounded(image * factor)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Return the image with every value's distance from the image's mean multiplied."""
    mean = image.mean()
    return _rounded((image - mean) * factor + mean)


def shading(image: np.ndarray, slope: float) -> np.ndarray:
    """Return the image under a lamp that moved: darker by slope / 2 at the left, brighter by it at the right.

    Args:
        slope: share of the brightness; the middle column keeps its values.
    """
    return _rounded(image * (1 + np.linspace(-slope / 2, slope / 2, image.shape[1]))[:, None])


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the image out of focus: smoothed by a Gaussian of sigma pixels."""
    return _rounded(ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="mirror"))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the image saved as JPEG and read again, with colour at half the resolution (4:2:0).

    Args:
        quality: Pillow's, from 1 to 95.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def shift(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Return the image moved by whole pixels; negative numbers move it up and to the left."""
    rows, columns = abs(down), abs(right)
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="reflect")
    height, width = image.shape[:2]
    return padded[rows - down : rows - down + height, columns - right : columns - right + width]


def turn(image: np.ndarray, degrees: float) -> np.ndarray:
    """Return the image turned counter-clockwise about its middle, bilinear."""
    return _rounded(ndimage.rotate(image.astype(np.float64), degrees, reshape=False, order=1, mode="mirror"))


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.floor(values + 0.5).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Kind:
    """A kind of change.

    Attributes:
        apply: (image, level, number of the image) → the changed image.
        unchanged: the level at which an image stays as it is.
        unit: what the level means.
    """

    apply: Callable[[np.ndarray, float, int], np.ndarray]
    unchanged: float
    unit: str


def _shifted(image: np.ndarray, pixels: float, number: int) -> np.ndarray:
    down, right = DIRECTIONS[number % len(DIRECTIONS)]
    return shift(image, int(pixels) * down, int(pixels) * right)


def _turned(image: np.ndarray, degrees: float, number: int) -> np.ndarray:
    return turn(image, -degrees if number % 2 else degrees)


KINDS = {
    "brightness": Kind(lambda image, level, _: brightness(image, level), 1, "factor"),
    "contrast": Kind(lambda image, level, _: contrast(image, level), 1, "factor"),
    "shading": Kind(lambda image, level, _: shading(image, level), 0, "slope, share"),
    "blur": Kind(lambda image, level, _: blur(image, level), 0, "sigma, pixels"),
    "jpeg": Kind(lambda image, level, _: jpeg(image, int(level)), 100, "quality"),
    "shift": Kind(_shifted, 0, "pixels"),
    "turn": Kind(_turned, 0, "degrees"),
}


def perturbed(images: np.ndarray, kind: str, level: float) -> np.ndarray:
    """Return (n, s, s, 3) uint8: every image changed by a name in KINDS; at its level `unchanged` as it is.

    Light, blur and compression change all images alike. The direction of a shift goes round from image to
    image (right, down, left, up), that of a turn back and forth.

    Args:
        images: (n, s, s, 3) uint8.
    """
    if level == KINDS[kind].unchanged:
        return images
    return np.stack([KINDS[kind].apply(image, level, number) for number, image in enumerate(images)])
