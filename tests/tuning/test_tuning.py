"""Tunings: same seed same trials, resumed as if never cut off, no test image seen, no failure in silence."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import support.tuning_project as project
from support.tuning_project import report, results, trials, tune, tuned

from mlproject import models
from mlproject.core import params
from mlproject.core.errors import UserError
from mlproject.core.tables import read_table, write_table
from mlproject.data import prepared, split
from mlproject.evaluation import thresholds
from mlproject.models.pca import PCA
from mlproject.training import run_settings
from mlproject.tuning import (
    data,
    objective,
    objective_check,
    plan,
    proxy_defects,
    run,
    search,
    storage,
    trial,
    workers,
)

pytest_plugins = ["support.tuning_project"]


@pytest.fixture
def other(tuning_home, tmp_path_factory, prepared_disc):
    """Another folder with the same category."""
    made = tmp_path_factory.mktemp("other")
    project.fill(made, prepared_disc)
    return made


def test_same_seed_same_trials_other_seed_others(tuning_home, other, monkeypatch):
    tune("ni_cae", trials=3)
    monkeypatch.chdir(other)
    tune("ni_cae", trials=3)
    assert results("ni_cae", tuning_home) == results("ni_cae", other)
    monkeypatch.chdir(tuning_home)
    shutil.rmtree("artifacts")
    tune("ni_cae", trials=3, seed=1)
    assert results("ni_cae", tuning_home)[1:] != results("ni_cae", other)[1:]


def test_a_tuning_continued_is_the_tuning_run_at_once(tuning_home, other, monkeypatch, capsys):
    """12 trials: past those drawn at random, so the sampler's memory is what the storage gives it."""
    for wanted in (2, 9, 12):
        tune(trials=wanted)
    # each line tells the best so far, of the earlier calls too
    values = [one["verdict"]["value"] if one["verdict"] else 0.0 for one in trials()]
    told = [float(best) for best in re.findall(r"  trial \d+ .*  best ([\d.]+)", capsys.readouterr().out)]
    assert told == pytest.approx(np.maximum.accumulate(values), abs=5e-5)
    monkeypatch.chdir(other)
    tune(trials=12)
    assert len(results(folder=tuning_home)) == 12
    assert results(folder=tuning_home) == results(folder=other)


def test_the_first_trial_is_the_settings_as_they_are(tuning_home):
    tune("kd_cae", trials=1)
    ((first,), settings) = trials("kd_cae"), plan.load("disc", "kd_cae").facts["settings"]
    assert first["values"]["latent_channels"] == settings["latent_channels"]
    assert tuned("kd_cae")["settings"] == settings
    assert report("kd_cae")["start_trial"] == first["number"]


def test_test_images_and_their_labels_do_not_touch_the_objective(tuning_home, other, monkeypatch):
    prepared = other / "data/prepared/disc"
    manifest = pd.read_csv(prepared / "manifest.csv")
    test = (manifest["split"] == "test").to_numpy()
    images = np.load(prepared / "images.npy")
    images[test] = np.random.default_rng(0).integers(0, 256, images[test].shape)
    np.save(prepared / "images.npy", images)
    manifest.loc[test, "label"] = 1 - manifest.loc[test, "label"]
    manifest.to_csv(prepared / "manifest.csv", index=False)
    tune(trials=4)
    fair = report()["sealed"]
    monkeypatch.chdir(other)
    tune(trials=4)
    assert results(folder=tuning_home) == results(folder=other)
    assert report()["sealed"] != fair, "the sealed evaluation alone opens them"


def test_the_labelled_objective_sees_its_half_and_is_evaluated_on_the_other(tuning_home):
    planned = plan.load("disc", "pca", objective="labelled")
    seen, (unseen, labels) = data.prepare(planned), objective_check._test_images("disc", 0, "labelled")
    assert set(seen.kinds) == {"good", "bar"}
    assert len(seen.images) + len(unseen) == 12
    assert not {image.tobytes() for image in seen.images} & {image.tobytes() for image in unseen}
    tune(trials=2, objective="labelled")
    assert (report()["sealed"]["n_good"], report()["sealed"]["n_defective"]) == (3, 3)
    assert list(np.bincount(labels)) == [3, 3]
    halves = {"data_hash": planned.facts["data_hash"], "split_seed": 0}
    assert run_settings.read_tuned(Path("data/tuned/disc/pca.yaml")).labels == halves


