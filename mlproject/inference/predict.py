"""Predict photos in constant memory; an unreadable photo is reported, not fatal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from mlproject.core import files
from mlproject.core.errors import quoted
from mlproject.data import photos
from mlproject.data.buckets import Place
from mlproject.evaluation import thresholds
from mlproject.models.components.detector import Detector

BATCH = 16  # photos scored at a time; as many again are decoded meanwhile


@dataclass(frozen=True)
class Prediction:
    """The score and verdict of one photo.

    Attributes:
        score: higher = more anomalous; None if the photo could not be decoded, `error` says why.
        defective: score > threshold; None likewise.
        anomaly_map: (h, w) float32, if maps or pictures were asked for.
        picture: (h, w, 3) uint8, if pictures were asked for.
        pixels: (s, s, 3) uint8, as the detector took them; None if the photo could not be decoded.
        size: width and height of the upright photo, pixels.
    """

    path: Place
    threshold: float
    score: float | None = None
    defective: bool | None = None
    error: str = ""
    anomaly_map: np.ndarray | None = None
    picture: np.ndarray | None = None
    pixels: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)

    def row(self) -> dict[str, Any]:
        """Return path, score, threshold, defective and error, as results are written."""
        return {
            "path": files.path_text(self.path),
            "score": self.score,
            "threshold": self.threshold,
            "defective": self.defective,
            "error": self.error or None,
        }


def predict_photos(
    detector: Detector,
    threshold: float,
    image_size: int,
    paths: Iterable[Place],
    picture_side: int = 0,
    maps: bool = False,
) -> Iterator[Prediction]:
    """Yield the prediction for each photo, in order; at most 3 · BATCH photos are in memory.

    Args:
        threshold: defective where score > threshold.
        image_size: side of the prepared squares that the detector takes, pixels.
        picture_side: longest side of pictures to draw on, pixels; 0 for none.
        maps: whether anomaly maps are kept where no pictures are.
    """
    decoded = photos.decoded(paths, image_size, picture_side, ahead=2 * BATCH)
    while batch := list(islice(decoded, BATCH)):
        pixels = [photo.pixels for photo in batch if photo.pixels is not None]
        scored = detector.score(np.stack(pixels)) if pixels else None
        row = 0
        for photo in batch:
            if photo.pixels is None or scored is None:
                yield Prediction(photo.path, threshold, error=photo.error)
                continue
            kept = scored.maps[row] if maps or photo.picture is not None else None
            yield _prediction(photo, float(scored.scores[row]), kept, threshold)
            row += 1


def _prediction(
    photo: photos.Photo, score: float, anomaly_map: np.ndarray | None, threshold: float
) -> Prediction:
    defective = bool(thresholds.decide(np.array(score), threshold))
    return Prediction(
        photo.path, threshold, score, defective, "", anomaly_map, photo.picture, photo.pixels, photo.size
    )


def verdict_line(row: dict[str, Any]) -> str:
    """Return a `Prediction.row` with a score as a line of text."""
    sign, word = (">", "defective") if row["defective"] else ("≤", "good     ")
    return f"{word}  {row['score']:.6g} {sign} {row['threshold']:.6g}  {quoted(row['path'])}"
