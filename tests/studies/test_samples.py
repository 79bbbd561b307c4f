"""Study samples: images drawn, roles kept, thresholds as the pipeline sets them, and its sentences."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject import models
from mlproject.core import artifacts, params
from mlproject.core.params import Threshold
from mlproject.reports.figures import study_charts
from mlproject.studies.components import chosen_images, runner, tables
from mlproject.studies.components.base import Cell
from mlproject.studies.results import samples as samples_result
from mlproject.training import run_settings
from pipelines import score
from pipelines import study as stage

LABELS = np.array([0, 0, 1, 1])
APART, MIXED = [0.1, 0.2, 0.8, 0.9], [0.1, 0.8, 0.2, 0.9]  # AUROC 1 and .75
ASKED = Threshold(false_alarm_rate=0.2, strict=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project folder whose patch_kde and PCA are trained and scored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("samples"))
        project.make(detectors=["patch_kde", "pca"], generators_used=[])
        project.edit_study("samples", detectors=["patch_kde", "pca"])
        yield


@pytest.fixture
def restored(made):
    """The same; params.yaml is put back afterwards."""
    before = Path("params.yaml").read_text()
    yield
    Path("params.yaml").write_text(before)


def test_more_images_hold_those_of_fewer_and_each_keeps_its_role(made):
    study = runner.opened(CATEGORY, "samples")
    inputs = study.inputs
    drawn = {(cell.seed, int(cell.level)): cell.facts["good"] for cell in study.cells() if cell.arm == "pca"}
    assert {size for _, size in drawn} == {5, 20, 40}
    assert {role: len(paths) for role, paths in drawn[0, 5].items()} == {
        "train": 3,
        "validation": 1,
        "calibration": 1,
    }
    for (seed, size), roles in drawn.items():
        assert sum(map(len, roles.values())) == size
        for role, paths in roles.items():
            assert set(paths) <= set(drawn[seed, 40][role])
            assert set(drawn[seed, 5][role]) <= set(paths) or size == 5
            assert set(paths) <= set(inputs.data.paths(inputs.rows_of(role)))
    assert len({tuple(drawn[seed, 5]["train"]) for seed in range(3)}) > 1


def test_all_images_are_trained_on_once_where_a_seed_changes_nothing(made):
    study = runner.opened(CATEGORY, "samples")
    keys = {cell: runner.key(cell.facts, study.inputs, study.code) for cell in study.cells()}
    of_all = {keys[cell] for cell in keys if (cell.arm, cell.level) == ("patch_kde", 40)}
    of_few = {keys[cell] for cell in keys if (cell.arm, cell.level) == ("patch_kde", 5)}
    assert (len(of_all), len(of_few)) == (1, 3)
    assert "with all good images there is one training" in " ".join(study.notes())


@pytest.mark.parametrize("model", ["patch_kde", "pca"])
def test_with_all_images_scores_and_threshold_are_the_pipelines(made, model):
    study = runner.opened(CATEGORY, "samples")
    cell = next(c for c in study.cells() if (c.arm, c.level) == (model, 40))
    table, recorded = study.run(cell), study.inputs.recorded_scores(model)
    np.testing.assert_allclose(table.loc[table["subset"] == "test", "score"], recorded["score"], rtol=1e-6)
    found = tables.clean_threshold(table, study.inputs.threshold_of(model))
    score.main(CATEGORY, model)
    assert found == pytest.approx(study.inputs.recorded_threshold(model)["threshold"], rel=1e-6)


def test_a_model_tuned_on_labels_is_evaluated_on_the_half_that_did_not_choose_its_settings(made, monkeypatch):
    inputs = runner.opened(CATEGORY, "samples").inputs
    labels = {"data_hash": inputs.data.data_hash, "split_seed": inputs.seed}
    monkeypatch.setattr(run_settings, "labels_seen", lambda _, model: labels if model == "pca" else None)
    study = runner.opened(CATEGORY, "samples")
    scored = {cell: study.run(cell) for cell in study.cells() if (cell.level, cell.seed) == (5, 0)}
    test = {"pca": ("held_out", inputs.test[inputs.held_out]), "patch_kde": ("test", inputs.test)}
    for cell, table in scored.items():
        subset, rows = test[cell.arm]
        assert table.loc[table["subset"] == subset, "path"].tolist() == inputs.data.paths(rows)
        assert set(table["subset"]) == {"calibration", subset}
    assert {row["arm"]: row["subset"] for row in study.result(scored).rows} == {
        arm: subset for arm, (subset, _) in test.items()
    }
    said = "The settings of {} were chosen by the labels of half of the test images: it is"
    assert said.format("pca") in " ".join(study.notes())
    assert said.format("patch_kde") not in " ".join(study.notes())


def test_pca_gets_fewer_components_than_images_and_says_so(made):
    study = runner.opened(CATEGORY, "samples")
    cells = {c.level: c for c in study.cells() if c.arm == "pca"}
    assert {n: c.facts["settings"]["components"] for n, c in cells.items()} == {5: 2, 20: 15, 40: 16}
    notes = " ".join(study.notes())
    assert "components are fewer than training images: 2 with 5, 15 with 20, 16 with 40" in notes
    assert "largest of their scores: 5 (1), 20 (2), 40 (4)." in notes  # pca
    assert "largest of their scores: 5 (5)." in notes  # patch_kde: all good images set its threshold
    assert "there are only 40 good images: 500" in notes


def test_a_strict_threshold_does_not_stop_the_study_of_few_images(restored):
    strict = params.value("threshold") | {"strict": True}
    project.write_params(detectors=["pca"], generators_used=[], threshold=strict)
    project.edit_study("samples", detectors=["pca"], sizes=[5])
    stage.main(CATEGORY, "samples")
    assert (artifacts.study_report_folder(CATEGORY, "samples") / "table.csv").is_file()


def test_without_images_for_a_threshold_no_f1_is_made_up(restored):
    split = params.value("split") | {"calibration": "cross"}
    project.write_params(detectors=["patch_kde"], generators_used=[], split=split)
    project.edit_study("samples", detectors=["pca"], sizes=[5])
    study = runner.opened(CATEGORY, "samples")
    cell = study.cells()[0]
    assert {role: len(paths) for role, paths in cell.facts["good"].items()} == {"train": 4, "validation": 1}
    scores = {cell: study.run(cell) for cell in study.cells()[::3]}
    found = study.result(scores)
    assert all(np.isnan(row["f1"]) for row in found.rows)
    assert "F1" not in " ".join(found.statements)
    assert "No F1 and no false alarms" in " ".join(study.notes())


def test_a_detector_that_needs_no_folds_has_a_threshold_with_cross_too(restored):
    split = params.value("split") | {"calibration": "cross"}
    project.write_params(detectors=["pca"], generators_used=[], split=split)
    project.edit_study("samples", detectors=["patch_kde"], sizes=[20])
    study = runner.opened(CATEGORY, "samples")
    cell = study.cells()[0]
    table = study.run(cell)
    assert (table["subset"] == "calibration").sum() == 20
    found = study.result({cell: table})
    assert not any(np.isnan(row["f1"]) for row in found.rows)
    assert "No F1" not in " ".join(study.notes())


def test_a_network_that_trains_for_one_epoch_still_depends_on_the_seed(restored):
    project.write_params(detectors=["pca"], generators_used=[])
    inputs = runner.opened(CATEGORY, "samples").inputs
    found = {
        model: chosen_images.seed(model, inputs.seed + 7, inputs) - inputs.seed for model in models.names()
    }
    assert {model for model, step in found.items() if not step} == {
        "patch_kde",
        "pca",
        "pretrained_patch_kde",
    }


def test_a_model_without_settings_is_a_gap(restored):
    models = {name: value for name, value in params.value("models").items() if name != "pca"}
    project.write_params(detectors=["patch_kde"], models=models)
    assert runner.opened(CATEGORY, "samples").gap() == "params.yaml has no section models.pca"


@pytest.mark.parametrize(
    ("aurocs", "needed"),
    [
        ([0.7, 0.9, 0.985, 0.99], 20),
        ([0.7, 0.985, 0.9, 0.99], 40),  # enough once, and then no more, is luck
        ([0.99, 0.99, 0.99, 0.99], 5),
        ([0.7, 0.8, 0.9, 0.99], 40),
        ([np.nan] * 4, None),
    ],
)
def test_images_needed_is_from_where_on_auroc_stays_near_that_of_all(aurocs, needed):
    rows = [{"level": n, "auroc": a} for n, a in zip((5, 10, 20, 40), aurocs, strict=True)]
    assert samples_result.images_needed(rows) == needed


def test_bands_reach_from_the_lowest_to_the_highest_seed():
    about = pd.DataFrame({"path": list("abcd"), "subset": "test", "label": LABELS})
    good = pd.DataFrame({"path": list("efgh"), "subset": "calibration", "label": 0})
    calibration = good.assign(score=[0.1, 0.2, 0.3, 0.5])  # the threshold: .5
    scored = {
        Cell("pca", level, seed, samples_result.SERIES, {}): pd.concat(
            [calibration, about.assign(score=scores)], ignore_index=True
        )
        for level, each in ((5, (MIXED, APART)), (40, (APART, APART)))
        for seed, scores in enumerate(each)
    }
    found = samples_result.result(scored, {"pca": ASKED}, 100, [])
    auroc, f1, alarms = found.charts[0]
    (line,) = auroc.lines
    assert (line.values, line.lows, line.highs) == ([0.875, 1], [0.75, 1], [1, 1])
    assert (alarms.lines[0].lows[0], alarms.lines[0].highs[0]) == (0, 0.5)
    assert f1.reference == ("everything defective", pytest.approx(2 / 3))
    assert auroc.ticks == ["5", "all 40"]
    assert found.statements == [
        "pca: AUROC 0.88 with 5 good images, 1.00 with all 40; only all are within 0.01 of that. F1 0.75 "
        "with 5, 1.00 with all 40; false alarms 25% and 0%."
    ]
    figure = study_charts.charts("disc", found.charts, "")
    (band,) = figure.axes[0].collections
    assert band.get_paths()[0].get_extents().bounds == pytest.approx((0, 0.75, 1, 0.25))