def test_proxy_images_are_held_out_good_images_with_defects(tuning_home):
    images = data.prepare(plan.load("disc", "pca"))
    names = ("train", "validation", "examined")
    roles = [{image.tobytes() for image in getattr(images, name)} for name in names]
    assert not roles[0] & roles[1] | roles[0] & roles[2] | roles[1] & roles[2]
    assert len(images.images) == len(images.examined) * len(set(images.kinds))
    differs = (images.images != np.tile(images.examined, (len(set(images.kinds)), 1, 1, 1))).any(axis=3)
    assert (differs.mean(axis=(1, 2)) < 0.25).all()


@pytest.mark.parametrize("objective", ["proxy", "labelled"])
def test_a_tuning_sees_no_image_that_will_set_the_threshold(tuning_home, objective):
    planned = plan.load("disc", "pca", objective=objective)
    images, category = data.prepare(planned), prepared.load("disc")
    good = category.rows(split="train")
    share = planned.facts["split"]["validation_share"]
    roles = split.split(category.paths(good), share, planned.facts["seed"], "half")
    kept = {image.tobytes() for image in category.images[good[roles.calibration]]}
    seen = (images.train, images.validation, images.examined, images.images)
    assert not kept & {image.tobytes() for part in seen for image in part}
    assert images.n_calibration == len(kept) > 0
    assert len(images.train) + len(images.examined) == len(roles.train)


def test_with_cross_too_half_of_the_held_out_images_are_not_seen(tuning_home):
    seen = data.prepare(plan.load("disc", "pca"))
    project.edit(lambda tree: tree["split"].update(calibration="cross"))
    assert np.array_equal(data.prepare(plan.load("disc", "pca")).validation, seen.validation)


