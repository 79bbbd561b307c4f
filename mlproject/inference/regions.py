"""Regions of a photo that its anomaly map marks, and COCO's format for them, which labelling tools import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

CATEGORY = {"id": 1, "name": "anomaly"}
_TOUCHING = np.ones((3, 3))  # pixels that touch at a corner are connected


@dataclass(frozen=True)
class Region:
    """Connected pixels of an anomaly map above a level, in pixels of the photo.

    Attributes:
        box: left, top, width, height of the smallest rectangle around it.
        area: of its pixels.
        mean: of the map in it, in the map's own unit.
        peak: the map's largest value in it.
    """

    box: tuple[float, float, float, float]
    area: float
    mean: float
    peak: float


class Marked(NamedTuple):
    """A photo, its size and its regions."""

    path: str
    size: tuple[int, int]  # width, height, pixels
    regions: Sequence[Region]


def find(anomaly_map: np.ndarray, level: float, size: tuple[int, int]) -> list[Region]:
    """Return the regions above a level, the highest peak first.

    Args:
        anomaly_map: (h, w), of the whole photo resized to that shape.
        level: in the map's unit; pixels above it belong to a region.
        size: width and height of the photo, pixels.
    """
    values = np.asarray(anomaly_map, dtype=np.float64)
    across, down = size[0] / values.shape[1], size[1] / values.shape[0]
    labels, _ = ndimage.label(values > level, _TOUCHING)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = place
        inside = values[place][labels[place] == number]
        box = (
            columns.start * across,
            rows.start * down,
            (columns.stop - columns.start) * across,
            (rows.stop - rows.start) * down,
        )
        area = inside.size * across * down
        found.append(Region(box, area, float(inside.mean()), float(inside.max())))
    return sorted(found, key=lambda region: -region.peak)


def coco(description: str, photos: Sequence[Marked]) -> dict[str, Any]:
    """Return photos and regions as COCO's object detection format.

    https://cocodataset.org/#format-data; `score` is a region's mean, `peak` and `mean` are its attributes.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (path, (width, height), regions) in enumerate(photos, start=1):
        images.append({"id": image_id, "file_name": path, "width": width, "height": height})
        for region in regions:
            left, top, wide, high = region.box
            right, bottom = left + wide, top + high
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORY["id"],
                    "bbox": list(region.box),
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                    "area": region.area,
                    "iscrowd": 0,
                    "score": region.mean,
                    "attributes": {"mean": region.mean, "peak": region.peak},
                }
            )
    return {
        "info": {"description": description},
        "images": images,
        "annotations": annotations,
        "categories": [CATEGORY],
    }
