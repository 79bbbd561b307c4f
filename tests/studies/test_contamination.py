"""Study contamination: defects hidden and not evaluated, and what it says of scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject.core import params
from mlproject.core.params import Threshold
from mlproject.studies.components import runner
from mlproject.studies.components.base import Cell
from mlproject.studies.results import contamination as contamination_result
from mlproject.studies.results.contamination import TRAINING
from mlproject.training import run_settings

LABELS = np.array([0, 0, 1, 1])
APART, MIXED = [0.1, 0.2, 0.8, 0.9], [0.1, 0.8, 0.2, 0.9]  # AUROC 1 and .75


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project folder with a prepared category; nothing that the study is of is trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("contamination"))
        project.make(detectors=["vae"], generators_used=[])
        project.edit_study("contamination", detectors=["patch_kde", "pca"])
        yield


@pytest.fixture
def restored(made):
    """The same; params.yaml is put back afterwards."""
    before = Path("params.yaml").read_text()
    yield
    Path("params.yaml").write_text(before)


@pytest.fixture(scope="module")
def contaminated(made):
    """A study, and the scores of patch_kde's cells of one seed, by share."""
    study = runner.opened(CATEGORY, "contamination")
    cells = [cell for cell in study.cells() if (cell.arm, cell.seed) == ("patch_kde", 1)]
    return study, {cell: study.run(cell) for cell in cells}


def test_hidden_defects_are_of_the_pool_and_no_share_is_evaluated_on_the_pools(contaminated):
    study, scored = contaminated
    inputs = study.inputs
    pool = set(inputs.data.paths(inputs.test[~inputs.held_out]))
    evaluated = [table.loc[table["subset"] == "test", "path"].tolist() for table in scored.values()]
    assert all(paths == evaluated[0] for paths in evaluated)
    for cell in scored:
        hidden = set(cell.facts["hidden"].values())
        assert hidden <= pool
        assert not hidden & set(evaluated[0])
        assert not [path for path in hidden if "/good/" in path]
    good = inputs.data.paths(inputs.data.rows(split="test", label=0))
    assert set(good) <= set(evaluated[0])
    notes = " ".join(study.notes())
    assert "depend on test images" in notes
    assert "(8 of 18)" in notes


def test_a_model_tuned_on_labels_is_evaluated_on_the_half_that_did_not_choose_its_settings(
    restored, monkeypatch
):
    project.write_params(detectors=["pca"])
    inputs = runner.opened(CATEGORY, "contamination").inputs
    labels = {"data_hash": inputs.data.data_hash, "split_seed": inputs.seed}
    monkeypatch.setattr(run_settings, "labels_seen", lambda *_: labels)
    monkeypatch.setattr(type(inputs), "settings_of", lambda self, model: dict(self.models[model]))
    monkeypatch.setattr(type(inputs), "threshold_of", lambda self, model: self.threshold)
    study = runner.opened(CATEGORY, "contamination")
    cell = study.cells()[0]
    table = study.run(cell)
    assert table.loc[table["subset"] == "held_out", "path"].tolist() == inputs.data.paths(
        inputs.test[inputs.held_out]
    )
    (row,) = study.result({cell: table}).rows
    assert row["subset"] == "held_out"
    assert "it is evaluated on the other half" in " ".join(study.notes())


def test_they_take_the_place_of_good_images_of_any_role(contaminated):
    study, scored = contaminated
    cell = max(scored, key=lambda cell: cell.level)
    used = scored[cell].query("subset == 'calibration'")  # of patch_kde: images of all roles
    assert len(cell.facts["hidden"]) == 8
    assert not set(cell.facts["hidden"]) & set(used["path"])
    assert set(cell.facts["hidden"].values()) <= set(used["path"])
    assert used["label"].sum() == 8
    assert len(used) == len(study.inputs.good)


def test_larger_shares_hold_the_defects_of_smaller_ones_and_each_seed_draws_its_own(made):
    cells = [cell for cell in runner.opened(CATEGORY, "contamination").cells() if cell.arm == "pca"]
    hidden = {(cell.seed, cell.level): set(cell.facts["hidden"].items()) for cell in cells}
    assert {level: len(found) for (_, level), found in hidden.items()} == {0: 0, 0.05: 2, 0.2: 8}
    assert all(hidden[seed, 0.05] < hidden[seed, 0.2] for seed in range(3))
    assert hidden[0, 0.05] != hidden[1, 0.05]


