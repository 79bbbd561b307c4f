"""What studies say of scores, by hand: intervals, differences, from how many labels."""

import numpy as np
import pandas as pd
import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject.core import artifacts
from mlproject.core.params import Threshold
from mlproject.data.prepare import prepare_category
from mlproject.evaluation import metrics, paired_comparison
from mlproject.studies.components import runner, tables
from mlproject.studies.components.base import Cell
from mlproject.studies.results import labels as labels_result
from mlproject.studies.results import noise as noise_result
from mlproject.training import code_hash

LABELS = np.array([0, 0, 1, 1])
APART, MIXED = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.1, 0.8, 0.2, 0.9])  # AUROC 1 and .75


def group(*rows, arm="cnn", level=1, at=0.5):
    scores = np.stack(rows)
    return tables.Group("labels", arm, level, "held_out", LABELS, scores, [at] * len(scores))


def test_a_row_is_the_mean_over_trainings():
    row = tables.row(group(APART, MIXED), 200)
    assert (row["auroc"], row["seeds"], row["n_good"], row["n_defective"]) == (0.875, 2, 2, 2)
    assert row["auroc_spread"] == pytest.approx(np.std([1, 0.75], ddof=1))
    assert row["recall"] == pytest.approx((1 + 0.5) / 2)
    assert row["false_alarm_rate"] == pytest.approx((0 + 0.5) / 2)
    assert row["all_defective_f1"] == pytest.approx(2 / 3)


def test_the_interval_of_a_difference_of_two_trainings_is_that_of_two_models():
    rng = np.random.default_rng(1)
    labels, scores = np.repeat([0, 1], [25, 30]), np.round(rng.normal(size=(2, 55)), 1)  # with ties
    one, other = (tables.Group("labels", "cnn", 1, "held_out", labels, row[None], [None]) for row in scores)
    found = tables.comparison(one, other, "other", 500)
    names = ("difference", "low", "high")
    expected = paired_comparison.differences(labels, {"one": scores[0], "other": scores[1]}, 500)
    assert [found[name] for name in names] == pytest.approx([expected["one"]["other"][n] for n in names])


def test_a_difference_is_paired():
    """Against itself every resample says 0, though each AUROC's own interval is wide."""
    one, same = group(MIXED, MIXED), group(MIXED, arm="pca", level=0)
    found = tables.comparison(one, same, "pca", 200)
    assert (found["difference"], found["low"], found["high"], found["clear"]) == (0, 0, 0, "unclear")
    assert tables.row(same, 200)["auroc_high"] > tables.row(same, 200)["auroc_low"]


def test_a_class_that_is_missing_leaves_cells_empty():
    alone = tables.Group("labels", "cnn", 0, "held_out", np.zeros(4, int), APART[None], [0.5])
    row = tables.row(alone, 200)
    assert np.isnan(row["auroc"])
    assert np.isnan(row["f1"])
    assert row["false_alarm_rate"] == 0.5
    assert tables.comparison(alone, alone, "itself", 200) is None


def test_groups_of_different_images_are_refused():
    one = pd.DataFrame({"path": ["a", "b"], "subset": "held_out", "label": [0, 1], "score": [0.0, 1.0]})
    with pytest.raises(ValueError, match="different images"):
        tables.group("labels", "cnn", 1, "held_out", [one, one.assign(path=["a", "c"])], [None, None])


def test_of_clean_images_ni_cae_has_what_the_papers_rule_decides():
    """The threshold with the fewest errors on these labels: 0 of APART, 1 of MIXED."""
    about = pd.DataFrame({"path": list("abcd"), "subset": "test", "label": LABELS})
    scores = {"ni_cae": APART, "ni_cae_without_noise": MIXED, "kd_cae": APART}
    scored = {
        Cell(arm, level, 0, series, {}): about.assign(score=values if level == 0 else values[::-1])
        for arm, values in scores.items()
        for level, series in ((0, noise_result.CLEAN), (0.05, "gaussian"))
    }
    found = noise_result.result(scored, dict.fromkeys(scores, 0.5), 100, [], "fewest_errors").facts["paper"]
    assert {arm: one["f1"] for arm, one in found.items()} == {
        "ni_cae": 1,
        "ni_cae_without_noise": pytest.approx(2 / 3),
    }
    assert all(one["sees_test_labels"] for one in found.values())


