"""Shortcut probe: how well trivial image statistics, which see no defect, tell defective from good.

MVTec's screw can be sorted perfectly by mean brightness alone, so a detector that sorts it well may
have found no defect at all. Every result is therefore shown with the AUROC of the strongest statistic,
and detectors also score images whose brightness is matched.
"""

from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

from mlproject.data.prepared import Prepared
from mlproject.evaluation.brightness import mean_brightness
from mlproject.evaluation.metrics import auroc

BATCH = 32  # images held as float32 at a time: 25 MB at 256 pixels
FLAGGED = (0.1, 0.9)  # AUROC of a statistic at or beyond which the category is flagged
EXACT = 8  # images of a class up to which a probability is counted out, not approximated
LUCK = 0.05  # how often one of the statistics may be so flagged where none has to do with the labels
FOLLOWED = 0.9  # Spearman's rank correlation, up or down, from which scores are a statistic in disguise
FEWEST = 12  # images: of fewer, one of the statistics ranks them so by luck in over 1 of 1,000 cases
CHANNELS = ("red", "green", "blue")


def of_test_images(data: Prepared) -> dict[str, np.ndarray]:
    """Return `statistics` of a prepared category's test images, in their order."""
    # The manifest lists train first: slices keep the arrays mapped, where chosen rows would be copied.
    n_train = len(data.rows(split="train"))
    test = data.manifest.iloc[n_train:]
    return statistics(
        data.images[n_train:],
        widths=test["width"].to_numpy(),
        heights=test["height"].to_numpy(),
        file_sizes=test["bytes"].to_numpy(),
        training_brightness=mean_brightness(data.images[:n_train]),
    )


def statistics(
    images: np.ndarray,
    widths: np.ndarray,
    heights: np.ndarray,
    file_sizes: np.ndarray,
    training_brightness: float,
) -> dict[str, np.ndarray]:
    """Return trivial statistics of images, none of which looks for a defect.

    Args:
        images: (n, h, w, 3) uint8, memory-mapped or not; read one batch at a time.
        widths, heights: (n,) of the original files, pixels.
        file_sizes: (n,) bytes.
        training_brightness: `mean_brightness` of the training images, in [0, 1].

    Returns:
        Name → (n,) float64: mean_brightness, mean_red, mean_green, mean_blue, contrast (standard
        deviation of grey), sharpness (variance of its Laplacian), foreground_x, foreground_y (in
        [0, 1]), brightness_distance (from the training mean), file_size, width, height.
    """
    batches = [_pixel_statistics(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    measured = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    measured["brightness_distance"] = np.abs(measured["mean_brightness"] - training_brightness)
    columns = {"file_size": file_sizes, "width": widths, "height": heights}
    return measured | {name: np.asarray(values, np.float64) for name, values in columns.items()}


def probe(values: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """Return the content of shortcuts.json: the AUROC of each statistic, and the strongest.

    Args:
        values: name → (n,), of the test images.
        labels: (n,) 0 good, 1 defective.

    Returns:
        statistics (name → AUROC; below .5: lower where defective), strongest (the name farthest
        from .5), strongest_auroc, flagged (it is ≥ .9 or ≤ .1, and more than luck). Without good or
        without defective images every AUROC and the strongest are None.
    """
    aurocs = {name: auroc(labels, column) for name, column in values.items()}
    known = {name: value for name, value in aurocs.items() if value is not None}
    strongest = max(known, key=lambda name: abs(known[name] - 0.5), default=None)
    strongest_auroc = known[strongest] if strongest else None
    low, high = FLAGGED
    flagged = False
    if strongest and not low < known[strongest] < high:
        of_good, of_defective = (values[strongest][labels == label] for label in (0, 1))
        fewest = min(len(of_good), len(of_defective))
        method = "exact" if fewest <= EXACT else "asymptotic"
        luck = mannwhitneyu(of_good, of_defective, method=method).pvalue
        flagged = bool(luck * len(values) < LUCK)  # Holm's first step
    return {
        "statistics": aurocs,
        "strongest": strongest,
        "strongest_auroc": strongest_auroc,
        "flagged": flagged,
    }


def follows(scores: np.ndarray, values: dict[str, np.ndarray]) -> str | None:
    """Return in words which statistic scores rank images by; None if by none, or if the images are too few.

    No label is used. A detector that finds defects is not meant, even where a statistic alone separates good
    from defective: within good and within defective images its scores rank otherwise.

    Args:
        scores: (n,) of the test images.
        values: name → (n,), as `statistics` returns them.
    """
    if len(scores) < FEWEST:
        return None
    found = {name: _rank_correlation(scores, column) for name, column in values.items()}
    name = max(found, key=lambda name: abs(found[name]))
    if abs(found[name]) < FOLLOWED:
        return None
    return f"its scores rank the test images as their {name} does (rank correlation {found[name]:+.2f})"


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation; 0 where one of the two does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _pixel_statistics(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the statistics of (b, h, w, 3) uint8 images, each (b,) float64."""
    pixels = images.astype(np.float32) / 255
    channels = pixels.mean(axis=(1, 2), dtype=np.float64)
    grey = pixels.mean(axis=3)
    middle = grey[:, 1:-1, 1:-1]
    neighbours = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    x, y = _foreground_centre(pixels)
    return {
        "mean_brightness": channels.mean(axis=1),
        **{f"mean_{name}": channels[:, k] for k, name in enumerate(CHANNELS)},
        "contrast": grey.std(axis=(1, 2), dtype=np.float64),
        "sharpness": (neighbours - 4 * middle).var(axis=(1, 2), dtype=np.float64),
        "foreground_x": x,
        "foreground_y": y,
    }


def _foreground_centre(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre of the pixels that differ from the border's median colour, (b,) x and y in [0, 1]."""
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    weight = np.abs(pixels - np.median(border, axis=1)[:, None, None]).sum(axis=3, dtype=np.float64)
    total = weight.sum(axis=(1, 2))
    centres = []
    for side, other in ((2, 1), (1, 2)):
        positions = (np.arange(pixels.shape[side]) + 0.5) / pixels.shape[side]
        moment = weight.sum(axis=other) @ positions
        centres.append(np.divide(moment, total, out=np.full(len(pixels), 0.5), where=total > 0))
    return centres[0], centres[1]
