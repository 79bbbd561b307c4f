"""The model that others load: MLflow runs this file (models-from-code); nothing is unpickled.

With it travel the detector's folder, its threshold, the prepared image size, and the few files of
`mlproject` that it needs. In: a table with a column `image`; each cell an image file's bytes, the same
as base64 text, or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of any size, nested lists included.
Out: one row each with score, threshold and defective; with `maps=True` also the anomaly map (h, w) and
the reconstruction (h, w, 3), where the model makes one.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.pyfunc import PythonModel, PythonModelContext

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.data.decode import MAX_PIXELS, decode_bytes, fit_array, pixel_count
from mlproject.evaluation import thresholds
from mlproject.models.components import detector as base
from mlproject.registry import hashes, request_guard

SERVED_IMAGES = 256  # in one HTTP request: a second's work or two, far from the server's timeout
BATCH = 32  # images decoded and scored at a time: memory does not grow with the table


class ServedDetector(PythonModel):
    """A detector with its preprocessing and its threshold inside."""

    detector: base.Detector
    threshold: float
    image_size: int
    in_flight: request_guard.PixelsInFlight | None = None  # set when it is served over HTTP, to whoever asks

    def load_context(self, context: PythonModelContext) -> None:
        """Verify the files and load the detector; no code in its folder is ever run.

        Raises:
            UserError: a file is not as it was registered.
        """
        folder = Path(context.artifacts["model"])
        hashes.verify_loaded(folder.parents[1])
        self.detector = models.load(folder)
        self.threshold = _value(context.artifacts["threshold"], "threshold")
        self.image_size = _value(context.artifacts["prepared"], "image_size")
        self.in_flight = request_guard.install()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score images.

        Raises:
            MlflowException: a cell is no image; names its row (over HTTP: status 400). Over HTTP also: the
                server is busy (503).
        """
        cells = [_unpacked(row, cell) for row, cell in enumerate(_images(model_input["image"]))]
        with_maps = bool((params or {}).get("maps", False))
        with self._reserved(cells):
            batches = [self._score(cells, first, with_maps) for first in range(0, len(cells), BATCH)]
        return pd.concat(batches or [self._table(np.empty(0))], ignore_index=True)

    @contextmanager
    def _reserved(self, cells: list[Any]) -> Iterator[None]:
        """Over HTTP, refuse a request that asks too much; count its largest image while the block runs."""
        if self.in_flight is None:
            yield
            return
        largest = _refuse_much(cells, self.in_flight.limit)
        try:
            with self.in_flight.reserved(largest):
                yield
        except request_guard.Busy:
            raise MlflowException(
                f"{largest:,} pixels are more than this server can decode now: ask again later, "
                f"or set {request_guard.PIXELS} higher where it starts",
                error_code=TEMPORARILY_UNAVAILABLE,
            ) from None

    def _score(self, cells: list[Any], first: int, with_maps: bool) -> pd.DataFrame:
        rows = range(first, min(first + BATCH, len(cells)))
        scored = self.detector.score(np.stack([self._pixels(row, cells[row]) for row in rows]))
        table = self._table(scored.scores)
        if with_maps:
            table["anomaly_map"] = list(scored.maps)
            if scored.reconstructions is not None:
                table["reconstruction"] = list(scored.reconstructions)
        return table

    def _table(self, scores: np.ndarray) -> pd.DataFrame:
        defective = thresholds.decide(scores, self.threshold)
        return pd.DataFrame({"score": scores, "threshold": self.threshold, "defective": defective})

    def _pixels(self, row: int, cell: Any) -> np.ndarray:
        """Return one cell as (s, s, 3) uint8."""
        try:
            if isinstance(cell, bytes):
                return decode_bytes(cell, self.image_size)
            return fit_array(_as_array(cell), self.image_size)
        except UserError as error:
            raise _invalid(row, str(error)) from None


def _value(path: str, name: str) -> Any:
    """Return one value of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))[name]


def _unpacked(row: int, cell: Any) -> Any:
    """Return text as the bytes that it is the base64 of, anything else as it is."""
    if not isinstance(cell, str):
        return cell
    try:
        return base64.b64decode(cell, validate=True)
    except ValueError:  # not base64, or not even ASCII
        raise _invalid(row, "text must be the base64 of an image file") from None


def _refuse_much(cells: list[Any], limit: float) -> int:
    """Refuse a request that would take minutes: small files may hold many pixels.

    Args:
        limit: pixels that this server may decode at a time.

    Returns:
        The pixels of the largest image file, which are decoded at a time.
    """
    if len(cells) > SERVED_IMAGES:
        raise MlflowException.invalid_parameter_value(f"{len(cells)} images, {SERVED_IMAGES} at most")
    pixels = [pixel_count(cell) for cell in cells if isinstance(cell, bytes)]
    if sum(pixels) > MAX_PIXELS:
        raise MlflowException.invalid_parameter_value(
            f"{sum(pixels):,} pixels in all, {MAX_PIXELS:,} at most"
        )
    largest = max(pixels, default=0)
    if largest > limit:
        raise MlflowException.invalid_parameter_value(
            f"an image of {largest:,} pixels, {limit:,.0f} at most ({request_guard.PIXELS})"
        )
    return largest


def _invalid(row: int, reason: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"image {row}: {reason}")


def _images(column: pd.Series) -> list[Any]:
    """Return one entry an image: of the JSON {"inputs": {"image": [text, …]}} MLflow makes one cell."""
    images: list[Any] = []
    for cell in column:
        several = isinstance(cell, list) and bool(cell) and isinstance(cell[0], str)
        images.extend(cell if several else [cell])
    return images


def _as_array(cell: Any) -> np.ndarray:
    """Return an array as it is, nested lists of whole numbers 0–255 as uint8."""
    if isinstance(cell, np.ndarray):
        return cell
    try:
        array = np.asarray(cell)
    except ValueError:
        raise UserError("rows of an image must be of equal length") from None
    if array.dtype.kind not in "iu" or array.min(initial=0) < 0 or array.max(initial=0) > 255:
        raise UserError("an image in lists holds whole numbers from 0 to 255")
    return array.astype(np.uint8)


mlflow.models.set_model(ServedDetector())
