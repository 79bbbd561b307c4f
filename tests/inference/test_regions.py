"""Regions of anomaly maps: which pixels, where in the photo, and the file that labelling tools read."""

import json

import numpy as np
import pytest

from mlproject.inference.regions import Marked, Region, coco, find
from mlproject.models.components.heat_scale import HeatScale

MAP = np.zeros((4, 6))
MAP[0, 0] = 2.0
MAP[1, 1] = 4.0  # touches it at a corner
MAP[3, 3:5] = 9.0


def test_connected_pixels_above_the_level_are_a_region_in_pixels_of_the_photo():
    assert find(MAP, 1.0, (60, 80)) == [
        Region((30.0, 60.0, 20.0, 20.0), 400.0, 9.0, 9.0),
        Region((0.0, 0.0, 20.0, 40.0), 400.0, 3.0, 4.0),
    ]


def test_a_pixel_at_the_level_belongs_to_none():
    assert [region.peak for region in find(MAP, 4.0, (6, 4))] == [9.0]
    assert find(MAP, 9.0, (6, 4)) == []


def test_one_pixel_of_a_thousand_of_good_images_is_above_the_usual_level():
    maps = np.random.default_rng(0).random((4, 100, 100))
    usual = HeatScale.from_good_maps(maps).usual
    assert (maps > usual).mean() == pytest.approx(0.001, abs=1e-4)


def test_cocos_format_names_photo_box_and_category_by_their_numbers():
    regions = find(MAP, 1.0, (60, 80))
    written = coco("a model", [Marked("good.png", (60, 80), []), Marked("bad.png", (60, 80), regions)])
    read = json.loads(json.dumps(written))
    assert [(image["id"], image["file_name"], image["width"]) for image in read["images"]] == [
        (1, "good.png", 60), (2, "bad.png", 60),
    ]  # fmt: skip
    first, second = read["annotations"]
    assert (first["id"], first["image_id"], first["category_id"]) == (1, 2, read["categories"][0]["id"])
    assert first["bbox"] == [30.0, 60.0, 20.0, 20.0]
    assert first["segmentation"] == [[30.0, 60.0, 50.0, 60.0, 50.0, 80.0, 30.0, 80.0]]
    assert (first["area"], first["score"], second["attributes"]["peak"]) == (400.0, 9.0, 4.0)
