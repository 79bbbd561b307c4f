"""Quality of generated images: memorisation, diversity, Fréchet distance, each next to its real baseline.

Pure computation: images in, numbers out. No pretrained weights: the features of the Fréchet distance are
the principal components of the training images themselves (the encoder of a linear autoencoder), and the
part of an image that they leave unexplained.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlproject.core.errors import TooFewImages
from mlproject.evaluation import image_distances

FEATURES = "our own: principal components of the training images"
DIMENSIONS = 16  # at most; a covariance needs several images a dimension
LEAST = 16  # different training images; the halves of fewer are too small to compare
COPY_RATIO = 0.5  # a copy is less than half as far from its original as from any other training image
COPIES_ALLOWED = 0.05  # a good generator has 1% below the 1st percentile, and hardly any copies
REPEATS_ALLOWED = 0.25
DIVERSITY_NEEDED = 0.25  # share of the real images' diversity
# A trained DCGAN's images are 1.6 to 2 times as far from training images as those from each other (sample,
# MVTec's bottle and transistor); those of one that was stopped before it had learnt the shape, 3 to 22 times.
TOO_FAR = 3.0
LEAST_SEEN = 0.04  # one nearer than that looks like the training image, however much alike those are


@dataclass(frozen=True)
class Reference:
    """Measurements of the training images alone: the baseline that a generator is compared with.

    Attributes:
        images: (n, s, s, 3) uint8, all different.
        nearest_other: (n,) distance of each to the nearest other.
        first_percentile: of `nearest_other`.
        ms_ssim: mean over pairs.
        mean: (SIDE × SIDE × 3,) of the pixels.
        components: (d, SIDE × SIDE × 3) orthonormal principal components.
        halves: Fréchet distance between two halves of the images.
    """

    images: np.ndarray
    nearest_other: np.ndarray
    first_percentile: float
    ms_ssim: float
    mean: np.ndarray
    components: np.ndarray
    halves: float

    @classmethod
    def of(cls, images: np.ndarray) -> "Reference":
        """Measure (n, s, s, 3) uint8 training images; equal ones count once.

        Raises:
            TooFewImages: there are fewer than LEAST different ones.
        """
        rows = np.sort(np.unique(images.reshape(len(images), -1), axis=0, return_index=True)[1])
        if len(rows) < LEAST:
            raise TooFewImages(
                f"{len(rows)} different images to learn from: too few to tell a new image from a copy, "
                f"{LEAST} are needed. Add good images, or take the generator out of generators_used."
            )
        different = images[rows]
        pixels = image_distances.pixels(different)
        nearest = image_distances.neighbours(different, different, same=True).nearest
        mean = pixels.mean(axis=0)
        components = np.linalg.svd(pixels - mean, full_matrices=False)[2][: min(DIMENSIONS, len(rows) // 8)]
        halves = _halves(_features(different, mean, components))
        return cls(
            images=different,
            nearest_other=nearest,
            first_percentile=float(np.percentile(nearest, 1)),
            ms_ssim=image_distances.mean_pairwise_ms_ssim(different),
            mean=mean,
            components=components,
            halves=image_distances.frechet_distance(*halves),
        )

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return (n, d + 1) features of (n, s, s, 3) uint8 images."""
        return _features(images, self.mean, self.components)


def measure(generated: np.ndarray, reference: Reference) -> dict[str, Any]:
    """Return quality.json: memorisation, diversity, Fréchet distance, each with its baseline, and verdicts.

    Args:
        generated: (n, s, s, 3) uint8, the same size and number as the reference images: distances to a
            nearest neighbour and Fréchet distances depend on the number of images.
    """
    result: dict[str, Any] = {
        "n_generated": len(generated),
        "n_train": len(reference.images),
        "memorisation": memorisation(generated, reference),
        "diversity": diversity(generated, reference),
        "frechet": {
            "generated": _frechet(generated, reference),
            "real_halves": reference.halves,
            "features": FEATURES,
            "dimensions": len(reference.components),
        },
    }
    return result | _verdicts(result)


