"""A network that learns nothing: on dark backgrounds it is started again, and elsewhere it is named."""

import numpy as np
import pytest
import torch
from conftest import ROOT

from benchmarks.dying_networks import dark_field
from mlproject import models
from mlproject.core import params
from mlproject.models.components.detector import Labelled
from mlproject.training.run_options import RunOptions

SIDE, TRAIN = 32, 38
DEFAULTS = params.value("models", ROOT / "params.yaml")
SMALL = {"image_size": SIDE, "epochs": 12, "patience": 12, "latent_channels": 32}


IMAGES = dark_field(SIDE, 46)


@pytest.mark.parametrize("name", ["kd_cae", "ni_cae"])
@pytest.mark.parametrize("negative", [False, True], ids=["dark", "negative"])
def test_an_autoencoder_that_dies_is_started_again_and_learns(name, negative, capsys, tmp_path):
    images = 255 - IMAGES if negative else IMAGES
    train, validation = images[:TRAIN], images[TRAIN:]
    detector = models.create(name, DEFAULTS[name] | SMALL)
    history = detector.fit(train, validation, RunOptions(0, checkpoint=tmp_path / "key.checkpoint"))
    assert "died" in capsys.readouterr().out
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    of_colour = detector.mean_errors(train, validation)[1]
    assert history[-1]["validation_loss"] < of_colour / 3
    assert detector.why_not_learnt(train, validation) is None


def test_a_network_that_dies_slowly_at_full_size_is_started_again(capsys):
    """At 128 px the pictures of a dying network differ by more than those of a dead one for ten epochs."""
    images = 255 - dark_field(256, 46)
    detector = models.create("kd_cae", DEFAULTS["kd_cae"] | {"epochs": 4, "patience": 4})
    detector.fit(images[:TRAIN], images[TRAIN:], RunOptions(seed=2))
    assert "died" in capsys.readouterr().out
    assert detector.why_not_learnt(images[:TRAIN], images[TRAIN:]) is None


def test_a_network_that_returns_black_has_learnt_nothing():
    detector = models.create("kd_cae", DEFAULTS["kd_cae"] | SMALL)
    with torch.no_grad():
        detector.decoder[-2].bias.fill_(-50)
    assert "no better than one plain colour" in detector.why_not_learnt(IMAGES[:TRAIN], IMAGES[TRAIN:])


def test_a_generator_that_returns_one_picture_has_learnt_nothing(monkeypatch):
    detector = models.create("pca", DEFAULTS["pca"] | {"image_size": SIDE, "components": 4})
    detector.fit(IMAGES[:TRAIN], IMAGES[TRAIN:], RunOptions(0))
    assert detector.why_not_learnt(IMAGES[:TRAIN], IMAGES[TRAIN:]) is None
    detector.components = detector.components[:0]  # what is left is the mean training image
    assert "one picture for every image" in detector.why_not_learnt(IMAGES[:TRAIN], IMAGES[TRAIN:])


def test_a_cnn_with_constant_log_odds_has_learnt_nothing():
    detector = models.create("cnn", DEFAULTS["cnn"] | {"image_size": SIDE, "filters": [4, 4], "epochs": 1})
    labelled = Labelled(255 - IMAGES[:6], np.ones(6, dtype=np.int64))
    detector.fit(IMAGES[:TRAIN], IMAGES[TRAIN:], RunOptions(0), labelled)
    assert detector.why_not_learnt(IMAGES[:TRAIN], IMAGES[TRAIN:]) is None
    with torch.no_grad():
        detector.head[-1].weight.zero_()
    assert "the same log-odds" in detector.why_not_learnt(IMAGES[:TRAIN], IMAGES[TRAIN:])
