"""Test images of one category with one model's results: selection of images, and verdicts in words."""

from dataclasses import dataclass

import numpy as np

from mlproject.evaluation.thresholds import decide
from mlproject.models.components.heat_scale import HeatScale


@dataclass(frozen=True)
class Verdict:
    """The decision about one image, in words."""

    right: bool
    text: str


@dataclass(frozen=True)
class Cases:
    """Test images with one model's results; row i of every array is the same image.

    Attributes:
        images: (n, S, S, 3) uint8.
        reconstructions: (n, s, s, 3) uint8; None if the model makes none.
        masks: (n, S, S) uint8, 1 where the image is defective.
        maps: (n, h, w) anomaly maps, higher = more anomalous.
        scores: (n,) higher = more anomalous.
        labels: (n,) 1 = defective.
        defects: (n,) type of defect, or ``good``.
        threshold: defective where score > threshold.
        heat_scale: the detector's colour scale, from held-out good images, for all maps.
    """

    category: str
    model: str
    images: np.ndarray
    reconstructions: np.ndarray | None
    masks: np.ndarray
    maps: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    defects: np.ndarray
    threshold: float
    heat_scale: HeatScale

    @property
    def name(self) -> str:
        """Category and model, for titles."""
        return f"{self.category}, {self.model}"

    @property
    def called_defective(self) -> np.ndarray:
        """(n,) bool, score > threshold."""
        return decide(self.scores, self.threshold)

    def verdict(self, row: int) -> Verdict:
        """Return the decision about one image and whether it is right."""
        return verdict(int(self.labels[row]), float(self.scores[row]), self.threshold)

    def types(self) -> list[str]:
        """Return the types of defect in alphabetical order, ``good`` last."""
        return [*sorted(set(self.defects[self.labels == 1].tolist())), "good"]


def verdict(label: int, score: float, threshold: float) -> Verdict:
    """Return the decision about one image, with the comparison that made it."""
    called = bool(decide(np.array([score]), threshold)[0])
    right = called == bool(label)
    outcome = "CORRECT" if right else "WRONG: false alarm" if called else "WRONG: missed defect"
    return Verdict(
        right, f"called {'defective' if called else 'good'}\n{compared(score, threshold)}\n{outcome}"
    )


def number(value: float) -> str:
    """Write a score with three significant digits, or all digits before the decimal point."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def verdict_word(score: float, threshold: float) -> str:
    """Return ``defective`` if score > threshold, else ``good``."""
    return "defective" if decide(np.array([score]), threshold)[0] else "good"


def compared(score: float, threshold: float, what: str = "") -> str:
    """Write `score > threshold` or `score ≤ threshold` with enough digits to show that it is true.

    Args:
        what: text before the threshold's number.
    """
    sign = ">" if score > threshold else "≤"
    for digits in range(max(3, len(f"{abs(threshold):.0f}")), 17):
        left, right = f"{score:.{digits}g}", f"{threshold:.{digits}g}"
        if left != right or score == threshold:
            break
    return f"score {left} {sign} {what}{right}"


def spread(rows: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """Return `count` of `rows` at evenly spaced ranks of score (one: the median), lowest first.

    Neither the best nor the worst are picked, so that the images shown are representative.
    """
    ordered = rows[np.argsort(scores[rows], kind="stable")]
    count = min(count, len(ordered))
    return ordered[[int((i + 0.5) * len(ordered) / count) for i in range(count)]]


def extreme(rows: np.ndarray, scores: np.ndarray, count: int, *, highest: bool) -> np.ndarray:
    """Return the `count` of `rows` with the highest or the lowest scores, most extreme first."""
    order = np.argsort(-scores[rows] if highest else scores[rows], kind="stable")
    return rows[order[:count]]