def memorisation(generated: np.ndarray, reference: Reference) -> dict[str, float]:
    """Return distances from generated to training images, and among the training images themselves.

    `share_below_first_percentile` is .01 for an honest generator and rises for one that copies, but also
    for one whose images are merely smooth or typical, because those lie near the centre of the data. A
    *copy* must therefore also be less than COPY_RATIO as far from its original as from any other training
    image.
    """
    found = image_distances.neighbours(generated, reference.images)
    close = found.nearest < max(reference.first_percentile, 1e-9)
    copies = close & (found.nearest <= COPY_RATIO * found.second)
    return {
        "median_generated_to_train": float(np.median(found.nearest)),
        "median_train_to_train": float(np.median(reference.nearest_other)),
        "first_percentile_train_to_train": reference.first_percentile,
        "share_below_first_percentile": float(close.mean()),
        "share_of_copies": float(copies.mean()),
    }


def diversity(generated: np.ndarray, reference: Reference) -> dict[str, float]:
    """Return the similarity among generated images (mean MS-SSIM of pairs, 1 = identical), and repeats.

    A repeat is less than half as far from another generated image as the first percentile of training
    images. A generator that makes only a few different images repeats itself.
    """
    nearest = image_distances.neighbours(generated, generated, same=True).nearest
    return {
        "ms_ssim_generated": image_distances.mean_pairwise_ms_ssim(generated),
        "ms_ssim_train": reference.ms_ssim,
        "spread_generated": image_distances.spread(generated),
        "spread_train": image_distances.spread(reference.images),
        "share_of_repeats": float((nearest <= reference.first_percentile / 2).mean()),
    }


def _verdicts(result: dict[str, Any]) -> dict[str, Any]:
    memory, variety = result["memorisation"], result["diversity"]
    reasons = []
    if 1 - variety["ms_ssim_generated"] < DIVERSITY_NEEDED * (1 - variety["ms_ssim_train"]):
        reasons.append(
            f"mean pairwise MS-SSIM is {variety['ms_ssim_generated']:.3f}, "
            f"that of training images {variety['ms_ssim_train']:.3f}"
        )
    if variety["spread_generated"] < DIVERSITY_NEEDED * variety["spread_train"]:
        reasons.append(
            f"pixels vary by {variety['spread_generated']:.4f} from image to image, "
            f"those of training images by {variety['spread_train']:.4f}"
        )
    if variety["share_of_repeats"] > REPEATS_ALLOWED:
        reasons.append(f"{variety['share_of_repeats']:.0%} of the images repeat another one")
    copies = memory["share_of_copies"]
    memorised = copies > COPIES_ALLOWED
    copying = f"{copies:.0%} of the images are copies of a training image"
    away, usual = memory["median_generated_to_train"], memory["median_train_to_train"]
    unlike = away > max(TOO_FAR * usual, LEAST_SEEN)
    far = (
        f"the nearest training image is at {away:.4f} in the median, {away / usual:.0f} times as far as "
        f"training images are from each other ({usual:.4f})"
    )
    return {
        "collapsed": bool(reasons),
        "collapsed_because": "; ".join(reasons) or None,
        "memorised": memorised,
        "memorised_because": copying if memorised else None,
        "unlike": unlike,
        "unlike_because": far if unlike else None,
    }


def _features(images: np.ndarray, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return (n, d + 1), scaled so that squared distances are means over pixels."""
    pixels = (image_distances.pixels(images) - mean) / len(mean) ** 0.5
    coordinates = pixels @ components.T
    unexplained = np.linalg.norm(pixels - coordinates @ components, axis=1)
    return np.column_stack([coordinates, unexplained])


def _frechet(generated: np.ndarray, reference: Reference) -> float:
    """Return the mean distance between halves: with fewer images the distance is larger by chance alone."""
    made, real = _halves(reference.features(generated)), _halves(reference.features(reference.images))
    return float(np.mean([image_distances.frechet_distance(a, b) for a in made for b in real]))


def _halves(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features[::2], features[1::2]
