"""Study light: each change of an image exactly, and what the study says of scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import support.study_project as project
from support.study_project import CATEGORY

from mlproject.core.errors import UserError
from mlproject.studies.components import perturbations, runner
from mlproject.studies.components.base import Cell
from mlproject.studies.results import light as light_result


def grey(rows):
    """A (h, w, 3) image of equal channels."""
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


RAMP = grey([[0, 50, 100, 250]] * 4)


@pytest.mark.parametrize(
    ("made", "row"),
    [
        (perturbations.brightness(RAMP, 1.1), [0, 55, 110, 255]),
        (perturbations.brightness(RAMP, 0.5), [0, 25, 50, 125]),
        (perturbations.contrast(RAMP, 0.5), [50, 75, 100, 175]),  # about the mean, 100
        (perturbations.contrast(RAMP, 2), [0, 0, 100, 255]),
        (perturbations.shading(grey([[100] * 5] * 5), 0.4), [80, 90, 100, 110, 120]),
        (perturbations.shading(grey([[100] * 5] * 5), -0.4), [120, 110, 100, 90, 80]),
        (perturbations.shift(RAMP, 0, 1), [50, 0, 50, 100]),  # to the right; mirrored at the border
        (perturbations.shift(RAMP, 0, -2), [100, 250, 100, 50]),
        (perturbations.shift(RAMP, 3, 0), [0, 50, 100, 250]),
    ],
)
def test_a_row_of_pixels_changes_as_it_should(made, row):
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, grey([row] * len(made)))


def test_a_shift_down_moves_rows_down():
    image = grey([[10], [20], [30]])
    np.testing.assert_array_equal(perturbations.shift(image, 1, 0), grey([[20], [10], [20]]))
    np.testing.assert_array_equal(perturbations.shift(image, -1, 0), grey([[20], [30], [20]]))


def test_a_turn_is_counter_clockwise_about_the_middle():
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(perturbations.turn(image, 90), np.rot90(image))
    small = perturbations.turn(image, 3)
    np.testing.assert_array_equal(small[4, 4], image[4, 4])
    assert (small != image).any()


def test_blur_spreads_a_point_by_a_gaussian_and_keeps_the_mean():
    point = np.zeros((21, 21, 3), np.uint8)
    point[10, 10] = 255
    made = perturbations.blur(point, 1)
    assert made[10, 10, 0] == round(255 / (2 * np.pi))  # .159 of it: the density of sigma 1 at its middle
    np.testing.assert_array_equal(made, made.transpose(1, 0, 2))
    flat = grey([[100] * 8] * 8)
    np.testing.assert_array_equal(perturbations.blur(flat, 2), flat)


def test_jpeg_loses_more_at_a_lower_quality():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    errors = [np.abs(perturbations.jpeg(image, q).astype(int) - image).mean() for q in (95, 50, 5)]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_the_direction_of_shift_and_turn_goes_round_and_nothing_else_depends_on_the_image_number():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    images = np.stack([image] * 5)
    right, down, left, up, again = perturbations.perturbed(images, "shift", 2)
    expected = [perturbations.shift(image, *move) for move in ((0, 2), (2, 0), (0, -2), (-2, 0))]
    np.testing.assert_array_equal([right, down, left, up], expected)
    np.testing.assert_array_equal(again, right)
    turned = perturbations.perturbed(images, "turn", 3)
    np.testing.assert_array_equal(turned[:2], [perturbations.turn(image, 3), perturbations.turn(image, -3)])
    for kind, level in (("brightness", 0.9), ("contrast", 1.2), ("shading", 0.1), ("blur", 1), ("jpeg", 50)):
        changed = perturbations.perturbed(images, kind, level)
        assert (changed == changed[:1]).all()
        assert (changed != images).any()


@pytest.mark.parametrize("kind", perturbations.KINDS)
def test_the_unchanged_level_leaves_images_alone(kind):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    level = perturbations.KINDS[kind].unchanged
    np.testing.assert_array_equal(perturbations.perturbed(images, kind, level), images)


LABELS = np.array([0, 0, 1, 1])
APART, MIXED = [0.1, 0.2, 0.8, 0.9], [0.1, 0.8, 0.2, 0.9]  # AUROC 1 and .75


def scored(**changed):
    """A cell of unchanged images, and one for each `kind_level`; scores by name."""
    about = pd.DataFrame({"path": list("abcd"), "subset": "test", "label": LABELS})
    cells = {Cell("pca", 0, 0, light_result.CLEAN, {}): about.assign(score=APART)}
    for name, scores in changed.items():
        kind, level = name.split("_")
        cells[Cell("pca", float(level) / 10, 0, kind, {})] = about.assign(score=scores)
    return cells


@pytest.mark.parametrize(
    ("changed", "difference", "below"),
    [
        ({"brightness_9": APART, "contrast_11": APART}, 0, True),
        ({"brightness_9": APART, "shading_1": MIXED}, -0.25, False),
        ({"brightness_11": MIXED}, -0.25, False),
        ({"brightness_9": APART, "brightness_12": MIXED, "shading_3": MIXED}, 0, True),  # more than ±10 %
        ({"brightness_9": APART, "blur_1": MIXED}, 0, True),  # not light
    ],
)
def test_the_goal_for_light_is_checked_on_changes_of_up_to_a_tenth(changed, difference, below):
    found = light_result.result(scored(**changed), {"pca": 0.5}, 100, [])
    assert found.facts["relighting"]["pca"]["difference"] == difference
    assert found.facts["relighting"]["pca"]["below_goal"] == below
    words = "0.0000" if difference == 0 else "-0.2500"
    assert words in found.statements[0]
    assert ("): not less than 0.005." in found.statements[0]) != below


def test_the_worst_change_is_named_and_compared_with_unchanged_images():
    found = light_result.result(scored(turn_30=MIXED, blur_10=APART), {"pca": 0.5}, 100, [])
    assert found.statements == [
        "pca: AUROC 1.00 on unchanged images, at worst 0.75 (turn 3); false alarms 0%, at most 50% (turn 3)."
    ]
    rows = {(row["series"], row["level"]): row for row in found.rows}
    assert set(rows) == {("turn", 0), ("turn", 3), ("blur", 0), ("blur", 1)}
    assert rows["turn", 3]["false_alarm_rate"] == 0.5
    assert {one["against"] for one in found.comparisons} == {light_result.CLEAN}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project folder whose PCA and CNN are trained and scored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("light"))
        project.make(detectors=["pca", "cnn"], generators_used=[])
        yield


def test_an_unchanged_image_has_the_score_that_was_recorded(made):
    study = runner.opened(CATEGORY, "light")
    clean, relit, *_ = study.cells()
    recorded = study.inputs.recorded_scores("pca")["score"]
    np.testing.assert_array_equal(study.run(clean)["score"], recorded)
    assert (study.run(relit)["score"] != recorded).any()


def test_a_detector_that_learnt_from_test_images_is_evaluated_on_the_others(made):
    study = runner.opened(CATEGORY, "light")
    inputs = study.inputs
    for arm, evaluated in (("pca", inputs.test), ("cnn", inputs.test[inputs.held_out])):
        for cell in study.cells():
            if cell.arm == arm:
                assert study.run(cell)["path"].tolist() == inputs.data.paths(evaluated)
    assert "cnn learnt from half of these test images" in " ".join(study.notes())


def test_wrong_levels_are_named(made):
    before = Path("params.yaml").read_text()
    nothing = {kind: [] for kind in perturbations.KINDS}
    for changes, words in (
        ({"jpeg": [96]}, "studies.light.jpeg.0 is 96"),
        ({"brightness": [0]}, "studies.light.brightness.0 is 0"),
        ({"brigthness": [1]}, "Did you mean brightness"),
        (nothing, "no change has a level"),
    ):
        project.edit_study("light", **changes)
        with pytest.raises(UserError, match=words):
            runner.opened(CATEGORY, "light")
        Path("params.yaml").write_text(before)
