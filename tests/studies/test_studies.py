"""Studies on a small category: cells kept and rerun, images evaluated, sentences written."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject import studies
from mlproject.core import artifacts, files, params
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table
from mlproject.evaluation import metrics
from mlproject.reports.figures import study_charts
from mlproject.studies import noise
from mlproject.studies.components import fitting, runner
from mlproject.studies.components.base import MIN_SEEDS
from mlproject.studies.components.inputs import StudyInputs
from mlproject.training import code_hash
from pipelines import score
from pipelines import study as stage

NAMES = ["contamination", "generated", "labels", "light", "noise", "samples"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project folder whose studies have been made."""
    folder = tmp_path_factory.mktemp("studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        project.make()
        for name in NAMES:
            stage.main(CATEGORY, name)
        yield folder


@pytest.fixture
def restored(trained):
    """The same; params.yaml is put back afterwards."""
    before = Path("params.yaml").read_text()
    yield trained
    Path("params.yaml").write_text(before)


def table(name):
    return read_table(artifacts.study_report_folder(CATEGORY, name) / "table.csv")


def summary(name):
    return files.read_json(artifacts.study_report_folder(CATEGORY, name) / "summary.json")


def cell_times(name):
    folder = artifacts.study_folder(CATEGORY, name) / "cells"
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_studies_are_found_by_their_files():
    assert studies.names() == NAMES
    with pytest.raises(UserError, match="Did you mean noise"):
        studies.create("noisy", {}, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_leaves_table_summary_and_figure(trained, name):
    found, said = table(name), summary(name)
    assert set(found["study"]) == {name}
    assert len(found) == len(found.drop_duplicates(["series", "arm", "level", "subset"]))
    assert found["auroc"].between(found["auroc_low"], found["auroc_high"]).all()
    assert said["gap"] is None
    assert said["statements"]
    assert said["comparisons"]
    for file in said["figures"]:
        path = artifacts.study_report_folder(CATEGORY, name) / "figures" / file
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_made_again_nothing_is_trained_and_the_same_is_said(trained, name, monkeypatch):
    before, reported = cell_times(name), table(name)
    run = artifacts.study_folder(CATEGORY, name) / "run.json"
    ended = files.read_json(run)["ended"]
    monkeypatch.setattr(runner, "_work", None)  # would fail if called
    stage.main(CATEGORY, name)
    assert cell_times(name) == before
    assert files.read_json(run)["ended"] == ended <= time.time(), "when the trainings did, not this call"
    pd.testing.assert_frame_equal(table(name), reported)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_intervals_hold_is_said_in_files_and_beneath_the_figure(trained, monkeypatch, name):
    captions, drawn = [], study_charts.charts
    monkeypatch.setattr(study_charts, "charts", lambda *given: captions.append(given[2]) or drawn(*given))
    stage.main(CATEGORY, name)
    said = summary(name)
    assert said["interval"] in captions[0]
    assert "several comparisons" in said["interval"]
    over_draws = "draws of the noise" in said["interval"]
    assert over_draws == ("one training each" in " ".join(said["notes"])) == (name == "noise")


def test_a_killed_study_goes_on_with_the_cells_that_are_missing(trained):
    before, reported = cell_times("labels"), table("labels")
    folder = artifacts.study_folder(CATEGORY, "labels") / "cells"
    lost = sorted(folder.glob("*.json"))[:2]
    lost[0].unlink()  # killed between the two files of a cell
    lost[1].unlink()
    lost[1].with_suffix(".csv").unlink()
    stage.main(CATEGORY, "labels")
    changed = {name for name, when in cell_times("labels").items() if before[name] != when}
    assert {Path(name).stem for name in changed} == {path.stem for path in lost}
    pd.testing.assert_frame_equal(table("labels"), reported)


def test_a_changed_level_reruns_its_cells_alone_and_forgets_the_old_ones(restored):
    before, levels = cell_times("labels"), params.value("studies.labels.levels")
    project.edit_study("labels", levels=[0, 3])
    stage.main(CATEGORY, "labels")
    after = cell_times("labels")
    project.edit_study("labels", levels=levels)
    stage.main(CATEGORY, "labels")
    assert len(after.keys() - before.keys()) == len(before.keys() - after.keys()) == 2 * MIN_SEEDS
    assert all(before[name] == after[name] for name in before.keys() & after.keys())


def test_another_false_alarm_rate_sets_every_threshold_anew_and_trains_nothing(trained, monkeypatch):
    """Also that of the detector that the study trained itself."""
    monkeypatch.setattr(fitting, "fit", None)  # would fail if called
    study = runner.opened(CATEGORY, "noise")

    def thresholds():
        study.prepare(artifacts.study_folder(CATEGORY, "noise"))
        return {arm: study.threshold_of(arm) for arm in study.folders}

    before, kept = thresholds(), artifacts.threshold_settings_file(CATEGORY, "ni_cae").read_text()
    for rate in (0.6, 0.05):
        for name in ("kd_cae", "ni_cae"):
            settings = json.loads(kept) | {"false_alarm_rate": rate}
            files.write_json(artifacts.threshold_settings_file(CATEGORY, name), settings)
            score.main(CATEGORY, name)
        if rate == 0.6:
            lower = thresholds()
    assert all(lower[arm] < before[arm] for arm in ("kd_cae", "ni_cae", noise.WITHOUT))
    assert thresholds() == before


def test_what_a_killed_training_left_is_cleared_away_once_other_settings_hold(trained):
    models = artifacts.study_folder(CATEGORY, "noise") / "models"
    before = set(models.iterdir())
    (models / f"{'0' * 16}.checkpoint").write_bytes(b"of other epochs")
    (models / f"{'1' * 16}.part").mkdir()
    stage.main(CATEGORY, "noise")
    assert set(models.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("noise", "studies/noise.py"),
        ("labels", "studies/labels.py"),
        ("generated", "studies/generated.py"),
        ("generated", "generators/dcgan.py"),
        ("contamination", "studies/contamination.py"),
        ("light", "studies/components/perturbations.py"),
        ("samples", "studies/samples.py"),
        (None, "reports/figures/study_charts.py"),
    ],
)
def test_changed_code_reworks_the_cells_that_it_made(trained, monkeypatch, name, changed):
    monkeypatch.setattr(
        code_hash, "code_hash", code_hash.code_hash.__wrapped__
    )  # the cached one sees no change
    made = {study: runner.opened(CATEGORY, study) for study in NAMES}
    made["noise"].prepare(artifacts.study_folder(CATEGORY, "noise"))

    def keys():
        firsts = {study: one.cells()[0] for study, one in made.items()}
        return {s: runner.key(c.facts, made[s].inputs, made[s].code) for s, c in firsts.items()}

    before, read = keys(), Path.read_bytes
    altered = code_hash.ROOT / "mlproject" / changed
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"CHANGED = 1" * (path == altered))
    after = keys()
    assert {study for study in NAMES if before[study] != after[study]} == ({name} if name else set())


