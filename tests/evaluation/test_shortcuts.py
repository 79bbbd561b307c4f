"""The shortcut probe: finds what needs no defect to be seen, and matching brightness removes it."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlproject.core import artifacts, files
from mlproject.core.errors import UserError
from mlproject.core.tables import write_table
from mlproject.data import prepared
from mlproject.evaluation import brightness, shortcuts
from mlproject.evaluation.metrics import auroc

ROOT = Path(__file__).resolve().parents[2]


def photos(seed: int, n: int, shift: float = 0.0) -> np.ndarray:
    """(n, 32, 32, 3) uint8 noisy parts on a grey ground; shift in grey levels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(120, 12, (n, 32, 32, 3))
    images[:, 10:22, 10:22] += rng.normal(40, 3, (n, 1, 1, 1))
    return np.clip(images + shift, 0, 255).astype(np.uint8)


def measure(images: np.ndarray, training_brightness: float = 0.5) -> dict[str, np.ndarray]:
    same = np.full(len(images), 32)
    return shortcuts.statistics(images, same, same, 100 * same, training_brightness)


def screw_like() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, test and labels as in MVTec's screw: good test images darker, defective ones brighter."""
    test = np.concatenate([photos(1, 20, shift=-14), photos(2, 30, shift=3)])
    return photos(0, 30), test, np.repeat([0, 1], [20, 30])


def test_brightness_that_separates_is_flagged() -> None:
    train, test, labels = screw_like()
    got = shortcuts.probe(measure(test, brightness.mean_brightness(train)), labels)
    assert got["flagged"]
    assert got["statistics"]["mean_brightness"] == 1
    assert got["statistics"]["brightness_distance"] == 0, "backwards, as on screw"
    assert abs(got["strongest_auroc"] - 0.5) == 0.5


def test_matching_brightness_removes_the_shortcut() -> None:
    train, test, labels = screw_like()
    matched = brightness.match_brightness(test, brightness.mean_brightness(train))
    assert matched.dtype == np.uint8 and matched.shape == test.shape
    values = measure(matched)
    assert 0.2 < auroc(labels, values["mean_brightness"]) < 0.8
    np.testing.assert_allclose(values["mean_brightness"], brightness.mean_brightness(train), atol=0.5 / 255)


@pytest.mark.parametrize("target", [0.02, 0.3, 0.8, 0.99, 1.0])
def test_clipped_images_still_reach_the_target(target: float) -> None:
    images = np.concatenate([photos(0, 3), photos(1, 3, shift=90), np.full((1, 32, 32, 3), 7, np.uint8)])
    matched = brightness.match_brightness(images, target)
    np.testing.assert_allclose(matched.mean(axis=(1, 2, 3)) / 255, target, atol=0.5 / 255)