def test_shares_that_cannot_be_hidden_are_named(restored):
    notes = " ".join(runner.opened(CATEGORY, "contamination").notes())
    assert "Left out: 1.0% (less than one image)." in notes
    assert "Left out: 40.0% (16 images, the pool has 8)." in notes
    project.edit_study("contamination", shares=[0.4])
    assert "the labelled pool has 8 defective images" in runner.opened(CATEGORY, "contamination").gap()


def test_without_a_hidden_defect_a_seed_that_changes_nothing_is_trained_once(made):
    study = runner.opened(CATEGORY, "contamination")
    keys = [
        runner.key(cell.facts, study.inputs, study.code)
        for cell in study.cells()
        if (cell.arm, cell.level) == ("patch_kde", 0)
    ]
    assert (len(keys), len(set(keys))) == (3, 1)


def test_patch_kde_ranks_hidden_defects_high(contaminated):
    _, scored = contaminated
    (found,) = [one for one in contamination_result.suspicion(scored) if one["level"] == 0.05]
    assert found["found"] >= 1  # of two among 32, in images of 32 pixels


def test_a_model_without_settings_is_a_gap(restored):
    models = {name: value for name, value in params.value("models").items() if name != "pca"}
    project.write_params(detectors=["vae"], models=models)
    assert runner.opened(CATEGORY, "contamination").gap() == "params.yaml has no section models.pca"


def table(scores, calibration, training=()):
    """Scores of four test images, of calibration images, and (label, score) of training images."""
    rows = [
        (f"t{n}", "test", label, score) for n, (label, score) in enumerate(zip(LABELS, scores, strict=True))
    ]
    rows += [(f"c{n}", "calibration", 0, score) for n, score in enumerate(calibration)]
    rows += [(f"l{n}", TRAINING, label, score) for n, (label, score) in enumerate(training)]
    return pd.DataFrame(rows, columns=["path", "subset", "label", "score"])


def test_losses_are_against_no_hidden_defect_and_training_images_count_in_no_measure():
    training = [(0, 0.1), (1, 0.9), (0, 0.5), (1, 0.3)]  # of two hidden ones, one is among the two highest
    scored = {
        Cell("patch_kde", level, seed, contamination_result.SERIES, {}): table(*each)
        for level, each in ((0.0, (APART, [0.5, 0.4])), (0.1, (MIXED, [0.85, 0.4], training)))
        for seed in range(2)
    }
    asked = Threshold(false_alarm_rate=0.4, strict=False)
    found = contamination_result.result(scored, {"patch_kde": asked}, 100, [])
    clean, worst = found.rows
    assert (clean["n_good"], clean["n_defective"], worst["n_good"]) == (2, 2, 2)
    assert (clean["recall"], worst["recall"]) == (1, 0.5)
    (difference,) = found.comparisons
    assert (difference["against"], difference["difference"]) == ("none hidden", -0.25)
    assert [(one["hidden"], one["found"]) for one in found.facts["suspicious"]] == [(2, 1), (2, 1)]
    assert found.statements == [
        "patch_kde: with 10 % hidden defects AUROC 0.75 (1.00 without), F1 0.67 (1.00), recall 50% (100%), "
        "false alarms 0% (0%).",
        "patch_kde: k defects were hidden among its training images; the number of them found among the k "
        "highest leave-one-out scores, over all seeds: 2 of 4 at 10 %.",
    ]
    *_, chart = found.charts[0]
    (line,) = chart.lines
    assert np.isnan(line.values[0])
    assert line.values[1] == 0.5


def test_a_detector_that_ranks_no_training_image_has_no_chart_of_it():
    scored = {
        Cell("pca", level, 0, contamination_result.SERIES, {}): table(APART, [0.5]) for level in (0.0, 0.1)
    }
    asked = Threshold(false_alarm_rate=0.5, strict=False)
    found = contamination_result.result(scored, {"pca": asked}, 100, [])
    assert len(found.charts[0]) == 3
    assert found.facts["suspicious"] == []