def test_workers_change_no_score(restored, tmp_path):
    inputs = StudyInputs.load(CATEGORY)
    study = runner.opened(CATEGORY, "generated")
    wanted = [cell for cell in study.cells() if cell.arm == "cnn" and cell.level == 0]
    folder = artifacts.study_folder(CATEGORY, "generated") / "cells"
    here = runner.run_all(study, wanted, tmp_path / "one", 1, lambda *progress: None)
    there = runner.run_all(study, wanted, tmp_path / "two", 2, lambda *progress: None)
    assert {runner.key(cell.facts, inputs, study.code) for cell in wanted} <= {
        path.stem for path in folder.iterdir()
    }
    for cell in wanted:
        pd.testing.assert_frame_equal(here[cell], there[cell], check_exact=True)


def test_every_arm_is_evaluated_on_the_same_held_out_images(trained):
    inputs = StudyInputs.load(CATEGORY)
    held_out = inputs.data.paths(inputs.test[inputs.held_out])
    for name in ("labels", "generated"):
        for path in (artifacts.study_folder(CATEGORY, name) / "cells").glob("*.csv"):
            scores = read_table(path)
            assert scores.loc[scores["subset"] == "held_out", "path"].tolist() == held_out
            facts = json.loads(path.with_suffix(".json").read_text())["facts"]
            assert not set(facts.get("labelled_defects", [])) & set(held_out)
    everyone = table("labels").query("series == 'labels'")
    assert set(everyone["arm"]) == {"cnn", "kd_cae", "ni_cae", "pca"}
    assert len(everyone[["n_good", "n_defective"]].drop_duplicates()) == 1


