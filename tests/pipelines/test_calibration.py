"""Stages train and score: parts are scaled, and the threshold set, by good images that chose nothing else."""

import json

import numpy as np
import pytest

from mlproject.core import artifacts, files, params
from mlproject.core.tables import read_table
from mlproject.evaluation import thresholds
from mlproject.models.components.combination import Combination
from mlproject.training.progress import SilentRun
from pipelines import score, train

pytest_plugins = ["support.tuning_project"]
CATEGORY, MODEL = "disc", "kd_cae"


@pytest.fixture
def scored(tuning_home, monkeypatch):
    """The scores of a small KD-CAE that the stages have trained and calibrated."""
    monkeypatch.setattr(train, "_streamed", lambda facts, key: SilentRun())
    settings = {"source": "here", "settings": params.value(f"models.{MODEL}"), "labels": None}
    files.write_json(artifacts.settings_file(CATEGORY, MODEL), settings)
    files.write_json(artifacts.threshold_settings_file(CATEGORY, MODEL), params.value("threshold"))
    train.main(CATEGORY, MODEL)
    score.main(CATEGORY, MODEL)
    return read_table(artifacts.scores_folder(CATEGORY, MODEL) / "scores.csv")


def test_calibration_images_scale_the_parts_and_set_the_threshold(scored):
    held_back = scored[scored["subset"] == "calibration"]
    assert len(held_back) >= 3
    combined = json.loads((artifacts.model_folder(CATEGORY, MODEL) / "model.json").read_text())["combination"]
    parts = {name: held_back[name].to_numpy() for name in combined["centres"]}
    expected = Combination.fit(parts).as_dict()
    for name in ("centres", "scales"):
        assert combined[name] == pytest.approx(expected[name])
    found = files.read_json(artifacts.scores_folder(CATEGORY, MODEL) / "threshold.json")
    left_out = Combination.left_out_scores(parts)
    assert found["threshold"] == pytest.approx(thresholds.calibrate(left_out, 0.05, strict=False).value)
    assert found["threshold"] > np.max(held_back["score"]), "each was scored by what the others give"