def test_of_copies_one_is_examined_and_one_will_set_the_threshold(tuning_home):
    planned, manifest = plan.load("disc", "pca"), Path("data/prepared/disc/manifest.csv")
    before, table = data.prepare(planned), read_table(manifest)
    roles = prepared.load("disc").roles(params.Split(**planned.facts["split"]), planned.facts["seed"])
    for rows in (roles.train, roles.calibration):
        table.loc[rows, "original"] = table.loc[rows[: len(rows) // 2].repeat(2), "path"].to_numpy()
    write_table(manifest, table)
    after = data.prepare(planned)
    assert after.n_calibration == before.n_calibration / 2
    assert len(after.examined) == (len(roles.train) - len(after.train)) / 2 > 0


def test_training_images_that_are_scored_without_themselves_count_as_the_thresholds(tuning_home):
    category = prepared.load("disc")
    images = data.prepare(plan.load("disc", "patch_kde"))
    assert images.n_calibration == thresholds.uncopied(category.originals(category.rows(split="train"))).sum()


def test_settings_that_do_not_fit_are_a_failed_trial_with_its_reason(tuning_home):
    tune(trials=8)
    failed = [trial for trial in trials() if trial["state"] == "failed"]
    assert failed, "components is drawn up to 64, there are 32 training images"
    assert all("training images have" in trial["reason"] for trial in failed)
    assert report()["failed"] == len(failed)
    assert report()["complete"] == 8 - len(failed)


def test_a_mistake_in_the_code_ends_the_tuning_and_is_no_pruned_trial(tuning_home, monkeypatch):
    monkeypatch.setattr(PCA, "measure", lambda self, images: {}["no such key"])
    with pytest.raises(KeyError):
        tune()
    (failed,) = trials()
    assert (failed["state"], failed["reason"]) == ("failed", "KeyError: 'no such key'")
    assert not Path("data/tuned/disc/pca.yaml").exists()


def test_a_tuning_in_which_nothing_works_stops_and_says_why(tuning_home, monkeypatch):
    def refuse(self, *arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(PCA, "fit", refuse)
    with pytest.raises(UserError, match="first 5 trials failed: RuntimeError: out of memory"):
        tune(trials=30)
    assert [trial["state"] for trial in trials()] == ["failed"] * 5


def test_a_trial_worse_than_the_median_is_pruned_and_leaves_no_model(tuning_home, monkeypatch):
    monkeypatch.setattr(trial, "FIRST_RUNG", 1)
    monkeypatch.setattr(storage, "UNPRUNED_TRIALS", 2)
    project.edit(lambda tree: tree["models"]["ni_cae"].update(epochs=6, patience=6))
    tune("ni_cae", trials=8)
    found = trials("ni_cae")
    pruned = [trial for trial in found if trial["state"] == "pruned"]
    assert pruned
    for ended in pruned:
        epoch = max(ended["rungs"], key=int)
        earlier = [t["rungs"][epoch] for t in found[: ended["number"]] if t["state"] == "complete"]
        assert ended["rungs"][epoch] <= np.median(earlier)
        assert "worse than the median" in ended["reason"]
        assert len(ended["history"]) == int(epoch)
    folders = {path.parent.name for path in Path("artifacts/disc/ni_cae/study").glob("*/trials/*/model")}
    assert folders == {f"{trial['number']:04d}" for trial in found if trial["state"] == "complete"}
    assert report("ni_cae")["pruned"] == len(pruned)


def test_evaluation_during_training_changes_no_weight(tuning_home, monkeypatch):
    monkeypatch.setattr(trial, "FIRST_RUNG", 1)
    project.edit(lambda tree: tree["models"]["kd_cae"].update(epochs=3, patience=3))
    tune("kd_cae", trials=1)
    project.edit(lambda tree: tree["tune"].update(prune=False))
    tune("kd_cae", trials=1)
    with_rungs, without = sorted(trials("kd_cae"), key=lambda trial: -len(trial["rungs"]))
    assert (len(with_rungs["rungs"]), len(without["rungs"])) == (2, 0)
    assert with_rungs["history"] == without["history"]
    assert with_rungs["verdict"] == without["verdict"]


def test_epochs_without_a_validation_loss_are_neither_evaluated_nor_counted(tuning_home):
    """AnoGAN's first epochs are its GAN's: an encoder that has learnt nothing would decide who is pruned.

    Were they counted, its encoder would never meet a rung: with 50 epochs each these are 48 and 96.
    """
    project.edit(lambda tree: tree["models"]["anogan"].update(epochs=4, patience=4, filters=2))
    tune("anogan", trials=1)
    (only,) = trials("anogan")
    assert only["state"] == "complete"
    assert ["validation_loss" in row for row in only["history"]] == [False] * 4 + [True] * 4
    assert set(only["rungs"]) == {"7"}, "the encoder's third"


def test_a_kept_model_scores_as_its_trial_said(tuning_home):
    tune("ni_cae", trials=2)
    planned = plan.load("disc", "ni_cae", trials=2)
    images = data.prepare(planned)
    for kept in trials("ni_cae"):
        detector = models.load(planned.trial_folder(kept["number"]) / "model")
        rate = kept["values"]["threshold.false_alarm_rate"]
        again = images.evaluate(detector, rate, params.Threshold(false_alarm_rate=rate, strict=False))
        assert again.value == kept["verdict"]["value"]
        by_kind = objective._by_kind(images.by_image(detector))
        assert dict(zip(proxy_defects.KINDS, by_kind, strict=True)) == pytest.approx(again.by_kind)


def test_the_advice_allows_for_every_trial_that_the_best_was_chosen_from(tuning_home, monkeypatch):
    monkeypatch.setattr(run.results, "best", lambda tuning: search.complete(tuning)[-1])
    asked = []
    compare = objective.advantage
    monkeypatch.setattr(objective, "advantage", lambda *given: asked.append(given) or compare(*given))
    tune(trials=4)
    ((best, start, tried, _),) = asked
    assert best.shape == start.shape == (len(data.prepare(plan.load("disc", "pca")).examined), 10)
    assert tried == report()["complete"] + report()["pruned"] - 1
    found = report()["advantage"]
    assert found["shown"] == (found["luck"] < objective.LUCK)
    assert "(no interval: it takes 10 trials)" in run.in_words(report())


def test_a_confidence_leaves_out_the_rates_that_too_few_images_bound_with_it(tuning_home):
    """Four images will set the threshold: half of the time they bound no rate below 1 − .5 ** (1 / 4)."""
    project.edit(lambda tree: tree["threshold"].update(confidence=0.5))
    planned = plan.load("disc", "pca")
    images = data.prepare(planned)
    assert images.n_calibration == 4
    rates = search._space(planned, images)["threshold.false_alarm_rate"]
    assert rates.low == pytest.approx(1 - 0.5 ** (1 / 4))


def test_fewer_epochs_for_trials_are_not_what_is_written(tuning_home):
    tune("ni_cae", trials=1, epochs=1)
    assert len(trials("ni_cae")[0]["history"]) == 1
    assert tuned("ni_cae")["settings"]["epochs"] == 2
    assert tuned("ni_cae")["study"]["epochs"] == 1


def test_a_stopped_tuning_leaves_the_best_so_far_and_the_test_set_closed(tuning_home, monkeypatch):
    opened = []
    monkeypatch.setattr(objective_check, "evaluate", lambda *arguments: opened.append(arguments))
    original = search._run

    def stop_after_two(*arguments):
        content = original(*arguments)
        if content["number"] == 1:
            monkeypatch.setattr(workers.search, "ask", lambda *_: None)
            os.kill(os.getpid(), signal.SIGINT)
        return content

    monkeypatch.setattr(search, "_run", stop_after_two)
    with pytest.raises(run.Stopped, match="4 of 6 trials left"):
        tune(trials=6)
    assert tuned()["study"]["complete"] == 2
    assert not opened
    assert not Path("reports/categories/disc/pca/tuning.json").exists()


def test_each_opening_of_the_test_set_is_counted_over_all_tunings_of_the_model(tuning_home, capsys):
    tune(trials=2)
    assert report()["sealed"]["opened"] == 1
    assert "opened" not in capsys.readouterr().out
    tune(trials=3)
    project.edit(
        lambda tree: tree["split"].update(validation_share=0.3)
    )  # another tuning, with a key of its own
    tune(trials=2)
    assert report()["sealed"]["opened"] == 3
    assert "The test set was opened 3 times for tunings of this model" in capsys.readouterr().out


def test_the_best_settings_are_a_file_that_the_pipeline_takes(tuning_home):
    tune(trials=6)
    best = max((t for t in trials() if t["verdict"]), key=lambda t: (t["verdict"]["value"], -t["number"]))
    written = run_settings.read_tuned(Path("data/tuned/disc/pca.yaml"))
    assert written.study["trial"] == best["number"]
    assert written.settings["components"] == best["values"]["components"]
    assert written.threshold.false_alarm_rate == best["values"]["threshold.false_alarm_rate"]
    models.create("pca", written.settings)


def test_plots_are_pages_without_the_network_and_pictures(tuning_home, plots):
    tune(trials=6)
    pages = sorted(Path("artifacts/disc/pca/study").glob("*/plots/*.html"))
    assert [page.stem for page in pages] == ["history", "importance", "parallel", "slice"]
    assert all('src="http' not in page.read_text() for page in pages)
    pictures = sorted(Path("reports/categories/disc/pca/tuning").glob("*.png"))
    assert [picture.stem for picture in pictures] == ["history", "importance", "parallel", "slice"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("disk", "pca", {}), "Did you mean disc"),
        (("disc", "pcb", {}), "Did you mean pca"),
        (("disc", "pca", {"objective": "labeled"}), "Did you mean labelled"),
        (("disc", "cnn", {}), "learns from labelled"),
        (("disc", "pca", {"storage": "nonsense"}), "cannot be used"),
    ],
)
def test_mistakes_are_a_line_of_text(tuning_home, arguments, message):
    category, model, options = arguments
    with pytest.raises(UserError, match=message):
        run.tune(category, model, **options)
    assert json.loads(json.dumps(trials("pca"))) == []
