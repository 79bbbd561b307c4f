"""Detectors and generators of params.yaml, made small enough to train on `conftest.small_images`."""

from typing import Any

import yaml
from conftest import ROOT

from mlproject import generators, models
from mlproject.generators.base import Generator

GIVEN = yaml.safe_load((ROOT / "params.yaml").read_text())
DETECTOR = {"image_size": 64, "epochs": 80, "patience": 80}
SUPERVISED = {"image_size": 96, "epochs": 5, "patience": 5}  # an unpadded network needs 94 px
GAN = {"image_size": 32, "filters": 8, "epochs": 100, "patience": 100}  # two networks play: seconds count
GENERATOR = {"image_size": 64, "filters": 4, "epochs": 2, "batch_size": 8}


def detector_settings(name: str) -> dict[str, Any]:
    """Return a detector's settings, small."""
    chosen = SUPERVISED if models.detector_class(name).supervised else GAN if name == "anogan" else DETECTOR
    defaults = GIVEN["models"][name]
    settings = defaults | {key: value for key, value in chosen.items() if key in defaults}
    return settings | ({"map": settings["map"] | {"smoothing": 2}} if "map" in settings else {})


def create_generator(name: str = "dcgan", **changes: Any) -> Generator:
    """Return a small generator, untrained."""
    return generators.create(name, GIVEN["generators"][name] | GENERATOR | changes)