def test_matching_scales_and_so_keeps_black_black() -> None:
    image = np.zeros((1, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(brightness.match_brightness(image, 0.5), image)
    image[0, :2] = 100
    np.testing.assert_array_equal(brightness.match_brightness(image, 75 / 255)[0, :, 0, 0], [150, 150, 0, 0])


def test_an_impossible_target_is_refused() -> None:
    with pytest.raises(UserError, match=r"must lie in \[0, 1\]"):
        brightness.match_brightness(photos(0, 1), 130.0)


def test_the_statistics_measure_what_they_are_named_for() -> None:
    image = np.zeros((4, 20, 40, 3), np.uint8)
    image[0] = (255, 51, 0)
    image[1, 5:15, 30:40] = 200  # a part at the right, in the middle of the height
    image[2, ::2] = 100
    image[3] = 51
    got = shortcuts.statistics(image, np.arange(4), np.arange(4) + 10, np.arange(4) + 20, 0.1)
    assert all(column.shape == (4,) and column.dtype == np.float64 for column in got.values())
    assert [got[f"mean_{name}"][0] for name in ("red", "green", "blue")] == pytest.approx([1, 0.2, 0])
    assert got["mean_brightness"][[0, 3]] == pytest.approx([0.4, 0.2])
    assert got["brightness_distance"][[0, 3]] == pytest.approx([0.3, 0.1])
    assert (got["foreground_x"][1], got["foreground_y"][1]) == pytest.approx((0.875, 0.5))
    assert (got["foreground_x"][3], got["foreground_y"][3]) == (0.5, 0.5), "no foreground: the middle"
    assert got["contrast"][2] == pytest.approx(50 / 255)
    assert got["sharpness"][2] > got["sharpness"][1] > got["sharpness"][3] == 0
    assert (got["width"][3], got["height"][3], got["file_size"][3]) == (3, 13, 23)


def test_mapped_images_in_batches_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photos(0, 13)
    files.write_array(tmp_path / "images.npy", images)
    whole = measure(images)
    monkeypatch.setattr(shortcuts, "BATCH", 4)
    batched = measure(files.read_array(tmp_path / "images.npy"))
    for name, column in whole.items():
        np.testing.assert_array_equal(batched[name], column, err_msg=name)


def test_the_probe_names_the_farthest_from_a_coin_toss_and_keeps_the_direction() -> None:
    labels = np.repeat([0, 1], 12)
    values = {
        "constant": np.full(24, 256.0),
        "upwards": np.repeat([1.0, 2, 4, 3, 5, 6], 4),
        "downwards": np.repeat([6.0, 5, 4, 3, 2, 1], 4),
    }
    assert shortcuts.probe(values, labels) == {
        "statistics": pytest.approx({"constant": 0.5, "upwards": 8 / 9, "downwards": 0}),
        "strongest": "downwards", "strongest_auroc": 0, "flagged": True,
    }  # fmt: skip
    del values["downwards"]
    assert not shortcuts.probe(values, labels)["flagged"]


@pytest.mark.parametrize(("value", "flagged"), [(0.9, True), (0.89, False), (0.1, True), (0.11, False)])
def test_flags_start_at_nine_tenths_either_way(value: float, flagged: bool) -> None:
    # Ten good images at 0 among 100 defective: the AUROC is the share of these above 0.
    column = np.concatenate([np.zeros(10), np.where(np.arange(100) < round(100 * value), 1.0, -1.0)])
    got = shortcuts.probe({"x": column}, np.repeat([0, 1], [10, 100]))
    assert (got["strongest_auroc"], got["flagged"]) == (pytest.approx(value), flagged)


@pytest.mark.parametrize(("good", "defective"), [(3, 3), (5, 5), (5, 10), (8, 8)])
def test_luck_is_not_flagged(good: int, defective: int) -> None:
    """Of 3 + 3 images one of twelve statistics that say nothing reaches .9 in over half of cases."""
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [good, defective])
    found = [
        shortcuts.probe({str(k): rng.normal(size=len(labels)) for k in range(12)}, labels) for _ in range(60)
    ]
    assert np.mean([one["flagged"] for one in found]) <= 0.05
    beyond = np.mean([abs(one["strongest_auroc"] - 0.5) >= 0.4 for one in found])
    assert good > 3 or beyond > 0.5


def test_a_shortcut_of_few_images_is_flagged_if_luck_hardly_gives_it() -> None:
    values = {"x": np.arange(15.0), "y": np.ones(15)}
    assert shortcuts.probe(values, np.repeat([0, 1], [5, 10]))["flagged"]


def test_without_defective_images_nothing_is_known() -> None:
    got = shortcuts.probe({"x": np.arange(3.0)}, np.zeros(3, int))
    assert got == {"statistics": {"x": None}, "strongest": None, "strongest_auroc": None, "flagged": False}


def test_the_stage_writes_the_probe_of_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train, test, labels = screw_like()
    folder = artifacts.PREPARED / "screw"
    files.write_array(folder / "images.npy", np.concatenate([train, test]))
    files.write_array(folder / "masks.npy", np.zeros((len(test), 32, 32), np.uint8))
    n = len(train) + len(test)
    manifest = pd.DataFrame({"path": [f"{k:03}.png" for k in range(n)], "category": "screw"})
    manifest["split"] = np.repeat(["train", "test"], [len(train), len(test)])
    manifest["defect"], manifest["label"] = "good", np.concatenate([np.zeros(len(train), int), labels])
    manifest["width"] = manifest["height"] = manifest["bytes"] = 32
    manifest["original"] = manifest["path"]
    write_table(folder / "manifest.csv", manifest)
    facts = {"category": "screw", "image_size": 32, "data_hash": "0" * 64, "pixels_hash": "0" * 64}
    files.write_json(folder / "prepared.json", facts)

    spec = importlib.util.spec_from_file_location("shortcuts_stage", ROOT / "pipelines/shortcuts.py")
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    stage.main("screw")

    written = files.read_json(artifacts.report_folder("screw") / "shortcuts.json")
    assert written == shortcuts.probe(
        shortcuts.statistics(test, *np.full((3, len(test)), 32), brightness.mean_brightness(train)), labels
    )
    assert written["flagged"] and written["statistics"]["width"] == 0.5
    found = shortcuts.of_test_images(prepared.load("screw"))["brightness_distance"]
    distances = test.mean(axis=(1, 2, 3)) / 255 - brightness.mean_brightness(train)
    np.testing.assert_allclose(found, np.abs(distances), atol=1e-6)


@pytest.mark.parametrize(("category", "expected"), [("bottle", 0.45), ("transistor", 0.67)])
def test_real_categories_are_not_sorted_by_brightness(
    real_mvtec: Path, category: str, expected: float
) -> None:
    """DESIGN, trap 4; to .01, since the published figures are rounded."""
    files = sorted((real_mvtec / category / "test").glob("*/*.png"))
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    labels = np.array([file.parent.name != "good" for file in files])
    assert auroc(labels, measure(images)["mean_brightness"]) == pytest.approx(expected, abs=0.01)


def test_scores_that_rank_as_a_statistic_does_are_named_up_or_down() -> None:
    """Whatever their unit: a network that learnt nothing gives such scores."""
    values = measure(photos(0, 40))
    for sign in (1, -1):
        scores = np.exp(sign * 40 * values["mean_brightness"])
        found = shortcuts.follows(scores, {name: values[name] for name in ("mean_brightness", "sharpness")})
        assert found == (
            f"its scores rank the test images as their mean_brightness does (rank correlation {sign:+.2f})"
        )


def test_a_detector_of_defects_follows_no_statistic_even_where_one_separates_good_from_defective() -> None:
    train, test, labels = screw_like()
    values = measure(test, brightness.mean_brightness(train))
    assert auroc(labels, values["mean_brightness"]) == 1
    scores = labels + np.random.default_rng(0).normal(0, 0.1, len(labels))
    assert auroc(labels, scores) == 1
    assert shortcuts.follows(scores, values) is None


def test_few_images_and_statistics_that_do_not_vary_show_nothing() -> None:
    values = measure(photos(0, 40))
    few = {name: column[:11] for name, column in values.items()}
    assert shortcuts.follows(few["mean_brightness"], few) is None
    assert shortcuts.follows(np.arange(40.0), {"width": values["width"]}) is None
    assert shortcuts.follows(np.ones(40), values) is None


def test_luck_follows_no_statistic() -> None:
    """Of 12 images: among twelve statistics without relation to the scores."""
    rng = np.random.default_rng(0)
    luck = [
        shortcuts.follows(rng.normal(size=12), {str(k): rng.normal(size=12) for k in range(12)})
        for _ in range(1000)
    ]
    assert sum(map(bool, luck)) <= 3
