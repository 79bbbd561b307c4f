"""Detectors and generators of params.yaml, made small enough to train on `conftest.small_images`."""

import functools
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import torch
import torchvision
import yaml
from conftest import ROOT
from safetensors.torch import save_file

from mlproject import generators, models
from mlproject.generators.base import Generator

GIVEN = yaml.load((ROOT / "params.yaml").read_text(), yaml.CSafeLoader)
DETECTOR = {"image_size": 64, "epochs": 80, "patience": 80}
SUPERVISED = {"image_size": 96, "epochs": 5, "patience": 5}  # an unpadded network needs 94 px
GAN = {"image_size": 32, "filters": 8, "epochs": 50, "patience": 50}  # two networks play: seconds count
OTHERS = {"anogan": GAN, "vae": {"image_size": 64, "epochs": 20, "patience": 20}}
GENERATOR = {"image_size": 64, "filters": 4, "epochs": 2, "batch_size": 8}


def defaults(name: str) -> dict[str, Any]:
    """Return a detector's settings in params.yaml; where it needs a weights file, with one that exists."""
    return GIVEN["models"][name] | (random_backbone() if name == "pretrained_patch_kde" else {})


def detector_settings(name: str) -> dict[str, Any]:
    """Return a detector's settings, small."""
    chosen = SUPERVISED if models.detector_class(name).supervised else OTHERS.get(name, DETECTOR)
    given = defaults(name)
    settings = given | {key: value for key, value in chosen.items() if key in given}
    return settings | ({"map": settings["map"] | {"smoothing": 2}} if "map" in settings else {})


@functools.cache
def random_backbone() -> dict[str, Any]:
    """Return the settings of a small backbone with random weights, and write their file, once a process."""
    torch.manual_seed(0)
    path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    save_file(torchvision.models.get_model("shufflenet_v2_x0_5").state_dict(), path)
    return {
        "backbone": "torchvision/shufflenet_v2_x0_5",
        "layers": ["maxpool", "stage2"],
        "weights": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained_on": "random",
    }


def create_generator(name: str = "dcgan", **changes: Any) -> Generator:
    """Return a small generator, untrained."""
    return generators.create(name, GIVEN["generators"][name] | GENERATOR | changes)
