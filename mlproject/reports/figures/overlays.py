"""Anomaly maps in colour, alone or over the photo, on their model's one colour scale."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os.path import commonpath
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw

from mlproject.core.errors import UserError, quoted
from mlproject.core.files import check_folder_of, written_whole
from mlproject.data.buckets import SCHEME, Place
from mlproject.models.components.heat_scale import HeatScale
from mlproject.reports.figures.drawing import HEAT_COLOURS

PICTURE_SIDE = 1024  # longest side of an overlay, pixels
FRAME = "#00b4ff"  # stands out from the colours of the heat
OPACITY = 0.65  # of the heat at its brightest, so that the defect below stays visible


def heat(maps: np.ndarray, scale: HeatScale) -> np.ndarray:
    """Return (..., h, w, 3) uint8 for (..., h, w) anomaly maps."""
    colours = mpl.colormaps[HEAT_COLOURS](scale.brightness(maps))
    return (colours[..., :3] * 255).round().astype(np.uint8)


def framed(picture: np.ndarray, boxes: Sequence[tuple[float, ...]]) -> Image.Image:
    """Return a picture with rectangles around regions.

    Args:
        picture: (h, w, 3) uint8.
        boxes: left, top, right, bottom of each, as shares of width and height.
    """
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    for shares in boxes:
        left, top, right, bottom = np.array(shares) * (drawn.size * 2)
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))  # narrower than a pixel: one pixel
        pen.rectangle(corners, outline=FRAME, width=max(1, round(max(drawn.size) / 256)))
    return drawn


def overlay(picture: np.ndarray, anomaly_map: np.ndarray, scale: HeatScale) -> np.ndarray:
    """Return (h, w, 3) uint8: the photo, covered by heat in proportion to the anomaly map.

    The photo is unchanged where the map is at or below the median of good images.

    Args:
        picture: (h, w, 3) uint8.
        anomaly_map: (a, b), of the whole photo resized to that shape.
    """
    size = (picture.shape[1], picture.shape[0])
    wide = Image.fromarray(np.asarray(anomaly_map, np.float32)).resize(size, Image.Resampling.BILINEAR)
    opacity = OPACITY * scale.brightness(np.asarray(wide))[..., None]
    return np.round(picture * (1 - opacity) + heat(np.asarray(wide), scale) * opacity).astype(np.uint8)


def check_new(folder: Path) -> None:
    """Refuse a folder that is not empty, because it would be replaced, or that could not be written.

    Raises:
        UserError: the folder is not empty, or as `files.check_folder_of`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{quoted(folder)}: already exists. Name a new folder, or empty this one.")
    check_folder_of(folder)


@contextmanager
def folder_of(
    folder: Path, paths: Sequence[Place], scale: HeatScale | None
) -> Iterator[Callable[[Place, np.ndarray, np.ndarray, Sequence[tuple[float, ...]]], None]]:
    """Yield a function (path, picture, map, boxes) that draws a photo; the folder appears whole or not.

    The folder repeats the tree below the photos' deepest common folder; each file is `<name>.png`.

    Args:
        paths: every photo that may be drawn.
        scale: of the model, one for all photos.

    Raises:
        UserError: the model has no scale, or the folder cannot be written.
    """
    if scale is None:
        raise UserError(
            "this version was made by a release that stored no colour scale: retrain it to get overlays"
        )
    above = commonpath([_on_disk(path).parent for path in paths])

    with written_whole(folder) as part:

        def draw(
            path: Place, picture: np.ndarray, anomaly_map: np.ndarray, boxes: Sequence[tuple[float, ...]]
        ) -> None:
            target = part / _on_disk(path).relative_to(above)
            target.parent.mkdir(parents=True, exist_ok=True)
            drawn = framed(overlay(picture, anomaly_map, scale), boxes)
            drawn.save(target.with_name(f"{target.name}.png"), compress_level=1)

        yield draw


def _on_disk(path: Place) -> Path:
    """Return where a photo lies, with links followed but for its own; of one in a bucket, a place alike."""
    place = Path(os.fspath(path).removeprefix(SCHEME))
    return place.parent.resolve() / place.name
