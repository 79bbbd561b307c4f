"""On real MVTec AD images (skipped, saying so, where they are absent): honest floors for the defaults."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlproject import models
from mlproject.core import params
from mlproject.data import prepared, split
from mlproject.data.prepare import prepare_category
from mlproject.studies.components.perturbations import perturbed
from mlproject.training.run_options import RunOptions


@pytest.fixture(scope="module")
def bottle(real_mvtec, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared")
    prepare_category(real_mvtec / "bottle", out / "bottle", 128)
    return prepared.load("bottle", out)


def trained(bottle, name, **changed):
    train_rows = bottle.rows(split="train")
    roles = split.split(bottle.paths(train_rows), 0.2, 0)
    detector = models.create(name, params.value(f"models.{name}") | changed)
    detector.fit(bottle.images[roles.train], bottle.images[roles.validation], RunOptions(seed=0))
    detector.calibrate(bottle.images[roles.validation])
    return detector


@pytest.mark.parametrize("name", ["kd_cae", "ni_cae"])
def test_bottle_defects_rank_above_good_ones(bottle, name):
    """The defaults at 64 px, 4 epochs, seed 0: .94 and .98; at full length and 128 px .98 and .95."""
    maps = params.value(f"models.{name}")["map"] | {"smoothing": 2}
    test_rows = bottle.rows(split="test")
    detector = trained(bottle, name, image_size=64, epochs=4, map=maps)
    scores = detector.score(bottle.images[test_rows]).scores
    labels = bottle.manifest["label"].to_numpy()[test_rows]
    assert np.isfinite(scores).all()
    assert roc_auc_score(labels, scores) >= 0.85


def test_another_light_hardly_changes_how_bottles_rank_though_their_background_is_clipped(bottle):
    """AUROC .997, at 256 px 1.000; changes by .005 at most, before the lamp had an offset by .027."""
    detector, test_rows = trained(bottle, "patch_kde", image_size=128), bottle.rows(split="test")
    labels, photos = bottle.manifest["label"].to_numpy()[test_rows], np.array(bottle.images[test_rows])
    usual = roc_auc_score(labels, detector.score(photos).scores)
    for kind, levels in {"brightness": (0.9, 1.1), "contrast": (0.9, 1.1), "shading": (-0.1, 0.1)}.items():
        for level in levels:
            found = roc_auc_score(labels, detector.score(perturbed(photos, kind, level)).scores)
            assert abs(found - usual) < 0.01, (kind, level)