@pytest.mark.parametrize("model", ["kd_cae", "ni_cae"])
def test_without_noise_the_scores_are_those_recorded(trained, model):
    study = runner.opened(CATEGORY, "noise")
    study.prepare(artifacts.study_folder(CATEGORY, "noise"))
    (cell,) = (cell for cell in study.cells() if (cell.arm, cell.level) == (model, 0))
    recorded = study.inputs.recorded_scores(model)
    np.testing.assert_array_equal(study.run(cell)["score"], recorded["score"])
    row = table("noise").query("arm == @model and level == 0").iloc[0]
    assert row["auroc"] == pytest.approx(metrics.auroc(recorded["label"], recorded["score"]))


def test_noise_has_the_variance_that_was_asked_for():
    images = np.full((4, 48, 48, 3), 128, np.uint8)
    for colour in ("grey", "grey3", "rgb"):
        settings = {"image_size": 32, "colour": colour}
        made = noise.noisy(images, settings, "gaussian", 0.01, seed=0) / 255
        assert made.shape == (4, 32, 32, 3)
        assert made.var() == pytest.approx(0.01, rel=0.1)
        seen = fitting.as_seen((made * 255).round().astype(np.uint8), settings)
        np.testing.assert_array_equal(seen / 255, made)  # the model makes nothing else of it


def test_more_labels_hold_those_of_fewer(trained):
    study = runner.opened(CATEGORY, "labels")
    chosen = {
        (cell.seed, cell.level): set(cell.facts["labelled_defects"])
        for cell in study.cells()
        if cell.series == "labels"
    }
    levels = sorted({level for _, level in chosen})
    assert levels == [0, 2, 8]  # half of 12 bars and of 5 spots, the odd one held out; 50 are not there
    for seed in range(MIN_SEEDS):
        assert chosen[seed, 0] < chosen[seed, 2] < chosen[seed, 8]
        assert len(chosen[seed, 2]) == 2
    assert "50 labels" in " ".join(summary("labels")["notes"])


def test_a_cell_learns_from_the_pools_good_images_and_the_labelled_defects_alone(trained, monkeypatch):
    study, given = runner.opened(CATEGORY, "labels"), []
    monkeypatch.setattr(fitting, "fit", lambda *given_to_fit: given.append(given_to_fit[3]))
    monkeypatch.setattr(fitting, "scored", lambda *_: None)
    cell = next(cell for cell in study.cells() if (cell.series, cell.level) == ("labels", 2))
    study.run(cell)
    inputs, (labelled,) = study.inputs, given
    pool = inputs.data.paths(inputs.test[~inputs.held_out & (study.label == 0)])
    assert sorted(labelled.originals) == sorted([*pool, *cell.facts["labelled_defects"]])


def test_a_left_out_type_is_not_learnt_and_alone_is_evaluated(trained):
    study = runner.opened(CATEGORY, "labels")
    for cell in study.cells():
        if cell.arm == "cnn_without_type":
            kind = cell.series.removeprefix("type_left_out: ")
            assert not [path for path in cell.facts["labelled_defects"] if f"/{kind}/" in path]
    left = table("labels").query("series == 'type_left_out'").set_index(["arm", "subset"])
    assert left.loc[("cnn_without_type", "spot"), "n_defective"] == 3
    assert left.loc[("pca", "rare"), "n_defective"] == 1
    assert set(left["n_good"]) == {6}
    assert "rare has too few images for the pool" in " ".join(summary("labels")["notes"])


def test_a_bad_generator_is_named_beside_what_its_images_did(trained):
    project.write_verdict(collapsed="all the same", unlike="far off")
    stage.main(CATEGORY, "generated")
    project.write_verdict(collapsed=None)
    notes = " ".join(summary("generated")["notes"])
    assert "The generator has collapsed: all the same." in notes
    assert "The generator has made images unlike the training images: far off." in notes


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("generated", {"generators_used": []}, "generators_used"),
        ("noise", {"detectors": ["pca"]}, "neither ni_cae nor kd_cae"),
        ("labels", {"detectors": ["cnn"]}, "no unsupervised"),
    ],
)
def test_what_cannot_be_made_is_a_reported_gap(restored, tmp_path, monkeypatch, name, changes, reason):
    (tmp_path / "data").symlink_to(restored / "data")
    monkeypatch.chdir(tmp_path)
    project.write_params(**changes)
    stage.main(CATEGORY, name)
    assert reason in summary(name)["gap"]
    assert table(name).empty
    assert (artifacts.study_report_folder(CATEGORY, name) / f"figures/{name}.png").is_file()
