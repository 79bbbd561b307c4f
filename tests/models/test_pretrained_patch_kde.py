"""pretrained_patch_kde: its weights are the file asked for, named where they are used, and kept with it."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.small_models import detector_settings

from mlproject import models
from mlproject.core.errors import UserError
from mlproject.reports import comparison_columns
from mlproject.training.run_options import RunOptions

NAME = "pretrained_patch_kde"


def fitted(small_images, **changed):
    detector = models.create(NAME, detector_settings(NAME) | changed)
    detector.fit(small_images.train[:8], small_images.validation[:4], RunOptions(seed=0))
    return detector


def test_a_missing_file_is_asked_for_by_place_and_hash(small_images):
    with pytest.raises(UserError, match=r"nowhere\.pth: not found.*sha256 aaaa.*Nothing is downloaded"):
        fitted(small_images, weights="nowhere.pth", sha256="a" * 64)


def test_another_file_is_refused(small_images):
    with pytest.raises(UserError, match="is another file than asked for"):
        fitted(small_images, sha256="a" * 64)


def test_a_pickle_is_never_run(small_images, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "run",)

    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="no file of weights alone"):
        fitted(small_images, weights=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"backbone": "torchvison/resnet18"}, "Did you mean torchvision/NAME"),
        ({"backbone": "torchvision/resnet"}, "torchvision has no network resnet "),
        ({"backbone": "torchvision/resnet18"}, "are not the weights of torchvision/resnet18"),
        ({"layers": ["stage22"]}, "layers: stage22 is not known. Did you mean stage2"),
    ],
)
def test_a_wrong_setting_is_named(small_images, changed, words):
    with pytest.raises(UserError, match=words):
        fitted(small_images, **changed)


def test_a_saved_model_needs_no_weights_file(small_images, tmp_path):
    """A promoted model gives the same score on a machine that never had it."""
    own = tmp_path / "own.pth"
    torch.save(load_file(detector_settings(NAME)["weights"]), own)
    detector = fitted(small_images, weights=str(own), sha256=hashlib.sha256(own.read_bytes()).hexdigest())
    detector.save(tmp_path / "model")
    own.unlink()
    images = small_images.test[:3]
    before, after = detector.measure(images), models.load(tmp_path / "model").measure(images)
    assert before.maps.tobytes() == after.maps.tobytes()


def test_what_is_recorded_names_the_weights(small_images):
    known = fitted(small_images).outside_weights
    assert known["sha256"] == detector_settings(NAME)["sha256"]
    assert known["licence"] == "Apache-2.0"
    assert 0.01 < known["megabytes"] < 1  # what the two layers need, not the whole file


def test_tables_say_so():
    row = {"outside_weights": {"trained_on": "ImageNet"}}
    assert comparison_columns.outside_weights(row) == "uses ImageNet weights"
    assert not comparison_columns.outside_weights({"outside_weights": None})
