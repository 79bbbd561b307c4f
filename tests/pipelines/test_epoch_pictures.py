"""Pictures of a training: those of an earlier one go when the first new one is there."""

import resource
from types import SimpleNamespace

import numpy as np
import pytest

from mlproject.core.errors import UserError
from mlproject.training.progress import SilentRun
from pipelines import train


def test_on_a_full_disk_the_pictures_of_an_earlier_training_stay(tmp_path):
    images = np.zeros((2, 16, 16, 3), np.uint8)
    pictures = train._Pictures(
        SimpleNamespace(reconstruct=lambda shown: shown), images, tmp_path, SilentRun()
    )
    for epoch in (0, 1, 5):
        pictures(epoch)
    folder = tmp_path / "reconstructions"
    allowed, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(UserError, match="File too large"):
            pictures.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, most))
    assert sorted(path.name for path in folder.iterdir()) == [
        "epoch_0000.png", "epoch_0001.png", "epoch_0005.png",
    ]  # fmt: skip
    pictures.start()
    assert [path.name for path in folder.iterdir()] == ["epoch_0000.png"]
