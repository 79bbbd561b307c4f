"""Frame map: light and detail of a photo by place in the camera's frame, and the test that compares them.

Parts differ and move from photo to photo; dust, a scratch or a fingerprint on the lens and the shade of a
lamp stay at one place of the frame. Averaged over the photos of a window they stand out long before they
decide the score of one photo.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage, stats

SIDE = 32  # cells of light along each side of the frame
DETAIL_SIDE = 8  # cells of detail
VALUES = SIDE**2 + DETAIL_SIDE**2
DTYPE = "<f2"  # of a map
ASPECTS = (*4 * ("light",), *2 * ("detail",))  # of `_views`


class Difference(NamedTuple):
    """The place that differs most clearly, as `compare` finds it.

    Attributes:
        p_value: of all places together.
        aspect: what differs most clearly, "light" or "detail".
        x, y: where, in [0, 1], from the left and from the top of the frame.
        before, now: its medians in reference and window, relative to each photo's mean light.
    """

    p_value: float
    aspect: str
    x: float
    y: float
    before: float
    now: float


def frame_map(pixels: np.ndarray) -> np.ndarray:
    """Return (VALUES,) DTYPE: how far the light of each cell lies from the photo's mean, then its detail.

    Both are relative to the photo's mean light, so that a brighter photo has the same map. Detail is the root
    mean square of the steps between neighbouring pixels.

    Args:
        pixels: (s, s, 3) uint8.
    """
    grey = pixels.mean(axis=2, dtype=np.float32)
    mean = max(float(grey.mean(dtype=np.float64)), 1.0)  # a black photo has one too
    steps = np.zeros_like(grey)
    steps[1:] += np.diff(grey, axis=0) ** 2
    steps[:, 1:] += np.diff(grey, axis=1) ** 2
    light, detail = _cells(grey, SIDE) / mean, np.sqrt(_cells(steps, DETAIL_SIDE)) / mean
    return np.concatenate([light.ravel() - light.mean(), detail.ravel()]).astype(DTYPE)


def compare(reference: np.ndarray, recent: np.ndarray) -> Difference:
    """Return the place where recent photos differ most clearly from the reference.

    Each value of `_views` is compared by Mann-Whitney's rank test, two-sided. The smallest p-value times
    their number (Bonferroni) is that of all places together, however a photo's values depend on one another.

    Args:
        reference, recent: (n, VALUES) and (m, VALUES) of `frame_map`.
    """
    before, now = _views(reference), _views(recent)
    pairs = zip(before, now, strict=True)
    p_values = [np.asarray(stats.mannwhitneyu(*pair, method="asymptotic").pvalue) for pair in pairs]
    clearest = int(np.argmin([found.min() for found in p_values]))
    found = p_values[clearest]
    row, column = (int(index) for index in np.unravel_index(found.argmin(), found.shape))
    return Difference(
        min(1.0, sum(map(np.size, p_values)) * float(found.min())),
        ASPECTS[clearest],
        (column + 0.5) / len(found),
        (row + 0.5) / len(found),
        *(float(np.median(views[clearest][:, row, column])) for views in (before, now)),
    )


def _views(maps: np.ndarray) -> list[np.ndarray]:
    """Return what is compared, each (n, k, k); of light or detail, as ASPECTS says.

    A cell against its neighbours, in three sizes, shows what is small; the coarsest cells themselves show a
    shade over much of the frame.
    """
    values = maps.astype(np.float32)
    fine = values[:, : SIDE**2].reshape(-1, SIDE, SIDE)
    middle = _halved(fine)
    coarse = _halved(middle)
    detail = values[:, SIDE**2 :].reshape(-1, DETAIL_SIDE, DETAIL_SIDE)
    return [_local(fine), _local(middle), _local(coarse), coarse, _local(detail), detail]


def _local(cells: np.ndarray) -> np.ndarray:
    """Return (n, k, k) less the mean of each cell's 3 × 3 neighbourhood."""
    return cells - ndimage.uniform_filter(cells, (1, 3, 3), mode="reflect")


def _halved(cells: np.ndarray) -> np.ndarray:
    """Return (n, k / 2, k / 2): means of 2 × 2 cells."""
    n, k, _ = cells.shape
    return cells.reshape(n, k // 2, 2, k // 2, 2).mean(axis=(2, 4))


def _cells(values: np.ndarray, side: int) -> np.ndarray:
    """Return (side, side) float32: means of (s, s) float32 over equal cells."""
    return np.asarray(Image.fromarray(values).resize((side, side), Image.Resampling.BOX))