@pytest.mark.parametrize(
    ("clear", "needed"),
    [
        ({0: "below", 1: "unclear", 5: "above", 20: "above"}, 5),
        ({0: "below", 1: "above", 5: "unclear", 20: "above"}, 20),  # above once, and then no more, is luck
        ({0: "below", 1: "above", 5: "above", 20: "unclear"}, None),
        ({0: "above", 1: "above", 5: "above", 20: "above"}, 0),
    ],
)
def test_labels_needed_is_from_where_on_the_interval_stays_above(clear, needed):
    comparisons = [
        {"series": "labels", "against": "pca", "level": level, "clear": word} for level, word in clear.items()
    ]
    assert labels_result.labels_needed(comparisons, ["pca"]) == {"pca": needed}
    rows = [{"series": "labels", "arm": "cnn", "level": level, "auroc": 0.9} for level in clear]
    rows.append({"series": "labels", "arm": "pca", "level": 0, "auroc": 0.6})
    sentence = labels_result.statement("pca", needed, rows, comparisons, 20)
    assert sentence.startswith("With all 20" if needed is None else f"From {needed} labelled defects on")


def test_code_that_a_model_stands_on_changes_its_key_and_other_code_does_not():
    reached = {
        path.relative_to(code_hash.ROOT).as_posix() for path in code_hash.reached(("mlproject.models.pca",))
    }
    assert {
        "mlproject/models/pca.py",
        "mlproject/models/components/detector.py",
        "mlproject/models/components/anomaly_maps.py",
    } <= reached
    assert not {"mlproject/models/cnn.py", "mlproject/tracking/runs.py"} & reached
    assert code_hash.code_hash("mlproject.models.pca") != code_hash.code_hash("mlproject.models.cnn")


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """A project folder with nothing but photos and params.yaml; prepare with what the test changes."""
    monkeypatch.chdir(tmp_path)
    project.write_params()

    def prepare(**counts):
        project.write_photos(artifacts.RAW / CATEGORY, project.COUNTS | counts)
        prepare_category(artifacts.RAW / CATEGORY, artifacts.PREPARED / CATEGORY, 64)

    return prepare


def run_cell(level, **changes):
    project.edit_study("labels", **changes)
    study = runner.opened(CATEGORY, "labels")
    cell = next(c for c in study.cells() if (c.series, c.level) == ("labels", level))
    scores = study.run(cell)
    held_out = scores[scores["subset"] == "held_out"]
    return metrics.auroc(held_out["label"], held_out["score"])


def test_with_all_labels_the_cnn_learns_what_a_defect_is(untrained):
    untrained(**{"test/good": 40, "test/bar": 40, "test/spot": 40, "test/rare": 0})
    assert run_cell(40, levels=[0], epochs=25, patience=25) > 0.85


def test_without_a_defect_in_the_pool_only_none_are_tried(untrained):
    untrained(**{"test/bar": 1, "test/spot": 1, "test/rare": 1})
    study = runner.opened(CATEGORY, "labels")
    assert {(cell.series, cell.level) for cell in study.cells()} == {("labels", 0)}
    assert run_cell(0) is not None
    assert "cnn" not in runner.opened(CATEGORY, "generated").arms


def test_a_confidence_holds_in_studies_too():
    good, asked = np.arange(30.0), Threshold(false_alarm_rate=0.1, confidence=0.9, strict=False)
    assert tables.threshold(good, asked) == 29
    assert tables.unsupported("cnn", 30, asked) == []
    (note,) = tables.unsupported("cnn", 20, asked)
    assert "0.109 at best (with confidence 0.9), not the 0.1 asked for" in note
